"""The input of networks that were trained on MIMIC-IV-ECG as MERL prepares it."""

from collections.abc import Sequence

import numpy as np

from enecg.experts._contract import Inputs
from enecg.experts._windows import windows_of
from enecg.recording import STANDARD_LEADS, Recording

LEADS = (*STANDARD_LEADS[:4], "aVF", "aVL", *STANDARD_LEADS[6:])
"""The order of MIMIC-IV-ECG."""
RATE, SECONDS = 500.0, 10.0


def unit_windows(recordings: Sequence[Recording]) -> Inputs:
    """Ten seconds at 500 Hz, each window scaled to 0..1, all leads together; short recordings end in zeros.

    The zeros are there before it is scaled: what stands for them is another number in each window.
    """
    inputs = windows_of(recordings, LEADS, RATE, SECONDS, pad="zero")
    windows = inputs.windows.astype(np.float64)
    low, high = windows.min((1, 2), keepdims=True), windows.max((1, 2), keepdims=True)
    scaled = ((windows - low) / (high - low + 1e-8)).astype(np.float32)
    return Inputs(scaled, inputs.owner, inputs.n_recordings)
