"""MIMIC-IV-ECG 1.0 (Gow et al. 2023) with the five tasks of the EnECG paper.

The ECGs' own folder holds `record_list.csv`, `machine_measurements.csv` and `files/pNNNN/pNNNNNNNN/sNNNNNNNN/`; it
gives RR interval and rhythm. Age, sex and potassium are in MIMIC-IV itself, which is another folder, with
`hosp/patients.csv.gz` and `hosp/labevents.csv.gz`. Leads are stored as I, II, III, aVR, aVF, aVL, V1 to V6, and known
by their names.

The carts' clocks and the laboratory's are not known to agree, so a draw's distance in time is no better than they are.
Not verified here, for want of the data: the published counts (those of a public recount of both tables), and that 65535
(RR interval) and 32767, -32768 (axes) mean missing as 29999 does; they cannot be true anyway.
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort, CohortRecording, require
from enecg.cohorts._mimic_iv import (
    BLOOD_GAS,
    CHEMISTRY,
    TIME,
    hosp_table,
    unknown_columns,
    with_patients,
    with_potassium,
)
from enecg.cohorts._pieces import held, whole_numbers
from enecg.cohorts._reports import rhythm_of_report
from enecg.errors import CohortError

if TYPE_CHECKING:
    import polars

ABOUT = About(
    name="mimic-iv-ecg",
    title="MIMIC-IV-ECG 1.0, 10 s at 500 Hz, what the machine measured and said; with MIMIC-IV age, sex and potassium",
    layout="record_list.csv, machine_measurements.csv, files/; mimic_iv=: MIMIC-IV's folder with hosp/",
    tasks=("rr_interval", "age", "sex", "potassium", "rhythm"),
    recordings=800_035,
    subjects=161_352,
    licence="ODbL 1.0 (ECGs); PhysioNet Credentialed Health Data License (MIMIC-IV)",
    citation="Gow et al., MIMIC-IV-ECG (version 1.0), PhysioNet 2023, doi 10.13026/4nqg-sb35",
    marks=("record_list.csv", "machine_measurements.csv"),
)
_REPORT = [f"report_{n}" for n in range(18)]
_TIMES = ("rr_interval", "p_onset", "qrs_onset", "qrs_end", "t_end")
_AXES = ("p_axis", "qrs_axis", "t_axis")
_MISSING = 29_999
_LONGEST_MS, _WIDEST_DEG = 10_000, 360
"""The recordings last 10 s."""


_PATH = re.compile(r"(?!/)(?!.*\.\.)[\w./-]+")


def load(
    folder: str | Path | None,
    *,
    mimic_iv: str | Path | None = None,
    potassium_hours: float = 4.0,
    blood_gas: bool = False,
    hedged: bool = False,
    progress: bool = False,
) -> Cohort:
    """The records whose files are there.

    mimic_iv : MIMIC-IV's folder, or its `hosp`; without it age, sex and potassium are missing, with it the 158 million
        rows of `labevents` are read once, in constant memory.
    potassium_hours : how far a draw may be from the ECG, before or after; the nearest counts, the earlier of two. Four
        hours are our choice: the paper does not say its own.
    blood_gas : whether potassium of blood gases counts too.
    hedged : whether the machine's "possible" and "probable" rhythms count; else they are missing.
    progress : whether a bar shows how far the tables are read.
    Columns beside the tasks': `potassium_flag` (the laboratory's: normal or abnormal), `potassium_item`,
    `potassium_after_hours` (from ECG to draw), the machine's `report`, intervals and axes.
    """
    if not 0 < potassium_hours < float("inf"):
        raise CohortError(f"potassium_hours of {potassium_hours}; expected a positive number")
    root = require(folder, ABOUT.name, "record_list.csv", "machine_measurements.csv")
    records, notes = _records(root)
    measured = _measurements(root / "machine_measurements.csv", hedged)
    targets = records.join(measured, on="study_id", how="left")
    if alone := len(records.join(measured, on="study_id", how="anti")):
        notes.append(f"{alone:,} records have no row in machine_measurements.csv; RR interval and rhythm left missing")
    if mimic_iv is None:
        targets = targets.with_columns(**unknown_columns())
        notes.append(
            "age, sex and potassium are missing: pass mimic_iv=, the folder of MIMIC-IV with hosp/patients.csv.gz and "
            "hosp/labevents.csv.gz"
        )
    else:
        targets, told = with_patients(targets, hosp_table(mimic_iv, "patients"))
        notes += told
        items = (CHEMISTRY, BLOOD_GAS) if blood_gas else (CHEMISTRY,)
        targets, told = with_potassium(targets, hosp_table(mimic_iv, "labevents"), items, potassium_hours, progress)
        notes += told
    targets = targets.sort("subject_id", "time", "study_id")
    recordings = [
        CohortRecording(f"{root}/{path}.hea", id=name, subject=subject, age=age, sex=sex)
        for path, name, subject, age, sex in targets.select("path", "id", "subject", "age", "sex").iter_rows()
    ]
    return Cohort(
        name=ABOUT.name,
        recordings=recordings,
        targets=targets.select(*_COLUMNS),
        licence=ABOUT.licence,
        citation=ABOUT.citation,
        notes=notes,
    )


_COLUMNS = (
    *("id", "subject", "rr_interval", "age", "sex", "potassium", "rhythm", "potassium_flag", "potassium_item"),
    *("potassium_after_hours", "report", "pr_ms", "qrs_ms", "qt_ms", "p_axis_deg", "qrs_axis_deg", "t_axis_deg"),
)


def _records(root: Path) -> "tuple[polars.DataFrame, list[str]]":
    """Records with a file, by patient and time: study_id, subject_id, path, time, id, subject."""
    import polars

    path = root / "record_list.csv"
    listed = whole_numbers(held(path, ["subject_id", "study_id", "ecg_time", "path"]), path, "subject_id", "study_id")
    doubled = listed.filter(polars.col("study_id").is_duplicated())
    if len(doubled):
        raise CohortError(f"{path}: study_id {doubled['study_id'][0]} is there more than once; expected each once")
    for written in listed["path"]:
        if written is None or not _PATH.fullmatch(written):
            raise CohortError(f"{path}: path {written!r}; expected one below the folder, such as files/p1000/...")
    there = [os.path.isfile(f"{root}/{written}.hea") for written in listed["path"]]
    found = listed.filter(polars.Series(there, dtype=polars.Boolean)).with_columns(
        polars.col("ecg_time").str.to_datetime(TIME, strict=False).alias("time"),
        polars.format("mimic_{}", "study_id").alias("id"),
        polars.format(ABOUT.name + ":{}", "subject_id").alias("subject"),
    )
    if not len(found):
        raise CohortError(f"{root}: none of the {len(listed):,} records of record_list.csv is there; copy files/")
    notes = [ABOUT.counted(len(found), found["subject"].n_unique())]
    if absent := len(listed) - len(found):
        notes.append(f"{absent:,} records of record_list.csv have no file and were left out")
    if untimed := found["time"].null_count():
        notes.append(f"{untimed:,} x ecg_time that is none; age and potassium left missing")
    return found, notes


def _measurements(path: Path, hedged: bool) -> "polars.DataFrame":
    """What the machine measured and said of each study; what it could not measure is missing."""
    import polars

    table = whole_numbers(held(path, ["study_id", *_REPORT, *_TIMES, *_AXES]), path, "study_id")
    doubled = table.filter(polars.col("study_id").is_duplicated())
    if len(doubled):
        raise CohortError(f"{path}: study_id {doubled['study_id'][0]} is there more than once; expected each once")
    number = {name: polars.col(name).str.strip_chars().cast(polars.Float64, strict=False) for name in _TIMES + _AXES}
    times = {name: _within(number[name], 0, _LONGEST_MS) for name in _TIMES}
    axes = {name: _within(number[name], -_WIDEST_DEG, _WIDEST_DEG) for name in _AXES}
    table = table.select(
        "study_id",
        polars.concat_list(_REPORT).list.eval(polars.element().str.strip_chars()).list.drop_nulls().alias("report"),
        _positive(times["rr_interval"]).alias("rr_interval"),
        _positive(times["qrs_onset"] - times["p_onset"]).alias("pr_ms"),
        _positive(times["qrs_end"] - times["qrs_onset"]).alias("qrs_ms"),
        _positive(times["t_end"] - times["qrs_onset"]).alias("qt_ms"),
        *(axes[name].alias(f"{name}_deg") for name in _AXES),
    ).with_columns(polars.col("report").list.eval(polars.element().filter(polars.element() != "")))
    return table.with_columns(_rhythms(table["report"], hedged))


def _within(number: "polars.Expr", lowest: float, highest: float) -> "polars.Expr":
    """Null where the machine says that it could not measure, or what it measured cannot be."""
    import polars

    possible = (number != _MISSING) & number.is_between(lowest, highest)
    return polars.when(possible).then(number)


def _positive(number: "polars.Expr") -> "polars.Expr":
    import polars

    return polars.when(number > 0).then(number)


def _rhythms(reports: "polars.Series", hedged: bool) -> "polars.Series":
    """The rhythm class of each report; reports that say the same are looked at once."""
    import polars

    texts = reports.list.join("\n")
    found = {text: rhythm_of_report(text.split("\n"), hedged=hedged) for text in texts.unique().drop_nulls()}
    return polars.Series("rhythm", [None if text is None else found[text] for text in texts], dtype=polars.String)
