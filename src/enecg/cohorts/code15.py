"""CODE-15%, Zenodo 4916206: `exams.csv` and HDF5 parts with many exams each (Ribeiro et al. 2020).

The files do not say their unit; `formats/hdf5.py` has what speaks for 0.5 mV. The organisers of the PhysioNet Challenge
2025 take mV, so the unit is an option and stands in the cohort's notes. Not verified here, for want of the data: the
published counts.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, Oddities, cohort_of, recording_of, require, require_once
from enecg.cohorts._labels import rhythm_of_codes
from enecg.cohorts._pieces import held
from enecg.errors import CohortError, EnECGError, MissingPackageError
from enecg.formats import RecordingFile, recordings_of
from enecg.formats.hdf5 import CODE15_UNIT
from enecg.recording import millivolts_per

if TYPE_CHECKING:
    import polars

ABOUT = About(
    name="code15",
    title="CODE-15%, 7 or 10 s at 400 Hz, six diagnoses; unit not stated by the files",
    layout="exams.csv and exams_part*.hdf5, all or some",
    tasks=("age", "sex", "rhythm"),
    recordings=345_779,
    subjects=233_770,
    licence="CC BY 4.0",
    citation="Ribeiro et al., Nature Communications 11, 1760 (2020), doi 10.1038/s41467-020-15432-4",
    marks=("exams.csv",),
)

DIAGNOSES = {"1dAVb": 270492004, "RBBB": 59118001, "LBBB": 164909002, "SB": 426177001, "ST": 427084000, "AF": 164889003}
"""The six, and their SNOMED CT codes."""

_SINUS_RHYTHM = 426783006
_YES_NO = {"true": True, "1": True, "false": False, "0": False}
_COLUMNS = ("exam_id", "age", "is_male", *DIAGNOSES, "patient_id", "normal_ecg", "trace_file")


def load(folder: str | Path | None, *, unit: str = CODE15_UNIT) -> Cohort:
    """The exams whose part is there. unit : of the samples, which the files do not say.

    `diagnoses` lists those of the six that were found; none of them is not the same as a normal ECG, which has a column
    of its own, `normal_ecg`. Such an ECG is a sinus rhythm; where neither it nor a rhythm is stated, the rhythm is
    missing.
    """
    root = require(folder, ABOUT.name, "exams.csv")
    millivolts_per(unit)
    listed = _exams(root / "exams.csv")
    parts, odd = {}, Oddities()
    for name in sorted(set(listed["trace_file"]) - {None}):
        if Path(name).name != name:
            raise CohortError(f"{root / 'exams.csv'}: trace_file {name!r}; expected the name of a part beside it")
        if (root / name).is_file():
            parts[name] = _exams_in(root / name, odd)
    rows, recordings, absent, lacking = [], [], 0, 0
    for line in listed.iter_rows(named=True):
        part, exam = line["trace_file"], line["exam_id"]
        if part not in parts:
            absent += 1
            continue
        if exam not in parts[part]:
            lacking += 1
            continue
        row = _row(line, odd)
        rows.append(row)
        recordings.append(recording_of(row, root / part, unit=unit, item=exam))
    if not rows:
        raise CohortError(f"{root}: none of the {len(listed):,} exams of exams.csv is there; copy exams_part*.hdf5")
    notes = [ABOUT.counted(len(rows), len({row["subject"] for row in rows}))]
    notes.append(f"the files do not say their unit; taken as {unit} (unit=)")
    if absent:
        notes.append(f"{absent:,} exams are in parts that are not there and were left out")
    if lacking:
        notes.append(f"{lacking:,} exams are not in the part that exams.csv says, and were left out")
    return cohort_of(ABOUT, recordings, rows, _columns(), [*notes, *odd.notes])


def _exams(path: Path) -> "polars.DataFrame":
    found = held(path, _COLUMNS)
    require_once(path, "exam_id", found["exam_id"].to_list())
    return found


def _exams_in(part: Path, odd: Oddities) -> frozenset[str]:
    """The exams of a part; none, and an oddity, where it cannot be read."""
    found = recordings_of(part)
    exams = frozenset(one.ask.item for one in found if one.ask.item is not None)
    if not exams:
        try:
            RecordingFile(part).read()
        except MissingPackageError:
            raise
        except EnECGError as error:
            odd.add(f"parts that cannot be read: {error}", part.name)
    return exams


def _columns() -> dict[str, Any]:
    import polars

    text = polars.String
    return {
        "id": text,
        "subject": text,
        "age": polars.Float64,
        "sex": text,
        "rhythm": text,
        "diagnoses": polars.List(text),
        "normal_ecg": polars.Boolean,
    }


def _row(line: dict[str, Any], odd: Oddities) -> dict[str, Any]:
    where = f"exam_id {line['exam_id']}"
    said = {name: _yes_no(line[name], name, odd, where) for name in (*DIAGNOSES, "is_male", "normal_ecg")}
    known = None not in [said[name] for name in DIAGNOSES]
    found = [name for name in DIAGNOSES if said[name]]
    codes = {DIAGNOSES[name] for name in found} | ({_SINUS_RHYTHM} if said["normal_ecg"] else set())
    patient, male = (line["patient_id"] or "").strip(), said["is_male"]
    if not patient:
        odd.add("no patient_id; counted as a person of its own", where)
    return {
        "id": f"code15_{line['exam_id']}",
        "subject": f"{ABOUT.name}:{patient}" if patient else None,
        "age": odd.age(line["age"], where),
        "sex": None if male is None else "male" if male else "female",
        "rhythm": rhythm_of_codes(codes) if known else None,
        "diagnoses": found if known else None,
        "normal_ecg": said["normal_ecg"],
    }


def _yes_no(cell: str | None, column: str, odd: Oddities, where: str) -> bool | None:
    text = (cell or "").strip().lower()
    if text and text not in _YES_NO:
        odd.add(f"{column} {text!r}, expected True or False; left missing", where)
    return _YES_NO.get(text)
