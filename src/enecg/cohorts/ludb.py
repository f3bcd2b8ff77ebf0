"""LUDB 1.0.1: `ludb.csv` and `data/` with one annotation file for each lead (Kalyakulina et al. 2020)."""

import csv
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, Oddities, cohort_of, recording_of, require, require_once
from enecg.cohorts._labels import first_match
from enecg.errors import CohortError
from enecg.recording import Recording

ABOUT = About(
    name="ludb",
    title="LUDB 1.0.1, 10 s at 500 Hz, every wave's boundaries by hand",
    layout="ludb.csv and data/",
    tasks=("rr_interval", "age", "sex", "rhythm"),
    recordings=200,
    subjects=200,
    licence="ODC-By 1.0",
    citation="Kalyakulina et al., IEEE Access 8, 186181 (2020), doi 10.1109/ACCESS.2020.3029211",
    marks=("ludb.csv",),
)
RATE = 500.0
MARGIN = 0.3
"""Seconds kept on both sides of the annotated beats, so that the first and last complex are whole."""

_RHYTHMS = {
    "Sinus rhythm": "sinus rhythm",
    "Sinus bradycardia": "sinus bradycardia",
    "Sinus tachycardia": "sinus tachycardia",
    "Sinus arrhythmia": "sinus arrhythmia",
    "Irregular sinus rhythm": "sinus arrhythmia",
    "Atrial fibrillation": "atrial fibrillation",
    "Atrial flutter, typical": "atrial flutter",
    "Wandering atrial pacemaker": "ectopic atrial rhythm",
}
_END = bytes(2)
"""What a WFDB annotation file ends with (annot(5))."""

_NO_RHYTHM = "Aberrant conduction"
_SEX = {"M": "male", "F": "female"}
_NEEDED = ("ID", "Sex", "Age", "Rhythms", "Conduction abnormalities", "Extrasystolies", "Cardiac pacing")


def load(folder: str | Path | None, *, window: str = "whole") -> Cohort:
    """The records whose files are there, with RR intervals from the annotated QRS complexes of lead II.

    window : "whole" record, or "annotated": from the first to the last annotated beat, 0.3 s more on both sides. The
    first and last beats of every record are not annotated, so an RR interval is only known for that window.
    """
    if window not in ("whole", "annotated"):
        raise CohortError(f"window {window!r}; expected 'whole' or 'annotated'")
    root = require(folder, "ludb", "ludb.csv", "data")
    lines, odd = _lines(root / "ludb.csv"), Oddities()
    rows, recordings, absent = [], [], 0
    for line in lines:
        path = root / "data" / f"{line['ID']}.hea"
        if not path.is_file():
            absent += 1
            continue
        peaks = _peaks(path.with_suffix(""), odd)
        if len(peaks) < 2 and window == "annotated":
            odd.add("no annotated window, as there are not two beats; left out", f"record {line['ID']}")
            continue
        row = _row(line, peaks, odd)
        change, changed = (_crop(peaks), "annotated") if window == "annotated" else (None, "")
        rows.append(row)
        recordings.append(recording_of(row, path, change=change, changed=changed))
    if not rows:
        raise CohortError(f"{root}: none of the {len(lines)} records of ludb.csv can be used; copy data/")
    notes = [ABOUT.counted(len(rows), len(rows))]
    if absent:
        notes.append(f"{absent} rows of the table have no file and were left out")
    return cohort_of(ABOUT, recordings, rows, _columns(), [*notes, *odd.notes])


def _columns() -> dict[str, Any]:
    import polars

    number, text = polars.Float64, polars.String
    return {
        "id": text,
        "subject": text,
        "rr_interval": number,
        "rr_sd": number,
        "age": number,
        "sex": text,
        "rhythm": text,
    }


