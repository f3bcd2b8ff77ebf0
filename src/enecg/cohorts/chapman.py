"""Chapman-Shaoxing and Ningbo (Zheng et al. 2020), as PhysioNet has them or as Chapman-Shaoxing was first published.

PhysioNet, ecg-arrhythmia 1.0.0: `WFDBRecords/` with SNOMED CT codes in the headers; the same records, under the same
names, as sources `chapman_shaoxing` and `ningbo` of the Challenge 2021, and so the same people. First publication
(figshare 4560497): `Diagnostics.csv` (its .xlsx saved as CSV) and `ECGData/MUSE_....csv` in microvolts. Nothing links a
MUSE name to a JS number, so the two must not be used together. In the first publication's table `AFIB` is fibrillation
and `AF` is flutter. Not verified here, for want of the data: unit and rate of the MUSE files (500 Hz), and the counts.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from enecg.cohorts import challenge2021
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
from enecg.cohorts._tables import as_number, as_text, read_table, require_columns
from enecg.errors import CohortError

ABOUT = About(
    name="chapman",
    title="Chapman-Shaoxing and Ningbo, 10 s at 500 Hz, rhythms and findings with SNOMED CT codes",
    layout="WFDBRecords/ (PhysioNet); or Diagnostics.csv and ECGData/ (figshare, Chapman-Shaoxing alone)",
    tasks=("age", "sex", "rhythm", "cinc2021"),
    recordings=45_152,
    subjects=45_152,
    licence="CC BY 4.0 (PhysioNet), CC0 1.0 (figshare)",
    citation="Zheng et al., Scientific Data 7, 48 (2020), doi 10.1038/s41597-020-0386-x; "
    "Scientific Reports 10, 2898 (2020), doi 10.1038/s41598-020-59821-7",
    marks=("WFDBRecords",),
)

FIGSHARE = 10_646
"""Recordings of the first publication, one of each person."""

_CONDITIONS = """
1AVB 270492004 2AVB 195042002 2AVB1 54016002 2AVB2 28189009 3AVB 27885002 ABI 251173003 ALS 39732003 APB 284470004
AQW 164917005 ARS 47665007 AVB 233917008 CCR 251199005 CR 251198002 ERV 428417006 FQRS 164942001 IDC 698252002
IVB 698252002 JEB 426995002 JPT 251164006 LBBB 164909002 LBBBB 164909002 LFBBB 164909002 LVH 164873001
LVQRSAL 251146004 LVQRSCL 251148003 LVQRSLL 251147008 MI 164865005 MIBW 164865005 MIFW 164865005 MILW 164865005
MISW 164865005 PRIE 164947007 PWC 164912004 QTIE 111975006 RAH 446358003 RBBB 59118001 RVH 89792004 STDD 429622005
STE 164930006 STTC 428750005 STTU 164931005 TWC 164934002 TWO 59931005 UW 164937009 VB 11157007 VEB 75532003
VFW 13640000 VPB 17338001 VPE 195060002 VET 251180001 WAVN 195101003 WPW 74390002 SB 426177001 SR 426783006
AFIB 164889003 ST 427084000 AF 164890007 SA 427393009 SVT 426761007 AT 713422000 AVNRT 233896004 AVRT 233897008
SAAWR 195101003
""".split()
CONDITIONS = dict(zip(_CONDITIONS[::2], map(int, _CONDITIONS[1::2]), strict=True))
"""SNOMED CT code of each acronym, from the publisher's ConditionNames_SNOMED-CT.csv."""

_WITHOUT_CODE = ("JPS", "LRRI", "LVHV", "RAHV")
"""Acronyms of the first publication that the publisher's table of codes does not have."""

_RATE, _UNIT = 500.0, "uV"
_SEX = {"MALE": "male", "FEMALE": "female"}
_NAME = re.compile(r"[\w-]+")
_NEEDED = ("FileName", "Rhythm", "Beat", "PatientAge", "Gender")


