"""Changing the sampling rate without aliasing and without edge artefacts."""

from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import firwin, resample_poly
from scipy.signal import resample as fourier
from scipy.sparse import csr_array

from enecg.errors import RecordingError
from enecg.signal.windows import extend, fill_gaps

Array = npt.NDArray[np.float32]

_EDGE_SECONDS = 0.5
_REACH = 10
"""Zero crossings of the FIR to either side, as in scipy.signal.resample_poly."""

_LONGEST, _LONGEST_STUFFED = 2**17, 2**13
"""Samples of which a spectrum is quicker than polyphase filtering; fewer where zeros are put between samples first."""

_ABSURD = 1e30

_SINC_ZEROS, _SINC_PRECISION, _SINC_ROLLOFF, _SINC_BETA = 50, 8192, 0.9173473712608761, 12.98458524704116
"""Of resampy's "kaiser_best": zero crossings on each side, table entries for each, cut-off, shape of the window."""


def resample(signal: Array, rate: float, to: float) -> Array:
    """The same signal at another sampling rate.

    signal : float32 [..., sample], NaN where missing;  rate, to : Hz.
    Returns float32 [..., round(n_samples * to / rate)]; samples nearest to a missing one are missing.
    The FIR of scipy.signal.resample_poly on a signal extended at both ends by its point reflection: on a drifting lead
    that leaves a fortieth of the edge error of padding with a line. Raises RecordingError unless both rates are
    positive.
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
    long = extend(filled, edge)
    start = edge * ratio.numerator // ratio.denominator
    short = long.shape[-1] * ratio.numerator <= (_LONGEST if ratio.numerator == 1 else _LONGEST_STUFFED)
    # Spectra are sums over all samples, which absurd ones would make infinite in single precision.
    # Rates that differ by less than a thousandth need no filter.
    if short and ratio != 1 and np.abs(long).max(initial=0.0) < _ABSURD:
        out = _filtered(long, ratio.numerator, ratio.denominator)
    else:
        out = resample_poly(long, ratio.numerator, ratio.denominator, axis=-1)
    out = np.array(out[..., start : start + n_out], dtype=np.float32)
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


def resample_sinc(signal: npt.NDArray[np.floating], rate: float, to: float) -> Array:
    """The same signal at another rate, as `resampy` has it with its default filter "kaiser_best" (version 0.4).

    float32 [..., floor(n_samples * to / rate)];  rate, to : Hz. Band-limited interpolation by a sinc of 50 zero
    crossings under a Kaiser window, with zeros beyond the ends, and without making up for what falls outside: next to
    the ends a constant is not constant. A missing sample makes all those around it missing.
    Raises RecordingError unless both rates are positive and a sample comes out.
    """
    if not (rate > 0 and to > 0):
        raise RecordingError(f"resampling from {rate} Hz to {to} Hz; expected positive rates")
    if rate == to:
        return np.asarray(signal, dtype=np.float32)
    n = signal.shape[-1]
    # The hair's breadth is for quotients such as 599.9999999 samples.
    n_out = int(n * to / rate + 1e-6)
    if n_out < 1:
        raise RecordingError(f"resampling {n} samples from {rate} Hz to {to} Hz leaves none")
    out = (_sinc_weights(n, n_out, rate, to) @ signal.reshape(-1, n).T.astype(np.float64)).T
    return np.asarray(out.reshape(*signal.shape[:-1], n_out), dtype=np.float32)


@lru_cache(maxsize=8)
def _sinc_weights(n: int, n_out: int, rate: float, to: float) -> csr_array:
    """What each of `n` samples adds to each of `n_out`: [n_out, n]."""
    cutoff = min(1.0, to / rate)
    # resampy reads its filter from a table of 8192 values for each zero crossing, and steps through it by whole values
    # from sample to sample, but for the last one: that makes the filter a little wider than it was meant to be.
    step = max(1, int(_SINC_PRECISION * cutoff)) / _SINC_PRECISION
    moments = np.arange(n_out) * (rate / to)
    left = np.floor(moments).astype(np.intp)
    past = moments - left
    away = np.arange(int(_SINC_ZEROS / step) + 1)
    sample = np.concatenate([left[:, None] - away, left[:, None] + 1 + away], axis=1)
    crossings = np.concatenate(
        [cutoff * past[:, None] + step * away, cutoff * (1 - past[:, None]) + step * away], axis=1
    )
    taper = np.i0(_SINC_BETA * np.sqrt(np.clip(1 - (crossings / _SINC_ZEROS) ** 2, 0, None))) / np.i0(_SINC_BETA)
    weight = cutoff * _SINC_ROLLOFF * np.sinc(_SINC_ROLLOFF * crossings) * taper
    inside = (sample >= 0) & (sample < n) & (crossings <= _SINC_ZEROS - step)
    rows = np.broadcast_to(np.arange(n_out)[:, None], sample.shape)
    return csr_array((weight[inside], (rows[inside], sample[inside])), shape=(n_out, n))


def _filtered(signal: Array, up: int, down: int) -> Array:
    """As scipy.signal.resample_poly(signal, up, down), its FIR applied to the spectrum, which takes less time."""
    n = signal.shape[-1]
    reach = _REACH * max(up, down)
    # As there, the signal is followed by zeros: as many as the FIR reaches, so that no end tells on the other.
    size = next_fast_len(n + -(-reach // up), real=True)
    spectrum = rfft(signal, size)
    if up > 1:  # Zeros between the samples repeat the spectrum.
        other = spectrum[..., (size - 1) // 2 : 0 : -1].conj()
        spectrum = np.concatenate([spectrum, other] * (up // 2 + 1), axis=-1)[..., : size * up // 2 + 1]
    long = irfft(spectrum * _response(up, down, size), size * up)
    return np.asarray(long[..., : n * up : down], dtype=np.float32)


@lru_cache(maxsize=8)
def _response(up: int, down: int, size: int) -> Array:
    """What the FIR of resample_poly, without its delay, does to each frequency: [size * up // 2 + 1]."""
    reach = _REACH * max(up, down)
    fir = np.zeros(size * up)
    fir[np.arange(-reach, reach + 1)] = up * firwin(2 * reach + 1, 1 / max(up, down), window=("kaiser", 5.0))
    return np.asarray(rfft(fir).real, dtype=np.float32)
