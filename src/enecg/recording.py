"""What an ECG is: samples in millivolts, named leads, a rate, and what the file said about it.

Nothing is invented here: a missing sample is NaN, an unknown fact is None, an unknown unit or lead is an error.
Imports errors only; imported by everyone.
"""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property, lru_cache
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, RecordingError, UnitError

Signal = npt.NDArray[np.float32]

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The twelve leads in the order that every array of twelve leads in this package has."""

OTHER_LEADS = (
    "X",
    "Y",
    "Z",
    "MLI",
    "MLII",
    "MLIII",
    "MCL1",
    "V",
    "V2R",
    "V3R",
    "V4R",
    "V5R",
    "V6R",
    "V7R",
    "V8R",
    "V9R",
    "V7",
    "V8",
    "V9",
    "CC5",
    "CM5",
    "A",
    "S",
    "ES",
    "AS",
    "AI",
)
"""Further leads that are known by name: Frank, modified limb, a monitor's chest leads (V: it does not say where),
right-sided and posterior, bipolar chest, EASI.
"""

LOWEST_RATE, HIGHEST_RATE = 1.0, 1e6
"""Hz between which a sampling rate can be an ECG's; a few bytes at a thousandth of one would be hours of signal."""

MILLIVOLTS = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6}
"""Millivolts in one unit, by the unit's lower-case name (both micro signs of Unicode)."""

_UNIT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)?\s*(.*)", re.DOTALL)

_SPELLING = {name.lower(): name for name in (*STANDARD_LEADS, *OTHER_LEADS)}
_SPELLING |= {"l1": "I", "l2": "II", "l3": "III", "di": "I", "dii": "II", "diii": "III"}
_SPELLING |= {"vx": "X", "vy": "Y", "vz": "Z", "ml1": "MLI", "ml2": "MLII", "ml3": "MLIII"}


@lru_cache(maxsize=1024)
def standard_lead(name: str) -> str:
    """The standard spelling of a lead's name: `avr`, `AVR` and `Lead aVR` are all `aVR`.

    Raises LeadError for a name that is not known.
    """
    key = re.sub(r"(?<=\S)-", " ", name.strip().lower().replace("_", " "))  # a leading minus, as in -aVR, is none
    for prefix in ("lead ", "ecg lead ", "ecg "):
        key = key.removeprefix(prefix)
    found = _SPELLING.get(key.replace(" ", ""))
    if found is None:
        known = ", ".join((*STANDARD_LEADS, *OTHER_LEADS))
        raise LeadError(f"unknown lead name {name!r}. Known are {known}; rename it, or leave the lead out")
    return found


def millivolts_per(unit: str) -> float:
    """How many millivolts one `unit` is: V, mV, uV, nV, or so many of them, as in `0.1 mV`.

    Raises UnitError for a unit that is not a voltage's.
    """
    number, name = _UNIT.fullmatch(unit.strip().lower()).groups()  # type: ignore[union-attr]  # it matches anything
    factor = MILLIVOLTS.get(name)
    if factor is None or (number and not float(number)):
        raise UnitError(f"unknown unit {unit!r}. Expected one of V, mV, uV, nV: say unit= for the samples you have")
    return float(number or 1) * factor


