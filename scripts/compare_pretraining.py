"""What pays in pretraining: one network, taught in several ways by the same recordings, with what each costs.

    .venv/bin/python scripts/compare_pretraining.py --data FOLDER [--steps N] [--seeds N ...] [NAME ...]

FOLDER holds ptbxl in its publisher's layout. Folds 1 to 4 teach, fold 5 is looked at, fold 6 is not read. Writes
results/comparisons.json, and comparisons.csv beside it with the loss of each recording of fold 5, after every run: a
script that was killed goes on with the runs that are missing. Seconds are the processor's, on one core; looks at
validation are not among them. Without names all of RUNS are done.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars
import torch
from make_experts import STAGES, TASKS

from enecg import __version__, load_cohort
from enecg.evaluation import write_json
from enecg.evaluation._metrics import Scored, bootstrap_weights, interval_of, make_metric, metrics_of
from enecg.experts import get_expert
from enecg.experts.learned import Learned, TokenNetwork
from enecg.files import write_whole
from enecg.pretraining import Checked, Corpus, Learnability, Objective, Training, TrainSettings, find_objective
from enecg.pretraining._pretrain import WARM_UP, WARM_UP_SHARE
from enecg.progress import progress_bar
from enecg.simulation import simulate_one
from enecg.tasks import Task, get_task

RESULTS = Path(__file__).parents[1] / "results/comparisons.json"
ACID = 4
"""Windows to choose from, for each that is learned from."""
FIRST = 0.5
"""Steps of what comes first, as a share of the supervised ones."""
WRONG = 0.3
"""Share of the training recordings whose labels are permuted."""
LOOKS, LOOKED = 8, 0.2
"""Looks at validation on the way, and the share of the validation subjects they are at: together a tenth of the time.
In the end all validation subjects are answered."""
DRAWS = 1000
SIMULATED = "simulated"
SEED = 1311
"""Of the simulated recordings, and of who is looked at."""


@dataclass(frozen=True)
class Run:
    """One way. first : the objective of a stage before the supervised one, or labels of simulated recordings;
    share : its steps;  times : supervised steps, both as shares of those asked for;  of : `Training.of`;
    wrong : some labels are;  frozen : only the heads are taught in the end;  against : runs it is compared with.
    """

    first: str = ""
    share: float = FIRST
    times: float = 1.0
    of: int = 1
    wrong: bool = False
    frozen: bool = False
    against: tuple[str, ...] = ("uniform",)


# Whether something pays is asked twice: against as many supervised steps, and against about as much time.
LONGER = ("uniform", "uniform-half-more")
RUNS = {
    "uniform": Run(against=()),
    "uniform-half-more": Run(times=1 + FIRST),
    "uniform-fourfold": Run(times=4),
    "acid": Run(of=ACID, against=("uniform", "uniform-fourfold")),
    "uniform-wrong": Run(wrong=True),
    "acid-wrong": Run(of=ACID, wrong=True, against=("uniform-wrong",)),
    "warm-start": Run(WARM_UP, WARM_UP_SHARE),
    "masked-first": Run("masked", against=LONGER),
    "predictive-first": Run("predictive", against=LONGER),
    "patients-first": Run("patients", against=LONGER),
    "simulated-first": Run(SIMULATED, against=LONGER),
    "random-alone": Run(frozen=True),
    "simulated-alone": Run(SIMULATED, frozen=True, against=("uniform", "random-alone")),
}


class Timed(Training):
    """A training that knows the processor seconds that it has learned for."""

    learned = 0.0

    def run(self, watch: Callable[[Checked], None] = lambda _: None, until: int | None = None) -> Sequence[Checked]:
        with self._clock(1):
            return super().run(watch, until)

    def validate(self) -> float:
        with self._clock(-1):
            return super().validate()

    def seconds(self) -> float:
        """So far, inside of `run`."""
        return self.learned + time.process_time()

    @contextmanager
    def _clock(self, sign: int) -> Iterator[None]:
        self.learned -= sign * time.process_time()
        yield
        self.learned += sign * time.process_time()


@dataclass
class Bench:
    """What all runs share. looked : the corpus with those who are looked at on the way; begun : what came first."""

    expert: Learned
    corpus: Corpus
    settings: TrainSettings
    looked: Corpus = field(init=False)
    begun: dict[tuple[str, float, int], tuple[Mapping[str, torch.Tensor], list[dict[str, Any]]]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        people = self.corpus.people[self.corpus.owner[self.corpus.validation]]
        every = np.unique(people)
        some = np.random.default_rng(SEED).choice(every, max(1, round(LOOKED * len(every))), replace=False)
        self.looked = replace(self.corpus, validation=self.corpus.validation[np.isin(people, some)])

    def do(self, run: Run, seed: int, told: Callable[[str], None]) -> tuple[dict[str, Any], np.ndarray]:
        """What is known of a run, and the loss of each validation window."""
        network, stages = self.fresh(seed), list[dict[str, Any]]()
        if run.first:
            state, stages = self.first(run, seed, told)
            network.load_state_dict(state)
        network.requires_grad_(not run.frozen)
        corpus, changed = wrong_labels(self.looked, seed) if run.wrong else (self.looked, {})
        work = self.training(network, "supervised", corpus, self.of_steps(run.times), seed, run.of)
        if run.of > 1:
            stages = [*stages, self.choosing(work)]
        before, looks = sum(stage["seconds"] for stage in stages), []

        def watch(checked: Checked) -> None:
            looks.append({"step": checked.step, "seconds": before + work.seconds(), "loss": checked.validation})
            told(f"step {checked.step}, loss {checked.validation:.4f}, {before + work.seconds():.0f} s")

        work.run(watch)
        stages = [*stages, stage_of("supervised", work)]
        looks = [{"step": 0, "seconds": before, "loss": work.before}, *looks]
        losses, figures = answered(work.objective, network, self.corpus)
        known = {"stages": stages, "seconds": before + work.learned, "looks": looks, "best": work.best}
        known |= {"changed labels": changed} if run.wrong else {}
        return known | {"loss": float(np.nanmean(losses))} | figures, losses

    def first(self, run: Run, seed: int, told: Callable[[str], None]) -> tuple[Any, list[dict[str, Any]]]:
        """Weights after the stage that comes first, and what it cost."""
        key = (run.first, run.share, seed)
        if key not in self.begun:
            told(f"first {run.first}")
            settings = self.of_steps(run.share)
            # Only the last weights are looked at, and so kept.
            settings = replace(settings, check_every=settings.steps)
            network = self.fresh(seed)
            if run.first == SIMULATED:
                begun = time.process_time()
                with tempfile.TemporaryDirectory() as room:
                    corpus = simulated(self.expert, settings.steps * settings.batch, room)
                    made = time.process_time() - begun
                    work = self.training(network, "supervised", corpus, settings, seed)
                    work.run()
                stages = [{"what": "simulating", "recordings": len(corpus.owner), "steps": 0, "seconds": made}]
            else:
                work, stages = self.training(network, run.first, self.looked, settings, seed), []
                work.run()
            self.begun[key] = network.state_dict(), [*stages, stage_of(run.first, work)]
        return self.begun[key]

    def choosing(self, work: Timed) -> dict[str, Any]:
        """Make a training choose its windows; what its references cost."""
        begun, steps = time.process_time(), work.settings.steps
        # References are kept as they end, so that no time goes into looking at them.
        quick = replace(work.corpus, validation=work.corpus.validation[: work.settings.batch])
        settings = replace(work.settings, check_every=steps)
        work.choose = Learnability.of(Training(work.network, work.objective, quick, settings, work.seed, of=work.of))
        return {"what": "references", "steps": steps, "seconds": time.process_time() - begun}

    def training(
        self, network: TokenNetwork, objective: str, corpus: Corpus, settings: TrainSettings, seed: int, of: int = 1
    ) -> Timed:
        """One that has not begun; the same seed draws the same heads and windows in every run."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            heads = find_objective(objective)(network, corpus)
        return Timed(network, heads, corpus, settings, seed, of=of)

    def fresh(self, seed: int) -> TokenNetwork:
        """With random weights, which are the seed's."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.expert.network(self.expert.built)

    def of_steps(self, share: float) -> TrainSettings:
        steps = max(1, round(share * self.settings.steps))
        return replace(self.settings, steps=steps, check_every=-(-steps // LOOKS))


def stage_of(what: str, work: Timed) -> dict[str, Any]:
    return {
        "what": what,
        "steps": work.settings.steps,
        "seconds": work.learned,
        "before": work.before,
        "after": work.best,
    }


def simulated(expert: Learned, n: int, room: str) -> Corpus:
    """`n` simulated recordings to learn from and some that validate, with all that is true of them."""
    made = [simulate_one(index, SEED, rate=expert.card.rate) for index in range(-(-10 * n // 9))]
    targets = {name: [one.truth.labels[name] for one in made] for name in made[0].truth.labels}
    targets |= {name: [getattr(one.truth, name) for one in made] for name in ("pr", "qrs", "qt")}
    # An axis of 180 degrees is one of -180.
    axis = np.radians([one.truth.axis for one in made])
    targets |= {"axis_cos": np.cos(axis).tolist(), "axis_sin": np.sin(axis).tolist()}
    measured = [Task(name, "regression") for name in ("pr", "qrs", "qt", "axis_cos", "axis_sin")]
    tasks = [*(get_task(name) for name in made[0].truth.labels), *measured]
    return Corpus.of(expert, [one.recording for one in made], room, targets=targets, tasks=tasks)


def wrong_labels(corpus: Corpus, seed: int) -> tuple[Corpus, dict[str, float]]:
    """Each task's labels permuted among some training recordings; the share of all that another label then has."""
    rng = np.random.default_rng([SEED, seed])
    places = np.unique(corpus.owner[corpus.train])
    chosen = rng.choice(places, round(WRONG * len(places)), replace=False)
    targets, changed = {}, {}
    for name, column in corpus.targets.items():
        targets[name] = column.copy()
        targets[name][chosen] = column[rng.permutation(chosen)]
        same = np.isclose(targets[name][places], column[places], equal_nan=True).all(axis=1)
        changed[name] = float(1 - same.mean())
    return replace(corpus, targets=targets), changed


