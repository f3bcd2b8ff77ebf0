"""What the columns of a table are, told by their names, and the rate that a column of times gives."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError
from enecg.formats._lead_signals import known_lead
from enecg.recording import STANDARD_LEADS

_LEAD_AND_UNIT = re.compile(r"(?P<lead>.+?)(?:[\s_-]+|(?=[\[(]))[\[(]?(?P<unit>mV|uV|[µμ]V|nV|V)[\])]?", re.IGNORECASE)
_TIME = re.compile(
    r"(?:elapsed[\s_])?(?:time|times|timestamps?|t|(?=s|m))[\s_-]*"
    r"[\[(]?(?P<unit>s|secs?|seconds?|ms|msecs?|milliseconds?|[uµμ]s|microseconds?|ns)?[\])]?",
    re.IGNORECASE,
)
_LONGEST = 100
"""Letters of a column's name that are looked at; a lead's has a dozen."""
_SECONDS = {"s": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9}
_TELLING = {*STANDARD_LEADS[:6], "MLI", "MLII", "MLIII"}
"""Names that hardly any table of something else gives to its columns, as many do X, Y, Z, and V1 to V9."""

_MOST_GAPS = 16
"""So many times its rows a table may last; times further apart are damaged."""


@dataclass(frozen=True)
class Column:
    """Its place, its name as written, and what it is: a lead (with its unit, if the name says it), or times."""

    at: int
    name: str
    lead: str | None = None
    unit: str | None = None
    is_time: bool = False
    second: float | None = None
    """Seconds in one unit of a column of times; None if its name does not say that."""


def columns(names: Sequence[str]) -> list[Column]:
    """Of a header."""
    return [_column(at, name.strip().strip("'\"").strip()) for at, name in enumerate(names)]


def telling(found: Sequence[Column]) -> bool:
    """Whether a table with these columns is an ECG beyond doubt: leads and times only, limb leads among them."""
    leads = [column for column in found if column.lead]
    others = [column for column in found if not column.lead and not column.is_time and column.at > 0]
    return not others and any(column.lead in _TELLING or column.unit for column in leads)


def _column(at: int, name: str) -> Column:
    if len(name) > _LONGEST:
        return Column(at, name)
    with_unit = _LEAD_AND_UNIT.fullmatch(name)
    if lead := _lead(name):
        return Column(at, name, lead=lead)
    if with_unit and (lead := _lead(with_unit["lead"])):
        return Column(at, name, lead=lead, unit=with_unit["unit"])
    time = _TIME.fullmatch(name)
    if time is None:
        return Column(at, name)
    unit = time["unit"]
    return Column(at, name, is_time=True, second=_SECONDS[unit[0].lower()] if unit else None)


def _lead(name: str) -> str | None:
    lead = known_lead(name)
    # Tables of other things have columns a, s, x, y and z.
    return lead if len(name) > 1 or name == lead else None


def evenly(
    path: Path, column: str, times: npt.NDArray[np.float64]
) -> tuple[float, npt.NDArray[np.int64] | None, list[str]]:
    """Rate in Hz; the sample at which each row stands, None if rows follow each other without a gap; notes.

    times : seconds [row]. Raises ReadError for times that do not go on, or not in whole steps.
    """
    if len(times) < 2:
        raise ReadError(f"{path}: one row of {column} does not tell a rate; pass rate= (Hz)")
    with np.errstate(invalid="ignore"):
        steps = np.diff(times)
    wrong = np.flatnonzero(~(steps > 0))
    if len(wrong):
        raise ReadError(f"{path}: column {column} does not go on at row {wrong[0] + 2}; expected times that grow")
    whole = np.maximum(np.round(steps / np.median(steps)), 1)
    total = whole.sum()
    if not total <= _MOST_GAPS * len(times):
        raise ReadError(f"{path}: column {column} has gaps of {total - len(steps):.0f} samples in all; is it damaged?")
    places = np.concatenate([[0], np.cumsum(whole)])
    step = (times[-1] - times[0]) / total
    off = np.abs(times - times[0] - places * step).max()
    if off > step / 2:
        raise ReadError(
            f"{path}: column {column} is not evenly spaced (up to {off * 1000:.3g} ms off in steps of "
            f"{step * 1000:.3g} ms); resample it, or leave the column out and pass rate= (Hz)"
        )
    grain = _grain(times)
    exact = off < grain / 1000  # else they were rounded, and the rate is known no better than their ends
    rate = _roundest(1 / step, 0.0 if exact else grain / (times[-1] - times[0]))
    notes = [f"rate of {rate:g} Hz from the column {column}"]
    if off > max(1.5 * grain, 0.02 * step):
        notes.append(f"times of the column {column} are up to {off * 1000:.3g} ms off even steps")
    missing = int(total) - len(steps)
    if missing:
        notes.append(f"{missing} samples are missing by the column {column}")
    return rate, places.astype(np.int64) if missing else None, notes


def _grain(times: npt.NDArray[np.float64]) -> float:
    """The step to which times were rounded, as seen in some of them, in seconds."""
    some = times[:: max(1, len(times) // 1000)]
    for digits in range(10):
        if np.allclose(some, np.round(some, digits), rtol=0, atol=1e-11):
            return float(10.0**-digits)
    return 1e-10


def _roundest(rate: float, slack: float) -> float:
    """The roundest number that differs from `rate` by no more than this share of it."""
    for digits in range(7):
        if abs(round(rate, digits) - rate) <= rate * (slack + 1e-9):
            return round(rate, digits)
    return rate
