"""Zero-phase filters on arrays of any shape; missing samples stay missing and do not spread."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

from enecg.errors import RecordingError
from enecg.signal.windows import extend, fill_gaps

Array = npt.NDArray[np.float32]


def bandpass(signal: Array, rate: float, low: float, high: float, order: int = 3) -> Array:
    """Butterworth band-pass of `order`, forwards and backwards: float32 [..., sample].

    low, high : Hz at -3 dB for one of the two passes. Raises RecordingError unless 0 < low < high < rate / 2.
    """
    return _apply(_butterworth("bandpass", rate, (low, high), order), signal)


def highpass(signal: Array, rate: float, low: float, order: int = 2) -> Array:
    """Butterworth high-pass, forwards and backwards: float32 [..., sample]."""
    return _apply(_butterworth("highpass", rate, (low,), order), signal)


def lowpass(signal: Array, rate: float, high: float, order: int = 4) -> Array:
    """Butterworth low-pass, forwards and backwards: float32 [..., sample]."""
    return _apply(_butterworth("lowpass", rate, (high,), order), signal)


def notch(signal: Array, rate: float, hz: float, quality: float = 30.0) -> Array:
    """Second-order notch at `hz` with the given quality factor, forwards and backwards: float32 [..., sample].

    A notch above half the rate has nothing to remove: the signal is returned as it is.
    """
    if hz >= rate / 2:
        return signal
    return _apply(_notch(rate, hz, quality), signal)


class _Cascade(NamedTuple):
    """Second-order sections [section, 6], and their state after a constant 1 of any length [section, 2]."""

    sections: npt.NDArray[np.float64]
    settled: npt.NDArray[np.float64]


@lru_cache(maxsize=64)
def _butterworth(kind: str, rate: float, cutoffs: tuple[float, ...], order: int) -> _Cascade:
    if not (0 < cutoffs[0] <= cutoffs[-1] < rate / 2):
        raise RecordingError(f"{kind} at {cutoffs} Hz of a signal at {rate:g} Hz; expected 0 to {rate / 2:g} Hz")
    sections = butter(order, cutoffs if len(cutoffs) == 2 else cutoffs[0], btype=kind, fs=rate, output="sos")
    return _Cascade(sections, sosfilt_zi(sections))


@lru_cache(maxsize=64)
def _notch(rate: float, hz: float, quality: float) -> _Cascade:
    sections = tf2sos(*iirnotch(hz, quality, fs=rate))
    return _Cascade(sections, sosfilt_zi(sections))


def _apply(cascade: _Cascade, signal: Array) -> Array:
    """As scipy.signal.sosfiltfilt, bit for bit, whose calls each work out the settled state anew."""
    missing = np.isnan(signal)
    n, sections = signal.shape[-1], len(cascade.sections)
    # sosfiltfilt's own extension, as long as the signal allows.
    edge = min(3 * (2 * sections + 1), n - 1)
    out = extend(fill_gaps(signal), edge)
    state = cascade.settled.reshape(sections, *(1,) * (signal.ndim - 1), 2)
    for _ in "forwards", "backwards":
        out, _ = sosfilt(cascade.sections, out, zi=state * out[..., :1])
        out = out[..., ::-1]
    out = np.asarray(out[..., edge : edge + n], dtype=np.float32)
    if missing.any():
        out[missing] = np.nan
    return out
