"""The algebra of leads: what follows from Einthoven's and Goldberger's equations, and how well a signal obeys them."""

from collections.abc import Sequence

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

    signal : [lead, sample] in any unit that all leads share. Leads I and II predict the other limb leads; the
    residual is the median over leads of (mean absolute error / mean absolute deviation of the lead from its median).
    """
    if "I" not in leads or "II" not in leads:
        return float("nan")
    rows = list(leads)
    names = [name for name in LIMB_LEADS[2:] if name in leads]
    if not names:
        return float("nan")
    lead = np.array([signal[rows.index(name)] for name in names], dtype=np.float64)
    pair = np.array([signal[rows.index("I")], signal[rows.index("II")]], dtype=np.float64)
    error = lead - np.array([_FROM_I_AND_II[name] for name in names]) @ pair  # [lead, sample]
    usable = np.isfinite(error)
    median, mean = np.median, np.mean
    if not usable.all():
        usable, lead, error = (array[usable.any(axis=1)] for array in (usable, lead, error))
        lead, error = np.where(usable, lead, np.nan), np.where(usable, error, np.nan)
        median, mean = np.nanmedian, np.nanmean
    if not error.size:
        return float("nan")
    spread = mean(np.abs(lead - median(lead, axis=1, keepdims=True)), axis=1)
    residuals = mean(np.abs(error), axis=1)[spread > 0] / spread[spread > 0]
    return float(np.median(residuals)) if residuals.size else float("nan")
