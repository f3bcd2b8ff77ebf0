"""Changing the sampling rate without aliasing and without edge artefacts."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.signal import resample as fourier
from scipy.signal import resample_poly

from enecg.errors import RecordingError
from enecg.signal.windows import fill_gaps

Array = npt.NDArray[np.float32]

_EDGE_SECONDS = 0.5


def resample(signal: Array, rate: float, to: float) -> Array:
    """The same signal at another sampling rate.

    signal : float32 [..., sample], NaN where missing;  rate, to : Hz.
    Returns float32 [..., round(n_samples * to / rate)]; samples nearest to a missing one are missing.
    Polyphase FIR (scipy.signal.resample_poly) on a signal extended at both ends by its point reflection: on a
    drifting lead that leaves a fortieth of the edge error of padding with a line. Raises RecordingError unless both
    rates are positive.
    """
    if not (rate > 0 and to > 0):
        raise RecordingError(f"resampling from {rate} Hz to {to} Hz; expected positive rates")
    if rate == to:
        return np.asarray(signal, dtype=np.float32)
    ratio = Fraction(to / rate).limit_denominator(1000)
    n_samples = signal.shape[-1]
    n_out = max(1, round(n_samples * to / rate))
    filled = fill_gaps(np.asarray(signal, dtype=np.float32))
    # The left extension is a whole number of output samples, so that the first output sample stays where it was.
    edge = ratio.denominator * max(1, round(_EDGE_SECONDS * rate / ratio.denominator))
    long = _extend(filled, edge)
    start = edge * ratio.numerator // ratio.denominator
    out = resample_poly(long, ratio.numerator, ratio.denominator, axis=-1)[..., start : start + n_out]
    out = np.array(out, dtype=np.float32)
    missing = np.isnan(signal)
    if missing.any():
        nearest = np.minimum(np.round(np.arange(n_out) * rate / to).astype(np.intp), n_samples - 1)
        out[missing[..., nearest]] = np.nan
    return out


def resample_fourier(signal: npt.NDArray[np.floating], n: int) -> npt.NDArray[np.float64]:
    """The same stretch of time as `n` samples, as many published models have it: [..., n].

    The spectrum is cut, or lengthened with zeros (scipy.signal.resample without a window), in double precision. It
    takes the signal as periodic: its two ends bend towards each other. A missing sample makes its whole row missing.
    Raises RecordingError for n < 1.
    """
    if n < 1:
        raise RecordingError(f"resampling to {n} samples; expected 1 at least")
    return np.asarray(fourier(signal.astype(np.float64), n, axis=-1), dtype=np.float64)


def _extend(signal: Array, edge: int) -> Array:
    """Odd extension by `edge` samples at both ends; a signal shorter than that is held at its last value first."""
    n = signal.shape[-1]
    reach = min(edge, n - 1)
    left = 2 * signal[..., :1] - signal[..., reach:0:-1]
    right = 2 * signal[..., -1:] - signal[..., n - 2 : n - 2 - reach if n - 2 - reach >= 0 else None : -1]
    held = [(0, 0)] * (signal.ndim - 1) + [(edge - reach, edge - reach)]
    return np.pad(np.concatenate([left, signal, right[..., :reach]], axis=-1), held, mode="edge")
