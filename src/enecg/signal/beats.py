"""R peaks: one answer from all leads given."""

import numpy as np
import numpy.typing as npt
from scipy.signal import find_peaks
from sleepecg.heartbeats import detect_heartbeats

from enecg.signal.filters import bandpass
from enecg.signal.resample import resample
from enecg.signal.windows import fill_gaps

Array = npt.NDArray[np.float32]
Samples = npt.NDArray[np.int64]

DETECTION_RATE = 250.0
_REFRACTORY = 0.24
"""Seconds in which no second beat can follow: fibrillation and tachycardia stay below 250 beats a minute."""
_ALIGN = 0.06
"""Seconds by which a beat may move when it is aligned with the others."""


def r_peaks(signal: Array, rate: float) -> Samples:
    """Where the beats are: samples of the QRS complexes, rising; empty where none is found.

    signal : float32 [lead, sample], mV, NaN where missing;  rate : Hz.
    Detection runs on the length of the heart vector's velocity over all leads, which has no polarity: peaks that are
    high among their neighbours; where none stand out (continuous noise), the package sleepecg's detector decides.
    Then each beat is moved to where it fits the median complex best, so that the same point of every complex is
    meant.
    """
    usable = np.isfinite(signal).any(axis=1) & (np.nanstd(np.where(np.isfinite(signal), signal, 0), axis=1) > 1e-4)
    if not usable.any() or signal.shape[1] < rate:
        return np.empty(0, dtype=np.int64)
    filled = fill_gaps(np.ascontiguousarray(signal[usable]))
    even = resample(filled, rate, DETECTION_RATE) if rate != DETECTION_RATE else filled
    band = bandpass(even, DETECTION_RATE, 5.0, 30.0, order=2)
    scale = np.median(np.abs(band), axis=1, keepdims=True) + np.percentile(np.abs(band), 98, axis=1, keepdims=True)
    band = band / np.maximum(scale, 1e-6)
    found = _detect(_energy(band), DETECTION_RATE)
    found = _aligned(band, found, round(_ALIGN * DETECTION_RATE))
    if not len(found):
        return found
    # From 250 Hz to the recording's own samples, by the same alignment on the finer signal.
    coarse = np.round(found * rate / DETECTION_RATE).astype(np.int64)
    if rate <= DETECTION_RATE:
        return np.unique(np.clip(coarse, 0, signal.shape[1] - 1))
    fine = bandpass(filled, rate, 5.0, min(40.0, 0.45 * rate), order=2)
    return _aligned(fine, coarse, max(1, round(0.012 * rate)))


def mean_rr(peaks: Samples, rate: float) -> float:
    """Mean time between beats, ms; NaN with fewer than two."""
    return float((peaks[-1] - peaks[0]) / (len(peaks) - 1) / rate * 1000) if len(peaks) > 1 else float("nan")


def _energy(band: Array) -> npt.NDArray[np.float64]:
    """One lead without polarity: the root mean square over leads of what steep, QRS-like waves leave."""
    return np.asarray(np.sqrt(np.mean(np.gradient(band.astype(np.float64), axis=1) ** 2, axis=0)))


def _detect(energy: npt.NDArray[np.float64], rate: float) -> Samples:
    width = max(1, round(0.08 * rate))
    smooth = np.convolve(energy, np.hanning(width + 2)[1:-1] / (width / 2), mode="same")
    floor, top = np.median(smooth), np.percentile(smooth, 99)
    if top <= 0 or top < 1.5 * floor:
        return np.asarray(detect_heartbeats(energy, rate), dtype=np.int64)
    gap = round(_REFRACTORY * rate)
    candidates = np.asarray(find_peaks(smooth, distance=gap)[0], dtype=np.int64)
    heights = smooth[candidates]
    # A QRS complex is high among its neighbours; T waves and noise stay below two fifths of them.
    reference = _local_reference(candidates, heights, round(2.5 * rate))
    return candidates[heights > floor + 0.35 * (reference - floor)]


def _local_reference(places: Samples, heights: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    """The typical height of the high peaks within `reach` samples of each peak."""
    near = np.abs(places[:, None] - places[None, :]) <= reach
    return np.array([np.percentile(heights[row], 80) for row in near])


def _aligned(band: Array, beats: Samples, reach: int, rounds: int = 2) -> Samples:
    """Each beat moved by up to `reach` samples to where it correlates best with the mean complex."""
    half = 4 * max(reach, 2)
    n = band.shape[1]
    inner = (beats >= half + reach) & (beats < n - half - reach)
    if inner.sum() < 2:
        return np.asarray(beats, dtype=np.int64)
    shifts = np.arange(-reach, reach + 1)
    offsets = np.arange(-half, half + 1)
    moved = beats.copy()
    for _ in range(rounds):
        template = np.median(band[:, moved[inner][:, None] + offsets], axis=1)  # [lead, offset]
        windows = band[
            :, np.clip(beats[:, None, None] + shifts[:, None] + offsets, 0, n - 1)
        ]  # [lead, beat, shift, offset]
        fit = np.einsum("lbso,lo->bs", windows, template)
        moved = np.where(inner, beats + shifts[fit.argmax(axis=1)], beats)
        inner = inner & (moved >= half) & (moved < n - half)
    return np.unique(moved)
