"""Expert `ecg-cpc`: ECG-CPC, a convolution and four state-space layers.

arXiv 2509.25095; github.com/AI4HealthUOL/ecg-fm-benchmarking. Contrastive predictive coding on ten million ECGs; the
state-space layers are S4 (Gu et al. 2022, arXiv 2111.00396).

The file keeps each S4 kernel as its state space. What is easy to get wrong: its `C` is corrected for the length of the
training, 2 * (rows of `omega` - 1) tokens, which must be undone before the kernel is computed, for whatever length; and
`omega` and `z`, the points at which the reference takes the kernel's spectrum, need not be read at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.fft import irfft, rfft
from torch.nn.functional import gelu, glu, linear

from enecg.experts._card import Card
from enecg.experts._contract import Inputs
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.experts._windows import joined, wanted_leads
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.resample import resample_sinc
from enecg.signal.windows import cut
from enecg.weights import Origin

RATE, SECONDS = 240.0, 2.5
LARGEST_MV = 100.0
"""No ECG is larger; what a file claims beyond it is cut off."""


@dataclass(frozen=True)
class Size:
    """Settings of an ECG-CPC, as its authors name them."""

    channels: int = 12
    features: int = 512
    kernel_sizes: tuple[int, ...] = (3, 1, 1, 1)
    strides: tuple[int, ...] = (2, 1, 1, 1)
    layers: int = 4
    state_dim: int = 8
    l_max: int = 1200

    @property
    def dim(self) -> int:
        """Width of a token."""
        return self.features


class _Kernel(nn.Module):
    """The impulse response of each channel: a linear system of `state_dim` states in conjugate pairs, one of each kept.

    x' = A x + B u, y = C x, with A = diag(w) - P Q^T, held for steps of exp(log_dt) (bilinear).
    """

    log_dt: Tensor
    w: Tensor
    B: Tensor
    P: Tensor
    Q: Tensor
    omega: Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        pairs = size.state_dim // 2
        # Random weights are to be a stable system of slow and fast oscillations, as at the start of a training.
        w = torch.stack([torch.full((pairs,), -0.5), torch.pi * torch.arange(pairs)], dim=-1)
        half = torch.stack([torch.full((pairs,), 0.5), torch.zeros(pairs)], dim=-1)
        self.C = nn.Parameter(torch.randn(1, size.features, pairs, 2))
        self.register_buffer("log_dt", torch.linspace(-7.0, -2.3, size.features))
        self.register_buffer("w", w.repeat(size.features, 1, 1))
        for name in ("B", "P", "Q"):
            self.register_buffer(name, half.repeat(1, size.features, 1, 1))
        for name in ("omega", "z"):
            self.register_buffer(name, torch.zeros(size.l_max // 2 + 1, 2))
        self._kept: Tensor | None = None
        self.register_load_state_dict_post_hook(_Kernel._forget)  # type: ignore[no-untyped-call]

    def forward(self, n: int) -> Tensor:
        """The first `n` samples, [channel, n]; computed once, since they depend on nothing but the weights."""
        if self._kept is None or self._kept.shape[-1] < n:
            self._kept = self._response(n).to(self.w.dtype)
        return self._kept[:, :n]

    def _response(self, n: int) -> Tensor:
        """In double precision: powers of a matrix lose digits."""
        w, B, P, Q, C = (_with_conjugates(part) for part in (self.w, self.B, self.P, self.Q, self.C))
        half_step = self.log_dt.to(torch.float64).exp()[:, None, None] / 2
        one = torch.eye(w.shape[-1], dtype=w.dtype)
        A = torch.diag_embed(w) - P[:, :, None] * Q[:, None, :]
        back = torch.linalg.inv(one - half_step * A)
        step = back @ (one + half_step * A)
        state = back @ (2 * half_step * B[:, :, None])
        l_max = 2 * (len(self.omega) - 1)
        C = torch.linalg.solve(one - torch.linalg.matrix_power(step, l_max), C[:, None, :], left=False)
        # The states after 1, 2, 4, ... samples: [channel, state, sample].
        while state.shape[-1] < n:
            state = torch.cat([state, step @ state], dim=-1)
            step = step @ step
        found: Tensor = (C @ state[..., :n]).real[:, 0]
        return found

    def _forget(self, _: Any) -> None:
        self._kept = None


def _with_conjugates(pairs: Tensor) -> Tensor:
    """[..., channel, pair, real and imaginary part] -> complex128 [channel, state]."""
    one = torch.view_as_complex(pairs.to(torch.float64).contiguous()).reshape(pairs.shape[-3], -1)
    return torch.cat([one, one.conj()], dim=-1)


class _Pointwise(nn.Module):
    """A linear map to twice the width, [..., channel] -> [..., 2 channel]; its bias is kept as a column."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2 * width, width) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(2 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias[:, 0])


