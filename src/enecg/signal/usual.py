"""What is usual for a heart: distributions that say how much better one account of a recording fits than another."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

Double = npt.NDArray[np.float64]

FILE = Path(__file__).parents[1] / "data" / "usual.json"
"""Distributions and thresholds that scripts/check_faults.py --learn wrote, and from which recordings."""

_TAIL = 8.0
"""Degrees of freedom of the t distribution: what is rare for a normal distribution is not for patients."""


@dataclass(frozen=True)
class Usual:
    """A multivariate t distribution: mean [value], covariance [value, value]."""

    mean: Double
    covariance: Double

    @classmethod
    def of(cls, values: Double, ridge: float) -> "Usual":
        """From examples [example, value] with NaN where a value is unknown; `ridge` is added to each variance."""
        mean = np.nanmean(values, axis=0)
        known = np.isfinite(values)
        centred = np.where(known, values - mean, 0.0)
        together = known.T.astype(np.float64) @ known
        return cls(mean, centred.T @ centred / np.maximum(together, 1) + ridge * np.eye(len(mean)))

    def log_likelihood(self, values: Double) -> float:
        """Of values [value], up to a constant for those that are unknown (NaN), which count for nothing."""
        known = np.isfinite(values)
        size = int(known.sum())
        if not size:
            return 0.0
        covariance = self.covariance[np.ix_(known, known)]
        off = values[known] - self.mean[known]
        distance = float(off @ np.linalg.solve(covariance, off))
        return float(-(_TAIL + size) / 2 * np.log1p(distance / _TAIL) - np.linalg.slogdet(covariance)[1] / 2)


@lru_cache(maxsize=1)
def learned() -> tuple[dict[str, Usual], dict[str, float]]:
    """The distributions, and the score from which each doubt is said, by name."""
    record = json.loads(FILE.read_text())
    usual = {
        name: Usual(np.array(own["mean"]), np.array(own["covariance"])) for name, own in record["distributions"].items()
    }
    return usual, record["thresholds"]
