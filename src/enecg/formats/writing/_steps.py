"""Millivolts as the whole numbers that most formats store: the finest step of a series in which a lead fits 16 bits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg.errors import WriteError
from enecg.recording import Recording

LARGEST = 32_000
"""Of the numbers: what 16 bits hold, less some so that the range of every step is a round number of microvolts."""

_GAINS = (10_000, 5_000, 2_000, 1_000, 500, 200, 100, 50, 20, 10, 5, 2, 1)
"""Steps to a millivolt: from 0.1 uV, which is less than the noise of any amplifier, to 1 mV."""

_USUAL = 1_000
"""Up to this step of 1 uV, in which 32 mV fit, zero is stored as zero; a lead that needs more has an offset."""


@dataclass(frozen=True)
class Steps:
    """A lead in whole numbers [sample], 0 where a sample is missing; millivolts are (numbers - zero) / gain."""

    lead: str
    numbers: npt.NDArray[np.int16]
    missing: npt.NDArray[np.bool_]
    gain: int
    zero: int

    @property
    def step_uv(self) -> float:
        """Microvolts in one step."""
        return 1_000 / self.gain

    @property
    def offset_uv(self) -> float:
        """Microvolts of a stored 0."""
        return -1_000 * self.zero / self.gain

    def stored(self, missing: int, dtype: npt.DTypeLike) -> npt.NDArray[np.integer]:
        """The numbers as a format stores them, with its own for missing samples."""
        stored: npt.NDArray[np.integer] = self.numbers.astype(dtype)
        stored[self.missing] = missing
        return stored


def in_steps(path: Path, recording: Recording) -> list[Steps]:
    """Each lead. Raises WriteError, naming file and lead, for amplitudes that no electrode has."""
    return [_steps(path, lead, row) for lead, row in zip(recording.leads, recording.signal, strict=True)]


def _steps(path: Path, lead: str, row: npt.NDArray[np.float32]) -> Steps:
    missing = np.isnan(row)
    values = np.where(missing, 0, row).astype(np.float64)
    low, high = (float(edge) for edge in (row[~missing].min(), row[~missing].max())) if not missing.all() else (0, 0)
    for gain, zero in [(g, 0) for g in _GAINS if g >= _USUAL] + [(g, _centre(low, high, g)) for g in _GAINS]:
        if low * gain + zero >= -LARGEST and high * gain + zero <= LARGEST:
            numbers = (np.rint(values * gain) + zero).astype(np.int16)
            numbers[missing] = 0
            return Steps(lead, numbers, missing, gain, zero)
    raise WriteError(
        f"{path}: lead {lead}: amplitudes of {low:g} to {high:g} mV; expected a range of {2 * LARGEST} mV at most, "
        "which no electrode has. Is the unit right?"
    )


def _centre(low: float, high: float, gain: int) -> int:
    """What moves the middle of a lead to about 0; a round number, so that what it means in microvolts is one too."""
    return -1_000 * round((low + high) / 2 * gain / 1_000)
