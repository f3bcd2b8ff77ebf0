"""MIT-BIH Arrhythmia Database 1.0.0 (Moody, Mark 2001): two leads, half an hour, every beat annotated.

Records are those of `RECORDS`, or all headers in the folder (the extracts in `x_mitdb/` are not). Whose they are is
told by the tape number in the header's first comment (`# 69 M 1085 1629 x1`: age, sex, tape, recorder): 201 and 202
are of one tape and one person.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, Oddities, cohort_of, recording_of, require, require_once
from enecg.errors import CohortError, EnECGError
from enecg.formats import wfdb as wfdb_format

ABOUT = About(
    name="mitbih",
    title="MIT-BIH Arrhythmia, 30 min of two leads at 360 Hz, every beat and rhythm by cardiologists",
    layout="100.hea, 100.dat, 100.atr, ...",
    tasks=("rr_interval", "age", "sex", "rhythm"),
    recordings=48,
    subjects=47,
    licence="ODC-By 1.0",
    citation="Moody, Mark, IEEE Eng. in Med. and Biol. 20(3), 45 (2001), doi 10.1109/51.932724",
    marks=("100.hea", "100.atr"),
)

RATE = 360.0
_LAST = 650_000 / RATE

_BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""Symbols of annotations that are a beat's."""

_FLUTTER_WAVE = "!"
_VENTRICULAR, _ATRIAL = frozenset("V"), frozenset("AaS")

_RHYTHMS = {
    "(N": "sinus rhythm",
    "(SBR": "sinus bradycardia",
    "(AFIB": "atrial fibrillation",
    "(AFL": "atrial flutter",
    "(P": "paced rhythm",
    "(VT": "ventricular tachycardia",
    "(BII": "AV block of 2nd or 3rd degree",
    "(NOD": "junctional rhythm",
    "(SVTA": "supraventricular tachycardia",
    "(B": "sinus with ventricular premature beats",
    "(T": "sinus with ventricular premature beats",
    "(AB": "sinus with atrial premature beats",
}
"""Those that are a class; pre-excitation, idioventricular rhythm and ventricular flutter are none."""

_SINUS_BPM = (60.0, 100.0)
"""The database calls a sinus tachycardia (N as well: only between these rates is it a sinus rhythm for certain."""

_PERSON = re.compile(r"\s*(-?\d+)\s+(\S+)\s+(\d+)\s")
_END = bytes(2)


class _Marks(NamedTuple):
    """Annotations of a record: seconds and symbols of beats, seconds and names of rhythms, seconds of flutter waves."""

    beats: npt.NDArray[np.float64]
    symbols: Sequence[str]
    changes: npt.NDArray[np.float64]
    rhythms: Sequence[str]
    flutter: npt.NDArray[np.float64]


def load(folder: str | Path | None, *, seconds: float | None = None) -> Cohort:
    """A row for each record, or for each window of so many `seconds` of them, from the first one on.

    `rr_interval` is the mean distance of annotated beats within the row's time, missing where ventricular flutter hides
    them. `rhythm` is known where one rhythm lasts for all of that time; ventricular or atrial premature beats in a
    sinus rhythm make it their class.
    """
    if seconds is not None and not 1 <= seconds <= _LAST:
        raise CohortError(f"{seconds} seconds; expected 1 to {_LAST:.0f}")
    root = require(folder, ABOUT.name)
    rows, recordings, odd = [], [], Oddities()
    for name in _records(root, odd):
        path = root / f"{name}.hea"
        try:
            comments = wfdb_format.facts(path)["statements"]
        except EnECGError as error:
            odd.add(f"records that cannot be read and were left out: {error}", name)
            continue
        marks, person = _annotations(path.with_suffix(""), odd), _person(name, comments, odd)
        for number, (start, end) in enumerate(_spans(seconds)):
            row = {
                "id": f"mitbih_{name}" if seconds is None else f"mitbih_{name}_{number:04d}",
                **person,
                **_labels(marks, start, end),
            }
            asks: dict[str, Any] = {} if seconds is None else {"start": start, "seconds": seconds}
            rows.append(row)
            recordings.append(recording_of(row, path, **asks))
    if not rows:
        raise CohortError(f"{root}: no record of {ABOUT.name} that can be read; expected {ABOUT.layout}")
    records, people = len({row["record"] for row in rows}), len({row["subject"] for row in rows})
    cut = [] if seconds is None else [f"{len(rows):,} windows of {seconds:g} s"]
    return cohort_of(ABOUT, recordings, rows, _columns(), [ABOUT.counted(records, people), *cut, *odd.notes])


