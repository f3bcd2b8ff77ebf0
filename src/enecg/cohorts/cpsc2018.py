"""CPSC 2018, the China Physiological Signal Challenge (Liu et al. 2018), in either of its layouts.

As first published: `REFERENCE.csv` (Recording, First_label, Second_label, Third_label: 1 to 9) and MATLAB files with
sex, age and samples. As the PhysioNet Challenges 2020 and 2021 spread it: WFDB records with SNOMED CT codes. Records
keep their names A0001 to A6877, so one that is also in cohort `challenge2021` is the same person's. Not verified here,
for want of the data: the layout of the first, and how many people its recordings are of.
"""

import re
from pathlib import Path
from typing import Any

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, CohortRecording, Oddities, cohort_of, recording_of, require, require_once
from enecg.cohorts._labels import rhythm_of_codes, scored_of_codes
from enecg.cohorts._tables import as_number, as_text, read_table, require_columns
from enecg.cohorts.challenge2021 import codes_of
from enecg.errors import CohortError, EnECGError, MissingPackageError
from enecg.formats import RecordingFile, wfdb
from enecg.progress import progress_bar

ABOUT = About(
    name="cpsc2018",
    title="CPSC 2018, 6 to 144 s at 500 Hz, nine classes",
    layout="REFERENCE.csv and A0001.mat, ... in folders below; or WFDB records A0001, ... with a line 'Dx:'",
    tasks=("age", "sex", "rhythm", "cinc2021"),
    recordings=6_877,
    licence="CC BY 4.0",
    citation="Liu et al., J. Med. Imaging Health Inform. 8, 1368 (2018), doi 10.1166/jmihi.2018.2442",
    marks=("REFERENCE.csv",),
)

CLASSES = {
    "Normal": 426783006,
    "AF": 164889003,
    "I-AVB": 270492004,
    "LBBB": 164909002,
    "RBBB": 59118001,
    "PAC": 284470004,
    "PVC": 164884008,
    "STD": 429622005,
    "STE": 164931005,
}
"""The nine classes in the order of their numbers, and the SNOMED CT codes that PhysioNet gives them."""

_RECORD = re.compile(r"A\d{4}")
_LABELS = ("First_label", "Second_label", "Third_label")


def load(folder: str | Path | None, *, progress: bool = False) -> Cohort:
    """The recordings below the folder. `cpsc2018` lists a recording's classes; which came first is not kept.

    In the first layout age and sex are in the files, which are read for them; a bar shows how far if `progress`.
    """
    root = require(folder, ABOUT.name)
    odd = Oddities()
    headers = _files(root, ".hea")
    rows, recordings = _from_headers(headers, odd) if headers else _from_reference(root, odd, progress)
    if not rows:
        raise CohortError(f"{root}: no recording of CPSC 2018 that can be read; expected {ABOUT.layout}")
    notes = [ABOUT.counted(len(rows), len(rows))]
    notes.append("whose the recordings are is not said: each counts as a person of its own")
    return cohort_of(ABOUT, recordings, rows, _columns(), [*notes, *odd.notes])


def _files(root: Path, ending: str) -> dict[str, Path]:
    found = sorted(path for path in root.rglob(f"A*{ending}") if _RECORD.fullmatch(path.stem))
    require_once(root, "record", [path.stem for path in found])
    return {path.stem: path for path in found}


_Found = tuple[list[dict[str, Any]], list[CohortRecording]]


def _from_headers(headers: dict[str, Path], odd: Oddities) -> _Found:
    rows, recordings = [], []
    for name, path in headers.items():
        try:
            said = wfdb.facts(path)
        except EnECGError as error:
            odd.add(f"recordings that cannot be read and were left out: {error}", name)
            continue
        codes = codes_of(said["statements"], odd, name)
        rows.append(_row(name, codes or None, said["age"], said["sex"], odd))
        recordings.append(_recording(path, rows[-1]))
    return rows, recordings


def _from_reference(root: Path, odd: Oddities, progress: bool) -> _Found:
    places = sorted(root.rglob("REFERENCE.csv"))
    if not places:
        raise CohortError(f"{root}: not a folder of {ABOUT.name}; expected {ABOUT.layout}")
    files = _files(root, ".mat")
    frame = read_table(places[0], text=("Recording",))
    require_columns(places[0], frame, ("Recording", *_LABELS))
    require_once(places[0], "Recording", frame["Recording"].to_list())
    listed = [line for line in frame.iter_rows(named=True) if line["Recording"] in files]
    for line in frame.iter_rows(named=True):
        if line["Recording"] not in files:
            odd.add("rows of REFERENCE.csv without a file; left out", str(line["Recording"]))
    rows, recordings = [], []
    with progress_bar(progress, "reading age and sex", len(listed)) as bar:
        for line in listed:
            name = line["Recording"]
            bar.advance(1)
            try:
                found = RecordingFile(files[name]).read()
            except MissingPackageError:
                raise
            except EnECGError as error:
                odd.add(f"recordings that cannot be read and were left out: {error}", name)
                continue
            rows.append(_row(name, _numbered(line, odd, name), found.age, found.sex, odd))
            recordings.append(_recording(files[name], rows[-1]))
    return rows, recordings


def _numbered(line: dict[str, Any], odd: Oddities, where: str) -> set[int] | None:
    """SNOMED CT codes of the labels 1 to 9; None where one is something else, or there is none."""
    written = [as_text(line[name]) for name in _LABELS if as_text(line[name]) is not None]
    numbers = [as_number(text) for text in written]
    if not numbers or any(number not in range(1, len(CLASSES) + 1) for number in numbers):
        odd.add(f"labels {', '.join(map(str, written)) or 'none'}, expected 1 to {len(CLASSES)}; left missing", where)
        return None
    codes = list(CLASSES.values())
    return {codes[int(number) - 1] for number in numbers if number is not None}


def _columns() -> dict[str, Any]:
    import polars

    text = polars.String
    return {
        "id": text,
        "subject": text,
        "age": polars.Float64,
        "sex": text,
        "rhythm": text,
        "cpsc2018": polars.List(text),
        "cinc2021": polars.List(text),
    }


def _row(name: str, codes: set[int] | None, age: Any, sex: str | None, odd: Oddities) -> dict[str, Any]:
    return {
        "id": name,
        "subject": f"cpsc_2018:{name}",
        "age": odd.age(age, name),
        "sex": sex,
        "rhythm": None if codes is None else rhythm_of_codes(codes),
        "cpsc2018": None if codes is None else [label for label, code in CLASSES.items() if code in codes],
        "cinc2021": None if codes is None else scored_of_codes(codes),
    }


def _recording(path: Path, row: dict[str, Any]) -> CohortRecording:
    return recording_of(row, path)
