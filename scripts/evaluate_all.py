"""The evaluations behind docs/results.md: each writes results/NAME.json and results/NAME.csv (who was used for what).

    .venv/bin/python scripts/evaluate_all.py --data FOLDER [--peer ANSWERS] [--store FOLDER] [NAME ...]

FOLDER holds ptbxl, ludb and challenge2021 in their publishers' layouts (the simulated evaluations need none of them);
ANSWERS come from `make peers`. Without names all are done, in the order of this file.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from enecg import EnECG, evaluate, load_cohort
from enecg.evaluation import (
    Evaluation,
    Meter,
    evaluate_fitted,
    few_subjects,
    shuffled,
    split_by_column,
    write_json,
    write_roles,
)

RESULTS = Path(__file__).parents[1] / "results"
PTBXL_TASKS = ("age", "sex", "superclass", "rhythm_statements", "rhythm")
OWN_TASKS = (*PTBXL_TASKS, "statements")
FIVE = ("rr_interval", "age", "sex", "potassium", "rhythm")
EXPERTS = ("rocket", "measurements")
ALL_EXPERTS = (*EXPERTS, "dlinear", "timesnet")


@dataclass(frozen=True)
class Room:
    """Where things are."""

    data: Path
    peer: Path | None
    store: Path | None

    def model(self, tasks: tuple[str, ...], experts: tuple[str, ...] = EXPERTS) -> EnECG:
        return EnECG(experts, tasks, store=self.store, progress=True)

    def answers(self, plan: str = "") -> dict[str, np.ndarray] | None:
        if self.peer is None:
            return None
        with np.load(self.peer) as found:
            return {
                name.removeprefix(plan): found[name] for name in found.files if name.rpartition(" ")[0] == plan.strip()
            }


def ptbxl(room: Room) -> Evaluation:
    """Folds 1 to 4 train, 5 makes every choice, 6 tests."""
    cohort = load_cohort("ptbxl", room.data / "ptbxl")
    fold = split_by_column(cohort, "fold", list("1234"), ["5"], ["6"])
    peer = room.answers()
    return evaluate(room.model(PTBXL_TASKS), cohort, rounds=[[fold]], paper=True, peer=None if peer is None else [peer])


def ptbxl_development(room: Room) -> Evaluation:
    """Inside folds 1 to 5, where settings were chosen: 1 to 3 train, 4 makes choices, 5 tests."""
    cohort = load_cohort("ptbxl", room.data / "ptbxl")
    fold = split_by_column(cohort, "fold", list("123"), ["4"], ["5"])
    return evaluate(room.model(PTBXL_TASKS), cohort, rounds=[[fold]])


def few(count: int) -> Callable[[Room], Evaluation]:
    """The same test set after learning from `count` patients in all, five times drawn."""

    def run(room: Room) -> Evaluation:
        cohort = load_cohort("ptbxl", room.data / "ptbxl")
        fold = split_by_column(cohort, "fold", list("1234"), ["5"], ["6"])
        peers = [room.answers(f"few {count} {draw} ") for draw in range(5)]
        rounds = [[few_subjects(cohort, fold, count, draw)] for draw in range(5)]
        return evaluate(room.model(PTBXL_TASKS), cohort, rounds=rounds, peer=None if peers[0] is None else peers)

    return run


def own(*more: str) -> Callable[[Room], Evaluation]:
    """The same split with experts of our own, which have met folds 1 to 5 at most (scripts/make_experts.py --judge)."""

    def run(room: Room) -> Evaluation:
        cohort = load_cohort("ptbxl", room.data / "ptbxl")
        fold = split_by_column(cohort, "fold", list("1234"), ["5"], ["6"])
        return evaluate(room.model(OWN_TASKS, (*EXPERTS, *more)), cohort, rounds=[[fold]])

    return run


def simulated(room: Room) -> Evaluation:
    """2,000 simulated subjects, five folds."""
    cohort = load_cohort("simulated", n=2000, seed=7)
    return evaluate(room.model(FIVE, ALL_EXPERTS), cohort, folds=5, paper=True)


def simulated_shuffled(room: Room) -> Evaluation:
    """The same with every task's labels in random order: what is learned now is a leak."""
    cohort = shuffled(load_cohort("simulated", n=2000, seed=7), FIVE)
    return evaluate(room.model(FIVE, EXPERTS), cohort, folds=2)


