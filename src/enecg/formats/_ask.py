"""What a caller adds to what a file says, and which part of a long recording is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from enecg.errors import LeadError, ReadError, UnitError
from enecg.formats._shown import shown
from enecg.recording import HIGHEST_RATE, LOWEST_RATE, millivolts_per


@dataclass(frozen=True)
class Ask:
    """Of one call of `enecg.read`.

    unit : of the samples (V, mV, uV or nV), for files that do not say theirs.
    rate : Hz, for files that do not say it;  leads : their names in the file's order, likewise.
    item : which recording of a file that holds several.
    start, seconds : the part that is wanted; seconds None: to the end.
    """

    unit: str | None = None
    rate: float | None = None
    leads: tuple[str, ...] | None = None
    item: str | None = None
    start: float = 0.0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.start) and self.start >= 0):
            raise ReadError(f"start of {self.start} s; expected seconds from the beginning, 0 or more")
        if self.seconds is not None and not (np.isfinite(self.seconds) and self.seconds > 0):
            raise ReadError(f"{self.seconds} seconds of a recording; expected a positive number")

    @property
    def whole(self) -> bool:
        """Whether all of a recording is wanted."""
        return self.start == 0 and self.seconds is None

    def span(self, n_samples: int, rate: float, where: object) -> tuple[int, int]:
        """First sample that is wanted, and the one after the last.

        Raises ReadError for a start beyond the end, and for a rate that no recording has.
        """
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ReadError(f"{where}: rate of {rate:g} Hz; expected {LOWEST_RATE:g} to {HIGHEST_RATE:,.0f}")
        first = round(self.start * rate)
        last = n_samples if self.seconds is None else min(n_samples, first + max(1, round(self.seconds * rate)))
        if first >= n_samples:
            raise ReadError(
                f"{where}: start at {self.start:g} s of a recording of {n_samples / rate:g} s; expected less"
            )
        return first, last

    def hertz(self, said: float | None, where: object) -> float:
        """The file's rate or, if it says none (None or 0), the caller's. Raises ReadError if neither does."""
        rate = said or self.rate
        if not rate:
            raise ReadError(f"{where}: does not say its sampling rate; pass rate= (Hz)")
        return rate

    def millivolts(self, where: object) -> float:
        """In one unit of a file that does not say its unit. Raises UnitError if the caller does not either."""
        if self.unit is None:
            raise UnitError(f"{where}: does not say the unit of its samples; pass unit= (V, mV, uV or nV)")
        try:
            return millivolts_per(self.unit)
        except UnitError as error:
            raise UnitError(f"{where}: {error}") from error

    def names(self, said: Sequence[str | None], where: object) -> list[str]:
        """The file's lead names or, if one is missing (None), the caller's. Raises LeadError if neither names all."""
        known = [name for name in said if name is not None]
        if len(known) == len(said):
            return known
        if self.leads is None or len(self.leads) != len(said):
            given = "" if self.leads is None else f", not {len(self.leads)}"
            found = shown([name or "?" for name in said])
            raise LeadError(
                f"{where}: does not name all its leads ({found}); pass leads= with {len(said)} names{given}"
            )
        return list(self.leads)

    def key(self) -> str:
        """Text that is different for what reads differently."""
        return f"unit={self.unit} rate={self.rate} leads={self.leads} item={self.item} {self.start} {self.seconds}"


def asked(
    unit: str | None,
    rate: float | None,
    leads: Sequence[str] | None,
    item: str | int | None,
    start: float,
    seconds: float | None,
) -> Ask:
    """From the arguments of `enecg.read`."""
    return Ask(unit, rate, None if leads is None else tuple(leads), None if item is None else str(item), start, seconds)