def answered(objective: Objective, network: TokenNetwork, corpus: Corpus) -> tuple[np.ndarray, dict[str, float]]:
    """The loss of each validation window, and each task's main figure."""
    network.eval()
    objective.eval()
    parts, losses = [], []
    with torch.no_grad():
        for start in range(0, len(corpus.validation), 64):
            batch = corpus.batch(corpus.validation[start : start + 64], torch.Generator())
            parts.append(objective.answers(network, batch))
            losses.append(objective.loss(parts[-1], batch.targets))
    figures, places = {}, corpus.owner[corpus.validation]
    for name, space in corpus.spaces.items():
        truth = corpus.targets[name][places]
        there = ~np.isnan(truth).any(axis=1)
        answer = space.values(torch.cat([part[name] for part in parts]).numpy()[there])
        truth = space.values(truth[there]) if space.task.kind == "regression" else truth[there]
        metric = make_metric(metrics_of(space.task)[0], Scored(space.task, truth, answer))
        figures[name] = float(metric(np.ones((1, len(truth))))[0])
    return torch.cat(losses).double().numpy(), {name: value for name, value in figures.items() if np.isfinite(value)}


def reached(looks: Sequence[Mapping[str, float]], loss: float) -> dict[str, float] | None:
    """Step and seconds at which a loss was reached, straight from look to look; None where it was not."""
    for last, look in pairwise(looks):
        if look["loss"] <= loss:
            share = (last["loss"] - loss) / (last["loss"] - look["loss"]) if last["loss"] > look["loss"] else 0.0
            return {key: last[key] + min(share, 1.0) * (look[key] - last[key]) for key in ("step", "seconds")}
    return None


