"""Experts `moment-small`, `moment-base`, `moment-large`: MOMENT-1, a general model of time series.

Goswami et al., ICML 2024, arXiv 2402.03885; github.com/moment-timeseries-foundation-model/moment (MIT).
Patches of 8 samples through the encoder of a T5; every lead is a sequence of its own. Easy to get wrong: the dot
products of T5's attention are not scaled, its norms divide by the root mean square, the first block's relative bias
serves all blocks, and the inner width (heads * 64) is not the width. The embedding is the mean over leads, then over
the observed patches.

The encoder is our own and not that of transformers: the same numbers in less time, and without its masks where nothing
is hidden. What it was trained on, the Time Series Pile, has ECGs among much else: single leads of the UCR archive and
of TSB-UAD, from MIT-BIH and other Holter recordings.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, rms_norm

from enecg.experts._card import Card
from enecg.experts._contract import Array, Inputs
from enecg.experts._layers import attend, patches, sine_positions
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.experts._windows import joined, wanted_leads
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.scale import PER_LEAD, zscore
from enecg.signal.windows import cut, fill_gaps
from enecg.weights import Origin

SECONDS, SAMPLES = 10.0, 512
"""Of a window: how long it is, and how many samples the model reads of it, as many as in its training."""

PATCH, POSITIONS = 8, 5000
"""Samples of a patch, and how many patches have a position."""

BUCKETS, FARTHEST = 32, 128
"""Of the relative bias: classes of distances between patches, and from which distance on all are one class."""


@dataclass(frozen=True)
class Size:
    """Settings of the T5 encoder, as its authors name them."""

    d_model: int = 512
    d_ff: int = 1024
    d_kv: int = 64
    num_heads: int = 6
    num_layers: int = 8
    vocab_size: int = 32128

    @property
    def dim(self) -> int:
        """The width."""
        return self.d_model


class _Norm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight.shape, self.weight, 1e-6)


class _Attention(nn.Module):
    def __init__(self, size: Size, biased: bool) -> None:
        super().__init__()
        inner = size.num_heads * size.d_kv
        self.heads = size.num_heads
        self.q = nn.Linear(size.d_model, inner, bias=False)
        self.k = nn.Linear(size.d_model, inner, bias=False)
        self.v = nn.Linear(size.d_model, inner, bias=False)
        self.o = nn.Linear(inner, size.d_model, bias=False)
        if biased:
            self.relative_attention_bias = nn.Embedding(BUCKETS, size.num_heads)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        found: Tensor = self.o(attend(self.q(x), self.k(x), self.v(x), self.heads, scale=1.0, mask=bias))
        return found


def bucket(distance: Tensor) -> Tensor:
    """T5's class, in 0..31, of key position minus query position: one a distance up to 7, then ever wider ones."""
    half, exact = BUCKETS // 2, BUCKETS // 4
    near = distance.abs()
    steps = (near.clamp(min=1).to(torch.float32) / exact).log() / math.log(FARTHEST / exact) * (half - exact)
    far = (exact + steps.to(torch.int64)).clamp(max=half - 1)
    return torch.where(near < exact, near, far) + half * (distance > 0)


