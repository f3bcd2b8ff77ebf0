"""The linear path of a head: closed-form answers, a few strengths, the best chosen on validation subjects.

Two families of candidates: ridge on all features (several penalties), and robust fits on a handful of features found
one by one (after orthogonal matching pursuit: Pati, Rezaiifar, Krishnaprasad 1993). The second exists for questions
that a single measurement nearly answers, such as the RR interval, which ridge on ten thousand features would blur.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

Array = npt.NDArray[np.float32]
Double = npt.NDArray[np.float64]

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Ridge penalties as multiples of the mean squared length of a recording's standardised embedding."""

_SINGLE = 2000

FEW = (1, 2, 4, 8)
"""How many features the sparse candidates use."""
_TRIED, _ROUNDS = 16, 6
"""How many features may join at each step, and how often the weights of a robust fit are renewed."""


@dataclass(frozen=True)
class Scaler:
    """Standardisation of an embedding's features; what varies less than rounding is switched off.

    mean, inverse : float32 [dim].
    """

    mean: Array
    inverse: Array

    LIMIT = 8.0

    @classmethod
    def of(cls, rows: Array) -> "Scaler":
        """From embeddings [recording, dim] of the training set."""
        mean = rows.mean(axis=0, dtype=np.float64)
        deviation = rows.std(axis=0, dtype=np.float64)
        usable = deviation > 1e-6 * np.maximum(1.0, np.abs(mean))
        inverse = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=usable)
        return cls(mean.astype(np.float32), inverse.astype(np.float32))

    def __call__(self, rows: Array) -> Array:
        """Standardised, and clipped at eight deviations so that one odd value cannot decide."""
        return np.asarray(np.clip((rows - self.mean) * self.inverse, -self.LIMIT, self.LIMIT), dtype=np.float32)


class Gram:
    """Inner products of the standardised rows, computed once and shared by all folds and penalties."""

    def __init__(self, x: Array) -> None:
        self.x = x
        self.dual = x.shape[0] < x.shape[1]
        self._products = (x @ x.T) if self.dual else None

    def ridge(self, rows: npt.NDArray[np.intp], targets: Double) -> list[tuple[Array, Array]]:
        """Weights [dim, output] and intercepts [output] for each of PENALTIES, from some rows.

        targets : [row, output] without missing values. Solved by Cholesky on the smaller side; beyond _SINGLE rows or
        features in single precision, which the smallest penalty leaves three right digits.
        """
        mean = targets.mean(axis=0)
        centred = targets - mean
        x = self.x[rows]
        centre = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        if self._products is not None:
            products = self._products[np.ix_(rows, rows)]
            kind = np.float32 if len(products) > _SINGLE else np.float64
            cross = products.mean(axis=0, dtype=np.float64)
            products = products.astype(kind, copy=False)
            products -= (cross[:, None] + (cross - cross.mean())[None, :]).astype(kind)
            right = centred
        else:
            x = x - centre
            products = x.T @ x
            kind = np.float32 if len(products) > _SINGLE else np.float64
            products = products.astype(kind, copy=False)
            right = x.T.astype(np.float64) @ centred
        diagonal = products.diagonal().astype(np.float64)
        # Rows that are all alike have nothing to weigh: any penalty then gives zero weights.
        trace = diagonal.sum() / len(rows) or 1.0
        found = []
        for penalty in PENALTIES:
            regular = products.copy()
            regular[np.diag_indices(len(regular))] = diagonal + penalty * trace
            factor = cho_factor(regular, lower=True, overwrite_a=True, check_finite=False)
            solution = cho_solve(factor, right.astype(kind), check_finite=False).astype(np.float32)
            weights = x.T @ solution - np.outer(centre, solution.sum(axis=0)) if self.dual else solution
            weights = weights.astype(np.float32)
            found.append((weights, (mean - centre @ weights).astype(np.float32)))
        return found


def few_features(x: Array, targets: Double) -> list[tuple[Array, Array]]:
    """Fits on 1, 2, 4 and 8 features for one output, found one by one, that a few odd recordings cannot sway.

    x : standardised [row, dim];  targets : [row]. Weights [dim, 1] and intercepts [1] for each of FEW that dim allows.
    Of the features that go best with what is left to explain, the one joins that leaves the smallest absolute error.
    """
    chosen: list[int] = []
    residual = targets - np.median(targets)
    found = []
    for count in range(1, min(max(FEW), x.shape[1]) + 1):
        # What is left is cut at three typical sizes: one beat too many would else hide the feature that counts beats.
        limit = 3 * np.median(np.abs(residual)) + 1e-9
        gain = np.abs(np.clip(residual, -limit, limit).astype(np.float32) @ x)
        gain[chosen] = -1
        fits = [
            (*_robust(x[:, [*chosen, one]], targets), one)
            for one in np.argsort(-gain)[:_TRIED].tolist()
            if gain[one] >= 0
        ]
        _, solution, best = min(fits, key=lambda fit: (fit[0], fit[2]))
        chosen.append(best)
        residual = targets - x[:, chosen] @ solution[:-1] - solution[-1]
        if count in FEW:
            weights = np.zeros((x.shape[1], 1), dtype=np.float32)
            weights[chosen, 0] = solution[:-1]
            found.append((weights, solution[-1:].astype(np.float32)))
    return found


def _robust(x: Array, targets: Double) -> tuple[float, Double]:
    """Mean absolute error and coefficients (intercept last) of a fit by Huber's weights (Huber 1964)."""
    design = np.column_stack([x, np.ones(len(x), np.float32)]).astype(np.float64)
    weights = np.ones(len(x))
    for _ in range(_ROUNDS):
        normal = design.T @ (design * weights[:, None])
        normal[np.diag_indices(len(normal))] += 1e-9 * len(x)
        solution = np.linalg.solve(normal, design.T @ (targets * weights))
        error = np.abs(targets - design @ solution)
        scale = 1.5 * np.median(error) + 1e-9
        weights = np.minimum(1.0, scale / np.maximum(error, 1e-12))
    return float(error.mean()), np.asarray(solution)


def average(parts: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Linear answers averaged are one linear answer."""
    weights = np.mean([weights for weights, _ in parts], axis=0, dtype=np.float64)
    intercept = np.mean([intercept for _, intercept in parts], axis=0, dtype=np.float64)
    return np.asarray(weights, dtype=np.float32), np.asarray(intercept, dtype=np.float32)
