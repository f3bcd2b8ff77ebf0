"""What is known of plain numbers: their rate, unit and leads, which tables and arrays rarely say themselves.

It stands in the file (comment lines, named values, Parquet's metadata), or in a small JSON file of the same name beside
it, such as `{"rate": 500, "unit": "mV", "leads": ["I", "II"]}`. What neither says, the caller does; nobody guesses.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._finish import age_of, finished, lead_of, sex_of
from enecg.recording import HIGHEST_RATE, LOWEST_RATE, Recording, millivolts_per

MOST_VALUES = 2**26
"""Of one recording, in all leads: 12 leads of three hours at 500 Hz. More are read in parts."""

_LARGEST = 2**20
"""Bytes of a description beside a file."""

_KEYS = {
    "rate": ("rate", "fs", "sampling_rate", "sample_rate", "samplerate", "sampling_frequency", "curr_sample_rate"),
    "unit": ("unit", "units"),
    "leads": ("leads", "lead_names", "channels", "sig_name"),
}
_NUMBER = re.compile(r"([-+]?\d+(?:[.,]\d*)?(?:[eE][-+]?\d+)?)\s*(?:hz|hertz)?", re.IGNORECASE)
_ABSENT = ("", "none", "null", "nan", "n/a", "unknown")


@dataclass(frozen=True)
class Description:
    """What was said. None, or nothing, where nothing was.

    units : one for all leads, or one for each;  facts : further fields of a Recording.
    how : where a file of this kind could say it, for the errors.
    """

    rate: float | None = None
    units: tuple[str, ...] = ()
    leads: tuple[str, ...] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    how: str = ""

    def joined(self, other: Self, path: Path) -> Self:
        """Both together. Raises ReadError, naming `path`, where they disagree."""
        for what in ("rate", "units", "leads"):
            here, there = getattr(self, what), getattr(other, what)
            if here and there and _meant(path, what, here) != _meant(path, what, there):
                raise ReadError(f"{path}: the file and its description disagree: {what} {here} and {there}; mend one")
        return replace(
            self,
            rate=self.rate or other.rate,
            units=self.units or other.units,
            leads=self.leads or other.leads,
            facts={**other.facts, **self.facts},
        )

    def hertz(self, ask: Ask, path: Path) -> float:
        """The rate, or the caller's. Raises ReadError if there is none, or none that is an ECG's."""
        try:
            rate = float(ask.hertz(self.rate, path))
        except ReadError as error:
            raise ReadError(f"{error}{self.how}") from error
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ReadError(f"{path}: rate of {rate:g} Hz; expected {LOWEST_RATE:g} to {HIGHEST_RATE:,.0f}")
        return rate

    def millivolts(self, ask: Ask, path: Path) -> npt.NDArray[np.float64]:
        """In one unit, of all leads or each [lead]. Raises UnitError if it is not known."""
        if not self.units:
            try:
                return np.array([ask.millivolts(path)])
            except UnitError as error:
                raise UnitError(f"{error}{self.how}") from error
        return np.array(_meant(path, "units", self.units))

    def names(self, ask: Ask) -> tuple[str, ...] | None:
        """Of the leads, or the caller's; None if neither says them."""
        return self.leads or ask.leads

    def overruled(self, ask: Ask, path: Path) -> list[str]:
        """Notes on what the caller said otherwise than the file, which counts."""
        notes = []
        if self.rate and ask.rate and ask.rate != self.rate:
            notes.append(f"the file's rate of {self.rate:g} Hz counts, not the {ask.rate:g} Hz given")
        if self.units and ask.unit and {*_meant(path, "units", self.units)} != {*_meant(path, "units", [ask.unit])}:
            notes.append(f"the file's unit ({', '.join(dict.fromkeys(self.units))}) counts, not the {ask.unit} given")
        if self.leads and ask.leads and _meant(path, "leads", ask.leads) != _meant(path, "leads", self.leads):
            notes.append("the file's lead names count, not those given")
        return notes