def load(folder: str | Path | None, *, denoised: bool = False) -> Cohort:
    """The records whose files are there; which layout it is shows by its table.

    denoised : of the first publication, its `ECGDataDenoised` instead of `ECGData`.
    """
    root = require(folder, ABOUT.name)
    if (root / "Diagnostics.csv").is_file():
        return _figshare(root, "ECGDataDenoised" if denoised else "ECGData")
    if denoised:
        raise CohortError(f"{root}: denoised records are only in the first publication, with Diagnostics.csv")
    odd = Oddities()
    rows, recordings, _ = challenge2021.records_with_codes(root, None, odd)
    strange = [row["id"] for row in rows if row["source"] not in ("chapman_shaoxing", "ningbo")]
    if not rows or strange:
        found = f"found {strange[0]}" if strange else "no records"
        raise CohortError(f"{root}: not a folder of {ABOUT.name}: {found}; expected {ABOUT.layout}")
    require_once(root, "record", [row["id"] for row in rows])
    notes = [ABOUT.counted(len(rows), len({row["subject"] for row in rows}))]
    if any(row["source"] == "ningbo" for row in rows):
        notes.append("Ningbo codes fibrillation as flutter: neither is a label of task rhythm there")
    return _cohort(recordings, rows, challenge2021.columns(), [*notes, *odd.notes])


def _cohort(
    recordings: list[CohortRecording], rows: list[dict[str, Any]], columns: dict[str, Any], notes: list[str]
) -> Cohort:
    return cohort_of(ABOUT, recordings, rows, columns, notes)


def _figshare(root: Path, signals: str) -> Cohort:
    path = root / "Diagnostics.csv"
    frame = read_table(path, text=("FileName", "Rhythm", "Beat", "Gender"))
    require_columns(path, frame, _NEEDED)
    require_once(path, "FileName", frame["FileName"].to_list())
    rows, recordings, absent, odd = [], [], 0, Oddities()
    for line in frame.iter_rows(named=True):
        name = line["FileName"]
        if name is None or not _NAME.fullmatch(name):
            raise CohortError(f"{path}: FileName {name!r}; expected a name such as MUSE_20180113_171327_27000")
        file = root / signals / f"{name}.csv"
        if not file.is_file():
            absent += 1
            continue
        row = _row(line, odd)
        rows.append(row)
        recordings.append(recording_of(row, file, unit=_UNIT, rate=_RATE))
    if not rows:
        raise CohortError(f"{root}: none of the {len(frame):,} files of Diagnostics.csv is there; copy {signals}/")
    notes = [f"{len(rows):,} of {FIGSHARE:,} recordings published, each of another person"]
    notes.append("PhysioNet's release has these recordings under other names, which nothing links: do not use both")
    if absent:
        notes.append(f"{absent:,} rows of the table have no file and were left out")
    return _cohort(recordings, rows, _columns(), [*notes, *odd.notes])


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
        "cinc2021": polars.List(text),
        "conditions": polars.List(text),
        "ventricular_rate_bpm": polars.Float64,
        "source": text,
    }


def _row(line: dict[str, Any], odd: Oddities) -> dict[str, Any]:
    where = line["FileName"]
    said = _acronyms(line["Rhythm"], line["Beat"])
    for name in said:
        if name not in CONDITIONS and name not in _WITHOUT_CODE:
            odd.add(f"condition {name!r}, which has no code; passed over", where)
    codes = {CONDITIONS[name] for name in said if name in CONDITIONS}
    if as_text(line["Rhythm"]) is None:
        odd.add("no rhythm; labels left missing", where)
    known = as_text(line["Rhythm"]) is not None
    return {
        "id": where,
        "subject": f"chapman_shaoxing:{where}",
        "age": odd.age(line["PatientAge"], where),
        "sex": odd.sex(line["Gender"], where, _SEX),
        "rhythm": rhythm_of_codes(codes) if known else None,
        "codes": sorted(codes) if known else None,
        "cinc2021": scored_of_codes(codes) if known else None,
        "conditions": said if known else None,
        "ventricular_rate_bpm": as_number(line.get("VentricularRate")),
        "source": "chapman_shaoxing",
    }


def _acronyms(*cells: Any) -> list[str]:
    """Of the rhythm and the beats, which blanks part; NONE is none."""
    words: Iterable[str] = (word for cell in cells for word in (as_text(cell) or "").split())
    return [word for word in dict.fromkeys(words) if word != "NONE"]
