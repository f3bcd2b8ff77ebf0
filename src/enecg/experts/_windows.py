"""Recordings -> an expert's windows: leads in order, one rate, gaps filled, one length. Used by experts' `prepare`."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from enecg.experts._contract import Array, Inputs
from enecg.recording import Recording
from enecg.signal.leads import arrange, derive
from enecg.signal.resample import resample
from enecg.signal.windows import Padding, cut, fill_gaps

Gaps = Literal["bridge", "zero"]


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
    """Windows float32 [window, lead, sample] in mV, without missing samples.

    leads : needed in each recording, in the order wanted (LeadError otherwise);  rate : Hz;  seconds : of each window.
    gaps : missing samples are bridged by a line, or zero.
    Longer recordings give several windows, the last one right-aligned; shorter ones are padded.
    """
    n = round(rate * seconds)
    windows, owner = [np.empty((0, len(leads), n), dtype=np.float32)], []
    for row, recording in enumerate(recordings):
        signal = wanted_leads(recording, leads)
        signal = fill_gaps(signal) if gaps == "bridge" else np.nan_to_num(signal, posinf=0.0, neginf=0.0)
        parts = cut(resample(signal, recording.rate, rate), n, pad)
        windows.append(parts)
        owner += [row] * len(parts)
    return Inputs(np.concatenate(windows), np.array(owner, dtype=np.intp), len(recordings))
