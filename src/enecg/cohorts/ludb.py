"""LUDB 1.0.1: `ludb.csv` and `data/` with one annotation file for each lead (Kalyakulina et al. 2020)."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.cohorts._cohort import Cohort, CohortRecording, require, table
from enecg.cohorts._labels import first_match
from enecg.errors import CohortError
from enecg.recording import Recording

PUBLISHED = 200
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


def load(folder: str | Path | None, *, window: str = "whole") -> Cohort:
    """All records with RR intervals from the annotated QRS complexes of lead II.

    window : "whole" record, or "annotated": from the first to the last annotated beat, 0.3 s more on both sides. The
    first and last beats of every record are not annotated, so an RR interval is only known for that window.
    """
    if window not in ("whole", "annotated"):
        raise CohortError(f"window {window!r}; expected 'whole' or 'annotated'")
    root = require(folder, "ludb", "ludb.csv", "data")
    with (root / "ludb.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows, recordings = [], []
    for line in lines:
        number = line["ID"].strip()
        path = root / "data" / f"{number}.hea"
        peaks = _peaks(path.with_suffix(""))
        row = _row(line, number, peaks)
        rows.append(row)
        change, changed = (_crop(peaks), "annotated") if window == "annotated" else (None, "")
        recordings.append(
            CohortRecording(
                path,
                id=row["id"],
                subject=row["subject"],
                age=row["age"],
                sex=row["sex"],
                change=change,
                changed=changed,
            )
        )
    return Cohort(
        name="ludb",
        recordings=recordings,
        targets=table(rows, _columns()),
        licence="ODC-By 1.0",
        citation="Kalyakulina et al., IEEE Access 8, 186181 (2020), doi 10.1109/ACCESS.2020.3029211",
        notes=[f"{len(rows)} of the {PUBLISHED} recordings published"],
    )


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


def _peaks(record: Path) -> npt.NDArray[np.int64]:
    """Samples of the annotated QRS peaks of lead II."""
    import wfdb

    try:
        marks = wfdb.rdann(str(record), "ii")
    except (OSError, ValueError) as error:
        raise CohortError(f"{record}.ii: the annotations of lead II cannot be read ({error})") from error
    return np.array([sample for sample, symbol in zip(marks.sample, marks.symbol, strict=True) if symbol == "N"])


def _row(line: dict[str, str], number: str, peaks: npt.NDArray[np.int64]) -> dict[str, Any]:
    intervals = np.diff(peaks) / RATE * 1000
    age = line["Age"].strip()
    return {
        "id": f"ludb_{int(number):03d}",
        "subject": f"ludb:{number}",
        "rr_interval": float(intervals.mean()) if len(intervals) else None,
        "rr_sd": float(intervals.std(ddof=1)) if len(intervals) > 1 else None,
        "age": 90.0 if age.startswith(">") else float(age),
        "sex": {"M": "male", "F": "female"}.get(line["Sex"].strip()),
        "rhythm": _rhythm(line),
    }


def _rhythm(line: dict[str, str]) -> str | None:
    """The first class that applies; pacing, 3rd and 1st degree block and premature beats have columns of their own."""
    said = {part.strip() for part in line["Rhythms"].splitlines()}
    found = [_RHYTHMS[part] for part in said if part in _RHYTHMS]
    if not found:
        return None
    conduction, beats = line["Conduction abnormalities"].lower(), line["Extrasystolies"].lower()
    if line["Cardiac pacing"].strip():
        found.append("paced rhythm")
    if "iii degree av" in conduction:
        found.append("AV block of 2nd or 3rd degree")
    elif "i degree av" in conduction:
        found.append("1st degree AV block")
    if any(rhythm.startswith("sinus") for rhythm in found):
        if "ventricular extrasystole" in beats:
            found.append("sinus with ventricular premature beats")
        if "atrial extrasystole" in beats:
            found.append("sinus with atrial premature beats")
    return first_match(found)


def _crop(peaks: npt.NDArray[np.int64]) -> Callable[[Recording], Recording]:
    edge = round(MARGIN * RATE)
    first, last = max(0, int(peaks[0]) - edge), int(peaks[-1]) + edge

    def change(recording: Recording) -> Recording:
        note = f"cropped to its annotated beats, samples {first} to {last}"
        return replace(recording, signal=recording.signal[:, first:last], notes=(*recording.notes, note))

    return change
