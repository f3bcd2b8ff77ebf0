"""Distil the ensemble into one small student, and test what it has kept: results/student.json.

    .venv/bin/python scripts/make_student.py --data FOLDER [--teacher NAME,NAME,...] [--store FOLDER] [--work FOLDER]
        [--seed N] [--steps N] [--few N]

FOLDER holds ptbxl in its publisher's layout. The teacher is an ensemble of these experts, of which learned ones must
have met folds 1 to 5 at most (scripts/make_experts.py --judge). It learns from folds 1 to 4, with 5 choosing, and its
answers teach s4d-small+student-SEED, beside the labels; s4d-small+labels-SEED takes the same steps with labels alone.
Each of both, as the only expert of an ensemble, and the teacher are then tested on fold 6, which nobody has met.

Answers to folds 1 to 4 are by clones whose heads do not know these people. The teacher's experts may: what they have
learned by heart is in its answers as it is in the labels. Its answers to fold 5, by which the student's weights are
chosen, are to people who only chose.

What is finished is kept (bundles and answers in --work, experts beside pulled weights), and a training that was killed
goes on from its checkpoint, when the same command is given again.
"""

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from enecg import EnECG, __version__, get_expert, load_cohort
from enecg.cohorts import Cohort
from enecg.ensemble import subject_codes
from enecg.evaluation import Fold, multiply_adds, split_by_column, write_json, write_roles
from enecg.evaluation._metrics import Scored, bootstrap_weights, drawn, interval_of, make_metric
from enecg.experts import variant_names
from enecg.files import write_whole
from enecg.inputs import encode_targets, subject_digest
from enecg.pretraining import Stage, Taught, TrainSettings, held_out_answers, pretrain
from enecg.recording import Recording
from enecg.tasks import get_task

ROOT = Path(__file__).parents[1]
NETWORK = "s4d-small"
METRIC = {
    "superclass": "macro_auroc",
    "statements": "macro_auroc",
    "rhythm_statements": "six_auroc",
    "rhythm": "macro_auroc",
    "sex": "auroc",
    "age": "mae",
}
"""The tasks, and the figure that each is compared by."""

TEACHER, STUDENT, LABELS = SYSTEMS = ("ensemble", "student", "labels alone")
SETTINGS = TrainSettings(steps=8000, precision="bf16", check_every=500)
DRAWS, TIMED, ROUNDS = 1000, 16, 7
"""Of the bootstrap; recordings whose answers are timed together, how often."""

Array = np.ndarray
Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What is learned from, and how. cohort : folds 1 to 6;  work : folder of what is finished."""

    cohort: Cohort
    fold: Fold
    teacher: tuple[str, ...]
    settings: TrainSettings
    seed: int
    store: Path | None
    work: Path

    @property
    def learned(self) -> Cohort:
        return self.cohort.take(np.flatnonzero(self.fold.learned))

    @property
    def choosing(self) -> Array:
        """Which of `learned` make choices."""
        return self.fold.validation[self.fold.learned]

    @property
    def tested(self) -> Cohort:
        return self.cohort.take(np.flatnonzero(self.fold.test))

    def expert(self, what: str) -> str:
        return f"{NETWORK}+{what}-{self.seed}"


def claim(run: Run) -> None:
    """What is finished must be of this run. Exits where it is of another, or a teacher has met who is to be tested."""
    people = {subject_digest(subject) for subject in run.tested.subjects if subject is not None}
    experts = [get_expert(name) for name in run.teacher]
    for card in (expert.card for expert in experts):
        if card.seen_subjects & people or {"ptbxl", "unknown"} & set(card.seen):
            sys.exit(f"{card.name} has met people of fold 6, or does not say; take one made by make_experts.py --judge")
    said = {
        "teacher": {expert.card.name: expert.fingerprint for expert in experts},
        "network": NETWORK,
        "recordings": len(run.cohort),
        "seed": run.seed,
        "settings": asdict(run.settings),
    }
    path = run.work / "run.json"
    made = [name for name in map(run.expert, ("student", "labels")) if name in variant_names()]
    if path.exists():
        found = json.loads(path.read_text())
        other = sorted(key for key in found | said if found.get(key) != said.get(key))
        if other:
            sys.exit(f"{run.work} is of another run ({', '.join(other)} not the same); remove it, or say --work FOLDER")
    elif made:
        sys.exit(f"{', '.join(made)}: there already, and {path} is not; remove the expert, or say --seed N")
    run.work.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(said, indent=1).encode())


def fitted(run: Run, name: str, experts: Sequence[str]) -> EnECG:
    """The ensemble of these experts, fitted on folds 1 to 4, 5 choosing; kept as a bundle."""
    folder = run.work / name
    if not (folder / "bundle.json").exists():
        model = EnECG(experts, tuple(METRIC), store=run.store, progress=True)
        model.fit(run.learned, validation=run.choosing).save(folder)
    return EnECG.load(folder).set_params(store=run.store, progress=True)


def answers(run: Run, ensemble: EnECG) -> Taught:
    """The teacher's answers to folds 1 to 5; kept in a file."""
    path = run.work / "taught.npz"
    if not path.exists():
        found = held_out_answers(ensemble, run.learned, validation=run.choosing, seed=run.seed)
        chose = ensemble.answer(ensemble.embed(run.learned.take(np.flatnonzero(run.choosing))))
        for name, own in chose.items():
            found.answers[name][run.choosing] = own.value
        people = {key: np.array(sorted(getattr(found, key)), "U32") for key in ("subjects", "seen", "chosen_by")}
        data = io.BytesIO()
        np.savez(data, **found.answers, **people)
        write_whole(path, data.getvalue())
    with np.load(path) as file:
        people = {key: frozenset(file[key].tolist()) for key in ("subjects", "seen", "chosen_by")}
        return Taught({name: file[name] for name in METRIC}, **people)


