"""EnECG's own subset of MIMIC-IV-ECG: a `.jsonl` file with a line for each ECG (Xu et al. 2025).

Its keys are `subject_id`, `ecg_path`, `rr_interval`, `age`, `gender`, `flag`, `report_label`, as the authors' README
and loader have them. What the numbers mean is in the prompts of their sister benchmark (ECGMultitasks-Benchmark,
zero_shot/llm.py): gender 0 is male; flag 0 is a normal potassium; report_label counts REPORT_LABELS. The file itself
was not at hand, so all this is unverified, and how many ECGs it has is not known.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, Oddities, cohort_of, recording_of
from enecg.cohorts._reports import rhythm_of_report
from enecg.cohorts._tables import as_number, as_text
from enecg.cohorts.mimic_iv_ecg import ABOUT as MIMIC
from enecg.errors import CohortError

ABOUT = About(
    name="enecg",
    title="EnECG's subset of MIMIC-IV-ECG, labels in a .jsonl file",
    layout="the .jsonl file, or a folder with one; records=: MIMIC-IV-ECG's folder, if not where the file says",
    tasks=("rr_interval", "age", "sex", "potassium", "rhythm"),
    licence=f"of the labels none is stated; {MIMIC.licence}",
    citation=f"Xu et al. 2025, arXiv 2511.22935, doi 10.48550/arXiv.2511.22935; {MIMIC.citation}",
)

REPORT_LABELS = (
    "sinus rhythm",
    "sinus bradycardia",
    "sinus tachycardia",
    "atrial fibrillation",
    "sinus rhythm with borderline 1st degree a-v block",
    "sinus rhythm with 1st degree a-v block",
    "atrial fibrillation with rapid ventricular response",
    "sinus arrhythmia",
    "sinus rhythm with pac(s)",
    "ventricular pacing",
    "consider acute st elevation mi",
    "warning: data quality may affect interpretation",
    "sinus rhythm with pvc(s)",
    "possible ectopic atrial rhythm",
    "other",
)
"""The first lines of machine reports that `report_label` counts, about by how frequent they are."""

_MISSING_RR, _LONGEST_RR = 29_999, 10_000
_SEX = {"0": "male", "1": "female", "M": "male", "F": "female"}
_FLAG = {"0": "normal", "1": "abnormal", "normal": "normal", "abnormal": "abnormal"}


def load(folder: str | Path | None, *, records: str | Path | None = None) -> Cohort:
    """The ECGs whose files are there. `folder` may be the `.jsonl` file itself.

    records : the folder of MIMIC-IV-ECG, below which each path is looked for from its last `files/` on; without it
        where the path says, from the manifest's folder if it is relative.
    Subjects are MIMIC-IV-ECG's own. `potassium` is the laboratory's flag, normal or abnormal; `report_label` the text
    of the authors' class, and `rhythm` ours, where that names one for certain.
    """
    path = _manifest(folder)
    if records is not None and not Path(records).is_dir():
        raise CohortError(f"{records}: no such folder; expected that of MIMIC-IV-ECG, with files/")
    rows, recordings, odd, absent, repeated = [], [], Oddities(), 0, 0
    taken = set()
    for number, line in _lines(path):
        where = f"line {number}"
        header = _header(str(line["ecg_path"]), path.parent, None if records is None else Path(records))
        if header is None:
            absent += 1
            continue
        if header in taken:
            repeated += 1
            continue
        taken.add(header)
        row = _row(line, header, odd, where)
        rows.append(row)
        recordings.append(recording_of(row, header))
    if not rows:
        raise CohortError(f"{path}: none of its {absent} ECGs is there; pass records=, the folder of MIMIC-IV-ECG")
    notes = [ABOUT.counted(len(rows), len({row["subject"] for row in rows}))]
    if absent:
        notes.append(f"{absent:,} lines have no file and were left out")
    if repeated:
        notes.append(f"{repeated:,} lines are of an ECG that an earlier line is of; the first counts")
    return cohort_of(ABOUT, recordings, rows, _columns(), [*notes, *odd.notes])


def _manifest(folder: str | Path | None) -> Path:
    if folder is None:
        raise CohortError(f"cohort {ABOUT.name} needs its folder: load_cohort({ABOUT.name!r}, FOLDER)")
    root = Path(folder)
    if root.is_file():
        return root
    if not root.is_dir():
        raise CohortError(f"{root}: no such folder; expected that of cohort {ABOUT.name}, or its .jsonl file")
    found = sorted(root.glob("*.jsonl"))
    if len(found) != 1:
        raise CohortError(f"{root}: {len(found)} files end in .jsonl; expected one, or give its own path")
    return found[0]


def _lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Each line's number and values. Raises CohortError for one that is no ECG."""
    found = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, text in enumerate(file, start=1):
                if not text.strip():
                    continue
                line = json.loads(text)
                if not isinstance(line, dict) or not {"subject_id", "ecg_path"} <= line.keys():
                    raise CohortError(f"{path}, line {number}: no subject_id and ecg_path; expected EnECG's manifest")
                found.append((number, line))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, CohortError):
            raise
        raise CohortError(f"{path}, line {len(found) + 1}: no JSON ({error}); expected a line for each ECG") from error
    return found


