"""What every reader ends with: a Recording whose errors name the file, limb leads that follow from others, facts of
the patient in the words of a Recording.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import EnECGError, LeadError, ReadError
from enecg.formats._lines import taken
from enecg.recording import Recording, Source, legible, standard_lead
from enecg.signal.leads import derive, disagreeing

ROUNDED = 1e-3
"""Share of a rate that a format may have rounded away."""

_SEEN = 1_000
"""Samples, about, that Einthoven's law is asked of."""

ENDLESS = 1e30
"""mV that no file means; what is merely far too large is read, and told by the quality grade."""

_SEX = {"m": "male", "male": "male", "f": "female", "female": "female", "w": "female", "1": "male", "2": "female"}
"""1 and 2 are those of ISO 5218, which SCP-ECG, ISHNE and MFER use."""

_YEARS = {"a": 1.0, "y": 1.0, "mo": 1 / 12, "w": 7 / 365.25, "d": 1 / 365.25, "h": 1 / 8766}
"""In one unit, by how its name begins (`a` is UCUM's year, in aECG)."""

_OLDEST = 130.0


def finished(
    path: Path,
    format_: str,
    signal: npt.NDArray[np.floating],
    rate: float,
    leads: Sequence[str],
    notes: Sequence[str] = (),
    **facts: Any,
) -> Recording:
    """A Recording from what a reader has found.

    signal : [lead, sample] in mV, NaN where missing;  leads : in any spelling;  facts : further fields of Recording.
    Missing limb leads that follow from others are added, and a disagreement with Einthoven's law is noted. What this
    package wrote among the statements, for the format has no place of its own for it, is taken back.
    Raises ReadError or LeadError, naming the file.
    """
    named = [lead_of(path, name) for name in leads]
    if signal.size and max(np.fmax.reduce(signal, axis=None), -np.fmin.reduce(signal, axis=None)) > ENDLESS:
        endless = [name for name, row in zip(named, signal, strict=False) if np.fmax.reduce(np.abs(row)) > ENDLESS]
        raise ReadError(f"{path}: lead {', '.join(endless)}: amplitudes beyond measure; the file's scale must be wrong")
    told, earlier, statements = taken(facts.pop("statements", ()))
    said = [*earlier, *notes]
    exact = told.pop("rate", rate)
    if abs(exact - rate) <= ROUNDED * rate:
        rate = exact
    if len(named) == len(signal):
        # A law of every sample is seen in some of them; a day's recording need not be held in double precision.
        wrong = disagreeing(signal[:, :: max(1, signal.shape[1] // _SEEN)], named)
        if wrong:
            said.append(f"the limb leads disagree with Einthoven's law: {', '.join(wrong)}; nothing was changed")
    try:
        recording = Recording(
            signal=signal.astype(np.float32, copy=False),
            rate=rate,
            leads=tuple(named),
            id=facts.pop("id", None) or legible(path.stem),
            source=Source(path, format_),
            notes=tuple(dict.fromkeys(said)),
            statements=tuple(statements),
            **{**facts, **told, "measurements": {**facts.get("measurements", {}), **told.get("measurements", {})}},
        )
    except EnECGError as error:
        raise ReadError(f"{path}: {error}") from error
    return with_derived(recording)


def with_derived(recording: Recording) -> Recording:
    """Limb leads that follow from those there, with a note."""
    signal, leads, derived = derive(recording.signal, recording.leads)
    if not derived:
        return recording
    note = f"derived from the other limb leads: {', '.join(derived)}"
    return replace(recording, signal=signal, leads=leads, notes=(*recording.notes, note))


def lead_of(path: Path, name: str) -> str:
    """The standard spelling. Raises LeadError, naming the file."""
    try:
        return standard_lead(name)
    except LeadError as error:
        raise LeadError(f"{path}: {error}") from error


def person(text: str | None) -> str | None:
    """A Recording's `subject` from a patient's id; None where it was blanked out (`XXXX`, `---`)."""
    return f"file:{text}" if text and set(text.lower()) - set("x-*?_. ") else None


def sex_of(text: str | None) -> str | None:
    """`M`, `female`, `1` as "male" or "female"; None for anything else."""
    return None if text is None else _SEX.get(text.strip().lower())


def in_years(value: float | None, unit: str | None) -> float | None:
    """An age in years, from one in years, months, weeks, days or hours; None if either is not known."""
    short = (unit or "").strip().lower()
    factor = next((factor for begins, factor in _YEARS.items() if short.startswith(begins)), None)
    return None if value is None or factor is None else value * factor


def age_of(years: float | None) -> float | None:
    """An age that someone lives; None for any other."""
    return years if years is not None and 0 <= years < _OLDEST else None


def age_at(birth: date | None, acquired: datetime | date | None) -> float | None:
    """Whole years from birth to the recording; None where either is unknown or that is no age."""
    if birth is None or acquired is None:
        return None
    before = (acquired.month, acquired.day) < (birth.month, birth.day)
    return age_of(float(acquired.year - birth.year - before))


def moment(*parts: int) -> datetime | None:
    """Year, month, day and what follows of the time; None for what no calendar has, as files write the unknown."""
    try:
        return datetime(*parts)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None


def possible(name: str, value: float) -> bool:
    """Whether a measurement of this name can have this value."""
    return value > 0 or not name.endswith(("_ms", "_bpm"))
