"""The median beat and its waves: where P, QRS and T begin and end, told from all leads together."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enecg.signal.filters import bandpass
from enecg.signal.resample import resample
from enecg.signal.windows import fill_gaps

Array = npt.NDArray[np.float32]

RATE = 250.0
"""Hz of the median beat: 4 ms."""
BEFORE, AFTER = 0.32, 0.52
"""Seconds of the median beat before and after the R peak."""
_R = round(BEFORE * RATE)
_N = _R + round(AFTER * RATE)
_ALIKE = 0.8
"""Correlation with the median beat from which a beat counts as one of the prevailing kind."""


@dataclass(frozen=True)
class Beats:
    """A recording's beats and their median.

    signal : [lead, sample] at 250 Hz, 0.5 to 40 Hz;  peaks : samples of it;  windows : [beat, lead, sample] around the
    peaks that are whole;  whole : which peaks these are;  alike : [beat] correlation with the median beat;
    median : [lead, sample] of the prevailing beats, from 320 ms before to 520 ms after the R peak, mV.
    """

    signal: Array
    peaks: npt.NDArray[np.int64]
    windows: Array
    whole: npt.NDArray[np.int64]
    alike: npt.NDArray[np.float64]
    median: Array


@dataclass(frozen=True)
class Waves:
    """Where the waves of the median beat are, in ms from the R peak; NaN for a wave that is not there."""

    p_on: float
    p_peak: float
    p_off: float
    qrs_on: float
    qrs_off: float
    t_peak: float
    t_off: float


def median_beat(signal: Array, rate: float, peaks: npt.NDArray[np.int64]) -> Beats | None:
    """The beats at `peaks` (samples of `signal` [lead, sample], mV) and their median; None without a whole beat."""
    even = resample(fill_gaps(signal), rate, RATE)
    even = bandpass(even, RATE, 0.5, 40.0, order=2)
    places = np.round(peaks * RATE / rate).astype(np.int64)
    whole = np.flatnonzero((places >= _R) & (places + (_N - _R) <= even.shape[1]))
    if not len(whole):
        return None
    windows = even[:, places[whole][:, None] + np.arange(-_R, _N - _R)].transpose(1, 0, 2)
    median = np.median(windows, axis=0)
    alike = _alike(windows, median)
    for _ in range(2):
        kept = alike >= min(_ALIKE, float(np.median(alike)))
        median = np.median(windows[kept], axis=0)
        alike = _alike(windows, median)
    return Beats(even, places, windows, whole, alike, np.asarray(median, dtype=np.float32))


def delineate(beats: Beats) -> Waves:
    """The waves of the median beat.

    QRS: where the spatial velocity (root mean square over leads of the slope) falls to a share of its peak. T: the
    largest deflection of the rest; its end by the tangent at the steepest descent (Lepeschkin and Surawicz 1952). P:
    the largest deflection before QRS, taken as there if it stands out and the beats agree on it.
    """
    median = beats.median.astype(np.float64)
    velocity = np.sqrt(np.mean(np.gradient(median, axis=1) ** 2, axis=0))
    velocity = np.convolve(velocity, [0.25, 0.5, 0.25], mode="same")
    around = slice(_R - 15, _R + 20)
    peak = float(velocity[around].max())
    limit = max(0.08 * peak, 1.5 * float(np.median(velocity)))
    on, off = _outwards(velocity, limit)
    level = median[:, max(0, on - 10) : max(1, on - 2)].mean(axis=1, keepdims=True)
    size = np.sqrt(np.mean((median - level) ** 2, axis=0))
    t_peak, t_off = _t_wave(size, off, _room(beats))
    p = _p_wave(beats, median, on)
    return Waves(*p, _ms(on), _ms(off), t_peak, t_off)


def _outwards(velocity: npt.NDArray[np.float64], limit: float) -> tuple[int, int]:
    """First and last sample of the complex: three slow samples in a row end it on either side."""
    fast = velocity > limit
    start = _R - 8 + int(velocity[_R - 8 : _R + 12].argmax())
    on = start
    while on > 3 and fast[on - 3 : on].any() and on > _R - 30:
        on -= 1
    off = start
    while off < len(fast) - 4 and fast[off + 1 : off + 4].any() and off < _R + 35:
        off += 1
    return on, off


def _room(beats: Beats) -> int:
    """Samples after the R peak that belong to this beat: the next one's P wave must not be taken for its T wave."""
    rr = np.median(np.diff(beats.peaks)) if len(beats.peaks) > 1 else RATE
    return int(min(_N - _R - 1, max(0.3 * RATE, 0.72 * rr)))


