"""Cross-validation or a fixed split, by subject, with intervals: one row for each task, system and metric."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.cohorts import Cohort
from enecg.ensemble import Answers
from enecg.ensemble._splits import folds_of, hold_out, subject_codes
from enecg.errors import FitError, LeakageError
from enecg.estimator import EnECG, encode_targets
from enecg.evaluation._metrics import (
    Scored,
    bootstrap_weights,
    calibration_error,
    higher_is_better,
    interval_of,
    label_auroc,
    make_metric,
    metrics_of,
)
from enecg.evaluation._systems import alone, best_expert, trivial, uniform, values
from enecg.store import Embedded

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

DRAWS = 1000
AGE_BANDS = ((0, 40), (40, 60), (60, 75), (75, 200))
SIX_RHYTHMS = ("SR", "AFIB", "STACH", "SBRAD", "SARRH", "PACE")
"""PTB-XL's rhythm statements with more than a hundred recordings each."""


@dataclass
class Evaluation:
    """Rows of a table, and what they were made from.

    rows : {"task", "system", "metric", "value", "low", "high", "n", ...};  about : command, cohort, counts.
    answers : by system and task, float32 [recording, output], NaN where not tested.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, dict[str, Array]] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"about": self.about, "rows": self.rows}


@dataclass(frozen=True)
class Fold:
    """Who trains, who makes choices, who is tested: bool [recording] each."""

    train: Mask
    validation: Mask
    test: Mask


def evaluate(
    estimator: EnECG,
    cohort: Cohort,
    *,
    folds: int = 5,
    split: Sequence[Fold] | None = None,
    paper: bool = False,
    peer: Mapping[str, Array] | None = None,
    allow_seen: bool = False,
    seed: int = 0,
    embedded: Embedded | None = None,
) -> Evaluation:
    """Train and test clones of an estimator, every subject on one side of each split.

    folds : of a cross-validation by subject;  split : given folds instead;  paper : whether recipe "paper" is compared.
    peer : another system's answers by task [recording, output], compared where they are finite.
    Raises LeakageError for an expert that has seen the cohort (unless allow_seen, which flags every row) and for a
    subject on both sides of a split; FitError where a fold cannot be trained.
    """
    seen = [expert.card.name for expert in estimator.fitted_experts() if _has_seen(expert.card.seen, cohort)]
    if seen and not allow_seen:
        raise LeakageError(
            f"{', '.join(seen)} was trained on cohort {cohort.name} (or does not say): results would be too good. "
            "Leave it out, or allow it and have every row flagged"
        )
    embedded = estimator.embed(cohort) if embedded is None else embedded
    tasks = estimator.task_list()
    targets = {task.name: encode_targets(task, cohort.targets, len(cohort)) for task in tasks}
    codes = subject_codes(cohort.subjects)
    plan = list(split) if split is not None else cross_validation(codes, targets, folds, seed)
    found = Evaluation()
    detail: dict[str, list[Any]] = {}
    for fold in plan:
        check_split(codes, cohort.subjects, fold)
        _one_fold(estimator, embedded, targets, fold, found, detail, paper)
    if peer is not None:
        found.answers["peer"] = {name: own for name, own in peer.items() if name in targets}
    tested = np.logical_or.reduce([fold.test for fold in plan])
    for task in tasks:
        _score(task.name, targets[task.name], found, detail, codes, cohort, tested, seed, task)
    for row in found.rows:
        if seen:
            row["seen_by"] = seen
    found.rows += _resources(detail)
    found.about |= {
        "cohort": cohort.name,
        "simulated": cohort.simulated,
        "recordings": len(cohort),
        "subjects": len(set(codes.tolist())),
        "tested": int(tested.sum()),
        "folds": len(plan),
        "experts": list(estimator.expert_names()),
        "fitted": list(detail["notes"]),
    }
    return found


def cross_validation(codes: npt.NDArray[np.intp], targets: Mapping[str, Array], folds: int, seed: int) -> list[Fold]:
    """Folds by subject; an eighth of each training part makes choices."""
    if folds < 2 or len(np.unique(codes)) < 2 * folds:
        raise FitError(f"{len(np.unique(codes))} subjects for {folds} folds; expected two subjects for each at least")
    number = folds_of(codes, folds, seed)
    labelled = np.column_stack([~np.isnan(column).any(axis=1) for column in targets.values()])
    plan = []
    for fold in range(folds):
        rest = number != fold
        held = np.zeros(len(codes), dtype=bool)
        held[rest] = hold_out(codes[rest], labelled[rest], 1 / 8, seed + fold)
        plan.append(Fold(rest & ~held, held, ~rest))
    return plan


def check_split(codes: npt.NDArray[np.intp], subjects: Sequence[str | None], fold: Fold) -> None:
    """Raises LeakageError if a subject stands on two sides."""
    sides = (fold.train, fold.validation, fold.test)
    for first in range(3):
        for second in range(first + 1, 3):
            both = np.intersect1d(codes[sides[first]], codes[sides[second]])
            if len(both):
                row = int(np.flatnonzero(codes == both[0])[0])
                raise LeakageError(f"subject {subjects[row]} is on two sides of the split; split whole subjects")


def _has_seen(seen: Sequence[str], cohort: Cohort) -> bool:
    # The simulator's own experts are made from other seeds than the cohort's.
    return not cohort.simulated and (cohort.name in seen or "unknown" in seen)


def _one_fold(
    estimator: EnECG,
    embedded: Embedded,
    targets: Mapping[str, Array],
    fold: Fold,
    found: Evaluation,
    detail: dict[str, list[Any]],
    paper: bool,
) -> None:
    rows = np.flatnonzero(fold.train | fold.validation)
    part = embedded.take(rows)
    own = {name: column[rows] for name, column in targets.items()}
    began = time.monotonic()
    ensemble = estimator.clone().fit_encoded(part, own, fold.validation[rows]).ensemble_
    detail.setdefault("seconds", []).append(time.monotonic() - began)
    detail.setdefault("parameters", []).append(ensemble.n_parameters)
    detail.setdefault("notes", []).append(ensemble.notes)
    places = np.flatnonzero(fold.test)
    test = embedded.take(places)
    answers = ensemble.predict(test)
    made = {"ensemble": values(answers), "uniform": values(uniform(ensemble, test)), "trivial": trivial(ensemble, test)}
    for k in (2, 1):
        if k < len(ensemble.experts):
            made[f"top-{k}"] = values(ensemble.predict(test, top_k=k))
    for expert in ensemble.experts:
        made[expert] = values(alone(ensemble, test, expert))
    best = best_expert(ensemble, embedded.take(fold.validation), {n: c[fold.validation] for n, c in targets.items()})
    made["best expert"] = {name: made[best[name]][name] for name in best}
    detail.setdefault("best", []).append(best)
    if paper:
        other = estimator.clone().set_params(recipe="paper", settings=None)
        fitted = other.fit_encoded(part, own, fold.validation[rows]).ensemble_
        made["paper recipe"] = values(fitted.predict(test))
    for system, by_task in made.items():
        for name, value in by_task.items():
            whole = found.answers.setdefault(system, {}).setdefault(
                name, np.full((len(embedded), value.shape[1]), np.nan, np.float32)
            )
            whole[places] = value
    detail.setdefault("answers", []).append((places, answers))


def _score(
    name: str,
    truth: Array,
    found: Evaluation,
    detail: dict[str, list[Any]],
    codes: npt.NDArray[np.intp],
    cohort: Cohort,
    tested: Mask,
    seed: int,
    task: Any,
) -> None:
    labelled = tested & ~np.isnan(truth).any(axis=1)
    main = metrics_of(task)[0]
    ours = found.answers["ensemble"][name]
    rows = np.flatnonzero(labelled & np.isfinite(ours).all(axis=1))
    if not len(rows):
        return
    weights = bootstrap_weights(codes[rows], DRAWS, seed)
    plain = np.ones((1, len(rows)))
    drawn: dict[str, npt.NDArray[np.float64]] = {}
    for system, by_task in found.answers.items():
        if name not in by_task or not np.isfinite(by_task[name][rows]).all():
            continue
        scored = Scored(task, truth[rows], by_task[name][rows])
        named = {metric: make_metric(metric, scored) for metric in metrics_of(task)}
        if task.name == "rhythm_statements":
            named["six_auroc"] = label_auroc(scored, SIX_RHYTHMS)
        for metric, function in named.items():
            values_drawn = function(weights)
            low, high = interval_of(values_drawn)
            row = {"task": name, "system": system, "metric": metric, "value": float(function(plain)[0])}
            found.rows.append(row | {"low": low, "high": high, "n": len(rows)})
            drawn[f"{system}/{metric}"] = values_drawn
            drawn[f"{system}/{metric}/plain"] = function(plain)
        if task.kind != "regression" and system in ("ensemble", "trivial"):
            error = calibration_error(scored)
            found.rows.append({"task": name, "system": system, "metric": "ece", "value": error, "n": len(rows)})
    for other in ("best expert", "uniform", "peer", "paper recipe", "top-2"):
        for metric in (main, "six_auroc"):
            if f"{other}/{metric}" in drawn:
                found.rows.append(_difference(name, other, metric, drawn, len(rows)))
    found.rows += _coverage(name, truth, detail)
    found.rows += _groups(name, main, truth, ours, rows, cohort, task)


def _difference(task: str, other: str, metric: str, drawn: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Ensemble against another system on the same draws; above 0 is for the ensemble."""
    sign = 1 if higher_is_better(metric) else -1
    low, high = interval_of(sign * (drawn[f"ensemble/{metric}"] - drawn[f"{other}/{metric}"]))
    value = sign * float(drawn[f"ensemble/{metric}/plain"][0] - drawn[f"{other}/{metric}/plain"][0])
    row = {"task": task, "system": f"ensemble - {other}", "metric": f"{metric} gain", "value": value}
    return row | {"low": low, "high": high, "n": n}