@dataclass(frozen=True)
class Source:
    """Where a recording came from."""

    path: Path
    format: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """One ECG.

    signal : float32 [lead, sample], mV, NaN where a sample is missing; read-only.
    rate : float, Hz.
    leads : names in the standard spelling, one for each row of `signal`.
    id, subject : names; a subject is written `cohort:patient`, None where unknown.
    age : years; sex : "male" or "female"; acquired : when; device : by what. None where unknown.
    measurements : the machine's own, by name (unit in the name, such as `qt_ms`).
    statements : the machine's or reader's sentences.
    source : the file it was read from.
    notes : what the reader had to decide (unit, derived lead, swapped order).
    """

    signal: Signal
    rate: float
    leads: tuple[str, ...]
    id: str | None = None
    subject: str | None = None
    age: float | None = None
    sex: str | None = None
    acquired: datetime | None = None
    device: str | None = None
    measurements: Mapping[str, float] = field(default_factory=dict)
    statements: tuple[str, ...] = ()
    source: Source | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = "" if self.id is None else f"recording {self.id}: "
        signal = _numbers(self.signal, np.float32, where)
        if signal.ndim != 2 or 0 in signal.shape:
            raise RecordingError(
                f"{where}signal of shape {signal.shape}; expected [lead, sample] with one of each at least"
            )
        leads = tuple(standard_lead(name) for name in _names(self.leads, where))
        if len(leads) != len(signal):
            hint = "; is the array transposed? Expected [lead, sample]" if len(leads) == signal.shape[1] else ""
            raise LeadError(f"{where}{len(leads)} lead names for {len(signal)} rows of the signal{hint}")
        doubled = sorted({name for name in leads if leads.count(name) > 1})
        if doubled:
            raise LeadError(f"{where}lead {', '.join(doubled)} is there more than once")
        if not (isinstance(self.rate, Real) and LOWEST_RATE <= self.rate <= HIGHEST_RATE):
            raise RecordingError(
                f"{where}rate of {self.rate!r} Hz; expected a positive number, {LOWEST_RATE:g} to {HIGHEST_RATE:,.0f}"
            )
        if np.isinf(signal).any():
            raise RecordingError(f"{where}infinite samples; expected millivolts, NaN where a sample is missing")
        if self.sex not in (None, "male", "female"):
            raise RecordingError(f"{where}sex {self.sex!r}; expected 'male', 'female' or None")
        # One NaN and one zero only, so that equal signals have equal bytes.
        signal[np.isnan(signal)] = np.nan
        signal += np.float32(0)
        signal.flags.writeable = False
        object.__setattr__(self, "signal", signal)
        object.__setattr__(self, "rate", float(self.rate))
        object.__setattr__(self, "leads", leads)
        object.__setattr__(self, "measurements", MappingProxyType(dict(self.measurements)))
        object.__setattr__(self, "statements", tuple(self.statements))
        object.__setattr__(self, "notes", tuple(self.notes))

    @classmethod
    def from_array(cls, array: npt.ArrayLike, *, rate: float, leads: Iterable[str], unit: str, **facts: object) -> Self:
        """A recording from an array [lead, sample] in `unit` (V, mV, uV or nV).

        facts : any further field, such as `id`, `subject`, `age`, `sex`.
        Raises RecordingError, LeadError or UnitError for what cannot be an ECG.
        """
        where = f"recording {facts['id']}: " if facts.get("id") is not None else ""
        signal = _numbers(array, np.float64, where) * millivolts_per(unit)
        return cls(signal=signal, rate=rate, leads=tuple(_names(leads, where)), **facts)  # type: ignore[arg-type]

    @property
    def n_leads(self) -> int:
        """How many leads."""
        return len(self.leads)

    @property
    def n_samples(self) -> int:
        """How many samples in each lead."""
        return int(self.signal.shape[1])

    @property
    def seconds(self) -> float:
        """How long."""
        return self.n_samples / self.rate

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits that change when a sample, a lead's name or the rate does, and for nothing else."""
        sha = hashlib.sha256(f"{self.rate!r} {' '.join(self.leads)} {self.n_samples}\n".encode())
        sha.update(self.signal.astype("<f4", copy=False).tobytes())
        return sha.hexdigest()[:32]

    def lead(self, name: str) -> Signal:
        """One lead's samples [sample], mV. Raises LeadError if it is not there."""
        row: Signal = self.signal[self._row(name)]
        return row

    def select(self, leads: Iterable[str]) -> Self:
        """The same recording with these leads only, in this order. Raises LeadError if one is not there."""
        names = tuple(standard_lead(name) for name in _names(leads, ""))
        return replace(self, signal=self.signal[[self._row(name) for name in names]], leads=names)

    def _row(self, name: str) -> int:
        if name not in self.leads:
            raise LeadError(f"recording {self.id}: no lead {name} (found {', '.join(self.leads)})")
        return self.leads.index(name)

    def __reduce__(self) -> tuple[object, ...]:
        # Copies and other processes get it from the constructor: what is read-only stays so.
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        return _made, (type(self), facts | {"measurements": dict(self.measurements)})

    def __repr__(self) -> str:
        return f"Recording(id={self.id!r}, leads={' '.join(self.leads)}, rate={self.rate:g} Hz, {self.seconds:g} s)"


def legible(name: str) -> str:
    """A file's name with bytes that are no text written out, so that it can be printed and kept."""
    return name.encode("utf-8", "backslashreplace").decode()


def _made(kind: type[Recording], facts: Mapping[str, Any]) -> Recording:
    return kind(**facts)


def _numbers(array: npt.ArrayLike, dtype: npt.DTypeLike, where: str) -> npt.NDArray[Any]:
    """A copy as numbers, NaN where a masked array hides a sample. Raises RecordingError for what is none of them."""
    try:
        if isinstance(array, np.ma.MaskedArray):
            array = np.ma.filled(array.astype(np.float64), np.nan)
        if np.iscomplexobj(array):
            raise TypeError("they are complex")
        with np.errstate(over="ignore"):
            return np.array(array, dtype=dtype, order="C")
    except (TypeError, ValueError) as error:
        raise RecordingError(
            f"{where}samples that are no numbers ({error}); expected numbers [lead, sample]"
        ) from error


def _names(leads: Iterable[str], where: str) -> Iterable[str]:
    if isinstance(leads, str):
        raise LeadError(f"{where}leads {leads!r}; expected a list of names, such as [{leads!r}]")
    return leads


class LazyRecording(ABC):
    """A recording that has not been read yet.

    Cohorts hand these out, so that a hundred thousand recordings cost no memory and the store can tell from `key`
    alone that a file has not changed since it was read.
    """

    id: str
    subject: str | None

    @property
    @abstractmethod
    def key(self) -> str:
        """Text that changes whenever what `read` returns may have changed: path, size and time, or seed and version."""

    @abstractmethod
    def read(self) -> Recording:
        """Read it. Raises ReadError or RecordingError."""
