"""Leads that were not all recorded at the same time, or not without a pause, put on one time axis."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, ReadError

_MOST_SAMPLES = 2**24
"""Of all leads together; an offset in a file must not ask for all memory."""

Piece = tuple[str, int, npt.NDArray[np.float64]]
"""A lead, where its samples begin, and they themselves [sample]."""


def joined(path: Path, pieces: Sequence[Piece]) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
    """Samples [lead, sample], NaN where a lead was not recorded, and the leads in the order they first appear.

    Raises LeadError if a lead has two values at one time, ReadError if nothing was recorded or pauses are absurd.
    """
    leads = tuple(dict.fromkeys(lead for lead, _, _ in pieces))
    n_samples = max((begin + len(values) for _, begin, values in pieces), default=0)
    if n_samples == 0:
        raise ReadError(f"{path}: holds no samples; expected some for each lead")
    if n_samples * len(leads) > _MOST_SAMPLES:
        raise ReadError(
            f"{path}: {n_samples:,} samples from the first to the last, of {len(leads)} leads; expected "
            f"{_MOST_SAMPLES:,} in all at most. A time in it is damaged, or it must be cut into parts"
        )
    signal = np.full((len(leads), n_samples), np.nan)
    taken = np.zeros((len(leads), n_samples), dtype=bool)
    for lead, begin, values in pieces:
        at = leads.index(lead), slice(begin, begin + len(values))
        if taken[at].any():
            raise LeadError(f"{path}: lead {lead} is there more than once at {begin} samples; expected it once")
        signal[at], taken[at] = values, True
    return signal, leads
