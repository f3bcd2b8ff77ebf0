"""Make src/enecg/data/starter: the bundle that answers right after the install, and its card.

    .venv/bin/python scripts/make_starter.py --data FOLDER [--store FOLDER]

FOLDER holds ptbxl, ludb and challenge2021 in their publishers' layouts. Real recordings teach age, sex, rhythm,
superclass and RR; simulated ones teach potassium (which no recording there has) and more of RR.

The ensemble is trained twice, since the learned expert that ships has met nearly all people of PTB-XL. Judged is one
with the expert that has met folds 1 to 5 alone (scripts/make_experts.py --judge, first): PTB-XL's fold 6 and a sixth of
the subjects of every other data set are never seen, fold 5 and another sixth make the choices; its figures go to
results/starter.json and to the card. Shipped is one with the expert that ships, whose heads learn from the same
recordings; a third of the people whom that expert has not learned from make the choices, the others say how much each
expert counts and how sure answers are.
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
from enecg.experts import get_expert
from enecg.inputs import subject_digest

ROOT = Path(__file__).parents[1]
STARTER = ROOT / "src/enecg/data/starter"
TASKS = ("rr_interval", "age", "sex", "rhythm", "superclass", "potassium")
SIMULATED_TEACH = ("rr_interval", "potassium")
EXPERTS = ("rocket-small", "measurements")
LEARNED, JUDGED = "s4d", "s4d+judged-0"
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


def strangers_choose(cohort: Cohort, fold: Fold) -> np.ndarray:
    """Of those to learn from, who makes choices: a third of the people from whom the learned expert has not learned."""
    known = get_expert(LEARNED).card
    met = known.seen_subjects - known.chosen_by
    stranger = np.array([subject_digest(subject) not in met for subject in cohort.subjects])
    return np.asarray(fold.learned & stranger & (folds_of(subject_codes(cohort.subjects), 3, 0) == 0))


def model_of(learned: str, store: Path | None) -> EnECG:
    return EnECG((*EXPERTS, learned), TASKS, settings=SETTINGS, store=store, progress=True)


def card(model: EnECG, cohort: Cohort, rows: list[dict[str, object]], tested: int) -> str:
    """What people read of it."""
    lines = [
        "# The starter bundle",
        "",
        "Made by `make starter` (scripts/make_starter.py); research only, not a medical device.",
        "",
        f"Learned from {model.training_['n_recordings']:,} recordings of {model.training_['n_subjects']:,} subjects:",
        "PTB-XL folds 1 to 5, five sixths of the subjects of LUDB, of the recordings at hand of the PhysioNet/CinC",
        "Challenge 2021, and of the simulator; its expert `s4d` from PTB-XL folds 1 to 6. `bundle.json` and the",
        "package hold a digest of each subject.",
        f"Licences: {cohort.licence}.",
        "",
        "Tested was the same ensemble with an `s4d` that had met folds 1 to 5 alone, and learned from 1 to 4, on",
        f"{tested:,} recordings of subjects never seen (PTB-XL fold 6 and the last sixth of the others).",
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
    found = evaluate(model_of(JUDGED, options.store), cohort, rounds=[[fold]])
    found.about["command"] = "make starter DATA=FOLDER"
    write_json(found.record(), ROOT / "results/starter.json")
    write_roles(found.roles, ROOT / "results/starter.csv")
    choosing = strangers_choose(cohort, fold)[fold.learned]
    model = model_of(LEARNED, options.store).fit(cohort.take(np.flatnonzero(fold.learned)), validation=choosing)
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
