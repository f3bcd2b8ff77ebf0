"""Metrics that take weights, so that a bootstrap over subjects is one matrix product instead of a thousand loops.

Each metric is a function of weights [draw, recording] -> [draw]; weights of one row of ones give the plain value.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enecg.evaluation._challenge import challenge_metric, decided
from enecg.tasks import Task

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint16]
Metric = Callable[[Double], Double]

SIX_RHYTHMS = ("SR", "AFIB", "STACH", "SBRAD", "SARRH", "PACE")
"""PTB-XL's rhythm statements with more than a hundred recordings each."""

MIN_CLASS = 5
"""Classes with fewer positive or negative recordings have no AUROC worth averaging."""

ECE, COVERAGE, INTERVAL, SET_SIZE = OF_CERTAINTY = ("ece", "coverage", "mean interval", "mean set size")
"""What is measured of probabilities, intervals and sets, whatever the task."""

_BLOCK = 2**22
"""Weights that a metric gets at a time."""


@dataclass(frozen=True)
class Scored:
    """One task's answers on labelled recordings: truth as encoded, answers in the task's unit or as probabilities.

    fold : int [recording], which model answered (none: one for all). Areas under the curve compare recordings of one
        fold only: across folds a constant answer would be worse than chance, as what a fold tests is missing from what
        its model learned.
    """

    task: Task
    truth: Array
    answer: Array
    fold: npt.NDArray[np.intp] | None = None


def metrics_of(task: Task) -> tuple[str, ...]:
    """Names of a task's metrics, the first the one that systems are compared by."""
    if task.name == "rr_interval":
        return ("mae", "rmse", "over_20")
    if task.name == "cinc2021":
        return ("macro_auroc", "challenge_score")
    if task.name == "rhythm_statements":
        return ("macro_auroc", "six_auroc")
    return {
        "regression": ("mae", "rmse"),
        "binary": ("auroc", "accuracy", "macro_f1"),
        "multiclass": ("macro_auroc", "accuracy", "macro_f1"),
        "multilabel": ("macro_auroc",),
    }[task.kind]


def metric_names(tasks: Iterable[Task]) -> list[str]:
    """Names of all that is measured of these tasks' answers, each once."""
    return list(dict.fromkeys([*(name for task in tasks for name in metrics_of(task)), *OF_CERTAINTY]))


def higher_is_better(metric: str) -> bool:
    """Whether more of it is better."""
    return metric not in ("mae", "rmse", "over_20", ECE)


def make_metric(name: str, scored: Scored) -> Metric:
    """The metric as a function of weights."""
    truth, answer = scored.truth.astype(np.float64), scored.answer.astype(np.float64)
    if name == "mae":
        return _mean(np.abs(truth[:, 0] - answer[:, 0]))
    if name == "rmse":
        square = _mean((truth[:, 0] - answer[:, 0]) ** 2)
        return lambda weights: np.sqrt(square(weights))
    if name == "over_20":
        return _mean((np.abs(truth[:, 0] - answer[:, 0]) > 20).astype(np.float64))
    if name == "accuracy":
        if scored.task.kind == "binary":
            return _mean(((answer[:, 0] >= 0.5) == (truth[:, 0] >= 0.5)).astype(np.float64))
        hit = truth[np.arange(len(truth)), answer.argmax(axis=1)] > 0
        return _mean(hit.astype(np.float64))
    if name == "macro_f1":
        return _macro_f1(truth, answer)
    if name == "challenge_score":
        return challenge_metric(truth > 0, decided(answer))
    if name == "six_auroc":
        return label_auroc(scored, SIX_RHYTHMS)
    columns = range(truth.shape[1])
    usable = [k for k in columns if min((truth[:, k] > 0.5).sum(), (truth[:, k] < 0.5).sum()) >= MIN_CLASS]
    parts = [auroc(answer[:, k], truth[:, k] > 0.5, scored.fold) for k in usable]
    if not parts:
        return lambda weights: np.full(len(weights), np.nan)
    return lambda weights: _mean_of_known(np.array([part(weights) for part in parts]), axis=0)


def label_auroc(scored: Scored, names: tuple[str, ...]) -> Metric:
    """Mean AUROC of some classes of a multilabel task."""
    places = [scored.task.classes.index(name) for name in names]
    parts = [auroc(scored.answer[:, k].astype(np.float64), scored.truth[:, k] > 0.5, scored.fold) for k in places]
    return lambda weights: _mean_of_known(np.array([part(weights) for part in parts]), axis=0)


def calibration_error(scored: Scored, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): of the top class, or of each label's probability for multilabel."""
    if scored.task.kind == "multiclass":
        confidence = scored.answer.max(axis=1)
        right = scored.truth[np.arange(len(scored.truth)), scored.answer.argmax(axis=1)] > 0
    else:
        confidence, right = scored.answer.ravel(), scored.truth.ravel() > 0.5
    place = np.minimum((confidence * bins).astype(np.intp), bins - 1)
    gaps = [
        np.abs(confidence[place == k].mean() - right[place == k].mean()) * (place == k).mean()
        for k in range(bins)
        if (place == k).any()
    ]
    return float(np.sum(gaps))


