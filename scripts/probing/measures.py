"""How well probes answer: areas under the curve and errors on every draw of a bootstrap over subjects."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.evaluation._metrics import MIN_CLASS, SIX_RHYTHMS, _mean_of_known, bootstrap_weights, interval_of
from enecg.tasks import Task

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]

DRAWS = 1000
METRICS = {
    "superclass": ("macro_auroc",),
    "statements": ("auroc_all", "auroc_10"),
    "rhythm_statements": ("six_auroc",),
    "rhythm": ("macro_auroc",),
    "sex": ("auroc",),
    "age": ("mae",),
}
"""By task. Of the 71 statements all that have a positive recording in the test set, and those that have ten."""

LEAST = {"auroc_all": 1, "auroc_10": 10, "auroc": 1, "macro_auroc": MIN_CLASS}
"""How many positive and how many negative recordings a class must have to be part of a mean."""


class Jury:
    """Measures answers to one test set, always on the same draws of its subjects.

    truth : by task, encoded labels [recording, output];  codes : subject of each recording.
    """

    def __init__(self, truth: Mapping[str, Array], codes: npt.NDArray[np.intp], seed: int = 0) -> None:
        self.truth = truth
        drawn = bootstrap_weights(codes, DRAWS, seed).astype(np.float32)
        # What is measured first, with everyone once, is the plain value.
        self.weights = np.vstack([np.ones((1, len(codes)), np.float32), drawn])

    def measure(self, task: Task, answer: Array) -> dict[str, Double]:
        """By metric [1 + draw]: the value, and that on each draw, of the recordings that have label and answer."""
        here = self._here(task, answer)
        truth, answer, weights = self.truth[task.name][here], answer[here], self.weights[:, here]
        if task.kind == "regression":
            return {"mae": np.asarray(weights @ np.abs(answer - truth)[:, 0] / weights.sum(axis=1), dtype=np.float64)}
        groups = {metric: classes_of(task, metric, truth) for metric in METRICS[task.name]}
        used = sorted(set().union(*groups.values()))
        found = areas(answer[:, used], truth[:, used], weights)
        return {metric: _mean_of_known(found[:, np.searchsorted(used, own)], axis=1) for metric, own in groups.items()}

    def rows(self, task: Task, system: str, answers: Sequence[Array]) -> list[dict[str, Any]]:
        """A row for each metric: the mean over several answers, as of several seeds, with its interval."""
        return [
            {**row_of(task, system, metric, values), "n": int(self._here(task, *answers).sum())}
            for metric, values in self.mean(task, answers).items()
        ]

    def mean(self, task: Task, answers: Sequence[Array]) -> dict[str, Double]:
        """Of several answers' measures, by metric [1 + draw]."""
        measured = [self.measure(task, answer) for answer in answers]
        return {metric: np.mean([one[metric] for one in measured], axis=0) for metric in METRICS[task.name]}

    def dropped(self, task: Task) -> dict[str, dict[str, float]]:
        """By metric: how many classes are averaged, and how often a draw has no positive (or no negative) of one."""
        truth = self.truth[task.name]
        here = ~np.isnan(truth).any(axis=1)
        told = {}
        for metric in METRICS[task.name] if task.kind != "regression" else ():
            own = classes_of(task, metric, truth[here])
            drawn, up = self.weights[1:, here], truth[here][:, own] > 0.5
            lacking = (drawn @ up == 0) | (drawn @ ~up == 0)  # [draw, class]
            told[metric] = {
                "classes": len(own),
                "draws without one": float(lacking.any(axis=1).mean()) if own else 0.0,
                "classes dropped per draw": float(lacking.sum(axis=1).mean()) if own else 0.0,
            }
        return told

    def _here(self, task: Task, *answers: Array) -> npt.NDArray[np.bool_]:
        known = [~np.isnan(one).any(axis=1) for one in (self.truth[task.name], *answers)]
        return np.asarray(np.logical_and.reduce(known))


def row_of(task: Task, system: str, metric: str, values: Double) -> dict[str, Any]:
    """values : [1 + draw], as `Jury.measure` gives them."""
    low, high = interval_of(values[1:])
    return {"task": task.name, "system": system, "metric": metric, "value": float(values[0]), "low": low, "high": high}


def classes_of(task: Task, metric: str, truth: Array) -> list[int]:
    """The columns whose AUROC a metric averages, by what the test set has of each."""
    if metric == "six_auroc":
        return counted(task)
    positive = (truth > 0.5).sum(axis=0)
    return np.flatnonzero(np.minimum(positive, len(truth) - positive) >= LEAST[metric]).tolist()


def counted(task: Task) -> list[int]:
    """The columns that are judged by: of rhythm statements the six that are not rare, of other tasks all."""
    names = SIX_RHYTHMS if task.name == "rhythm_statements" else task.classes
    return sorted(map(task.classes.index, names)) if task.kind != "binary" else [0]


def areas(answer: Array, truth: Array, weights: Array) -> Double:
    """AUROC of each class on each draw, [draw, class]; NaN where a draw has no positive or no negative.

    answer, truth : [recording, class];  weights : [draw, recording], how often each is drawn.
    What `enecg.evaluation._metrics.auroc` gives, by one product of the rarer side with all others: of seventy codes
    most are rare, and sorting for each of them takes ten times as long.
    """
    found = np.empty((len(weights), truth.shape[1]))
    for k, (score, up) in enumerate(zip(answer.T, truth.T > 0.5, strict=True)):
        few = up if 2 * up.sum() <= len(up) else ~up
        own = score[few, None]
        above = ((own > score) + np.float32(0.5) * (own == score)) * ~few  # [few, recording]
        drawn = weights[:, few]
        right = np.einsum("dn,dn->d", drawn @ above, weights, dtype=np.float64)
        pairs = drawn.sum(axis=1, dtype=np.float64) * weights[:, ~few].sum(axis=1, dtype=np.float64)
        area = np.divide(right, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)
        found[:, k] = area if few is up else 1 - area
    return found
