"""SPH, Shandong Provincial Hospital (Liu et al. 2022): `metadata.csv`, `code.csv` and `records/A00001.h5`, ...

Labels are AHA/ACC/HRS statements: `60+310;147` is code 60 with the modifier 310, and code 147. The files hold
millivolts without saying so; the paper does. Not verified here, for want of the data: unit and published counts.
"""

import re
from pathlib import Path
from typing import Any

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, Oddities, cohort_of, recording_of, require, require_once
from enecg.cohorts._labels import rhythm_of_codes
from enecg.cohorts._tables import as_text, read_table, require_columns
from enecg.errors import CohortError

ABOUT = About(
    name="sph",
    title="SPH (Shandong), 10 to 56 s at 500 Hz, AHA statements by cardiologists",
    layout="metadata.csv, code.csv, records/*.h5",
    tasks=("age", "sex", "rhythm"),
    recordings=25_770,
    subjects=24_666,
    licence="CC BY 4.0",
    citation="Liu et al., Scientific Data 9, 272 (2022), doi 10.1038/s41597-022-01403-5",
    marks=("metadata.csv", "code.csv", "records"),
)

_SNOMED = {
    "1": 426783006,  # normal ECG: a sinus rhythm, for which SPH has no statement of its own
    "20": 426783006,
    "21": 427084000,
    "22": 426177001,
    "23": 427393009,
    "30": 284470004,
    "31": 251170000,  # blocked
    "33": 195101003,
    "34": 106068003,
    "36": 251164006,
    "37": 426995002,
    "38": 29320008,
    "39": 426664006,
    "50": 164889003,
    "51": 164890007,
    "52": 713422000,
    "54": 426648003,
    "55": 426761007,
    "60": 427172004,
    "63": 61277005,
    "64": 61277005,
    "70": 164895002,
    "74": 164896001,
    "76": 164895002,
    "82": 164947007,
    "83": 54016002,
    "84": 426183003,
    "85": 195042002,
    "86": 195042002,
    "87": 233917008,
    "88": 27885002,
    "89": 50799005,
}
"""SNOMED CT codes of the AHA statements about rhythm and conduction from the atria (Mason et al. 2007)."""

_SEX = {"M": "male", "F": "female"}
_ID = re.compile(r"[\w-]+")
_STATEMENT = re.compile(r"\d{1,4}")


def load(folder: str | Path | None, *, unit: str = "mV") -> Cohort:
    """The records whose files are there. unit : of the samples, which the files do not say.

    `aha_codes` lists the primary statements, each once and without its modifiers, `aha_statements` their texts. As none
    of them says sinus rhythm, premature beats and a long PR interval count as beside one, and a normal ECG as one.
    """
    root = require(folder, ABOUT.name, "metadata.csv", "code.csv", "records")
    path = root / "metadata.csv"
    frame = read_table(path, text=("ECG_ID", "AHA_Code", "Patient_ID", "Sex"))
    require_columns(path, frame, ("ECG_ID", "AHA_Code", "Patient_ID", "Age", "Sex"))
    require_once(path, "ECG_ID", frame["ECG_ID"].to_list())
    texts = _texts(root / "code.csv")
    rows, recordings, absent, odd = [], [], 0, Oddities()
    for line in frame.iter_rows(named=True):
        name = line["ECG_ID"]
        if name is None or not _ID.fullmatch(name):
            raise CohortError(f"{path}: ECG_ID {name!r}; expected a name such as A00001")
        file = root / "records" / f"{name}.h5"
        if not file.is_file():
            absent += 1
            continue
        row = _row(line, texts, odd)
        rows.append(row)
        recordings.append(recording_of(row, file, unit=unit))
    if not rows:
        raise CohortError(f"{root}: none of the {len(frame):,} records of metadata.csv is there; copy records/")
    notes = [ABOUT.counted(len(rows), len({row["subject"] for row in rows}))]
    notes.append(f"the files do not say their unit; taken as {unit} (unit=)")
    if absent:
        notes.append(f"{absent:,} rows of the table have no file and were left out")
    return cohort_of(ABOUT, recordings, rows, _columns(), [*notes, *odd.notes])


def _texts(path: Path) -> dict[str, str]:
    """Of each statement, modifiers too."""
    frame = read_table(path, text=("Code", "Description"))
    require_columns(path, frame, ("Code", "Description"))
    return dict(zip(frame["Code"], frame["Description"], strict=True))


def _columns() -> dict[str, Any]:
    import polars

    text = polars.String
    return {
        "id": text,
        "subject": text,
        "age": polars.Float64,
        "sex": text,
        "rhythm": text,
        "aha_codes": polars.List(text),
        "aha_statements": polars.List(text),
    }


def _row(line: dict[str, Any], texts: dict[str, str], odd: Oddities) -> dict[str, Any]:
    where = f"ECG_ID {line['ECG_ID']}"
    patient, codes = as_text(line["Patient_ID"]), _codes(line["AHA_Code"], texts, odd, where)
    if patient is None:
        odd.add("no Patient_ID; counted as a person of its own", where)
    return {
        "id": f"sph_{line['ECG_ID']}",
        "subject": None if patient is None else f"{ABOUT.name}:{patient}",
        "age": odd.age(line["Age"], where),
        "sex": odd.sex(line["Sex"], where, _SEX),
        "rhythm": None if codes is None else rhythm_of_codes({_SNOMED[code] for code in codes if code in _SNOMED}),
        "aha_codes": codes,
        "aha_statements": None if codes is None else [texts.get(code, code) for code in codes],
    }


def _codes(written: str | None, texts: dict[str, str], odd: Oddities, where: str) -> list[str] | None:
    """The primary statements of `60+310;147`, each once; None for a cell that is none."""
    parts = [part.partition("+")[0].strip() for part in (written or "").split(";") if part.strip()]
    if not parts or not all(_STATEMENT.fullmatch(part) for part in parts):
        odd.add(f"AHA_Code {written!r}, which is none; labels left missing", where)
        return None
    for code in parts:
        if code not in texts:
            odd.add(f"statement {code}, which code.csv does not have", where)
    return list(dict.fromkeys(parts))