def compared(
    rows: Sequence[dict[str, Any]], losses: Mapping[str, np.ndarray], people: np.ndarray
) -> list[dict[str, Any]]:
    """How much lower a run's loss is than another's, over the seeds that both have, by draws of subjects.

    Each row is told, besides, when it reached the best loss of the run it is measured by.
    """
    by = {(row["run"], row["seed"]): row for row in rows}
    for (name, seed), row in by.items():
        yardstick = by.get(("uniform-wrong" if RUNS[name].wrong else "uniform", seed))
        row["reached"] = None if yardstick is None else reached(row["looks"], yardstick["best"])
    weights, found = bootstrap_weights(people, DRAWS, 0).astype(np.float64), []
    for name, other in ((name, other) for name, run in RUNS.items() for other in run.against):
        seeds = [seed for run, seed in by if run == name and (other, seed) in by]
        if not seeds:
            continue
        gain = np.mean([losses[f"{other} {seed}"] - losses[f"{name} {seed}"] for seed in seeds], axis=0)
        known = ~np.isnan(gain)
        low, high = interval_of(weights[:, known] @ gain[known] / weights[:, known].sum(axis=1))
        row = {"run": name, "against": other, "seeds": seeds, "gain": float(gain[known].mean())}
        found.append(row | {"low": low, "high": high})
    return found