class _FeedForward(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.wi_0 = nn.Linear(size.d_model, size.d_ff, bias=False)
        self.wi_1 = nn.Linear(size.d_model, size.d_ff, bias=False)
        self.wo = nn.Linear(size.d_ff, size.d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.wo(gelu(self.wi_0(x), approximate="tanh") * self.wi_1(x))
        return found


class _SelfAttentionLayer(nn.Module):
    def __init__(self, size: Size, biased: bool) -> None:
        super().__init__()
        self.SelfAttention = _Attention(size, biased)
        self.layer_norm = _Norm(size.d_model)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        found: Tensor = x + self.SelfAttention(self.layer_norm(x), bias)
        return found


class _FeedForwardLayer(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.DenseReluDense = _FeedForward(size)
        self.layer_norm = _Norm(size.d_model)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.DenseReluDense(self.layer_norm(x))
        return found


class _Block(nn.Module):
    def __init__(self, size: Size, biased: bool) -> None:
        super().__init__()
        self.layer = nn.ModuleList([_SelfAttentionLayer(size, biased), _FeedForwardLayer(size)])

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        attention, feed_forward = self.layer
        found: Tensor = feed_forward(attention(x, bias))
        return found


class _Encoder(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(size.vocab_size, size.d_model)
        self.block = nn.ModuleList(_Block(size, biased=number == 0) for number in range(size.num_layers))
        self.final_layer_norm = _Norm(size.d_model)

    def forward(self, x: Tensor, observed: Tensor | None) -> Tensor:
        """Of [series, patch, width]; observed : bool [series, patch], False where no other patch may look."""
        bias = self.relative_bias(x.shape[1])
        if observed is not None:
            bias = bias.where(observed[:, None, None], torch.finfo(bias.dtype).min)
        for block in self.block:
            x = block(x, bias)
        found: Tensor = self.final_layer_norm(x)
        return found

    def relative_bias(self, n: int) -> Tensor:
        """[1, head, query, key], of the first block and for all."""
        weight = self.get_parameter("block.0.layer.0.SelfAttention.relative_attention_bias.weight")
        places = torch.arange(n)
        return weight[bucket(places[None, :] - places[:, None])].permute(2, 0, 1)[None]


class _Positions(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.pe: Tensor
        self.register_buffer("pe", sine_positions(torch.arange(POSITIONS), width, interleaved=True)[None])


class _Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.mask_embedding = nn.Parameter(torch.zeros(width))
        self.value_embedding = nn.Linear(PATCH, width, bias=False)
        self.position_embedding = _Positions(width)

    def forward(self, x: Tensor, told: Tensor | None) -> Tensor:
        """Of patches [series, patch, 8]; told : bool [series, patch], False where a patch is to be a blank."""
        found: Tensor = self.value_embedding(x)
        if told is not None:
            found = torch.where(told[..., None], found, self.mask_embedding)
        return found + self.position_embedding.pe[:, : found.shape[1]]


class _Head(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, PATCH)


class Moment(nn.Module):
    """[window, lead, sample] -> [window, dim]; any length from 8 to 40,000 samples."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.patch_embedding = _Patches(size.d_model)
        self.encoder = _Encoder(size)
        self.head = _Head(size.d_model)

    def forward(self, windows: Tensor, observed: Tensor | None = None) -> Tensor:
        """Mean over leads, then over observed patches; NaN for a window without any.

        windows : NaN where a sample is missing;  observed : bool [window, sample], False where there is no signal.
        """
        found = self.encode(normalised(windows, observed)[0], observed).mean(1)
        if observed is None:
            return found.mean(1)
        weight = _whole(observed)[..., None].to(found.dtype)
        return (found * weight).sum(1) / weight.sum(1)

    def encode(self, scaled: Tensor, observed: Tensor | None = None, told: Tensor | None = None) -> Tensor:
        """Each patch's vector, [window, lead, patch, width], of a normalised signal.

        A patch that is not observed whole is hidden from all others; one that is not told whole, bool [window, sample],
        is looked at, but as a blank that is to be filled in. Without `told`, what is observed is told.
        """
        windows, leads = scaled.shape[:2]

        def of_series(mask: Tensor | None) -> Tensor | None:
            return None if mask is None else _whole(mask).repeat_interleave(leads, 0)

        x = patches(scaled, PATCH).flatten(0, 1)
        x = self.patch_embedding(x, of_series(observed if told is None else told))
        found: Tensor = self.encoder(x, of_series(observed))
        return found.reshape(windows, leads, *found.shape[1:])

    def reconstruct(self, windows: Tensor, observed: Tensor, told: Tensor) -> Tensor:
        """The signal with what was not told filled in, [window, lead, sample]; masks as in `encode`."""
        scaled, mean, deviation = normalised(windows, observed & told)
        found: Tensor = self.head.linear(self.encode(scaled, observed, told))
        return found.flatten(-2) * deviation + mean


def _whole(mask: Tensor) -> Tensor:
    """Of which patches every sample is True: [window, sample] -> [window, patch]."""
    return patches(mask, PATCH).all(-1)


def normalised(windows: Tensor, observed: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Each lead minus its mean, over its deviation + 1e-5, and these two; both are of observed samples alone.

    What is missing or infinite becomes zero.
    """
    there = ~windows.isnan()
    if observed is not None:
        there = there & observed[:, None]
    n = there.sum(-1, keepdim=True)
    mean = windows.where(there, 0.0).sum(-1, keepdim=True) / n
    deviation = ((windows - mean).where(there, 0.0).square().sum(-1, keepdim=True) / n).sqrt() + 1e-5
    return ((windows - mean) / deviation).nan_to_num(nan=0.0, posinf=0.0, neginf=0.0), mean, deviation


def stretched(signal: npt.NDArray[np.floating]) -> Array:
    """512 samples by linear interpolation, the ends on the ends, then the z-score of each lead: [..., lead, 512]."""
    n = signal.shape[-1]
    places = np.linspace(0.0, n - 1.0, SAMPLES)
    left = np.minimum(places.astype(np.intp), n - 2)
    share = places - left
    exact = signal.astype(np.float64)
    return zscore(exact[..., left] * (1 - share) + exact[..., left + 1] * share, PER_LEAD)


class _Moment(Published):
    unused = ("encoder.embed_tokens.weight", "head.*")
    attention = r"encoder\.block\.\d+\.layer\.0\.SelfAttention\.[qkvo]"
    tiny = Size(d_model=32, d_ff=64, d_kv=16, num_heads=2, num_layers=2, vocab_size=32)
    size: ClassVar[Size]

    @staticmethod
    def network(size: Any) -> Moment:
        """The encoder, and the head that fills in."""
        return Moment(size)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds, whatever their rate, as 512 samples, each lead z-scored; gaps are bridged first."""
        parts = []
        for recording in recordings:
            signal = fill_gaps(wanted_leads(recording, STANDARD_LEADS))
            parts.append(stretched(cut(signal, round(SECONDS * recording.rate))))
        return joined(parts, (len(STANDARD_LEADS), SAMPLES))


def _card(name: str, size: Size, parameters: int) -> Card:
    return Card(
        name=name,
        summary="hidden patches filled in, of time series of all kinds",
        dim=size.dim,
        leads=STANDARD_LEADS,
        rate=SAMPLES / SECONDS,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=parameters,
        licence="MIT",
        citation="Goswami et al., ICML 2024, arXiv 2402.03885",
        source="github.com/moment-timeseries-foundation-model/moment",
        batch=1,
        seen=("time-series-pile",),
    )


@register_expert
class MomentSmall(_Moment):
    """Of the size of T5 small."""

    size = Size()
    origin = Origin(repository="AutonLab/MOMENT-1-small", file="model.safetensors")
    card = _card("moment-small", size, 35_341_512)


@register_expert
class MomentBase(_Moment):
    """Of the size of T5 base."""

    size = Size(d_model=768, d_ff=2048, num_heads=12, num_layers=12)
    origin = Origin(repository="AutonLab/MOMENT-1-base", file="model.safetensors")
    card = _card("moment-base", size, 109_641_608)


@register_expert
class MomentLarge(_Moment):
    """Of the size of T5 large."""

    size = Size(d_model=1024, d_ff=2816, num_heads=16, num_layers=24)
    origin = Origin(repository="AutonLab/MOMENT-1-large", file="model.safetensors")
    card = _card("moment-large", size, 341_248_520)