def _header(written: str, base: Path, records: Path | None) -> Path | None:
    """The header of an ECG, which is written with or without an ending; None if it is not there."""
    plain = PurePosixPath(written.removesuffix(".hea").removesuffix(".dat"))
    if records is None:
        place = base / plain
    else:
        parts = plain.parts
        last = len(parts) - 1 - parts[::-1].index("files") if "files" in parts else max(0, len(parts) - 4)
        place = records.joinpath("files", *parts[last + ("files" in parts) :])
    header = place.with_name(f"{place.name}.hea")
    return header if header.is_file() else None


def _columns() -> dict[str, Any]:
    import polars

    text = polars.String
    return {
        "id": text,
        "subject": text,
        "rr_interval": polars.Float64,
        "age": polars.Float64,
        "sex": text,
        "potassium": text,
        "rhythm": text,
        "report_label": text,
    }


def _row(line: dict[str, Any], header: Path, odd: Oddities, where: str) -> dict[str, Any]:
    subject, label = as_text(line["subject_id"]), _label(line.get("report_label"), odd, where)
    if subject is None:
        odd.add("no subject_id; counted as a person of its own", where)
    return {
        "id": f"mimic_{header.stem}",
        "subject": None if subject is None else f"{MIMIC.name}:{subject}",
        "rr_interval": _rr_interval(line.get("rr_interval"), odd, where),
        "age": odd.age(line.get("age"), where),
        "sex": odd.sex(line.get("gender"), where, _SEX),
        "potassium": _flag(line.get("flag"), odd, where),
        "rhythm": None if label is None else rhythm_of_report([label]),
        "report_label": label,
    }


def _rr_interval(value: Any, odd: Oddities, where: str) -> float | None:
    number = as_number(value)
    if number == _MISSING_RR or as_text(value) is None:
        return None
    if number is None or not 0 < number <= _LONGEST_RR:
        odd.add(f"rr_interval {value}, which 10 s cannot have; left missing", where)
        return None
    return number


def _flag(value: Any, odd: Oddities, where: str) -> str | None:
    text = as_text(value)
    if text is not None and text not in _FLAG:
        odd.add(f"flag {text!r}, expected 0 or 1; left missing", where)
    return None if text is None else _FLAG.get(text)


def _label(value: Any, odd: Oddities, where: str) -> str | None:
    text = as_text(value)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) < len(REPORT_LABELS)):
        odd.add(f"report_label {text!r}, expected 0 to {len(REPORT_LABELS) - 1}; left missing", where)
        return None
    return REPORT_LABELS[int(text)]
