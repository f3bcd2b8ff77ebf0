"""Expert `s4d`: convolutions, then diagonal state-space layers: a small network that reads an ECG from left to right.

S4D: Gu et al. 2022, arXiv 2206.11893. That a small state-space network, trained to tell what comes next, is ahead of
transformers twenty times its size: arXiv 2509.25095.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, glu, max_pool1d, pad

from enecg.experts._registry import register_expert
from enecg.experts.learned._expert import Learned, card
from enecg.experts.learned._tokens import TokenNetwork, filled


@dataclass(frozen=True)
class S4DSize:
    """stem : channels between the convolutions;  width : of a token;  states : of each channel, in conjugate pairs."""

    n_leads: int = 12
    stem: int = 64
    width: int = 192
    layers: int = 4
    states: int = 16
    kernels: tuple[int, ...] = (9, 5, 5)
    strides: tuple[int, ...] = (2, 2, 2)
    dropout: float = 0.1

    @property
    def dim(self) -> int:
        """Length of the embedding."""
        return 2 * self.width


class StateSpace(nn.Module):
    """A causal convolution of each channel with a long kernel, then a gated mix of the channels: same shape.

    The kernel is the impulse response of a diagonal linear system, x' = A x + u, y = C x, in steps of exp(log_dt).
    """

    def __init__(self, width: int, states: int) -> None:
        super().__init__()
        pairs = states // 2
        low, high = math.log(0.001), math.log(0.1)
        self.log_dt = nn.Parameter(low + (high - low) * torch.rand(width))
        self.log_decay = nn.Parameter(torch.full((width, pairs), math.log(0.5)))
        self.frequency = nn.Parameter((math.pi * torch.arange(pairs)).repeat(width, 1))
        self.C = nn.Parameter(torch.randn(width, pairs, 2) * 0.5**0.5)
        self.D = nn.Parameter(torch.randn(width))
        self.mix = nn.Linear(width, 2 * width)
        self._kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[window, token, width]."""
        n = x.shape[1]
        if self.training:
            kernel = self._response(n)
        else:
            if self._kept is None or self._kept.shape[-1] != n:
                with torch.no_grad():
                    self._kept = self._response(n)
            kernel = self._kept
        # As a product with the matrix of the convolution: at some hundred tokens quicker than by spectra, both ways.
        matrix = pad(kernel, (n - 1, 0)).unfold(-1, n, 1)  # [channel, token, token from the end]
        y = torch.bmm(x.flip(1).permute(2, 0, 1), matrix.transpose(1, 2)).permute(1, 2, 0) + self.D * x
        return glu(self.mix(gelu(y)), dim=-1)

    def train(self, mode: bool = True) -> Self:
        """The kernel is computed anew when the weights may have changed."""
        self._kept = None
        return super().train(mode)

    def _response(self, n: int) -> Tensor:
        """The first `n` samples of the impulse responses, [channel, n]."""
        a = torch.complex(-self.log_decay.exp(), self.frequency)
        step = a * self.log_dt.exp()[:, None]
        c = torch.view_as_complex(self.C) * (step.exp() - 1) / a
        powers = torch.exp(step[..., None] * torch.arange(n, device=step.device))
        return 2 * torch.einsum("cp,cpn->cn", c, powers).real


class S4D(TokenNetwork):
    """Tokens of all leads together, one every `stride` samples; each knows what came before it."""

    causal: ClassVar[bool] = True

    def __init__(self, size: S4DSize) -> None:
        super().__init__()
        self.width, self.stride = size.width, math.prod(size.strides)
        # Beside its samples, each lead says where it is missing.
        self.kernels = size.kernels
        channels = [2 * size.n_leads, *[size.stem] * (len(size.kernels) - 1), size.width]
        self.stem = nn.ModuleList(
            nn.Conv1d(n_in, n_out, kernel, stride)
            for n_in, n_out, kernel, stride in zip(channels[:-1], channels[1:], size.kernels, size.strides, strict=True)
        )
        self.stem_norms = nn.ModuleList(nn.LayerNorm(n_out) for n_out in channels[1:])
        self.layers = nn.ModuleList(StateSpace(size.width, size.states) for _ in range(size.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(size.width) for _ in range(size.layers))
        self.last = nn.LayerNorm(size.width)
        self.dropout = nn.Dropout(size.dropout)

    def local(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the convolutions see, [window, token, width], each of a moment, and where something was there."""
        y, there = filled(x)
        y = torch.cat([y, there.to(y.dtype)], dim=1)
        for convolution, norm, kernel in zip(self.stem, self.stem_norms, self.kernels, strict=True):
            # Padded on the left alone, so that a token knows nothing of later samples.
            y = convolution(pad(y, (kernel - 1, 0)))
            y = gelu(norm(y.transpose(1, 2))).transpose(1, 2)
        seen = max_pool1d(there.any(dim=1, keepdim=True).to(y.dtype), self.stride)[:, 0] > 0
        return y.transpose(1, 2), seen

    def context(self, local: Tensor) -> Tensor:
        """What the state-space layers make of it: same shape."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            local = local + self.dropout(layer(norm(local)))
        found: Tensor = self.last(local)
        return found

    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [window, token, width], and which are of samples that are there."""
        local, there = self.local(x)
        return self.context(local), there


@register_expert
class S4DExpert(Learned):
    """The state-space network."""

    size = S4DSize()
    tiny = S4DSize(stem=8, width=16, layers=1, states=4)
    card = card("s4d", "a small state-space network of our own", size.dim, 421_184, "Gu et al. 2022, arXiv 2206.11893")

    @staticmethod
    def network(size: Any) -> S4D:
        """S4D."""
        return S4D(size)


@register_expert
class S4DSmallExpert(S4DExpert):
    """An eighth of its work: a student for `scripts/make_student.py`."""

    size = S4DSize(stem=32, width=112, strides=(5, 2, 2))
    card = card("s4d-small", "a smaller s4d, for students", size.dim, 148_080, "Gu et al. 2022, arXiv 2206.11893")