def train(run: Run, what: str, objective: str, taught: Taught | None) -> str:
    """The network taught so, as an expert; its name."""
    name = run.expert(what)
    if name not in variant_names():
        pretrain(
            NETWORK,
            name.partition("+")[2],
            run.learned,
            [Stage(objective, run.settings)],
            tasks=tuple(METRIC),
            taught=taught,
            validation=run.choosing,
            seed=run.seed,
            progress=True,
        )
    return name


def compared(run: Run, models: Mapping[str, EnECG]) -> list[Row]:
    """Every system's figures on fold 6, and what there is between them, paired on the same draws of subjects."""
    cohort = run.tested
    weights = bootstrap_weights(subject_codes(cohort.subjects), DRAWS, run.seed)
    said = {system: model.answer(model.embed(cohort)) for system, model in models.items()}
    made: list[Row] = []
    shares: list[Array] = []
    for name, metric in METRIC.items():
        task = get_task(name)
        truth = encode_targets(task, cohort.targets, len(cohort))
        own = {system: by_task[name].value for system, by_task in said.items()}
        there = np.isfinite(np.hstack([truth, *own.values()])).all(axis=1)
        found = {}
        for system, values in own.items():
            function = make_metric(metric, Scored(task, truth[there], values[there]))
            # The first is of the recordings as they are, the others of draws.
            found[system] = np.r_[function(np.ones((1, int(there.sum())))), drawn(function, weights[:, there])]
        known = {"task": name, "n": int(there.sum())}
        made += [known | _row(system, metric, draws) for system, draws in found.items()]
        sign = 1 if metric != "mae" else -1
        made.append(known | _row(f"{STUDENT} - {LABELS}", f"{metric} gain", sign * (found[STUDENT] - found[LABELS])))
        if metric == "mae":
            made.append(known | _row(f"{STUDENT} - {TEACHER}", f"{metric} gain", found[TEACHER] - found[STUDENT]))
            continue
        kept = {system: (found[system] - 0.5) / (found[TEACHER] - 0.5) for system in (STUDENT, LABELS)}
        made += [known | _row(system, "share", draws) for system, draws in kept.items()]
        shares.append(np.stack([kept[system] for system in (STUDENT, LABELS)]))
    mean = np.mean(shares, axis=0)
    return made + [{"task": "mean"} | _row(system, "share", mean[k]) for k, system in enumerate((STUDENT, LABELS))]


def _row(system: str, metric: str, draws: Array) -> Row:
    low, high = interval_of(draws[1:])
    return {"system": system, "metric": metric, "value": float(draws[0]), "low": low, "high": high}


