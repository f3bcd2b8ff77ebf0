"""Recordings -> an expert's windows: leads in order, one rate, gaps filled, one length. Used by experts' `prepare`."""

from collections.abc import Sequence

import numpy as np

from enecg.experts._contract import Inputs
from enecg.recording import Recording
from enecg.signal.leads import arrange
from enecg.signal.resample import resample
from enecg.signal.windows import Padding, cut, fill_gaps


def windows_of(
    recordings: Sequence[Recording], leads: Sequence[str], rate: float, seconds: float, pad: Padding = "repeat"
) -> Inputs:
    """Windows float32 [window, lead, sample] in mV, without missing samples.

    leads : needed in each recording, in the order wanted (LeadError otherwise);  rate : Hz;  seconds : of each window.
    Longer recordings give several windows, the last one right-aligned; shorter ones are padded.
    """
    n = round(rate * seconds)
    windows, owner = [np.empty((0, len(leads), n), dtype=np.float32)], []
    for row, recording in enumerate(recordings):
        signal = fill_gaps(arrange(recording.signal, recording.leads, leads))
        parts = cut(resample(signal, recording.rate, rate), n, pad)
        windows.append(parts)
        owner += [row] * len(parts)
    return Inputs(np.concatenate(windows), np.array(owner, dtype=np.intp), len(recordings))
