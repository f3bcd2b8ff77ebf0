"""PTB-XL 1.0.3: `ptbxl_database.csv`, `scp_statements.csv` and `records100` or `records500` (Wagner et al. 2020)."""

import ast
from pathlib import Path
from typing import Any

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, Oddities, cohort_of, recording_of, require, require_once
from enecg.cohorts._labels import rhythm_of_statements
from enecg.cohorts._tables import as_number, as_text, read_table, require_columns
from enecg.errors import CohortError
from enecg.tasks import (
    DIAGNOSTIC_STATEMENTS,
    FORM_STATEMENTS,
    RHYTHM_STATEMENTS,
    STATEMENTS,
    SUBCLASSES,
    SUPERCLASSES,
)

ABOUT = About(
    name="ptbxl",
    title="PTB-XL 1.0.3, 10 s at 100 and 500 Hz, labels by cardiologists",
    layout="ptbxl_database.csv, scp_statements.csv, records100 or records500",
    tasks=(
        *("age", "sex", "rhythm", "superclass", "subclass", "statements"),
        *("diagnostic_statements", "form_statements", "rhythm_statements"),
    ),
    recordings=21_799,
    subjects=18_869,
    licence="CC BY 4.0",
    citation="Wagner et al., Scientific Data 7, 154 (2020), doi 10.1038/s41597-020-0495-6",
    marks=("ptbxl_database.csv",),
)
OVER_89 = 300
"""The age that the publisher writes for more than 89 years."""

_Groups = dict[str, tuple[tuple[str, str], ...]]
"""Of a diagnostic statement: ("class", its superclass), ("subclass", its subclass)."""

_SEX = {"0": "male", "1": "female"}


def load(folder: str | Path | None, *, rate: int = 100) -> Cohort:
    """The recordings whose files are there. rate : 100 or 500 Hz.

    Age 300 stands for over 89 and becomes 90; sex 0 is male. A statement counts whatever its likelihood, as 0 there
    means that none was stated. What a row says that cannot be is left missing, and told in the notes.
    """
    if rate not in (100, 500):
        raise CohortError(f"PTB-XL has 100 and 500 Hz, not {rate}")
    root = require(folder, "ptbxl", "ptbxl_database.csv", "scp_statements.csv")
    groups = _groups(root / "scp_statements.csv")
    column = "filename_lr" if rate == 100 else "filename_hr"
    listed = _database(root / "ptbxl_database.csv", "age", "sex", "scp_codes", "strat_fold", column)
    rows, recordings, absent, odd = [], [], 0, Oddities()
    for line in listed:
        path = root / f"{line[column]}.hea"
        if line[column] is None or not path.is_file():
            absent += 1
            continue
        row = _row(line, groups, odd)
        rows.append(row)
        recordings.append(recording_of(row, path))
    if not rows:
        raise CohortError(f"{root}: none of the {len(listed)} files of {column} is there; copy records{rate}/")
    people = len({row["subject"] for row in rows})
    notes = [ABOUT.counted(len(rows), people)]
    if absent:
        notes.append(f"{absent:,} rows of the table have no file and were left out")
    return cohort_of(ABOUT, recordings, rows, _columns(), [*notes, *odd.notes])


def subject_of(patient: Any) -> str | None:
    """The name of a patient of the table."""
    text = as_text(patient)
    return None if text is None else f"ptbxl:{text.removesuffix('.0')}"


def patients(path: Path) -> dict[int, str]:
    """Subject of each ecg_id, from the publisher's table. Raises CohortError if it is not that."""
    found = path / "ptbxl_database.csv" if path.is_dir() else path
    subjects = {line["ecg_id"]: subject_of(line["patient_id"]) for line in _database(found)}
    return {number: subject for number, subject in subjects.items() if subject is not None}