class S4(nn.Module):
    """A causal convolution of each channel with a long kernel, then a gated mix of the channels: same shape."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.D = nn.Parameter(torch.randn(1, size.features))
        self.kernel = nn.ModuleDict({"kernel": _Kernel(size)})
        self.output_linear = nn.Sequential(_Pointwise(size.features))

    def forward(self, x: Tensor) -> Tensor:
        """[window, token, channel]."""
        n, u = x.shape[1], x.transpose(1, 2)
        kernel = self.kernel["kernel"](n)
        y = irfft(rfft(u, 2 * n) * rfft(kernel, 2 * n), 2 * n)[..., :n] + self.D[..., None] * u
        return glu(self.output_linear(gelu(y).transpose(1, 2)))


class _Predictor(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.s4_layers = nn.ModuleList(S4(size) for _ in range(size.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(size.features) for _ in range(size.layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.s4_layers, self.norms, strict=True):
            x = norm(x + layer(x))
        return x


class CPC(nn.Module):
    """[window, lead, sample] -> [window, dim]; any length."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        widths = (size.channels, *[size.features] * len(size.kernel_sizes))
        layers = (
            nn.Sequential(
                nn.Conv1d(widths[number], widths[number + 1], kernel, stride, (kernel - 1) // 2, bias=False),
                nn.BatchNorm1d(size.features),
                nn.ReLU(),
            )
            for number, (kernel, stride) in enumerate(zip(size.kernel_sizes, size.strides, strict=True))
        )
        self.encoder = nn.ModuleDict({"layers": nn.Sequential(*layers)})
        self.predictor = nn.ModuleDict({"predictor": _Predictor(size)})
        self.head_ssl = nn.ModuleDict({"proj": nn.Sequential(nn.Linear(size.features, size.features, bias=False))})

    def tokens(self, x: Tensor) -> Tensor:
        """Two samples each: [window, token, channel]."""
        found: Tensor = self.predictor["predictor"](self.encoder["layers"](x).transpose(1, 2))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Mean of the tokens."""
        return self.tokens(x).mean(1)


@register_expert
class ECGCPC(Published):
    """Twelve leads, windows of 2.5 s."""

    size = Size()
    tiny = Size(features=64, layers=2, l_max=200)
    unused: ClassVar[tuple[str, ...]] = ("head_ssl.*", "*.omega", "*.z")
    # Name, checksum and what lies beside the weights: as others say who have read the file.
    origin = Origin(
        file="last_11597276.ckpt from the zip archive",
        page="https://figshare.com/articles/dataset/ECG-CPC_Checkpoint_zip/30192604",
        inside=("state_dict",),
        prefix="ts_encoder.",
        beside=("clinical_ts", "omegaconf", "typing"),
        sha256="bc253edc6ac279ce2caec86d3c3a21b740e43735ca03be1dc7c50e630b0ad4cf",
    )
    card = Card(
        name="ecg-cpc",
        summary="state-space layers that learned to foretell ten million ECGs",
        dim=512,
        leads=STANDARD_LEADS,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=3_194_880,
        licence="CC BY 4.0 (weights, as others report it; none is stated for the code)",
        citation="arXiv 2509.25095",
        source="github.com/AI4HealthUOL/ecg-fm-benchmarking",
        batch=1,
        seen=("heedb",),
    )

    @staticmethod
    def network(size: Any) -> CPC:
        """CPC."""
        return CPC(size)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Windows of 2.5 s, each resampled by itself, in mV as they are; then what is missing is zero."""
        n = round(RATE * SECONDS)
        parts = []
        for recording in recordings:
            signal = np.clip(wanted_leads(recording, self.card.leads), -LARGEST_MV, LARGEST_MV)
            # Rounded up, so that no window of another rate comes out a sample short.
            windows = cut(signal, int(np.ceil(recording.rate * SECONDS)))
            parts.append(np.nan_to_num(resample_sinc(windows, recording.rate, RATE)[..., :n]))
        return joined(parts, (len(self.card.leads), n))