def _records(root: Path, odd: Oddities) -> list[str]:
    """Names of the records whose header is there."""
    listed = root / "RECORDS"
    if not listed.is_file():
        return sorted(path.stem for path in root.glob("*.hea"))
    names = [line.strip() for line in listed.read_text(errors="replace").splitlines() if line.strip()]
    require_once(listed, "record", names)
    for name in names:
        if not re.fullmatch(r"\w+", name):
            raise CohortError(f"{listed}: record {name!r}; expected a name such as 100")
        if not (root / f"{name}.hea").is_file():
            odd.add("records of RECORDS without a file; left out", name)
    return [name for name in names if (root / f"{name}.hea").is_file()]


def _person(name: str, comments: Sequence[str], odd: Oddities) -> dict[str, Any]:
    found = next((match for comment in comments if (match := _PERSON.match(f"{comment} "))), None)
    if found is None:
        odd.add("no age, sex and tape in the header; counted as a person of its own", name)
        return {"record": name, "subject": f"{ABOUT.name}:{name}", "age": None, "sex": None}
    age, sex, tape = found.groups()
    return {
        "record": name,
        "subject": f"{ABOUT.name}:tape{tape}",
        "age": None if age == "-1" else odd.age(age, name),
        "sex": odd.sex(sex, name, {"M": "male", "F": "female"}),
    }


def _spans(seconds: float | None) -> Iterator[tuple[float, float]]:
    """From when to when each row's time is."""
    if seconds is None:
        yield 0.0, _LAST
        return
    for number in range(int(_LAST / seconds)):
        yield number * seconds, (number + 1) * seconds


def _annotations(record: Path, odd: Oddities) -> _Marks | None:
    """Of the file `.atr`; None, and an oddity, where it cannot be read."""
    import wfdb

    file = record.with_name(f"{record.name}.atr")
    if not file.is_file() or not file.read_bytes().endswith(_END):
        odd.add("no whole file of annotations (.atr); labels left missing", record.name)
        return None
    try:
        marks = wfdb.rdann(str(record), "atr")
        times = marks.sample / RATE
        symbols, notes = np.array(marks.symbol), [note.rstrip("\x00").strip() for note in marks.aux_note]
        changes = np.array([note.startswith("(") for note in notes], dtype=bool) & (symbols == "+")
        beats, flutter = np.isin(symbols, list(_BEATS)), symbols == _FLUTTER_WAVE
        return _Marks(
            times[beats],
            symbols[beats].tolist(),
            times[changes],
            [note for note, change in zip(notes, changes, strict=True) if change],
            times[flutter],
        )
    except Exception as error:  # noqa: BLE001  wfdb raises whatever a damaged file leads to
        odd.add(f"annotations that cannot be read ({error}); labels left missing", record.name)
        return None


def _columns() -> dict[str, Any]:
    import polars

    text = polars.String
    return {
        "id": text,
        "subject": text,
        "rr_interval": polars.Float64,
        "age": polars.Float64,
        "sex": text,
        "rhythm": text,
        "rhythms": polars.List(text),
        "record": text,
    }


def _labels(marks: _Marks | None, start: float, end: float) -> dict[str, Any]:
    """Of the time from `start` to `end`, seconds."""
    if marks is None:
        return {}
    within = (marks.beats >= start) & (marks.beats < end)
    symbols = {symbol for symbol, inside in zip(marks.symbols, within, strict=True) if inside}
    hidden = bool(((marks.flutter >= start) & (marks.flutter < end)).any())
    intervals = np.diff(marks.beats[within]) * 1000
    mean = float(intervals.mean()) if len(intervals) and not hidden else None
    rhythms = _during(marks, start, end)
    return {"rr_interval": mean, "rhythms": rhythms, "rhythm": _rhythm(rhythms, symbols, mean)}


def _during(marks: _Marks, start: float, end: float) -> list[str] | None:
    """The rhythms, each once, without their bracket; None where the first one's beginning is not known."""
    before = np.flatnonzero(marks.changes <= start)
    inside = np.flatnonzero((marks.changes > start) & (marks.changes < end))
    # The first rhythm is noted at the first beat, which comes a moment after the record's beginning.
    first = [int(before[-1])] if len(before) else []
    if not first and not (len(inside) and len(marks.beats) and marks.changes[inside[0]] <= marks.beats[0] + 1):
        return None
    return list(dict.fromkeys(marks.rhythms[place].removeprefix("(") for place in [*first, *inside]))


def _rhythm(rhythms: Sequence[str] | None, symbols: set[str], mean_rr: float | None) -> str | None:
    if rhythms is None or len(rhythms) != 1:
        return None
    found = _RHYTHMS.get(f"({rhythms[0]}")
    if found not in ("sinus rhythm", "sinus bradycardia"):
        return found
    if symbols & _VENTRICULAR:
        return "sinus with ventricular premature beats"
    if symbols & _ATRIAL:
        return "sinus with atrial premature beats"
    lowest, highest = _SINUS_BPM
    if found == "sinus rhythm" and not (mean_rr and lowest <= 60_000 / mean_rr <= highest):
        return None
    return found
