"""How sure an answer is: temperatures, conformal quantiles for intervals and class sets.

Everything is learned on out-of-fold answers of subjects that chose nothing and stopped nothing. Answers are divided by
a temperature: probabilities that are too sure become modest, and regressions that stay too near the mean leave it. The
mean of several good answers does: each is as modest as it has to be by itself, and together they know more (Ranjan,
Gneiting 2010, for probabilities; Satopaa et al. 2014).

Split-conformal prediction (Vovk, Gammerman, Shafer 2005; Angelopoulos, Bates, arXiv 2107.07511): a set that holds
every answer whose score is at most the ceil((n + 1) coverage)-th smallest score of n calibration recordings covers the
truth with that probability. Scores: |error| / expected error (regression), 1 - probability of the class (multiclass;
the smallest sets, Sadinle, Lei, Wasserman 2019), and the same within each class apart (binary, each label of a
multilabel task), so that rare classes are covered too. Where a label allows several classes, the set has to hold them
all: whichever it is, it is covered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from enecg.ensemble._targets import TargetSpace
from enecg.errors import FitError

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]

GRID = 400
"""Scores are kept as this many order statistics."""


@dataclass(frozen=True)
class Scores:
    """The calibration scores of n recordings, thinned to at most GRID + 1 order statistics."""

    n: int
    values: tuple[float, ...]

    @classmethod
    def of(cls, scores: npt.NDArray[Any]) -> "Scores":
        """From one score for each recording."""
        ranked = np.sort(scores.astype(np.float64))
        if len(ranked) > GRID + 1:
            # Rounded up, so that thinning never lowers a quantile.
            ranked = ranked[np.ceil(np.linspace(0, len(ranked) - 1, GRID + 1)).astype(np.intp)]
        return cls(len(scores), tuple(_rounded_up(float(value)) for value in ranked))

    def quantile(self, coverage: float) -> float:
        """The score that the truth stays below with this probability; infinite if there were too few recordings.

        Raises FitError unless 0 < coverage < 1.
        """
        if not 0 < coverage < 1:
            raise FitError(f"coverage {coverage}: expected a share between 0 and 1, such as 0.9")
        rank = np.ceil((self.n + 1) * coverage)
        if rank > self.n:
            return float("inf")
        place = int(np.ceil((rank - 1) / max(self.n - 1, 1) * (len(self.values) - 1)))
        return self.values[place]


@dataclass(frozen=True)
class Calibration:
    """For one task and one number of experts.

    temperature : that logits, or a regression's standardised values, are divided by.
    scores : for a regression and a multiclass task one, else for each output those of the class absent and present.
    spread : of a regression, coefficients of log expected error on (1, log disagreement, answer, answer squared).
    """

    temperature: float = 1.0
    scores: tuple[Scores, ...] = ()
    spread: tuple[float, ...] = field(default=())

    def to_state(self) -> dict[str, Any]:
        """Plain values."""
        scores = [{"n": one.n, "values": list(one.values)} for one in self.scores]
        return {"temperature": self.temperature, "scores": scores, "spread": list(self.spread)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Calibration":
        """The inverse of `to_state`."""
        scores = tuple(Scores(one["n"], tuple(one["values"])) for one in state["scores"])
        return cls(state["temperature"], scores, tuple(state["spread"]))


def calibrate(space: TargetSpace, mixed: Array, disagreement: Array, targets: Array) -> Calibration:
    """From honest answers.

    mixed : [recording, output];  disagreement : [recording], weighted deviation between experts;
    targets : [recording, output], NaN where missing. Without a label, nothing can be ruled out: intervals are infinite
    and sets hold every class.
    """
    rows = ~np.isnan(targets).any(axis=1) & np.isfinite(mixed).all(axis=1)
    mixed, disagreement, targets = mixed[rows], disagreement[rows], targets[rows]
    kind = space.task.kind
    temperature = _temperature(space, mixed, targets)
    mixed = mixed / np.float32(temperature)
    if kind == "regression":
        error = np.abs(mixed[:, 0].astype(np.float64) - targets[:, 0])
        spread = _fit_spread(error, mixed[:, 0], disagreement)
        return Calibration(temperature, (Scores.of(error / expected_error(spread, mixed[:, 0], disagreement)),), spread)
    p = space.values(mixed)
    if kind == "multiclass":
        least = np.where(targets > 0, p, np.inf).min(axis=1)
        return Calibration(temperature, (Scores.of(1 - least),))
    scores = []
    for output in range(p.shape[1]):
        truth = targets[:, output] > 0.5
        scores += [Scores.of(p[~truth, output]), Scores.of(1 - p[truth, output])]
    return Calibration(temperature, tuple(scores))


def interval(
    space: TargetSpace, found: Calibration, mixed: Array, disagreement: Array, coverage: float
) -> tuple[Array, Array]:
    """Of a regression: lower and upper ends [recording] in the task's unit.

    mixed : answers [recording, 1], after the temperature;  disagreement : as in `calibrate`.
    """
    reach = found.scores[0].quantile(coverage) * expected_error(found.spread, mixed[:, 0], disagreement)
    ends = [space.values((mixed[:, 0] + sign * reach)[:, None].astype(np.float32))[:, 0] for sign in (-1, 1)]
    return ends[0], ends[1]


def members(space: TargetSpace, found: Calibration, p: Array, coverage: float) -> npt.NDArray[np.int8]:
    """Of a classification: [recording, class], 1 in the set (or yes), 0 not (no), -1 undecided.

    p : calibrated probabilities [recording, output]. A multiclass set is never empty: its likeliest class is in it. For
    binary and multilabel tasks a label is undecided where neither answer can be ruled out; where both can, the
    one that is ruled out less clearly holds.
    """
    if space.task.kind == "multiclass":
        inside = 1 - p <= found.scores[0].quantile(coverage)
        inside[np.arange(len(p)), p.argmax(axis=1)] = True
        return inside.astype(np.int8)
    marks = np.zeros(p.shape, dtype=np.int8)
    for output in range(p.shape[1]):
        absent, present = (found.scores[2 * output + side].quantile(coverage) for side in (0, 1))
        no, yes = p[:, output] <= absent, 1 - p[:, output] <= present
        likelier = (1 - p[:, output]) - present < p[:, output] - absent
        marks[:, output] = np.where(no & yes, -1, np.where(no | yes, yes, likelier))
    return marks


def expected_error(spread: tuple[float, ...], answer: Array, disagreement: Array) -> Double:
    """A regression's typical error, [recording], from how far the experts disagree and from the answer itself."""
    logarithm = _features(answer, disagreement) @ np.array(spread)
    return np.asarray(np.exp(np.clip(logarithm, -12, 4)))


