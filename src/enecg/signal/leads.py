"""The algebra of leads: what follows from Einthoven's and Goldberger's equations, and how well a signal obeys them."""

from collections.abc import Sequence
from itertools import combinations
from statistics import median

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError

Array = npt.NDArray[np.float32]

# Every limb lead in terms of I and II: Einthoven's II = I + III, Goldberger's augmented leads.
_FROM_I_AND_II = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
LIMB_LEADS = tuple(_FROM_I_AND_II)

DISAGREE = 0.05
"""Residual above which a limb lead does not agree with the others; of 699 of PTB-XL and LUDB none has 0.03."""

_ROUNDED = 0.02
"""Residual that rounding gives at usual resolutions; no one asks why."""

_COARSE = 0.005
"""mV. The step of MIMIC-IV-ECG and of the devices of CODE-15%; where these are resampled it is no longer seen."""


def derivable(leads: Sequence[str]) -> tuple[str, ...]:
    """The missing limb leads that follow from those there: all of them from any two, none from fewer."""
    missing = tuple(name for name in LIMB_LEADS if name not in leads)
    return missing if len(missing) <= len(LIMB_LEADS) - 2 else ()


def derive(signal: Array, leads: Sequence[str]) -> tuple[Array, tuple[str, ...], tuple[str, ...]]:
    """Add the limb leads that follow from those there.

    signal : float32 [..., lead, sample], mV;  leads : names in the standard spelling.
    Any two limb leads determine all six. Returns the signal with the missing ones appended, all names, and the names
    that were derived; a derived sample is NaN where a sample that it needs is. Nothing is added from fewer than two
    limb leads.
    """
    missing = derivable(leads)
    if not missing:
        return signal, tuple(leads), ()
    known = [name for name in LIMB_LEADS if name in leads][:2]
    weights = _weights(missing, known)
    pair = signal[..., [leads.index(name) for name in known], :].astype(np.float64)
    derived = np.einsum("dk,...ks->...ds", weights, pair).astype(np.float32)
    return np.concatenate([signal, derived], axis=-2), (*leads, *missing), missing


def arrange(signal: Array, leads: Sequence[str], wanted: Sequence[str]) -> Array:
    """The rows of `wanted`, in that order: [..., lead, sample]. Raises LeadError if one is not there."""
    missing = [name for name in wanted if name not in leads]
    if missing:
        raise LeadError(f"no lead {', '.join(missing)} (found {', '.join(leads)})")
    return signal[..., [list(leads).index(name) for name in wanted], :]


def einthoven_residual(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> float:
    """The largest of limb_residuals: 0 where the limb leads agree, 2 for one that is turned; NaN if untestable."""
    return max(limb_residuals(signal, leads).values(), default=float("nan"))


def limb_residuals(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> dict[str, float]:
    """How far each limb lead is from what the first two there predict of it, by name; empty where none can be asked.

    signal : [lead, sample], mV or digital units, NaN where missing. A residual is the mean absolute error, beyond what
    rounding may cost each of the three leads, over the mean absolute deviation of the lead from its median.
    """
    present = [name for name in LIMB_LEADS if name in leads]
    base, names = present[:2], present[2:]
    if not names:
        return {}
    rows = list(leads)
    lead = np.array([signal[rows.index(name)] for name in names], dtype=np.float64)
    pair = np.array([signal[rows.index(name)] for name in base], dtype=np.float64)
    weights = _weights(names, base)
    error = np.abs(lead - weights @ pair)  # [lead, sample]
    usable = np.isfinite(error)
    count = usable.sum(axis=1)
    asked = np.flatnonzero(count)
    lead, weights, error, usable, count = lead[asked], weights[asked], error[asked], usable[asked], count[asked]
    halves = np.partition(np.where(usable, lead, np.nan), np.unique(count // 2), axis=1)  # NaN last
    middle = halves[np.arange(len(lead)), count // 2, None]
    spread = np.abs(lead - middle).sum(axis=1, where=usable) / count
    off = error.sum(axis=1, where=usable) / count
    if (off > _ROUNDED * spread).any():  # Only now is it worth the time to ask for the step.
        step = max(_COARSE, median(_step(row) for row in (*pair, *lead)))
        rounding = step / 2 * (1 + np.abs(weights).sum(axis=1, keepdims=True))
        off = np.maximum(error - rounding, 0).sum(axis=1, where=usable) / count
    return {names[row]: float(one / size) for row, one, size in zip(asked, off, spread, strict=True) if size > 0}


def disagreeing(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> tuple[str, ...]:
    """The limb leads that do not agree with the others; none where all agree, or that cannot be asked.

    signal : as in limb_residuals. Those outside the largest set of three leads or more that agree; all limb leads where
    there is no such set, or more than one: then nobody can tell which are right.
    """
    if not einthoven_residual(signal, leads) > DISAGREE:
        return ()
    present = tuple(name for name in LIMB_LEADS if name in leads)
    for n_wrong in range(1, len(present) - 2):
        able = []
        for wrong in combinations(present, n_wrong):
            rest = [name for name in present if name not in wrong]
            if einthoven_residual(arrange(signal, leads, rest), rest) <= DISAGREE:
                able.append(wrong)
        if able:
            return able[0] if len(able) == 1 else present
    return present


def limb_repair(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> str | None:
    """The one thing that would make all six limb leads agree, in words: a sign, or two names exchanged.

    None where nothing so simple does, or where more than one thing would. Nothing is changed.
    """
    rows = list(leads)
    if any(name not in rows for name in LIMB_LEADS):
        return None
    limb = np.array([signal[rows.index(name)] for name in LIMB_LEADS], dtype=np.float64)
    words = {}
    for at, name in enumerate(LIMB_LEADS):
        turned = limb.copy()
        turned[at] *= -1
        words[f"{name} had the other sign"] = turned
    for a, b in combinations(range(len(LIMB_LEADS)), 2):
        order = list(range(len(LIMB_LEADS)))
        order[a], order[b] = b, a
        words[f"{LIMB_LEADS[a]} and {LIMB_LEADS[b]} were exchanged"] = limb[order]
    able = [said for said, mended in words.items() if einthoven_residual(mended, LIMB_LEADS) <= DISAGREE]
    return able[0] if len(able) == 1 else None


def _weights(wanted: Sequence[str], known: Sequence[str]) -> npt.NDArray[np.float64]:
    """What two limb leads weigh in the others: [wanted, known]."""
    plane = np.array([_FROM_I_AND_II[name] for name in known])
    return np.asarray(np.array([_FROM_I_AND_II[name] for name in wanted]) @ np.linalg.inv(plane))


def _step(lead: npt.NDArray[np.float64]) -> float:
    """The smallest distance between two values of a lead: its quantisation, 0 for a lead with one value."""
    apart = np.diff(np.unique(lead))
    apart = apart[apart > 0]  # NaN is not
    return float(apart.min()) if len(apart) else 0.0