def bootstrap_weights(subjects: npt.NDArray[np.intp], draws: int, seed: int) -> Counts:
    """How often each recording is drawn when subjects are drawn with replacement: [draw, recording]."""
    people, place = np.unique(subjects, return_inverse=True)
    rng = np.random.default_rng([seed, 77])
    counts = rng.multinomial(len(people), np.full(len(people), 1 / len(people)), size=draws)
    return counts.astype(np.uint16)[:, place]


def drawn(metric: Metric, weights: Counts) -> Double:
    """A metric's values [draw] over bootstrap weights, a block of draws at a time: a metric copies its weights."""
    blocks = np.array_split(weights, -(-weights.size // _BLOCK))
    return np.concatenate([metric(block.astype(np.float64)) for block in blocks])


def interval_of(values: Double) -> tuple[float, float]:
    """The middle 95 % of bootstrap values; NaN where none is known."""
    if np.isnan(values).all():
        return float("nan"), float("nan")
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _mean_of_known(values: Double, axis: int) -> Double:
    """Mean over an axis without the NaNs; NaN where there is nothing else."""
    known = ~np.isnan(values)
    total, count = np.where(known, values, 0).sum(axis=axis), known.sum(axis=axis)
    return np.asarray(np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0))


def _mean(values: Double) -> Metric:
    def value(weights: Double) -> Double:
        total = weights.sum(axis=1)
        return np.asarray(np.divide(weights @ values, total, out=np.full(len(total), np.nan), where=total > 0))

    return value


def _macro_f1(truth: Double, answer: Double) -> Metric:
    """Mean over the classes that occur of 2 hits / (2 hits + false alarms + misses)."""
    if truth.shape[1] == 1:
        truth, answer = np.hstack([1 - truth, truth]), np.hstack([1 - answer, answer])
    said = answer.argmax(axis=1)[:, None] == np.arange(truth.shape[1])
    certain = (truth.sum(axis=1) == 1)[:, None]  # A label that allows several classes hits or misses none of them.
    occurs = (certain & (truth > 0)).any(axis=0)
    hits, wrong = (certain & said & (truth > 0))[:, occurs], (certain & (said != (truth > 0)))[:, occurs]

    def value(weights: Double) -> Double:
        twice, errors = 2 * weights @ hits, weights @ wrong
        scores = np.divide(twice, twice + errors, out=np.full_like(twice, np.nan), where=twice + errors > 0)
        return _mean_of_known(scores, axis=1)

    return value


def auroc(scores: Double, positive: npt.NDArray[np.bool_], fold: npt.NDArray[np.intp] | None) -> Metric:
    """Area under the ROC curve: weighted share of pairs in the right order, ties by half, pairs of one fold only."""
    whose = np.zeros(len(scores), dtype=np.intp) if fold is None else fold
    order = np.lexsort((scores, whose))
    ranked, sign, whose = scores[order], positive[order], whose[order]
    changes = whose[1:] != whose[:-1]
    ties = np.flatnonzero(np.r_[True, changes | (ranked[1:] != ranked[:-1])])
    folds = np.searchsorted(ties, np.flatnonzero(np.r_[True, changes]))
    sizes = np.diff(np.r_[folds, len(ties)])

    def value(weights: Double) -> Double:
        w = weights[:, order]
        up = np.add.reduceat(w * sign, ties, axis=1)
        down = np.add.reduceat(w * ~sign, ties, axis=1)
        all_up, all_down = (np.add.reduceat(part, folds, axis=1) for part in (up, down))
        before = np.repeat(np.cumsum(all_down, axis=1) - all_down, sizes, axis=1)
        below = np.cumsum(down, axis=1) - down - before
        pairs = (all_up * all_down).sum(axis=1)
        top = (up * (below + 0.5 * down)).sum(axis=1)
        return np.asarray(np.divide(top, pairs, out=np.full(len(w), np.nan), where=pairs > 0))

    return value


def average_precision(scores: Double, positive: npt.NDArray[np.bool_]) -> Metric:
    """Mean precision over the steps of recall, down the ranks; recordings of equal score count together."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])

    def value(weights: Double) -> Double:
        w = weights[:, order]
        found = np.add.reduceat(w * positive[order], ends, axis=1)
        hits, taken = found.cumsum(axis=1), np.add.reduceat(w, ends, axis=1).cumsum(axis=1)
        total = hits[:, -1]
        precision = np.divide(hits, taken, out=np.zeros_like(hits), where=taken > 0)
        return np.asarray(
            np.divide((found * precision).sum(axis=1), total, out=np.full(len(w), np.nan), where=total > 0)
        )

    return value
