"""Make src/enecg/data/starter: the bundle that answers right after the install, and its card.

    .venv/bin/python scripts/make_starter.py --data FOLDER [--store FOLDER]

FOLDER holds ptbxl, ludb and challenge2021 in their publishers' layouts. Real recordings teach age, sex, rhythm,
superclass and RR; simulated ones teach potassium (which no recording there has) and more of RR. PTB-XL's fold 6 and a
sixth of the subjects of every other data set are never seen; PTB-XL's fold 5 and another sixth make the choices. What
is shipped is the ensemble that was tested, so that its figures are its own. Also writes results/starter.json.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars

from enecg import EnECG, evaluate, load_cohort
from enecg.cohorts import Cohort, join_cohorts
from enecg.ensemble import JointSettings, folds_of, subject_codes
from enecg.ensemble._train_head import HeadSettings
from enecg.ensemble._trunk import TrunkSettings
from enecg.evaluation import Fold, write_json, write_roles

ROOT = Path(__file__).parents[1]
STARTER = ROOT / "src/enecg/data/starter"
TASKS = ("rr_interval", "age", "sex", "rhythm", "superclass", "potassium")
SIMULATED_TEACH = ("rr_interval", "potassium")
SETTINGS = JointSettings(n_folds=3, head=HeadSettings(trunk=TrunkSettings(width=64)))
FIGURES = ("mae", "auroc", "macro_auroc", "accuracy", "coverage", "mean interval", "mean set size")


def gathered(data: Path) -> Cohort:
    """All recordings; what simulated ones must not teach is missing there."""
    made = load_cohort("simulated", n=2000, seed=21)
    others = [name for name in TASKS if name not in SIMULATED_TEACH and name in made.targets.columns]
    blank = [polars.lit(None, made.targets.schema[name]).alias(name) for name in others]
    made = replace(made, targets=made.targets.with_columns(blank))
    return join_cohorts(
        [
            load_cohort("ptbxl", data / "ptbxl"),
            load_cohort("ludb", data / "ludb", window="annotated"),
            load_cohort("challenge2021", data / "challenge2021"),
            made,
        ]
    )


def split(cohort: Cohort) -> Fold:
    """PTB-XL by its own folds, the others by sixths of their subjects."""
    sixth = folds_of(subject_codes(cohort.subjects), 6, 0) + 1
    fold = cohort.targets["fold"].cast(polars.Int64).to_numpy()
    number = np.where(np.isfinite(fold), fold, sixth)
    return Fold(number < 5, number == 5, number == 6)


def card(model: EnECG, cohort: Cohort, rows: list[dict[str, object]], tested: int) -> str:
    """What people read of it."""
    lines = [
        "# The starter bundle",
        "",
        "Made by `make starter` (scripts/make_starter.py); research only, not a medical device.",
        "",
        f"Learned from {model.training_['n_recordings']:,} recordings of {model.training_['n_subjects']:,} subjects:",
        "PTB-XL folds 1 to 4 (5 made the choices), five sixths of the subjects of LUDB, of the recordings at hand of",
        "the PhysioNet/CinC Challenge 2021, and of the simulator. `bundle.json` holds a digest of each subject.",
        f"Licences: {cohort.licence}.",
        "",
        f"Tested on {tested:,} recordings of subjects never seen (PTB-XL fold 6 and the last sixth of the others).",
        "Potassium was learned from simulated recordings alone; it is answered on request only",
        "(`--include-simulated`).",
        "",
        "| task | figure | value | 95 % interval | recordings |",
        "|---|---|---:|---|---:|",
    ]
    for row in rows:
        reach = f"{row['low']:.3f} to {row['high']:.3f}" if "low" in row else ""
        lines.append(f"| {row['task']} | {row['metric']} | {row['value']:.3f} | {reach} | {row['n']:,} |")
    return "\n".join([*lines, "", f"Cite: {cohort.citation}", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    cohort = gathered(options.data)
    fold = split(cohort)
    start = EnECG(("rocket-small", "measurements"), TASKS, settings=SETTINGS, store=options.store, progress=True)
    found = evaluate(start, cohort, rounds=[[fold]])
    found.about["command"] = "make starter DATA=FOLDER"
    write_json(found.record(), ROOT / "results/starter.json")
    write_roles(found.roles, ROOT / "results/starter.csv")
    model = found.models[0]
    rows = [
        row for row in found.rows if row["system"] == "ensemble" and row["metric"] in FIGURES and "group" not in row
    ]
    model.results_ = rows
    model.save(STARTER, halves=True)
    (STARTER / "README.md").write_text(card(model, cohort, rows, found.about["tested"]))
    size = sum(path.stat().st_size for path in STARTER.iterdir())
    print(f"{STARTER.relative_to(ROOT)}: {size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