def _database(path: Path, *needed: str) -> list[dict[str, Any]]:
    """The publisher's rows in the order of `ecg_id`, which becomes a whole number."""
    frame = read_table(path)
    require_columns(path, frame, ("ecg_id", "patient_id", *needed))
    lines = list(frame.iter_rows(named=True))
    for place, line in enumerate(lines, start=2):
        number = as_number(line["ecg_id"])
        if number is None or number < 0 or number != int(number):
            raise CohortError(f"{path}, line {place}: ecg_id {line['ecg_id']!r}; expected a whole number")
        line["ecg_id"] = int(number)
    require_once(path, "ecg_id", [line["ecg_id"] for line in lines])
    return sorted(lines, key=lambda line: line["ecg_id"])


def _columns() -> dict[str, Any]:
    import polars

    text, labels = polars.String, polars.List(polars.String)
    return {
        "id": text,
        "subject": text,
        "age": polars.Float64,
        "sex": text,
        "rhythm": text,
        "superclass": labels,
        "subclass": labels,
        "statements": labels,
        "diagnostic_statements": labels,
        "form_statements": labels,
        "rhythm_statements": labels,
        "fold": polars.Int64,
    }


def _row(line: dict[str, Any], groups: _Groups, odd: Oddities) -> dict[str, Any]:
    where = f"ecg_id {line['ecg_id']}"
    subject = subject_of(line["patient_id"])
    if subject is None:
        odd.add("no patient_id; counted as a person of its own", where)
    age = line["age"]
    fold = as_number(line["strat_fold"])
    return {
        "id": f"ptbxl_{line['ecg_id']:05d}",
        "subject": subject,
        "age": 90.0 if as_number(age) == OVER_89 else odd.age(age, where),
        "sex": odd.sex(line["sex"], where, _SEX),
        "fold": None if fold is None else int(fold),
        **_labels(line["scp_codes"], groups, odd, where),
    }


def _labels(written: Any, groups: _Groups, odd: Oddities, where: str) -> dict[str, Any]:
    said = _statements(written)
    if said is None:
        odd.add("scp_codes that cannot be understood; labels left missing", where)
        return {}
    for code in sorted(said - set(STATEMENTS)):
        odd.add(f"statement {code}, which PTB-XL does not have; passed over", where)
    known = [code for code in STATEMENTS if code in said]
    found = {group for code in known for group in groups.get(code, ())}
    return {
        "rhythm": rhythm_of_statements(said),
        "superclass": [name for name in SUPERCLASSES if ("class", name) in found],
        "subclass": [name for name in SUBCLASSES if ("subclass", name) in found],
        "statements": known,
        "diagnostic_statements": [code for code in known if code in DIAGNOSTIC_STATEMENTS],
        "form_statements": [code for code in known if code in FORM_STATEMENTS],
        "rhythm_statements": [code for code in known if code in RHYTHM_STATEMENTS],
    }


def _statements(written: Any) -> set[str] | None:
    """The codes of `{'NORM': 100.0, 'SR': 0.0}`; None if it is anything else."""
    try:
        said = ast.literal_eval(written)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return set(map(str, said)) if isinstance(said, dict) else None


def _groups(path: Path) -> _Groups:
    """From the publisher's table. Raises CohortError if it is another."""
    frame = read_table(path)
    require_columns(path, frame, ("diagnostic_class", "diagnostic_subclass"))
    codes = frame[frame.columns[0]]
    lacking = sorted(set(STATEMENTS) - set(codes))
    if lacking:
        raise CohortError(
            f"{path}: no row for {', '.join(lacking[:3])}; expected PTB-XL's {len(STATEMENTS)} statements"
        )
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, known in (("class", SUPERCLASSES), ("subclass", SUBCLASSES)):
        for code, name in zip(codes, frame[f"diagnostic_{kind}"], strict=True):
            if name is not None and name not in known:
                raise CohortError(f"{path}: diagnostic_{kind} {name!r}; expected {', '.join(known)}")
            if name is not None:
                found.setdefault(code, []).append((kind, name))
    return {code: tuple(own) for code, own in found.items()}
