"""Expert `dlinear`: DLinear (Zeng et al., AAAI 2023, arXiv 2205.13504) as EnECG uses it, on each lead by itself.

A moving average is the trend, the rest is seasonal, and two linear maps forecast the next sample from them. The
embedding is what each map gives, for twelve leads: 24 numbers.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from enecg.data import tensors
from enecg.experts._card import Card
from enecg.experts._contract import Array, Expert, Inputs
from enecg.experts._registry import register_expert
from enecg.experts._windows import windows_of
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.scale import PER_RECORDING, zscore

SAMPLES, KERNEL = 500, 1001
FILE = "dlinear.safetensors"
SHA256 = "6e2a2df5f48b44c7f065a7956d99de9ae3b5633b06fc7efec0675641c3977707"


def decompose(x: Array, kernel: int) -> tuple[Array, Array]:
    """Trend and seasonal part along the last axis; the first and last sample are repeated at the ends.

    torch's average pool, because exact means differ from the published single-precision ones by more than 1e-5.
    """
    import torch

    edge = (kernel - 1) // 2
    long = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(edge, edge)], mode="edge").astype(np.float32)
    pooled = torch.nn.functional.avg_pool1d(torch.from_numpy(long.reshape(-1, 1, long.shape[-1])), kernel, stride=1)
    trend = np.asarray(pooled.numpy().reshape(x.shape), dtype=np.float32)
    return trend, x - trend


def forecast(x: Array, weights: Mapping[str, npt.NDArray[np.float32]], kernel: int) -> tuple[Array, Array]:
    """What the trend's and the seasonal part's map give: [..., pred_len] each; their sum is the forecast."""
    trend, seasonal = decompose(x, kernel)
    return (
        trend @ weights["Linear_Trend.weight"].T + weights["Linear_Trend.bias"],
        seasonal @ weights["Linear_Seasonal.weight"].T + weights["Linear_Seasonal.bias"],
    )


@register_expert
class DLinear(Expert):
    """Trend and seasonal forecasts of twelve leads."""

    backend = "torch fp32"
    card = Card(
        name="dlinear",
        summary="trend and seasonal forecasts of each lead",
        dim=24,
        leads=STANDARD_LEADS,
        rate=50.0,
        seconds=10.0,
        min_seconds=2.0,
        parameters=1002,
        licence="Apache-2.0",
        citation="Zeng et al., AAAI 2023, arXiv 2205.13504; EnECG, arXiv 2511.22935",
        source="scripts/make_forecasters.py",
        weights_sha256=SHA256,
        batch=64,
        seen=("simulated",),
    )

    def __init__(self) -> None:
        self._weights = tensors(FILE, SHA256)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds of twelve leads, z-scored together, as 500 samples each."""
        inputs = windows_of(recordings, STANDARD_LEADS, self.card.rate, self.card.seconds)
        return Inputs(zscore(inputs.windows, PER_RECORDING), inputs.owner, inputs.n_recordings)

    def embed_windows(self, windows: Array) -> Array:
        """[window, 24]: trend of the leads, then seasonal."""
        # A batch is filled up with its last window: each window has its bits by itself, so once is enough.
        n = len(windows)
        while n > 1 and np.array_equal(windows[n - 1], windows[n - 2]):
            n -= 1
        trend, seasonal = forecast(windows[:n], self._weights, KERNEL)
        found = np.concatenate([trend[..., 0], seasonal[..., 0]], axis=1).astype(np.float32)
        return np.concatenate([found, np.repeat(found[-1:], len(windows) - n, axis=0)])
