"""PhysioNet/CinC Challenge 2021: a folder for each source, WFDB records with SNOMED CT codes (Reyna et al. 2021)."""

from pathlib import Path
from typing import Any

from enecg.cohorts._cohort import Cohort, CohortRecording, require, table
from enecg.cohorts._labels import rhythm_of_codes
from enecg.errors import CohortError
from enecg.formats import find, read

_FLUTTER = {"atrial fibrillation", "atrial flutter"}


def load(folder: str | Path | None, *, include_ptbxl: bool = False) -> Cohort:
    """Every record below the folder, whose first subfolder is its source.

    include_ptbxl : whether PTB-XL's records (`HR...`), whose patients the challenge does not name, are taken.
    Ningbo codes fibrillation as flutter, so neither of the two is a label there.
    """
    root = require(folder, "challenge2021")
    rows, recordings, left_out, files = [], [], 0, find(root)
    for path in files:
        source = path.relative_to(root).parts[0]
        if source == "original_headers":
            continue
        if path.stem.startswith("HR") and not include_ptbxl:
            left_out += 1
            continue
        recording = read(path)
        codes = _codes(recording.statements)
        rhythm = rhythm_of_codes(codes)
        if "ningbo" in source.lower() and rhythm in _FLUTTER:
            rhythm = None
        row = {
            "id": path.stem,
            "subject": f"{source}:{path.stem}",
            "age": None if recording.age is None else min(recording.age, 90.0),
            "sex": recording.sex,
            "rhythm": rhythm,
            "codes": sorted(codes),
            "source": source,
        }
        rows.append(row)
        recordings.append(CohortRecording(path, id=path.stem, subject=str(row["subject"])))
    if not rows:
        raise CohortError(f"{root}: no records; expected one folder for each source of the challenge")
    notes = [f"{len(rows)} recordings of {len({row['source'] for row in rows})} sources"]
    if left_out:
        notes.append(f"{left_out} recordings of PTB-XL left out: their patients are those of cohort ptbxl")
    return Cohort(
        name="challenge2021",
        recordings=recordings,
        targets=table(rows, _columns()),
        licence="CC BY 4.0",
        citation="Reyna et al., Will Two Do?, Computing in Cardiology 2021, doi 10.23919/CinC53138.2021.9662687",
        notes=notes,
    )


def _columns() -> dict[str, Any]:
    import polars

    text = polars.String
    return {
        "id": text,
        "subject": text,
        "age": polars.Float64,
        "sex": text,
        "rhythm": text,
        "codes": polars.List(polars.Int64),
        "source": text,
    }


def _codes(statements: tuple[str, ...]) -> set[int]:
    found = [said.removeprefix("Dx: ") for said in statements if said.startswith("Dx: ")]
    return {int(code) for said in found for code in said.replace(" ", "").split(",") if code.isdigit()}
