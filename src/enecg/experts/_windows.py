"""Recordings -> an expert's windows: leads in order, one rate, gaps filled, one length. Used by experts' `prepare`."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from enecg.experts._contract import Array, Inputs
from enecg.recording import Recording
from enecg.signal.leads import arrange, derive
from enecg.signal.resample import resample
from enecg.signal.windows import Padding, cut, fill_gaps

Gaps = Literal["bridge", "zero", "keep"]


def wanted_leads(recording: Recording, leads: Sequence[str]) -> Array:
    """The rows of `leads`, [lead, sample], limb leads that follow from others computed. Raises LeadError."""
    signal, names = recording.signal, recording.leads
    if any(name not in names for name in leads):
        signal, names, _ = derive(signal, names)
    return arrange(signal, names, leads)


def windows_of(
    recordings: Sequence[Recording],
    leads: Sequence[str],
    rate: float,
    seconds: float,
    pad: Padding = "repeat",
    gaps: Gaps = "bridge",
) -> Inputs:
    """Windows float32 [window, lead, sample] in mV.

    leads : needed in each recording, in the order wanted (LeadError otherwise);  rate : Hz;  seconds : of each window.
    gaps : missing samples are bridged by a line, or zero, or stay NaN ("keep").
    Longer recordings give several windows, the last one right-aligned; shorter ones are padded.
    """
    n = round(rate * seconds)
    parts = []
    for recording in recordings:
        signal = wanted_leads(recording, leads)
        if gaps == "bridge":
            signal = fill_gaps(signal)
        elif gaps == "zero":
            signal = np.nan_to_num(signal, posinf=0.0, neginf=0.0)
        parts.append(cut(resample(signal, recording.rate, rate), n, pad))
    return joined(parts, (len(leads), n))


def joined(parts: Sequence[Array], shape: tuple[int, ...]) -> Inputs:
    """The windows of each recording, float32 [window, *shape], as one table."""
    owner = [row for row, windows in enumerate(parts) for _ in windows]
    table = np.concatenate([np.empty((0, *shape), dtype=np.float32), *parts])
    return Inputs(table, np.array(owner, dtype=np.intp), len(parts))