def costs(run: Run, models: Mapping[str, EnECG]) -> list[Row]:
    """Multiply-adds and milliseconds of one recording's answers: experts, quality, gate, heads; no reading of files.

    Milliseconds are processor time of one thread, median over rounds in which the systems take turns; so is the ratio.
    """
    recordings = [item if isinstance(item, Recording) else item.read() for item in run.tested[:TIMED]]
    spent: dict[str, list[float]] = {system: [] for system in models}
    for model in models.values():
        model.set_params(store=None, progress=False)
    for number in range(ROUNDS + 1):
        for system, model in models.items():
            began = time.process_time()
            model.answer(model.embed(recordings))
            if number:  # The first time, things are loaded.
                spent[system].append((time.process_time() - began) / TIMED * 1e3)
    made = []
    for system, model in models.items():
        own = {expert.card.name: multiply_adds(expert, recordings[0]) for expert in model.fitted_experts()}
        heads = sum(model.ensemble_.head_parameters().values())
        made.append(
            {
                "system": system,
                "multiply-adds": sum(count or 0 for count in own.values()) + heads,
                "of heads": heads,
                "of experts": own,
                "milliseconds": float(np.median(spent[system])),
                "milliseconds ratio": float(np.median(np.divide(spent[system], spent[TEACHER]))),
            }
        )
    return [row | {"multiply-adds ratio": row["multiply-adds"] / made[0]["multiply-adds"]} for row in made]


def record(run: Run, models: Mapping[str, EnECG], command: str) -> dict[str, Any]:
    """For JSON."""
    rows, paid = compared(run, models), costs(run, models)
    counts = {"trained": run.fold.train, "validated": run.fold.validation, "tested": run.fold.test}
    return {
        "about": {
            "cohort": run.cohort.name,
            "licence": run.cohort.licence,
            "citation": run.cohort.citation,
            "teacher": list(run.teacher),
            "network": NETWORK,
            "settings": asdict(run.settings),
            "seed": run.seed,
            "draws": DRAWS,
            **{name: int(side.sum()) for name, side in counts.items()},
            "versions": {"enecg": __version__, "torch": torch.__version__, "numpy": np.__version__},
            "command": command,
        },
        "rows": rows,
        "costs": paid,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", default="rocket,measurements,s4d+judged-0")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--work", type=Path, default=ROOT / "build/student")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=SETTINGS.steps)
    parser.add_argument("--few", type=int, help="so many recordings of each fold only, to try the script")
    asked = parser.parse_args()
    torch.set_flush_denormal(True)
    cohort = load_cohort("ptbxl", asked.data / "ptbxl")
    if asked.few is not None:
        fold = np.array([str(value) for value in cohort.targets["fold"]])
        cohort = cohort.take(np.sort(np.concatenate([np.flatnonzero(fold == k)[: asked.few] for k in "123456"])))
    run = Run(
        cohort,
        split_by_column(cohort, "fold", list("1234"), ["5"], ["6"]),
        tuple(asked.teacher.split(",")),
        replace(SETTINGS, steps=asked.steps, check_every=min(SETTINGS.check_every, asked.steps)),
        asked.seed,
        asked.store,
        asked.work,
    )
    claim(run)
    teacher = fitted(run, "ensemble", run.teacher)
    taught = answers(run, teacher)
    student = train(run, "student", "distil", taught)
    labels = train(run, "labels", "supervised", None)
    models = {TEACHER: teacher, STUDENT: fitted(run, "student", [student]), LABELS: fitted(run, "labels", [labels])}
    command = f"python scripts/make_student.py --data FOLDER --teacher {asked.teacher} --steps {asked.steps}"
    write_json(record(run, models, f"{command} --seed {asked.seed}"), asked.results / "student.json")
    letters = np.where(run.fold.train, "t", np.where(run.fold.validation, "v", np.where(run.fold.test, "e", "-")))
    ids = [item.id or f"#{row}" for row, item in enumerate(run.cohort)]
    write_roles(dict(zip(ids, letters.tolist(), strict=True)), asked.results / "student.csv")
    print(asked.results / "student.json", flush=True)


if __name__ == "__main__":
    main()