def described(path: Path, said: Mapping[str, Any], how: str = "") -> Description:
    """From names and values as they stand in a file: numbers, texts, lists, arrays; other names are passed over.

    Raises ReadError, naming `path`, for a rate, unit or lead names that are none.
    """
    known = {str(key).strip().lower().replace(" ", "_"): plain(value) for key, value in said.items()}
    found = {what: known[key] for what, keys in _KEYS.items() for key in reversed(keys) if _there(known.get(key))}
    leads = _texts(path, "leads", found.get("leads"))
    units = _texts(path, "unit", found.get("unit"))
    if len(set(units)) == 1:
        units = units[:1]
    return Description(
        rate=_rate(path, found["rate"]) if "rate" in found else None,
        units=units,
        leads=leads or None,
        facts=facts_of({key: value for key, value in known.items() if _there(value)}),
        how=how,
    )


def sidecar(path: Path) -> Path:
    """Where the description of a file lies, if it has one."""
    return path.with_suffix(".json")


def beside(path: Path) -> Description:
    """What the JSON file beside it says; nothing if there is none. Raises ReadError, naming it, if it is damaged."""
    place = sidecar(path)
    if place == path or not place.is_file():
        return Description()
    with place.open("rb") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise ReadError(f"{place}: over {_LARGEST >> 20} MiB, which no description of {path.name} is; move it away")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{place}: no JSON ({error}); expected the rate, unit and leads of {path.name}") from error
    return described(place, said) if isinstance(said, dict) else Description()


def is_described(path: Path) -> bool:
    """Whether the JSON file beside it says what its numbers are, or is damaged, which reading then tells."""
    try:
        said = beside(path)
    except EnECGError:
        return True
    return bool(said.rate or said.units or said.leads)


def parts(path: Path) -> list[Path]:
    """The file, and its description if it has one."""
    return [path, *([sidecar(path)] if sidecar(path) != path and sidecar(path).is_file() else [])]


