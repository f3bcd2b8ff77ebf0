"""PhysioNet/CinC Challenge 2021: WFDB records of several sources with SNOMED CT codes (Reyna et al. 2021)."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from enecg.cohorts import ptbxl as ptbxl_cohort
from enecg.cohorts._about import About
from enecg.cohorts._cohort import (
    Cohort,
    CohortRecording,
    Oddities,
    cohort_of,
    recording_of,
    require,
    require_once,
)
from enecg.cohorts._labels import rhythm_of_codes, scored_of_codes
from enecg.errors import CohortError, ReadError
from enecg.formats import find, wfdb

ABOUT = About(
    name="challenge2021",
    title="PhysioNet/CinC Challenge 2021: eight sources, SNOMED CT codes",
    layout="WFDB records with a line 'Dx:', in a folder for each source",
    tasks=("age", "sex", "rhythm", "cinc2021"),
    recordings=88_253,
    licence="CC BY 4.0",
    citation="Reyna et al., Will Two Do?, Computing in Cardiology 2021, doi 10.23919/CinC53138.2021.9662687",
)

_FLUTTER = {"atrial fibrillation", "atrial flutter"}

_SOURCES = (
    ("cpsc_2018", re.compile(r"A\d{4}")),
    ("cpsc_2018_extra", re.compile(r"Q\d{4}")),
    ("st_petersburg_incart", re.compile(r"I\d{4}")),
    ("ptb", re.compile(r"S\d{4}")),
    ("ptb-xl", re.compile(r"HR\d{5}")),
    ("georgia", re.compile(r"E\d{5}")),
    ("chapman_shaoxing", re.compile(r"JS0\d{4}|JS10[0-5]\d\d|JS106[0-3]\d|JS1064[0-6]")),
    ("ningbo", re.compile(r"JS\d{5}|S23074")),
)
"""The publisher's numbering: names tell the source, whatever the folders are called."""

PUBLISHED = {
    "cpsc_2018": 6_877,
    "cpsc_2018_extra": 3_453,
    "st_petersburg_incart": 74,
    "ptb": 516,
    "ptb-xl": 21_837,
    "georgia": 10_344,
    "chapman_shaoxing": 10_247,
    "ningbo": 34_905,
}
"""Records of each source, as others have counted the files (not verified here)."""

_SAME_PERSON = {"E07510": "E07509", "S23074": "JS23074"}
"""Records that hold the same samples as another; S23074 is a slip of the publisher's."""

_SEVERAL_EACH = {"ptb": "516 recordings of 290 people or fewer", "st_petersburg_incart": "74 recordings of 32 people"}


def load(folder: str | Path | None, *, ptbxl: str | Path | None = None) -> Cohort:
    """Every record below the folder; the samples are read later, the headers now.

    ptbxl : PTB-XL's `ptbxl_database.csv`, or the folder that holds it. The challenge copied PTB-XL (its `HRnnnnn` is
        ecg_id nnnnn) without naming patients: with the table each of those records is its patient's of cohort `ptbxl`,
        without it they are left out, as they would be on both sides of a split.
    Ningbo codes fibrillation as flutter, so neither of the two is a label of task `rhythm` there; `cinc2021`, the 26
    diagnoses that the challenge scores, keeps what the headers say, as the official score does.
    """
    root = require(folder, "challenge2021")
    known = None if ptbxl is None else ptbxl_cohort.patients(Path(ptbxl))
    odd = Oddities()
    rows, recordings, unnamed = records_with_codes(root, known, odd)
    _check(root, rows, unnamed)
    counts = Counter(row["source"] for row in rows)
    told = [f"{source} {n:,}{_of_all(source)}" for source, n in sorted(counts.items())]
    notes = [f"{len(rows):,} of {ABOUT.recordings:,} recordings published: {', '.join(told)}"]
    if unnamed:
        notes.append(_note(unnamed, given=ptbxl is not None))
    notes += [
        f"{source} has {_SEVERAL_EACH[source]} and does not say whose: each counts as a person of its own"
        for source in sorted({row["source"] for row in rows} & set(_SEVERAL_EACH))
    ]
    return cohort_of(ABOUT, recordings, rows, columns(), [*notes, *odd.notes])


