"""From answers to rows: metrics with intervals, paired differences, coverage, groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.cohorts import Cohort
from enecg.ensemble import Answers
from enecg.evaluation._metrics import (
    COVERAGE,
    ECE,
    INTERVAL,
    SET_SIZE,
    Counts,
    Scored,
    bootstrap_weights,
    calibration_error,
    drawn,
    higher_is_better,
    interval_of,
    make_metric,
    metrics_of,
)
from enecg.evaluation._systems import BEST, ENSEMBLE, PAPER, PEER, UNGATED, UNIFORM, Tested
from enecg.tasks import Task

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Row = dict[str, Any]

DRAWS = 1000
AGE_BANDS = {
    "under 40 y": (0.0, 40.0),
    "40 to 60 y": (40.0, 60.0),
    "60 to 75 y": (60.0, 75.0),
    "75 y and over": (75.0, np.inf),
}
"""By name, from which age and below which."""
COMPARED = (PEER, BEST, UNIFORM, UNGATED, PAPER, "ensemble, top 2", "ensemble, top 1")
MIN_GROUP = 30
"""A group of fewer recordings has no row, one of fewer subjects no interval."""
REGULAR_MS = 40
"""Standard deviation of the annotated RR intervals up to which a rhythm counts as regular."""


def score(
    task: Task,
    truth: Array,
    rounds: Sequence[Sequence[Tested]],
    codes: Places,
    cohort: Cohort,
    seed: int,
) -> list[Row]:
    """All rows of one task. truth : encoded labels [recording, output];  codes : subjects.

    A metric of several rounds is its mean over them; the bootstrap draws the same subjects for all systems and rounds.
    """
    pooled = [Pooled.of(task.name, round_, len(truth)) for round_ in rounds]
    rows = np.flatnonzero(_answered(pooled, ENSEMBLE) & ~np.isnan(truth).any(axis=1))
    if len(rows) < 2:
        return []
    weights = bootstrap_weights(codes[rows], DRAWS, seed)
    whole = _measured(task, truth, pooled, ENSEMBLE, rows, weights)
    made: list[Row] = []
    gains: list[Row] = []
    for system in pooled[0].answers:
        # A system that could not answer some recordings is judged by the others, and compared on them.
        there = _answered(pooled, system)[rows]
        n = int(there.sum())
        if n < 2:
            continue
        here, drawn_here = rows[there], weights[:, there]
        found = _measured(task, truth, pooled, system, here, drawn_here)
        for metric, (value, draws) in found.items():
            made.append(_row(task, system, metric, value, n) | _reach(draws))
        if task.kind != "regression" and system != PEER:
            errors = [calibration_error(own.scored(task, truth, system, here)) for own in pooled]
            made.append(_row(task, system, ECE, float(np.mean(errors)), n))
        if system in COMPARED:
            ours = whole if there.all() else _measured(task, truth, pooled, ENSEMBLE, here, drawn_here)
            gains += [_gain(task, system, metric, ours[metric], found[metric], n) for metric in _compared(task)]
    made += sorted(gains, key=lambda row: COMPARED.index(row["system"].removeprefix("ensemble - ")))
    parts = [part for round_ in rounds for part in round_]
    made += _coverage(task, truth, [(part.places, part.ensemble[task.name]) for part in parts])
    made += _groups(task, truth, pooled, rows, weights, codes, cohort)
    # What too few recordings leave undefined (an AUROC of one class) is no row.
    return [row for row in made if np.isfinite(row["value"])]


@dataclass(frozen=True)
class Pooled:
    """The folds of a round together, for one task.

    answers : by system [recording, output], NaN where not tested;  fold : int [recording], which one tested it.
    """

    answers: Mapping[str, Array]
    fold: Places

    @classmethod
    def of(cls, task: str, round_: Sequence[Tested], n: int) -> "Pooled":
        """n : recordings of the cohort."""
        answers: dict[str, Array] = {}
        fold = np.full(n, -1, dtype=np.intp)
        for number, part in enumerate(round_):
            fold[part.places] = number
            for system, by_task in part.answers.items():
                if task in by_task:
                    own = by_task[task]
                    whole = answers.setdefault(system, np.full((n, own.shape[1]), np.nan, np.float32))
                    whole[part.places] = own
        return cls(answers, fold)

    def scored(self, task: Task, truth: Array, system: str, rows: Places) -> Scored:
        """A system's answers to some rows, beside the truth."""
        return Scored(task, truth[rows], self.answers[system][rows], self.fold[rows])


def _answered(pooled: Sequence[Pooled], system: str) -> npt.NDArray[np.bool_]:
    """Recordings that a system answered in every round."""
    if not all(system in own.answers for own in pooled):
        return np.zeros(len(pooled[0].fold), dtype=np.bool_)
    return np.asarray(np.logical_and.reduce([np.isfinite(own.answers[system]).all(axis=1) for own in pooled]))


