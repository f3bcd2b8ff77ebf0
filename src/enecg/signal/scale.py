"""The scalings that published models use. Each keeps NaN as NaN and leaves a constant signal at zero."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Axis = int | tuple[int, ...]

PER_LEAD = -1
"""z-score each lead by itself (ECG-FM, HuBERT-ECG)."""

PER_RECORDING = (-2, -1)
"""z-score all leads of a recording together (EnECG, ECGFounder)."""


def zscore(signal: npt.NDArray[np.floating], axis: Axis = PER_LEAD, epsilon: float = 0.0) -> Array:
    """(x - mean) / (standard deviation + epsilon) along `axis`, population deviation: float32, same shape."""
    with np.errstate(invalid="ignore"):
        centred = signal - _mean(signal, axis)
        deviation = np.sqrt(_mean(centred.astype(np.float64) ** 2, axis)) + epsilon
    return np.asarray(np.divide(centred, deviation, out=centred * 0, where=deviation > 0), dtype=np.float32)


def unit_range(signal: Array, axis: Axis = PER_LEAD) -> Array:
    """Scaled to -1 at the smallest and 1 at the largest value along `axis`: float32, same shape."""
    low = np.fmin.reduce(signal, axis=axis, keepdims=True)
    high = np.fmax.reduce(signal, axis=axis, keepdims=True)
    span = high - low
    return np.asarray(np.divide(2 * (signal - low), span, out=signal * 0 + 1, where=span > 0) - 1, dtype=np.float32)


def _mean(signal: npt.NDArray[np.floating], axis: Axis) -> npt.NDArray[np.float64]:
    """Mean over the samples that are there; NaN where none is, without a warning."""
    there = ~np.isnan(signal)
    total = np.where(there, signal, 0.0).sum(axis=axis, keepdims=True, dtype=np.float64)
    count = there.sum(axis=axis, keepdims=True)
    return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