def ludb_rr(room: Room) -> Evaluation:
    """RR learned from simulated recordings, tested on LUDB's annotated windows."""
    made = load_cohort("simulated", n=1000, seed=8)
    model = room.model(("rr_interval",), ("measurements", "rocket-small")).fit(made)
    return evaluate_fitted(model, load_cohort("ludb", room.data / "ludb", window="annotated"))


@cache
def _on_ptbxl(room: Room) -> EnECG:
    cohort = load_cohort("ptbxl", room.data / "ptbxl")
    fold = split_by_column(cohort, "fold", list("1234"), ["5"], ["6"])
    tasks = ("age", "sex", "rhythm")
    return room.model(tasks).fit(cohort.take(fold.learned), validation=fold.validation[fold.learned])


def external_ludb(room: Room) -> Evaluation:
    """Learned from PTB-XL's folds 1 to 5, tested on LUDB."""
    return evaluate_fitted(_on_ptbxl(room), load_cohort("ludb", room.data / "ludb"))


def external_challenge2021(room: Room) -> Evaluation:
    """Learned from PTB-XL's folds 1 to 5, tested on recordings of the Challenge's other sources."""
    return evaluate_fitted(_on_ptbxl(room), load_cohort("challenge2021", room.data / "challenge2021"))


def published_five(room: Room) -> Evaluation:
    """The paper's own five experts together, with random weights, on 300 patients of PTB-XL; both recipes."""
    experts = ("moment-small:random", "tempo-80m:random", "ecg-fm-physionet:random", "dlinear", "timesnet")
    cohort = load_cohort("ptbxl", room.data / "ptbxl")
    first = {subject: row for row, subject in reversed(list(enumerate(cohort.subjects)))}
    rows = np.random.default_rng(9).choice(sorted(first.values()), 300, replace=False)
    cohort = cohort.take(np.sort(rows))
    model = room.model(("age", "sex", "superclass"), experts)
    with Meter() as meter:
        model.embed(cohort)
    found = evaluate(model, cohort, folds=3, paper=True)
    found.about |= {"embedding peak MiB": round(meter.peak_mib), "embedding seconds": round(meter.seconds)}
    return found


EVALUATIONS: dict[str, Callable[[Room], Evaluation]] = {
    "ptbxl-development": ptbxl_development,
    "ptbxl": ptbxl,
    "ptbxl-1000": few(1000),
    "ptbxl-300": few(300),
    "own-none": own(),
    "own-random": own("s4d:random"),
    "own-0": own("s4d+judged-0"),
    "own-1": own("s4d+judged-1"),
    "own-2": own("s4d+judged-2"),
    "simulated": simulated,
    "simulated-shuffled": simulated_shuffled,
    "ludb-rr": ludb_rr,
    "external-ludb": external_ludb,
    "external-challenge2021": external_challenge2021,
    "published-five": published_five,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EVALUATIONS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    unknown = set(options.names) - set(EVALUATIONS)
    if unknown:
        sys.exit(f"unknown evaluation {', '.join(unknown)}; expected some of {', '.join(EVALUATIONS)}")
    room = Room(options.data, options.peer, options.store)
    for name in options.names or EVALUATIONS:
        found = EVALUATIONS[name](room)
        found.about["command"] = f"python scripts/evaluate_all.py --data FOLDER --peer ANSWERS {name}"
        write_json(found.record(), RESULTS / f"{name}.json")
        write_roles(found.roles, RESULTS / f"{name}.csv")
        print(f"results/{name}.json", flush=True)


if __name__ == "__main__":
    main()