def _lines(path: Path) -> list[dict[str, str]]:
    """Rows of the table; several values of a cell stand in lines of their own, so the cells keep their line breaks."""
    try:
        content = path.read_bytes().decode("utf-8-sig")
        lines = [{key: value or "" for key, value in line.items()} for line in csv.DictReader(io.StringIO(content))]
    except (OSError, UnicodeError, csv.Error, AttributeError) as error:
        raise CohortError(f"{path}: the table cannot be read ({error}); expected the publisher's") from error
    missing = [name for name in _NEEDED if not lines or name not in lines[0]]
    if missing:
        raise CohortError(f"{path}: no column {', '.join(missing)}; expected the publisher's table")
    for place, line in enumerate(lines, start=1):
        line["ID"] = line["ID"].strip()
        if not re.fullmatch(r"\d{1,6}", line["ID"]):
            raise CohortError(f"{path}, row {place}: ID {line['ID']!r}; expected a number")
    require_once(path, "ID", [int(line["ID"]) for line in lines])
    return lines


def _peaks(record: Path, odd: Oddities) -> npt.NDArray[np.int64]:
    """Samples of the annotated QRS peaks of lead II; none, and an oddity, where there is no annotation to read."""
    import wfdb

    none = np.empty(0, dtype=np.int64)
    file = record.with_name(f"{record.name}.ii")
    if not file.is_file():
        odd.add("no annotation of lead II; RR interval left missing", file.name)
        return none
    if not file.read_bytes().endswith(_END):
        odd.add("annotation of lead II that is cut short; RR interval left missing", file.name)
        return none
    try:
        marks = wfdb.rdann(str(record), "ii")
    except Exception as error:  # noqa: BLE001  wfdb raises whatever a damaged file leads to
        odd.add(f"annotation of lead II that cannot be read ({error}); RR interval left missing", file.name)
        return none
    peaks = np.array([sample for sample, symbol in zip(marks.sample, marks.symbol, strict=True) if symbol == "N"])
    if len(peaks) < 2:
        odd.add("fewer than two annotated QRS complexes in lead II; RR interval left missing", file.name)
    return peaks.astype(np.int64)


def _row(line: dict[str, str], peaks: npt.NDArray[np.int64], odd: Oddities) -> dict[str, Any]:
    where = f"record {line['ID']}"
    intervals = np.diff(peaks) / RATE * 1000
    age = line["Age"].strip()
    return {
        "id": f"ludb_{int(line['ID']):03d}",
        "subject": f"ludb:{int(line['ID'])}",
        "rr_interval": float(intervals.mean()) if len(intervals) else None,
        "rr_sd": float(intervals.std()) if len(intervals) > 1 else None,
        "age": 90.0 if age == ">89" else odd.age(age, where),
        "sex": odd.sex(line["Sex"], where, _SEX),
        "rhythm": _rhythm(line, odd, where),
    }


def _rhythm(line: dict[str, str], odd: Oddities, where: str) -> str | None:
    """The first class that applies; pacing, AV blocks and premature beats have columns of their own."""
    said = {part.strip() for part in line["Rhythms"].splitlines() if part.strip()}
    for part in sorted(said - set(_RHYTHMS) - {_NO_RHYTHM}):
        odd.add(f"rhythm {part!r}, which has no class; label left missing", where)
    if not said <= {*_RHYTHMS, _NO_RHYTHM}:
        return None
    found = [_RHYTHMS[part] for part in said if part in _RHYTHMS]
    if not found:
        return None
    conduction, beats = line["Conduction abnormalities"].lower(), line["Extrasystolies"].lower()
    if line["Cardiac pacing"].strip():
        found.append("paced rhythm")
    if re.search(r"\bi{2,3} degree av", conduction):
        found.append("AV block of 2nd or 3rd degree")
    if re.search(r"\bi degree av", conduction):
        found.append("1st degree AV block")
    if any(rhythm.startswith("sinus") for rhythm in found):
        if re.search(r"\bventricular extrasystole", beats):
            found.append("sinus with ventricular premature beats")
        if re.search(r"\batrial extrasystole", beats):
            found.append("sinus with atrial premature beats")
    return first_match(found)


def _crop(peaks: npt.NDArray[np.int64]) -> Callable[[Recording], Recording]:
    edge = round(MARGIN * RATE)
    first, last = max(0, int(peaks[0]) - edge), int(peaks[-1]) + edge

    def change(recording: Recording) -> Recording:
        note = f"cropped to its annotated beats, samples {first} to {last}"
        return replace(recording, signal=recording.signal[:, first:last], notes=(*recording.notes, note))

    return change
