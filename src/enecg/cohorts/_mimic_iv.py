"""What MIMIC-IV (module hosp) knows of the people in MIMIC-IV-ECG: age, sex, and potassium near each ECG.

`labevents` has 158 million rows, of which a piece at a time is held. The columns are those of MIMIC-IV 2 and 3
(mimic.mit.edu/docs/iv/modules/hosp).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg.cohorts._cohort import OLDEST
from enecg.cohorts._pieces import held, pieces, whole_numbers
from enecg.errors import CohortError

if TYPE_CHECKING:
    import polars

CHEMISTRY, BLOOD_GAS = 50971, 50822
"""Items of potassium in `d_labitems`: of a chemistry panel (serum or plasma), of a blood gas (whole blood)."""

TIME = "%Y-%m-%d %H:%M:%S"
"""How MIMIC writes times."""

_HIDDEN_AGE = 90
"""Years from which MIMIC-IV writes 91, whatever the age."""

_LAB = ("labevent_id", "subject_id", "itemid", "charttime", "valuenum", "valueuom", "flag")
_MOST_MMOL = 30.0
_UNITS = ("meq/l", "mmol/l")
"""The same amount: potassium has one charge."""


def unknown_columns() -> "Mapping[str, polars.Expr]":
    """The columns that these tables give, all missing."""
    import polars

    kinds = {"age": polars.Float64, "sex": polars.String} | _potassium_columns()
    return {name: polars.lit(None, kind) for name, kind in kinds.items()}


def _potassium_columns() -> dict[str, Any]:
    import polars

    return {
        "potassium": polars.Float64,
        "potassium_flag": polars.String,
        "potassium_item": polars.Int64,
        "potassium_after_hours": polars.Float64,
    }


def hosp_table(folder: str | Path, name: str) -> Path:
    """A table of module hosp, gzipped as published or not. Raises CohortError if it is not there."""
    root = Path(folder)
    if not root.is_dir():
        raise CohortError(f"{root}: no such folder; expected that of MIMIC-IV, with hosp/")
    for place in (root / "hosp", root):
        for path in (place / f"{name}.csv.gz", place / f"{name}.csv"):
            if path.is_file():
                return path
    raise CohortError(f"{root}: no hosp/{name}.csv.gz; expected MIMIC-IV's folder")


def with_patients(targets: "polars.DataFrame", path: Path) -> "tuple[polars.DataFrame, list[str]]":
    """Sex, and the age in the year of the ECG: both years are shifted alike.

    Who was over 89 in the anchor year is written as 91: from then on that is 90, before it unknown.
    """
    import polars

    people = whole_numbers(held(path, ["subject_id", "gender", "anchor_age", "anchor_year"]), path, "subject_id")
    people = whole_numbers(people, path, "anchor_age", "anchor_year")
    doubled = people.filter(polars.col("subject_id").is_duplicated())
    if len(doubled):
        raise CohortError(f"{path}: subject_id {doubled['subject_id'][0]} is there more than once; expected each once")
    joined = targets.join(people, on="subject_id", how="left")
    since = polars.col("time").dt.year() - polars.col("anchor_year")
    hidden = polars.col("anchor_age") >= _HIDDEN_AGE
    age = polars.when(hidden & (since < 0)).then(None).otherwise(polars.col("anchor_age") + since)
    sex = polars.col("gender").replace_strict({"M": "male", "F": "female"}, default=None, return_dtype=polars.String)
    joined = joined.with_columns(age=age.cast(polars.Float64), sex=sex)
    impossible = ~polars.col("age").is_between(0, OLDEST)
    notes = []
    for wrong, what in (
        (polars.col("anchor_year").is_null(), f"records whose patient {path.name} does not have"),
        (polars.col("gender").is_not_null() & polars.col("sex").is_null(), "x sex that is neither M nor F; missing"),
        (impossible, "x age that is none; left missing"),
        (hidden & (since < 0), "records before a year in which the patient was over 89; age left missing"),
    ):
        if n := int(joined.select(wrong.fill_null(False).sum()).item()):
            notes.append(f"{n:,} {what}")
    age = polars.when(~impossible).then(polars.col("age").clip(upper_bound=90.0))
    return joined.with_columns(age=age), notes


def with_potassium(
    targets: "polars.DataFrame", path: Path, items: tuple[int, ...], hours: float, shown: bool
) -> "tuple[polars.DataFrame, list[str]]":
    """The nearest draw that has a number, within the window."""
    import polars

    ecgs = targets.select("study_id", "subject_id", "time").filter(polars.col("time").is_not_null())
    people = ecgs.select("subject_id").unique()
    wanted = [str(item) for item in items]
    near: list[polars.DataFrame] = []
    numberless = foreign = 0
    for piece in pieces(path, _LAB, shown=shown):
        rows = piece.filter(polars.col("itemid").str.strip_chars().is_in(wanted))
        draws = _draws(rows, path).join(people, on="subject_id", how="semi")
        foreign += len(draws.filter(~polars.col("unit_known")))
        numberless += len(draws.filter(polars.col("unit_known") & polars.col("potassium").is_null()))
        usable = draws.filter(polars.col("unit_known") & polars.col("potassium").is_not_null())
        near.append(_nearest(ecgs.join(usable, on="subject_id"), hours))
        if sum(map(len, near)) > 2 * len(ecgs):
            near = [_nearest(polars.concat(near), hours)]
    found = _nearest(polars.concat(near), hours)
    made = found.select(
        "study_id",
        "potassium",
        polars.when("abnormal").then(polars.lit("abnormal")).otherwise(polars.lit("normal")).alias("potassium_flag"),
        polars.col("itemid").alias("potassium_item"),
        ((polars.col("charttime") - polars.col("time")).dt.total_seconds() / 3600).alias("potassium_after_hours"),
    )
    joined = targets.join(made, on="study_id", how="left")
    what = " or ".join(wanted)
    notes = [f"{len(made):,} records have a potassium (item {what}) drawn within {hours:g} h of them"]
    if numberless:
        notes.append(f"{numberless:,} potassium draws of these patients have no number and were passed over")
    if foreign:
        notes.append(f"{foreign:,} potassium draws of these patients are not in mEq/L or mmol/L and were passed over")
    return joined, notes


def _draws(rows: "polars.DataFrame", path: Path) -> "polars.DataFrame":
    """Rows of `labevents` as numbers: no text, so that the piece they are from can be let go."""
    import polars

    value = polars.col("valuenum").str.strip_chars().cast(polars.Float64, strict=False)
    return whole_numbers(rows, path, "labevent_id", "subject_id", "itemid").select(
        "labevent_id",
        "subject_id",
        "itemid",
        polars.col("charttime").str.to_datetime(TIME, strict=False),
        polars.when(value.is_between(0, _MOST_MMOL, closed="right")).then(value).alias("potassium"),
        polars.col("valueuom").str.strip_chars().str.to_lowercase().is_in(_UNITS).fill_null(False).alias("unit_known"),
        polars.col("flag").str.strip_chars().eq("abnormal").fill_null(False).alias("abnormal"),
    )


def _nearest(pairs: "polars.DataFrame", hours: float) -> "polars.DataFrame":
    """Of pairs of ECG and draw those within the window, the nearest for each ECG; of equals the earlier."""
    import polars

    apart = (polars.col("charttime") - polars.col("time")).dt.total_seconds()
    return (
        pairs.filter(apart.abs() <= hours * 3600)
        .sort("study_id", apart.abs(), "charttime", polars.col("itemid").ne(CHEMISTRY), "labevent_id")
        .unique("study_id", keep="first", maintain_order=True)
    )
