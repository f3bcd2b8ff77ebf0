"""PTB-XL 1.0.3: `ptbxl_database.csv`, `scp_statements.csv` and `records100` or `records500` (Wagner et al. 2020)."""

import ast
from pathlib import Path
from typing import Any

from enecg.cohorts._cohort import Cohort, CohortRecording, require, table
from enecg.cohorts._labels import rhythm_of_statements
from enecg.errors import CohortError
from enecg.tasks import RHYTHM_STATEMENTS, STATEMENTS, SUPERCLASSES

PUBLISHED = 21_799


def load(folder: str | Path | None, *, rate: int = 100) -> Cohort:
    """The recordings whose files are there. rate : 100 or 500 Hz.

    Age 300 stands for over 89 and becomes 90; sex 0 is male. A statement counts whatever its likelihood, as 0 there
    means that none was stated.
    """
    import polars

    if rate not in (100, 500):
        raise CohortError(f"PTB-XL has 100 and 500 Hz, not {rate}")
    root = require(folder, "ptbxl", "ptbxl_database.csv", "scp_statements.csv")
    superclass = _superclasses(root)
    column = "filename_lr" if rate == 100 else "filename_hr"
    listed = polars.read_csv(root / "ptbxl_database.csv", infer_schema_length=None).sort("ecg_id")
    needed = {"ecg_id", "patient_id", "age", "sex", "scp_codes", "strat_fold", column}
    if missing := needed - set(listed.columns):
        raise CohortError(f"{root / 'ptbxl_database.csv'}: no column {', '.join(sorted(missing))}")
    rows, recordings, absent = [], [], 0
    for line in listed.iter_rows(named=True):
        path = root / f"{line[column]}.hea"
        if not path.exists():
            absent += 1
            continue
        row = _row(line, superclass)
        rows.append(row)
        recordings.append(CohortRecording(path, id=row["id"], subject=row["subject"], age=row["age"], sex=row["sex"]))
    if not rows:
        raise CohortError(f"{root}: none of the {len(listed)} files of {column} is there; copy records{rate}/")
    notes = [f"{len(rows)} of the {PUBLISHED:,} recordings published"]
    if absent:
        notes.append(f"{absent} rows of the table have no file and were left out")
    return Cohort(
        name="ptbxl",
        recordings=recordings,
        targets=table(rows, _columns()),
        licence="CC BY 4.0",
        citation="Wagner et al., Scientific Data 7, 154 (2020), doi 10.1038/s41597-020-0495-6",
        notes=notes,
    )


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
        "statements": labels,
        "rhythm_statements": labels,
        "fold": polars.Int64,
    }


def _row(line: dict[str, Any], superclass: dict[str, str]) -> dict[str, Any]:
    said = set(ast.literal_eval(line["scp_codes"]))
    known = [code for code in STATEMENTS if code in said]
    groups = {superclass[code] for code in known if code in superclass}
    return {
        "id": f"ptbxl_{line['ecg_id']:05d}",
        "subject": f"ptbxl:{int(line['patient_id'])}",
        "age": None if line["age"] is None else min(float(line["age"]), 90.0),
        "sex": {0: "male", 1: "female"}.get(line["sex"]),
        "rhythm": rhythm_of_statements(said),
        "superclass": [name for name in SUPERCLASSES if name in groups],
        "statements": known,
        "rhythm_statements": [code for code in known if code in RHYTHM_STATEMENTS],
        "fold": line["strat_fold"],
    }


def _superclasses(root: Path) -> dict[str, str]:
    """Diagnostic statement -> superclass, from the publisher's table."""
    import polars

    path = root / "scp_statements.csv"
    listed = polars.read_csv(path)
    code = listed.columns[0]
    if "diagnostic_class" not in listed.columns:
        raise CohortError(f"{path}: no column diagnostic_class; expected the publisher's table")
    found = listed.filter(polars.col("diagnostic_class").is_not_null())
    return dict(zip(found[code], found["diagnostic_class"], strict=True))
