"""Gaps, lengths and windows: how a recording of any length becomes the arrays of fixed length that experts read."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from enecg.errors import RecordingError

Array = npt.NDArray[np.float32]
Padding = Literal["repeat", "zero", "edge", "missing"]


def fill_gaps(signal: Array) -> Array:
    """Missing samples bridged by a straight line, held at the ends; a lead without any sample becomes zero.

    signal : float32 [..., sample], NaN where missing. Returns the same array if nothing is missing.
    """
    missing = np.isnan(signal)
    if not missing.any():
        return signal
    rows = np.array(signal, dtype=np.float32).reshape(-1, signal.shape[-1])
    holes = missing.reshape(rows.shape)
    positions = np.arange(signal.shape[-1])
    for row, hole in zip(rows, holes, strict=True):
        if hole.all():
            row[:] = 0.0
        elif hole.any():
            row[hole] = np.interp(positions[hole], positions[~hole], row[~hole])
    return rows.reshape(signal.shape)


def extend(signal: Array, edge: int) -> Array:
    """Lengthened at both ends by `edge` samples of its point reflection, beyond which its last value is held."""
    n = signal.shape[-1]
    reach = min(edge, n - 1)
    left = 2 * signal[..., :1] - signal[..., reach:0:-1]
    right = 2 * signal[..., -1:] - signal[..., n - 2 : n - 2 - reach if n - 2 - reach >= 0 else None : -1]
    long = np.concatenate([left, signal, right[..., :reach]], axis=-1)
    if reach == edge:
        return long
    held = [(0, 0)] * (signal.ndim - 1) + [(edge - reach, edge - reach)]
    return np.pad(long, held, mode="edge")


def fit_length(signal: Array, n: int, pad: Padding = "repeat") -> Array:
    """The first `n` samples; a shorter signal is lengthened at its end: [..., n].

    pad : "repeat" starts the signal again (rhythm and amplitude statistics stay), "zero" appends zeros, "edge" holds
    the last sample, "missing" appends NaN.
    """
    length = signal.shape[-1]
    if length >= n:
        return signal[..., :n]
    if pad == "repeat":
        return signal[..., np.arange(n) % length]
    width = [(0, 0)] * (signal.ndim - 1) + [(0, n - length)]
    if pad == "edge":
        return np.pad(signal, width, mode="edge")
    return np.pad(signal, width, constant_values=np.nan if pad == "missing" else 0.0)


def cut(signal: Array, n: int, pad: Padding = "repeat") -> Array:
    """Consecutive windows of `n` samples: [window, ..., n].

    The last window is right-aligned, so it may overlap the one before it; a signal shorter than `n` gives one padded
    window.
    """
    if n < 1:
        raise RecordingError(f"windows of {n} samples; expected 1 at least")
    length = signal.shape[-1]
    if length <= n:
        return fit_length(signal, n, pad)[None]
    starts = [*range(0, length - n + 1, n)]
    if starts[-1] + n < length:
        starts.append(length - n)
    return np.stack([signal[..., start : start + n] for start in starts])