def recorded(
    path: Path,
    format_: str,
    array: Any,
    said: Description,
    ask: Ask,
    notes: Iterable[str] = (),
    id_: str | None = None,
) -> Recording:
    """A Recording from an array and what is known of it; only the part that is wanted is taken from it.

    array : numbers [lead, sample] or [sample, lead], or [sample] of one lead: anything with a shape and a dtype that
    slices into an array. The axis that is as long as there are names is that of the leads; the first, if both are.
    Raises ReadError, LeadError or UnitError, naming the file.
    """
    notes = list(notes)
    shape, leads = tuple(array.shape), said.names(ask)
    if not numeric(array.dtype):
        raise ReadError(f"{path}: values of type {array.dtype}; expected numbers, [lead, sample]")
    if len(shape) not in (1, 2) or 0 in shape:
        raise ReadError(f"{path}: an array of {told(shape)}; expected numbers [lead, sample]")
    if leads is None:
        raise LeadError(
            f"{path}: an array of {told(shape)} does not name its leads; pass leads= with their names{said.how}"
        )
    if len(shape) == 1:
        turned, n_samples, n_leads = False, shape[0], 1
    else:
        turned = shape[0] != len(leads) and shape[1] == len(leads)
        n_leads, n_samples = shape[::-1] if turned else shape
    if n_leads != len(leads):
        raise LeadError(f"{path}: {len(leads)} lead names for an array of {told(shape)}; expected one for each lead")
    rate, factors = said.hertz(ask, path), said.millivolts(ask, path)
    if len(factors) not in (1, n_leads):
        raise UnitError(f"{path}: {len(factors)} units for {n_leads} leads; expected one, or one for each")
    first, last = ask.span(n_samples, rate, path)
    if n_leads * (last - first) > MOST_VALUES:
        raise ReadError(
            f"{path}: {n_leads} leads of {last - first:,} samples are more than is read at once; pass start=, seconds="
        )
    block = np.asarray(array[first:last] if turned or len(shape) == 1 else array[:, first:last])
    rows = block.reshape(1, -1) if len(shape) == 1 else block.T if turned else block
    signal = np.empty(rows.shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for row, values in enumerate(rows):  # one by one, so that no second array of that size is needed
            signal[row] = values.astype(np.float64) * factors[row % len(factors)]
    if turned:
        notes.append("the array is [sample, lead], told by the number of leads")
    facts = dict(said.facts) | ({} if id_ is None else {"id": id_})
    return finished(path, format_, signal, rate, leads, [*notes, *said.overruled(ask, path)], **facts)


def numeric(dtype: Any) -> bool:
    """Whether such values can be samples: integers or real numbers."""
    return np.dtype(dtype).kind in "iuf"


def told(shape: Iterable[int]) -> str:
    """`12 x 5000`."""
    return " x ".join(str(n) for n in shape) or "one value"


def _meant(path: Path, what: str, said: Any) -> Any:
    """What was said, whatever its spelling. Raises LeadError or UnitError, naming `path`."""
    if what == "leads":
        return [lead_of(path, name) for name in said]
    try:
        return [millivolts_per(unit) for unit in said] if what == "units" else said
    except UnitError as error:
        raise UnitError(f"{path}: {error}") from error


def _there(value: Any) -> bool:
    """Whether a value says something."""
    if value is None or (isinstance(value, float) and np.isnan(value)) or value == []:
        return False
    return not (isinstance(value, str) and value.strip().lower() in _ABSENT)


def plain(value: Any) -> Any:
    """Arrays as lists, or as the one value in them; JSON in a text as what it says.

    Raises ValueError for numbers that stand for no letter.
    """
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind == "U":  # NumPy hands over what is no letter, at which Python stumbles, now or later
            letters = np.frombuffer(value.tobytes(), value.dtype.byteorder.replace("=", "") + "u4")
            if letters.max(initial=0) > sys.maxunicode:
                raise ValueError(f"a text that is none, with letter number {letters.max():,}")
        values = [plain(one) for one in value.ravel().tolist()]
        value = values if len(values) > 1 else values[0] if values else None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str) and value[:1] in "[{" and value:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _rate(path: Path, value: Any) -> float:
    if isinstance(value, str) and (number := _NUMBER.fullmatch(value.strip())):
        value = float(number[1].replace(",", "."))
    if isinstance(value, bool) or not isinstance(value, int | float) or not LOWEST_RATE <= value <= HIGHEST_RATE:
        raise ReadError(f"{path}: rate {value!r:.40}; expected Hz, {LOWEST_RATE:g} to {HIGHEST_RATE:,.0f}")
    return float(value)


def _texts(path: Path, what: str, value: Any) -> tuple[str, ...]:
    """One or several texts: a list, or a line in which commas, semicolons or blanks part them."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = [part.strip() for part in re.split(r"[,;]" if re.search(r"[,;]", value) else r"\s+", value.strip())]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ReadError(f"{path}: {what} {value!r:.60}; expected a text or a list of texts")
    return tuple(one.strip() for one in value)


def facts_of(known: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Recording, of what can be one."""
    facts: dict[str, Any] = {key: str(known[key]) for key in ("subject", "device") if key in known}
    if "age" in known and (age := age_of(_number(known["age"]))) is not None:
        facts["age"] = age
    if "sex" in known and (sex := sex_of(str(known["sex"]))) is not None:
        facts["sex"] = sex
    if "acquired" in known and (acquired := _moment(str(known["acquired"]))) is not None:
        facts["acquired"] = acquired
    measurements = known.get("measurements")
    if isinstance(measurements, dict):
        numbers = {str(name): _number(value) for name, value in measurements.items()}
        facts["measurements"] = {name: value for name, value in numbers.items() if value is not None}
    statements = known.get("statements")
    if isinstance(statements, str):
        statements = [statements]
    if isinstance(statements, list):
        facts["statements"] = tuple(str(one) for one in statements)
    return facts


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None
