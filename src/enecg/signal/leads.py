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

_ROUNDED = 0.02
"""Residual that rounding gives at usual resolutions; no one asks why."""


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
    plane = np.array([_FROM_I_AND_II[name] for name in known])
    wanted = np.array([_FROM_I_AND_II[name] for name in missing])
    weights = wanted @ np.linalg.inv(plane)  # [missing, known]
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
    """How far the limb leads are from agreeing: 0 where they do, about 1 where they are unrelated; NaN if untestable.

    signal : [lead, sample] in any unit that all leads share. The median of limb_residuals: one lead that is wrong by
    itself is seen there only.
    """
    residuals = list(limb_residuals(signal, leads).values())
    return float(median(residuals)) if residuals else float("nan")


def limb_residuals(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> dict[str, float]:
    """How far each limb lead is from what I and II predict of it, by name; empty where that cannot be asked.

    signal : [lead, sample] in any unit that all leads share. A residual is the mean absolute error, beyond the one
    step that rounding may cost, over the mean absolute deviation of the lead from its median.
    """
    names = [name for name in LIMB_LEADS[2:] if name in leads]
    if "I" not in leads or "II" not in leads or not names:
        return {}
    rows = list(leads)
    lead = np.array([signal[rows.index(name)] for name in names], dtype=np.float64)
    pair = np.array([signal[rows.index("I")], signal[rows.index("II")]], dtype=np.float64)
    error = np.abs(lead - np.array([_FROM_I_AND_II[name] for name in names]) @ pair)  # [lead, sample]
    usable = np.isfinite(error)
    count = usable.sum(axis=1)
    asked = np.flatnonzero(count)
    lead, error, usable, count = lead[asked], error[asked], usable[asked], count[asked]
    ordered = np.sort(np.where(usable, lead, np.nan), axis=1)  # NaN last
    middle = ordered[np.arange(len(lead)), count // 2, None]
    spread = np.abs(lead - middle).sum(axis=1, where=usable) / count
    off = error.sum(axis=1, where=usable) / count
    if (off > _ROUNDED * spread).any():  # Only now is it worth the time to ask for the step.
        step = median([_step(row) for row in ordered]) if len(ordered) else 0.0
        off = np.maximum(error - step, 0).sum(axis=1, where=usable) / count
    return {names[row]: float(one / size) for row, one, size in zip(asked, off, spread, strict=True) if size > 0}


def limb_repair(signal: npt.NDArray[np.floating], leads: Sequence[str], least: float) -> str | None:
    """The one thing that would make all six limb leads agree to `least`, in words: a sign, or two names exchanged.

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
    able = [
        said for said, mended in words.items() if max(limb_residuals(mended, LIMB_LEADS).values(), default=1) < least
    ]
    return able[0] if len(able) == 1 else None


def _step(ordered: npt.NDArray[np.float64]) -> float:
    """The smallest distance between two values of a sorted lead: its quantisation, 0 for a lead with one value."""
    apart = np.diff(ordered)
    apart = apart[apart > 0]
    return float(apart.min()) if len(apart) else 0.0