def _features(answer: Array, disagreement: Array) -> Double:
    y = np.clip(answer.astype(np.float64), -4, 4)
    return np.column_stack([np.ones_like(y), np.log(np.maximum(disagreement, 1e-4)), y, y**2])


def _fit_spread(error: Double, answer: Array, disagreement: Array) -> tuple[float, ...]:
    """Least squares of log |error|; a small ridge keeps the slopes near zero where recordings are few."""
    if not len(error):
        return (0.0, 0.0, 0.0, 0.0)
    features = _features(answer, disagreement)
    floor = max(1e-6, 0.05 * float(np.median(error)))
    centre = features.mean(axis=0) * np.array([0, 1, 1, 1])
    wanted = np.log(np.maximum(error, floor))
    x = features - centre
    slopes = np.linalg.solve(x.T @ x + np.diag([0, 10.0, 10.0, 10.0]), x.T @ wanted)
    slopes[0] -= slopes[1:] @ centre[1:]
    return tuple(float(f"{value:.6g}") for value in slopes)


def _rounded_up(value: float) -> float:
    """To six digits. Rounded down, a score that many recordings share would no longer hold any of them."""
    near = float(f"{value:.6g}")
    return near if near >= value else float(f"{value + 1e-5 * abs(value):.6g}")


def _temperature(space: TargetSpace, mixed: Array, targets: Array) -> float:
    """By which answers become better; 1 where they do not.

    A regression's answers themselves change, so they have to gain more than one standard error over the recordings:
    from few of them a good temperature cannot be told from chance.
    """
    if not len(mixed):
        return 1.0
    regression = space.task.kind == "regression"

    def losses(log_t: float) -> Double:
        answers = mixed.astype(np.float64) / np.exp(log_t)
        return np.abs(answers - targets)[:, 0] if regression else space.loss(answers, targets)

    found = minimize_scalar(
        lambda log_t: losses(log_t).mean(),
        bounds=(np.log(0.2), np.log(5.0)),
        method="bounded",
        options={"xatol": 1e-3},
    )
    gained = losses(0.0) - losses(float(found.x))
    least = gained.std() / len(gained) ** 0.5 if regression else 0.0
    return float(f"{np.exp(found.x):.6g}") if gained.mean() > least else 1.0