def _measured(
    task: Task,
    truth: Array,
    pooled: Sequence[Pooled],
    system: str,
    rows: Places,
    weights: Counts,
    names: Sequence[str] | None = None,
) -> dict[str, tuple[float, Double]]:
    """A system's metrics on some rows, mean over rounds: by name, the value and those of the bootstrap's draws."""
    scored = [own.scored(task, truth, system, rows) for own in pooled]
    plain = np.ones((1, len(rows)))
    made = {}
    for metric in metrics_of(task) if names is None else names:
        functions = [make_metric(metric, one) for one in scored]
        value = float(np.mean([function(plain)[0] for function in functions]))
        made[metric] = value, np.mean([drawn(function, weights) for function in functions], axis=0)
    return made


def _row(task: Task, system: str, metric: str, value: float, n: int) -> Row:
    return {"task": task.name, "system": system, "metric": metric, "value": value, "n": n}


def _reach(draws: Double) -> Row:
    """The 95 % interval, where it is known."""
    low, high = interval_of(draws)
    return {"low": low, "high": high} if np.isfinite(low) else {}


def _compared(task: Task) -> tuple[str, ...]:
    """Metrics by which systems are compared."""
    return metrics_of(task) if task.name == "rhythm_statements" else metrics_of(task)[:1]


def _gain(task: Task, other: str, metric: str, ours: tuple[float, Double], theirs: tuple[float, Double], n: int) -> Row:
    """Ensemble against another system on the same recordings and draws; above 0 is for the ensemble."""
    sign = 1 if higher_is_better(metric) else -1
    row = _row(task, f"ensemble - {other}", f"{metric} gain", sign * (ours[0] - theirs[0]), n)
    return row | _reach(sign * (ours[1] - theirs[1]))


def _coverage(task: Task, truth: Array, parts: Sequence[tuple[Places, Answers]]) -> list[Row]:
    """Share of test recordings whose truth lies in the interval or set, and how large these are on average."""
    inside, sizes = [], []
    for places, own in parts:
        known = ~np.isnan(truth[places]).any(axis=1) & np.isfinite(own.value).all(axis=1)
        wanted = truth[places][known]
        if own.low is not None and own.high is not None:
            inside.append((own.low[known] <= wanted[:, 0]) & (wanted[:, 0] <= own.high[known]))
            sizes.append(own.high[known] - own.low[known])
        elif own.members is not None and task.kind == "multiclass":
            certain = wanted.sum(axis=1) == 1
            marks = own.members[known][certain]
            inside.append(marks[np.arange(len(marks)), wanted[certain].argmax(axis=1)] == 1)
            sizes.append(marks.sum(axis=1))
        elif own.members is not None:
            marks = own.members[known]
            inside.append(((marks == -1) | (marks == wanted)).ravel())
            sizes.append(1 + (marks == -1).ravel())
    covered, size = np.concatenate(inside), np.concatenate(sizes)
    if not len(covered):
        return []
    width = INTERVAL if task.kind == "regression" else SET_SIZE
    return [
        _row(task, ENSEMBLE, COVERAGE, float(covered.mean()), len(covered)),
        _row(task, ENSEMBLE, width, float(size.mean()), len(covered)),
    ]


def _groups(
    task: Task,
    truth: Array,
    pooled: Sequence[Pooled],
    rows: Places,
    weights: Counts,
    codes: Places,
    cohort: Cohort,
) -> list[Row]:
    """The main metric by sex and by age band, from the draws of subjects that the whole has. weights : [draw, row]."""
    metrics = metrics_of(task)
    metrics = metrics if task.name == "rr_interval" else metrics[:1]
    groups: dict[str, npt.NDArray[np.bool_]] = {}
    if "sex" in cohort.targets.columns and task.name != "sex":
        sex = np.array([str(value) for value in cohort.targets["sex"]])[rows]
        groups |= {value: sex == value for value in ("female", "male")}
    if "age" in cohort.targets.columns:
        age = _numbers(cohort, "age")[rows]
        groups |= {name: (age >= low) & (age < high) for name, (low, high) in AGE_BANDS.items()}
    if task.name == "rr_interval" and "rr_sd" in cohort.targets.columns:
        spread = np.nan_to_num(_numbers(cohort, "rr_sd")[rows], nan=np.inf)
        groups |= {f"RR SD up to {REGULAR_MS} ms": spread <= REGULAR_MS, "less regular": spread > REGULAR_MS}
    made = []
    for label, mask in groups.items():
        n, here = int(mask.sum()), rows[mask]
        if n < MIN_GROUP:
            continue
        people = len(np.unique(codes[here]))
        whose = {"group": label, "subjects": people}
        found = _measured(task, truth, pooled, ENSEMBLE, here, weights[:, mask], metrics)
        for metric, (value, draws) in found.items():
            reach = _reach(draws) if people >= MIN_GROUP else {}
            made.append(_row(task, ENSEMBLE, metric, value, n) | whose | reach)
    return made


def _numbers(cohort: Cohort, column: str) -> Double:
    """A column as numbers, NaN where it holds none: it is no task here, so that nobody has looked at it."""
    import polars

    return np.asarray(cohort.targets[column].cast(polars.Float64, strict=False).to_numpy(), dtype=np.float64)