def _coverage(name: str, truth: Array, detail: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """Share of test recordings whose truth lies in the interval or set, and how large these are."""
    inside, sizes = [], []
    for places, answers in detail["answers"]:
        own: Answers = answers[name]
        known = ~np.isnan(truth[places]).any(axis=1) & np.isfinite(own.value).all(axis=1)
        wanted = truth[places][known]
        if own.low is not None and own.high is not None:
            inside.append((own.low[known] <= wanted[:, 0]) & (wanted[:, 0] <= own.high[known]))
            sizes.append(own.high[known] - own.low[known])
        elif own.members is not None and own.task.kind == "multiclass":
            certain = wanted.sum(axis=1) == 1
            marks = own.members[known][certain]
            inside.append(marks[np.arange(len(marks)), wanted[certain].argmax(axis=1)] == 1)
            sizes.append(marks.sum(axis=1))
        elif own.members is not None:
            marks = own.members[known]
            inside.append(((marks == -1) | (marks == wanted)).ravel())
            sizes.append(1 + (marks == -1).ravel())
    covered, size = np.concatenate(inside), np.concatenate(sizes)
    rows = [{"task": name, "system": "ensemble", "metric": "coverage", "value": float(covered.mean())}]
    rows.append({"task": name, "system": "ensemble", "metric": "size", "value": float(size.mean())})
    return [row | {"n": len(covered)} for row in rows]


def _groups(
    name: str, metric: str, truth: Array, ours: Array, rows: npt.NDArray[np.intp], cohort: Cohort, task: Any
) -> list[dict[str, Any]]:
    """The main metric by sex and age band."""
    made = []
    sex = np.array(cohort.targets["sex"].to_list())[rows] if "sex" in cohort.targets.columns else None
    age = cohort.targets["age"].to_numpy()[rows] if "age" in cohort.targets.columns else None
    groups: dict[str, Mask] = {}
    if sex is not None and name != "sex":
        groups |= {value: sex == value for value in ("female", "male")}
    if age is not None:
        groups |= {f"{low} to {high} y": (age >= low) & (age < high) for low, high in AGE_BANDS}
    for label, mask in groups.items():
        if mask.sum() >= 30:
            scored = Scored(task, truth[rows][mask], ours[rows][mask])
            value = float(make_metric(metric, scored)(np.ones((1, int(mask.sum()))))[0])
            made.append({"task": name, "system": "ensemble", "metric": metric, "group": label, "value": value})
            made[-1]["n"] = int(mask.sum())
    return made


def _resources(detail: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {
        "seconds to fit": float(np.mean(detail["seconds"])),
        "trained parameters": float(np.mean(detail["parameters"])),
        "peak MiB": peak,
    }
    return [{"task": "", "system": "ensemble", "metric": name, "value": value} for name, value in found.items()]
