"""Which limb electrodes seem to be exchanged, told by how the limb leads go with each other and with the chest leads.

An exchange changes neither the chest leads nor Wilson's terminal, and maps the limb leads linearly, as Einthoven's
equations say. So each exchange is undone in turn, and asked whether the result is the more usual heart: the sizes of
P, of three parts of QRS and of T in the leads I, II and V1 to V6 have a known common distribution. It holds what the
axes of P and QRS say, the sign of P and QRS in aVR, and how lead I goes with V6 (compare Kors and van Herpen 2001).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from enecg.signal.delineation import BEFORE, RATE, Beats, Waves
from enecg.signal.usual import Usual

Double = npt.NDArray[np.float64]

LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
EXCHANGES: dict[str, Double] = {
    "RA and LA": np.array([[-1.0, 0.0], [-1.0, 1.0]]),
    "RA and LL": np.array([[1.0, -1.0], [0.0, -1.0]]),
    "LA and LL": np.array([[0.0, 1.0], [1.0, 0.0]]),
}
"""What an exchange of electrodes makes of (I, II); each undoes itself."""

_GROUPS = (slice(0, 1), slice(1, 4), slice(4, 5))
"""P, QRS, T among the five sizes."""
_LEAST_CHEST = 3


def sizes(beats: Beats, waves: Waves, leads: Sequence[str]) -> Double | None:
    """Mean deflection of P, thirds of QRS and T in LEADS: [5, 8], NaN for waves and leads that are not there.

    Each wave is divided by its root mean square over I, II, III, and over the chest leads: directions are left, which
    no exchange lengthens. None without I, II and three chest leads.
    """
    rows = list(leads)
    there = [name in rows for name in LEADS]
    if not all(there[:2]) or sum(there[2:]) < _LEAST_CHEST:
        return None
    n = beats.median.shape[1]
    median = np.full((len(LEADS), n), np.nan)
    median[there] = beats.median[[rows.index(name) for name in LEADS if name in rows]]
    on, off = _sample(waves.qrs_on), _sample(waves.qrs_off)
    median -= median[:, max(0, on - 6) : max(1, on - 1)].mean(axis=1, keepdims=True)
    edges = np.linspace(on, off + 1, 4).round().astype(int)
    parts = [_around(median, waves.p_peak, 5)]
    parts += [median[:, a : max(b, a + 1)].mean(axis=1) for a, b in pairwise(edges)]
    found = np.array([*parts, _around(median, waves.t_peak, 8)])
    for group in _GROUPS:
        one, two, chest = found[group, 0], found[group, 1], found[group, 2:]
        found[group, :2] /= np.sqrt(np.mean(one**2 + two**2 + (two - one) ** 2)) + 1e-3
        found[group, 2:] /= np.sqrt(np.mean(chest[:, there[2:]] ** 2)) + 1e-3
    return found


def exchanged(found: Double, exchange: str) -> Double:
    """The sizes with two electrodes exchanged."""
    made = found.copy()
    made[:, :2] = found[:, :2] @ EXCHANGES[exchange].T
    return made


def exchange_scores(found: Double, usual: Usual) -> dict[str, float]:
    """By exchange: how much more usual the recording is with it undone, as a difference of log likelihoods."""
    as_is = usual.log_likelihood(found.ravel())
    return {name: usual.log_likelihood(exchanged(found, name).ravel()) - as_is for name in EXCHANGES}


def _sample(ms: float) -> int:
    return round((BEFORE + ms / 1000) * RATE)


def _around(median: Double, ms: float, reach: int) -> Double:
    """Mean of the samples around a wave's peak; NaN for a wave that is not there."""
    if not np.isfinite(ms):
        return np.full(len(median), np.nan)
    at = _sample(ms)
    return np.asarray(median[:, max(0, at - reach) : at + reach + 1].mean(axis=1))