def _t_wave(size: npt.NDArray[np.float64], off: int, room: int) -> tuple[float, float]:
    first, last = off + round(0.05 * RATE), _R + room
    if last - first < 8:
        return np.nan, np.nan
    part = np.convolve(size, np.ones(5) / 5, mode="same")[first:last]
    top = int(part.argmax())
    floor = float(np.percentile(part, 10))
    if part[top] < 0.02 or part[top] < 1.3 * floor:
        return np.nan, np.nan
    tail = part[top:]
    if len(tail) < 4:
        return _ms(first + top), np.nan
    slope = np.gradient(tail)
    steep = int(slope[: max(4, round(0.16 * RATE))].argmin())
    if slope[steep] >= 0:
        return _ms(first + top), np.nan
    rest = float(tail[steep:].min())
    end = steep + (tail[steep] - rest) / -slope[steep]
    return _ms(first + top), _ms(first + top + min(end, len(tail) - 1 + 0.06 * RATE))


def _p_wave(beats: Beats, median: npt.NDArray[np.float64], on: int) -> tuple[float, float, float]:
    absent = (np.nan, np.nan, np.nan)
    rr = np.median(np.diff(beats.peaks)) if len(beats.peaks) > 1 else RATE
    first = max(0, on - round(min(0.26 * RATE, 0.45 * rr)))
    last = on - round(0.012 * RATE)
    if last - first < 10:
        return absent
    part = median[:, first:last]
    ramp = np.linspace(0, 1, last - first)
    part = part - (
        part[:, :2].mean(axis=1, keepdims=True) * (1 - ramp) + part[:, -2:].mean(axis=1, keepdims=True) * ramp
    )
    size = np.convolve(np.sqrt(np.mean(part**2, axis=0)), np.ones(3) / 3, mode="same")
    top = int(size[3:-3].argmax()) + 3
    if size[top] < 0.012 or _agreement(beats, part, first, last) < 0.5:
        return absent
    limit = 0.25 * size[top]
    begin = top
    while begin > 0 and size[begin] > limit:
        begin -= 1
    end = top
    while end < len(size) - 1 and size[end] > limit:
        end += 1
    return _ms(first + begin), _ms(first + top), _ms(first + end)


def _agreement(beats: Beats, part: npt.NDArray[np.float64], first: int, last: int) -> float:
    """Median correlation of the beats' own segments with the median's, over all leads together."""
    own = beats.windows[beats.alike >= min(_ALIKE, float(np.median(beats.alike))), :, first:last].astype(np.float64)
    own = own - own.mean(axis=2, keepdims=True)
    mean = part - part.mean(axis=1, keepdims=True)
    top = np.einsum("bls,ls->b", own, mean)
    return float(np.median(top / np.maximum(np.sqrt((own**2).sum(axis=(1, 2)) * (mean**2).sum()), 1e-9)))


def _alike(windows: Array, median: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Correlation over leads and the 240 ms around the R peak."""
    part = slice(_R - 30, _R + 30)
    a = windows[:, :, part] - windows[:, :, part].mean(axis=2, keepdims=True)
    b = median[:, part] - median[:, part].mean(axis=1, keepdims=True)
    top = np.einsum("bls,ls->b", a, b)
    return np.asarray(top / np.maximum(np.sqrt((a**2).sum(axis=(1, 2)) * (b**2).sum()), 1e-9), dtype=np.float64)


def _ms(sample: float) -> float:
    return float((sample - _R) / RATE * 1000)
