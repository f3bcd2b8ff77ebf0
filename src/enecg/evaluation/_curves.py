"""What one figure does not tell: how far probabilities can be believed, what a threshold finds and what it costs.

Every class is asked about by itself: is it this, or not? Answers come from models that have not learned of the subject.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enecg.evaluation._metrics import (
    MIN_CLASS,
    Counts,
    Metric,
    auroc,
    average_precision,
    bootstrap_weights,
    drawn,
    interval_of,
)
from enecg.evaluation._score import DRAWS, Pooled
from enecg.evaluation._systems import ENSEMBLE, Tested
from enecg.tasks import Task

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

BINS = 10
WANTED = 0.9
"""Sensitivity, or specificity, for which a threshold is looked up."""
_Z = 1.959964
"""95 % of a normal distribution are within so many standard deviations."""


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """The ensemble's answers to one task.

    truth : labels as encoded [recording, output], NaN where there is none.
    answers : float32 [round, recording, output], NaN where a round did not test a recording or no expert could take it.
    fold : int [round, recording], which model of the round answered; -1: none.
    subjects : int [recording].
    """

    task: Task
    truth: Array
    answers: Array
    fold: Places
    subjects: Places

    @classmethod
    def of(cls, task: Task, truth: Array, rounds: Sequence[Sequence[Tested]], subjects: Places) -> "OutOfFold":
        """Of what was tested in each round, fold by fold."""
        pooled = [Pooled.of(task.name, round_, len(truth)) for round_ in rounds]
        answers, fold = np.stack([own.answers[ENSEMBLE] for own in pooled]), np.stack([own.fold for own in pooled])
        return cls(task, truth, answers, fold, subjects)

    def pooled(self) -> tuple[Array, Array, Places, Places]:
        """Truth, answers, fold and subject of everything that is labelled and was answered, rounds one after the other.

        Folds of different rounds have different numbers.
        """
        there = np.isfinite(self.answers).all(axis=2) & ~np.isnan(self.truth).any(axis=1)
        round_, row = np.nonzero(there)
        fold = self.fold[round_, row] + round_ * (self.fold.max(initial=-1) + 1)
        return self.truth[row], self.answers[round_, row], fold, self.subjects[row]


@dataclass(frozen=True)
class Figure:
    """A value and its 95 % interval; NaN where that is not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """Recordings whose probability is in one tenth: their mean one, and how many of them are of the class."""

    chance: float
    share: Figure
    n: int


@dataclass(frozen=True)
class Point:
    """What a threshold does. `threshold` is None where the answer is what was likeliest, whatever its probability."""

    how: str
    threshold: float | None
    sensitivity: Figure
    specificity: Figure
    precision: Figure
    flagged: int


@dataclass(frozen=True, eq=False)
class Curves:
    """Of one class against the rest.

    recall, precision : float64 [threshold], from the highest probability down.
    """

    name: str
    n: int
    positives: int
    auroc: Figure
    average_precision: Figure
    bins: tuple[Bin, ...]
    recall: Double
    precision: Double
    points: tuple[Point, ...]


def curves_of(held: OutOfFold, seed: int = 0) -> tuple[list[Curves], dict[str, tuple[int, int]]]:
    """Curves of every class, and of every merged group, of a classification; areas have intervals by drawing subjects.

    A label that allows several classes says nothing about which of them it is, and is left out there. A metric of
    several rounds is that of their answers together. Second: (positive, negative) answers by the name of each class
    that has too few of either.
    """
    truth, answers, fold, subjects = held.pooled()
    if not len(truth):
        return [], {}
    weights = bootstrap_weights(subjects, DRAWS, seed)
    made, few = [], {}
    for one in _questions(held.task, truth, answers):
        up = int(one.positive.sum())
        down = len(one.positive) - up
        if min(up, down) < MIN_CLASS:
            few[one.name] = (up, down)
        else:
            made.append(_curves(one, fold[one.rows], subjects[one.rows], weights[:, one.rows]))
    return made, few