def records_with_codes(
    root: Path, patients: dict[int, str] | None, odd: Oddities
) -> tuple[list[dict[str, Any]], list[CohortRecording], int]:
    """Rows and recordings of all headers below a folder, and how many are of PTB-XL's patients who are not known."""
    rows, recordings, unnamed = [], [], 0
    for path in find(root):
        source = source_of(path, root)
        subject = subject_of(path.stem, source, patients)
        if subject is None:
            unnamed += 1
            continue
        try:
            said = wfdb.facts(path)
        except ReadError as error:
            odd.add(f"recordings that cannot be read and were left out: {_kind(error, path)}", path.name)
            continue
        row = _row(path.stem, subject, source, said, odd)
        rows.append(row)
        recordings.append(recording_of(row, path))
    return rows, recordings, unnamed


def _of_all(source: str) -> str:
    return f" of {PUBLISHED[source]:,}" if source in PUBLISHED else ""


def source_of(path: Path, root: Path) -> str:
    """The data set that a record comes from: by its name, or else the first folder below the root, or the root's."""
    for source, name in _SOURCES:
        if name.fullmatch(path.stem):
            return source
    below = path.relative_to(root).parts[:-1]
    return below[0] if below else root.resolve().name


def subject_of(record: str, source: str, patients: dict[int, str] | None) -> str | None:
    """Whose recording it is; None for one of PTB-XL whose patient is not known."""
    if source != "ptb-xl":
        return f"{source}:{_SAME_PERSON.get(record, record)}"
    return (patients or {}).get(int(record.removeprefix("HR")))


def _note(unnamed: int, given: bool) -> str:
    if given:
        return f"{unnamed} recordings of PTB-XL left out: the table given with ptbxl= has no row of theirs"
    return (
        f"{unnamed} recordings of PTB-XL left out: their patients are those of cohort ptbxl, and the challenge does "
        "not say who; pass ptbxl=, the path of ptbxl_database.csv, to take them"
    )


def _check(root: Path, rows: list[dict[str, Any]], unnamed: int) -> None:
    if not rows:
        why = _note(unnamed, given=False) if unnamed else "no records; expected one folder for each source"
        raise CohortError(f"{root}: {why}")
    if not any(row["codes"] for row in rows):
        raise CohortError(f"{root}: no header has a line 'Dx:' with SNOMED CT codes; is this the challenge's folder?")
    require_once(root, "record", [row["id"] for row in rows])


def _kind(error: ReadError, path: Path) -> str:
    """The error without the file's own name, so that the same fault of many files is told once."""
    return str(error).replace(str(path), "header").replace(path.stem, "NAME")


def columns() -> dict[str, Any]:
    """Of the table that `records_with_codes` gives the rows of."""
    import polars

    text = polars.String
    return {
        "id": text,
        "subject": text,
        "age": polars.Float64,
        "sex": text,
        "rhythm": text,
        "codes": polars.List(polars.Int64),
        "cinc2021": polars.List(text),
        "source": text,
    }


def _row(record: str, subject: str, source: str, said: dict[str, Any], odd: Oddities) -> dict[str, Any]:
    for statement in said["statements"]:
        if statement.startswith(("Age:", "Sex:")):
            odd.add(f"{statement!r}, which cannot be understood; left missing", record)
    codes = codes_of(said["statements"], odd, record)
    rhythm = rhythm_of_codes(codes)
    if source == "ningbo" and rhythm in _FLUTTER:
        rhythm = None
    return {
        "id": record,
        "subject": subject,
        "age": odd.age(said["age"], record),
        "sex": said["sex"],
        "rhythm": rhythm,
        "codes": sorted(codes),
        "cinc2021": scored_of_codes(codes) if codes else None,
        "source": source,
    }


def codes_of(statements: list[str], odd: Oddities, record: str) -> set[int]:
    """The numbers of the line `Dx:`, and an oddity where there is none or one is no number."""
    written = [said.removeprefix("Dx:") for said in statements if said.startswith("Dx:")]
    codes = [code.strip() for line in written for code in line.split(",") if code.strip()]
    for code in codes:
        if not re.fullmatch(r"\d{1,18}", code):
            odd.add(f"code {code!r}, which is no SNOMED CT code; passed over", record)
    found = {int(code) for code in codes if re.fullmatch(r"\d{1,18}", code)}
    if not found:
        odd.add("no diagnosis; labels left missing", record)
    return found
