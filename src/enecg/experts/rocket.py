"""Experts `rocket` and `rocket-small`: random convolutions, never trained.

MiniRocket for several leads (Dempster, Schmidt, Webb, KDD 2021, arXiv 2012.08791): 84 kernels of nine taps, six of
weight -1 and three of 2, at several dilations, each on a few random leads; a feature is the share of samples that
exceed a bias. Biases are quantiles of the outputs on simulated recordings (scripts/make_rocket.py), never the user's.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from enecg.data import tensors
from enecg.experts._card import Card
from enecg.experts._contract import Array, Expert, Inputs
from enecg.experts._registry import register_expert
from enecg.experts._windows import windows_of
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.filters import highpass

RATE, SECONDS = 100.0, 10.0
TAPS = 9
STRIDE = 2
"""Every other output is looked at: a share over 500 samples is as good as one over 1,000, at half the cost."""

DILATIONS = (1, 2, 4, 7, 12, 22, 40, 70, 110)
SMALL_DILATIONS = (1, 2, 5, 12, 30, 70)
FILE = "rocket.safetensors"
SHA256 = "b738df613c9d564eac024782161bf157470d043e6c3d9c660b14bd6504700bd4"
KERNELS = np.array(
    [[2.0 if tap in chosen else -1.0 for tap in range(TAPS)] for chosen in combinations(range(TAPS), 3)], np.float32
)
"""float32 [84, 9]."""


def convolve(window: Array, dilation: int, leads: Array) -> Array:
    """Outputs [kernel, sample / STRIDE] of all kernels at one dilation.

    window : [12, sample];  leads : 1 where a kernel reads a lead, [kernel, 12].
    """
    edge = dilation * (TAPS // 2)
    n = window.shape[1]
    padded = np.pad(window, [(0, 0), (edge, edge)])
    taps = np.stack([padded[:, tap * dilation : tap * dilation + n : STRIDE] for tap in range(TAPS)], axis=1)
    weights = (leads[:, :, None] * KERNELS[:, None, :]).reshape(len(KERNELS), -1)
    return np.asarray(weights @ taps.reshape(-1, taps.shape[2]), dtype=np.float32)


class _Rocket(Expert):
    """Both sizes."""

    key: str
    dilations: tuple[int, ...]

    def __init__(self) -> None:
        found = tensors(FILE, SHA256)
        self._leads = found[f"{self.key}.leads"].astype(np.float32)
        self._biases = found[f"{self.key}.biases"].astype(np.float32)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds of twelve leads at 100 Hz in mV, without baseline (0.5 Hz)."""
        inputs = windows_of(recordings, STANDARD_LEADS, RATE, SECONDS)
        return Inputs(highpass(inputs.windows, RATE, 0.5), inputs.owner, inputs.n_recordings)

    def embed_windows(self, windows: Array) -> Array:
        """Share of samples above each bias: [window, dilation * kernel * bias]."""
        out = np.empty((len(windows), *self._biases.shape), dtype=np.float32)
        for row, window in enumerate(windows):
            for number, dilation in enumerate(self.dilations):
                outputs = convolve(window, dilation, self._leads[number])
                for place in range(self._biases.shape[2]):
                    above = outputs > self._biases[number, :, place, None]
                    out[row, number, :, place] = above.sum(axis=1, dtype=np.int32)
        share = out.reshape(len(windows), -1) / np.float32(windows.shape[2] // STRIDE)
        return np.asarray(share, dtype=np.float32)


def _card(name: str, summary: str, n_dilations: int, n_biases: int) -> Card:
    dim = len(KERNELS) * n_dilations * n_biases
    return Card(
        name=name,
        summary=summary,
        dim=dim,
        leads=STANDARD_LEADS,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=dim + len(KERNELS) * n_dilations * len(STANDARD_LEADS),
        licence="Apache-2.0",
        citation="Dempster, Schmidt, Webb: MiniRocket, KDD 2021, arXiv 2012.08791",
        source="scripts/make_rocket.py",
        weights_sha256=SHA256,
        batch=1,
        seen=("simulated",),
    )


@register_expert
class Rocket(_Rocket):
    """9,828 features."""

    key, dilations = "full", DILATIONS
    card = _card("rocket", "9,828 random convolution features of twelve leads", len(DILATIONS), 13)


@register_expert
class RocketSmall(_Rocket):
    """2,016 features, for the starter bundle."""

    key, dilations = "small", SMALL_DILATIONS
    card = _card("rocket-small", "2,016 random convolution features of twelve leads", len(SMALL_DILATIONS), 4)
