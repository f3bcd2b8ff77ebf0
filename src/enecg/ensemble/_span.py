"""The space that few recordings span, as coordinates: less than ten thousand features can say about 500 recordings.

A layer on features x [dim] that is trained on n < dim recordings sees no more of them than their n coordinates in an
orthonormal basis of the space that they span. Training there is the same layer at a fraction of the cost; what it
learned goes back to weights on the features themselves, so that nothing but training knows of it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, qr, solve_triangular

Array = npt.NDArray[np.float32]

WORTH_IT = 3
"""Coordinates are used where a member has this many features for each recording, or more."""
_JITTER = 1e-5


@dataclass(frozen=True)
class Span:
    """A basis, turned at random so that all coordinates are alike, and stretched to a variance of about 1.

    basis : float32 [dim, n].
    """

    basis: Array
    stretch: float

    @classmethod
    def of(cls, rows: Array, seed: int) -> "Span":
        """From standardised embeddings [n, dim], n < dim; by Cholesky's factor of their inner products."""
        n, dim = rows.shape
        products = (rows @ rows.T).astype(np.float64)
        # Doubled recordings span nothing new, and recordings that are all alike span nothing at all.
        products[np.diag_indices(n)] += _JITTER * (np.trace(products) / n or 1.0)
        lower = cholesky(products, lower=True, overwrite_a=True, check_finite=False)
        turn = qr(np.random.default_rng([seed, 9]).standard_normal((n, n)), mode="economic", check_finite=False)[0]
        mixed = solve_triangular(lower, turn, lower=True, trans="T", check_finite=False).astype(np.float32)
        return cls(rows.T @ mixed, float(np.sqrt(n / dim)))

    def __call__(self, rows: Array) -> Array:
        """Coordinates [row, n] of standardised embeddings [row, dim]."""
        return np.asarray(rows @ self.basis * np.float32(self.stretch), dtype=np.float32)

    def back(self, weights: Array) -> Array:
        """Weights [out, n] on coordinates as weights [out, dim] on features."""
        return np.asarray((weights * np.float32(self.stretch)) @ self.basis.T, dtype=np.float32)
