"""How well a recording can be read: what is wrong with each lead, and one grade."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from enecg.signal.windows import fill_gaps

Array = npt.NDArray[np.float32]

FAULTS = (
    "missing samples",
    "flat",
    "clipped",
    "amplitude no heart gives (wrong gain?)",
    "jumps of a loose electrode",
    "more noise than signal",
)
"""What can be wrong with a lead, in the order of Quality.faults."""

_FLAT_MV = 0.01
_HIGHEST_MV = 12.0
_LOWEST_MV = 0.06
_ABSURD_MV = 1e6
"""Larger samples count as this, so that no sum overflows; they are faulty anyway."""


@dataclass(frozen=True)
class Quality:
    """grade : 1 nothing wrong, 0 useless: the share of usable leads, where the signal looks like a heart's at all.

    faults : float32 [lead, fault], 0 (none) to 1 (certain), in the order of FAULTS.
    """

    grade: float
    faults: Array
    leads: tuple[str, ...]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Sentences that name the leads, for each fault that is more likely than not."""
        return tuple(
            f"{', '.join(name for name, value in zip(self.leads, column, strict=True) if value > 0.5)}: {fault}"
            for fault, column in zip(FAULTS, self.faults.T, strict=True)
            if (column > 0.5).any()
        )


def assess(signal: Array, rate: float, leads: Sequence[str]) -> Quality:
    """Grade a signal [lead, sample] in mV, NaN where missing, at `rate` Hz.

    One of less than 40 ms shows nothing: all of it counts as missing.
    """
    if signal.shape[1] < 4 * _stride(rate):
        return Quality(0.0, np.eye(1, len(FAULTS), dtype=np.float32).repeat(len(signal), axis=0), tuple(leads))
    missing = np.isnan(signal)
    filled = np.clip(fill_gaps(signal), -_ABSURD_MV, _ABSURD_MV)
    low, high = np.percentile(filled, [0.2, 99.8], axis=1)
    span = high - low
    step = np.diff(filled, axis=1)
    still = _longest_stretch(np.abs(step) < 1e-6) / max(1, step.shape[1])
    at_edge = np.mean((filled >= high[:, None] - 1e-6) | (filled <= low[:, None] + 1e-6), axis=1)
    fast = _second_difference(filled, rate)
    slow = span - fast
    quick = np.percentile(np.abs(step), 99.9, axis=1) * rate / 500
    faults = np.column_stack(
        [
            _ramp(missing.mean(axis=1), 0.05, 0.5),
            np.maximum(_ramp(-span, -3 * _FLAT_MV, -_FLAT_MV), _ramp(still, 0.2, 0.5)),
            _ramp(at_edge, 0.05, 0.15) * (span > _FLAT_MV),
            np.maximum(_ramp(span, _HIGHEST_MV / 1.5, _HIGHEST_MV), _ramp(-span, -_LOWEST_MV, -_LOWEST_MV / 2)),
            _ramp(quick, 1.5, 3.0),
            _ramp(fast / np.maximum(slow, 1e-3), 0.25, 0.6),
        ]
    ).astype(np.float32)
    usable = 1 - faults.max(axis=1)
    return Quality(float(usable.mean()), faults, tuple(leads))


def _ramp(values: npt.NDArray[np.floating], start: float, end: float) -> npt.NDArray[np.float64]:
    """0 up to `start`, 1 from `end`, straight between."""
    return np.clip((np.asarray(values, dtype=np.float64) - start) / (end - start), 0, 1)


def _stride(rate: float) -> int:
    """Samples in 10 ms, one at least."""
    return max(1, round(rate / 100))


def _second_difference(filled: Array, rate: float) -> npt.NDArray[np.float64]:
    """Size of what changes from sample to sample as no wave does: 6 x the typical second difference at 100 Hz."""
    stride = _stride(rate)
    smooth = lfilter(np.ones(stride) / stride, 1.0, filled, axis=1)[:, stride - 1 :: stride]
    return np.asarray(6 * np.median(np.abs(np.diff(smooth, n=2, axis=1)), axis=1), dtype=np.float64)


def _longest_stretch(still: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The longest run of True in each row."""
    n = still.shape[1]
    places = np.arange(n)
    last = np.maximum.accumulate(np.where(still, -1, places), axis=1)
    return np.asarray((places - last).max(axis=1), dtype=np.float64)