def spread_of(held: OutOfFold, bins: int = BINS) -> Double:
    """Of a regression, in bins of as many answers each: mean answer; 10th, 50th and 90th percentile of the truth.

    Returns float64 [bin, 4], fewer bins where there are few answers.
    """
    truth, answers, _, _ = held.pooled()
    order = np.argsort(answers[:, 0], kind="stable")
    parts = np.array_split(order, max(1, min(bins, len(order) // 10)))
    rows = [(answers[part, 0].mean(), *np.percentile(truth[part, 0], [10, 50, 90])) for part in parts if len(part)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 4)


@dataclass(frozen=True, eq=False)
class _Question:
    """rows : of what is pooled, those whose label says whether it is this class; said : whether that was the answer."""

    name: str
    rows: Places
    positive: Mask
    chance: Double
    said: Mask
    likeliest: bool


def _questions(task: Task, truth: Array, answers: Array) -> Iterator[_Question]:
    if task.kind == "binary":
        yield _question(task.classes[1], truth[:, 0] > 0.5, truth[:, 0] <= 0.5, answers[:, 0], answers[:, 0] >= 0.5)
    elif task.kind == "multilabel":
        for k, name in enumerate(task.classes):
            yield _question(name, truth[:, k] > 0.5, truth[:, k] <= 0.5, answers[:, k], answers[:, k] >= 0.5)
    elif task.kind == "multiclass":
        allowed, top = truth > 0, answers.argmax(axis=1)
        for name, parts in ({own: (own,) for own in task.classes} | dict(task.merged)).items():
            inside = np.isin(task.classes, parts)
            # Every class that the label allows is inside, or none is.
            could, could_not = allowed[:, inside].sum(axis=1), allowed[:, ~inside].sum(axis=1)
            yield _question(name, could_not == 0, could == 0, answers[:, inside].sum(axis=1), inside[top], True)


def _question(name: str, yes: Mask, no: Mask, chance: Array, said: Mask, likeliest: bool = False) -> _Question:
    rows = np.flatnonzero(yes | no)
    return _Question(name, rows, yes[rows], chance[rows].astype(np.float64), said[rows], likeliest)


def _curves(one: _Question, fold: Places, subjects: Places, weights: Counts) -> Curves:
    chance, positive = one.chance, one.positive
    order = np.argsort(-chance, kind="stable")
    ends = np.r_[np.flatnonzero(np.diff(chance[order])), len(order) - 1]
    hits = positive[order].cumsum()[ends]
    return Curves(
        name=one.name,
        n=len(positive),
        positives=int(positive.sum()),
        auroc=_figure(auroc(chance, positive, fold), weights),
        average_precision=_figure(average_precision(chance, positive), weights),
        bins=tuple(_bins(chance, positive, subjects)),
        recall=hits / hits[-1],
        precision=hits / (ends + 1),
        points=tuple(_points(one, subjects)),
    )


def _bins(chance: Double, positive: Mask, subjects: Places) -> Iterator[Bin]:
    place = np.minimum((chance * BINS).astype(np.intp), BINS - 1)
    for number in np.unique(place):
        inside = place == number
        yield Bin(float(chance[inside].mean()), _share(positive, inside, subjects), int(inside.sum()))


def _points(one: _Question, subjects: Places) -> Iterator[Point]:
    """The answer as it is given, then thresholds for what is wanted."""
    up, down = np.sort(one.chance[one.positive]), np.sort(one.chance[~one.positive])
    ways: list[tuple[str, float | None, Mask]] = [("as answered", None if one.likeliest else 0.5, one.said)]
    at = float(up[-_most_of(len(up))])
    ways.append((f"sensitivity {WANTED:.0%} or more", at, one.chance >= at))
    above = one.chance[one.chance > down[_most_of(len(down)) - 1]]
    if len(above):
        at = float(above.min())
        ways.append((f"specificity {WANTED:.0%} or more", at, one.chance >= at))
    for how, threshold, flagged in ways:
        yield Point(
            how,
            threshold,
            sensitivity=_share(flagged, one.positive, subjects),
            specificity=_share(~flagged, ~one.positive, subjects),
            precision=_share(one.positive, flagged, subjects),
            flagged=int(flagged.sum()),
        )


def _most_of(n: int) -> int:
    """The smallest number that is WANTED of n at least, whatever 0.9 is in binary."""
    return int(np.ceil(WANTED * n - 1e-9))


def _share(hits: Mask, among: Mask, subjects: Places) -> Figure:
    """The share of hits among some answers, with Wilson's interval (1927), which all or nothing has too.

    Answers about one subject are no more news than one: the interval is that of as many answers as there are subjects.
    """
    n = len(np.unique(subjects[among]))
    if not n:
        return Figure(np.nan, np.nan, np.nan)
    share = float(hits[among].mean())
    middle, half = share + _Z**2 / (2 * n), _Z * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    low, high = (middle - half) / (1 + _Z**2 / n), (middle + half) / (1 + _Z**2 / n)
    return Figure(share, float(max(low, 0.0)), float(min(high, 1.0)))


def _figure(metric: Metric, weights: Counts) -> Figure:
    return Figure(float(metric(np.ones((1, weights.shape[1])))[0]), *interval_of(drawn(metric, weights)))
