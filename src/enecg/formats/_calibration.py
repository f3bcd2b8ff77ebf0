"""The square pulse of 1 mV that electrocardiographs put behind a recording, so that its scale can be seen on paper."""

import numpy as np
import numpy.typing as npt

_SHORTEST = 0.1
"""Seconds; a pulse has 0.2."""


def ecg_ends(signal: npt.NDArray[np.float64], rate: float, tolerance: float) -> int | None:
    """The sample at which the ECG ends and zeros begin with a calibration pulse of 1 mV, at once in all leads.

    signal : [lead, sample] in mV;  tolerance : mV that zeros and pulse may be off. None if there is no such end.
    """
    pulse = np.all(np.abs(signal - 1) <= tolerance, axis=0)
    calm = pulse | np.all(np.abs(signal) <= tolerance, axis=0)
    begin = len(calm) - int(np.argmin(calm[::-1])) if not calm.all() else 0
    edges = np.flatnonzero(np.diff(pulse[begin:].astype(int)))
    if len(edges) != 2 or edges[1] - edges[0] < _SHORTEST * rate:
        return None  # zeros alone are a detached cable; a pulse has zeros on both sides
    return begin