@dataclass
class Kept:
    """results/NAME.json and NAME.csv: what is done already, and what is added to it."""

    path: Path
    about: dict[str, Any]
    ids: Sequence[str]
    people: np.ndarray
    rows: list[dict[str, Any]] = field(default_factory=list)
    losses: dict[str, np.ndarray] = field(default_factory=dict)

    def read(self) -> None:
        """Exits where the file is of other runs than these."""
        if not self.path.exists():
            return
        found = json.loads(self.path.read_text())
        other = [key for key in self.about if found["about"].get(key) != self.about[key] and key != "versions"]
        if other:
            sys.exit(f"{self.path} is of other runs ({', '.join(other)} not the same); remove it, or choose --to")
        with open(self.path.with_suffix(".csv"), newline="") as file:
            columns = list(zip(*csv.reader(file), strict=True))
        if list(columns[0][1:]) != list(self.ids):
            sys.exit(f"{self.path.with_suffix('.csv')} is of other recordings; remove it, or choose --to")
        self.losses = {name: np.array(values, np.float64) for name, *values in columns[1:]}
        self.rows = [row for row in found["rows"] if f"{row['run']} {row['seed']}" in self.losses]

    def has(self, name: str, seed: int) -> bool:
        return any((row["run"], row["seed"]) == (name, seed) for row in self.rows)

    def add(self, name: str, seed: int, row: Mapping[str, Any], losses: np.ndarray) -> None:
        self.rows.append({"run": name, "seed": seed, **row})
        self.rows.sort(key=lambda row: (list(RUNS).index(row["run"]), row["seed"]))
        self.losses[f"{name} {seed}"] = losses
        gains = compared(self.rows, self.losses, self.people)
        lines = [["id", *self.losses]]
        lines += [[one, *(f"{own[row]:.5f}" for own in self.losses.values())] for row, one in enumerate(self.ids)]
        write_whole(self.path.with_suffix(".csv"), "\n".join(",".join(line) for line in [*lines, ""]).encode())
        write_json({"about": self.about, "rows": self.rows, "gains": gains}, self.path)


def compare(bench: Bench, kept: Kept, names: Sequence[str], seeds: Sequence[int]) -> None:
    """All runs that are not there yet."""
    for seed in seeds:
        for name in names:
            if kept.has(name, seed):
                continue

            def told(text: str, who: str = f"{name}, seed {seed}") -> None:
                print(f"{who}: {text}", file=sys.stderr, flush=True)

            kept.add(name, seed, *bench.do(RUNS[name], seed, told))
            told(f"kept in {kept.path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--network", default="s4d", choices=list(STAGES))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--to", type=Path, default=RESULTS)
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(RUNS):
        parser.error(f"unknown {', '.join(sorted(unknown))}; expected some of {', '.join(RUNS)}")
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    cohort = load_cohort("ptbxl", asked.data / "ptbxl")
    fold = cohort.targets["fold"].cast(polars.Int64).to_numpy()
    cohort = cohort.take(np.flatnonzero(fold <= 5))
    expert = get_expert(f"{asked.network}:random")
    [settings] = [stage.settings for stage in STAGES[asked.network] if stage.objective == "supervised"]
    with tempfile.TemporaryDirectory() as room, progress_bar(True, "reading", len(cohort)) as bar:
        corpus = Corpus.of(
            expert,
            cohort,
            room,
            targets=cohort.targets,
            tasks=[get_task(task) for task in TASKS],
            validation=fold[fold <= 5] == 5,
            done=lambda: bar.advance(1),
        )
        bench = Bench(expert, corpus, replace(settings, steps=asked.steps))
        about = {
            "command": "python scripts/compare_pretraining.py --data FOLDER",
            "network": asked.network,
            "steps": asked.steps,
            "batch": settings.batch,
            "recordings": {
                "taught": len(corpus.train),
                "looked": len(bench.looked.validation),
                "validated": len(corpus.validation),
            },
            "of": ACID,
            "wrong": WRONG,
            "versions": {"enecg": __version__, "torch": torch.__version__},
        }
        rows = corpus.prepared.rows[corpus.owner[corpus.validation]]
        ids = [str(cohort[row].id) for row in rows.tolist()]
        kept = Kept(asked.to, about, ids, corpus.people[corpus.owner[corpus.validation]])
        kept.read()
        compare(bench, kept, asked.names or list(RUNS), asked.seeds)


if __name__ == "__main__":
    main()
