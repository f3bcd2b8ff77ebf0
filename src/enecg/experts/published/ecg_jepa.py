"""Expert `ecg-jepa`: ECG-JEPA, pretrained by predicting hidden patches in latent space.

Kim, arXiv 2410.08559; github.com/sehunfromdaegu/ECG_JEPA (MIT). Two files are published, for two ways of hiding
patches; this is the one of multi-block masking. Pretrained on Chapman-Shaoxing, Ningbo and CODE-15%.
A transformer over 8 leads x 50 patches of 0.2 s. Easy to get wrong: a token sees its own lead and its own patch of the
other leads, nothing else; the position table is added before every block, and stays in the residual branch; the signal
is in millivolts, neither filtered nor scaled. CODE-15% was pretrained at 244 Hz, its zero padding included; recordings
are taken at their true rate here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from enecg.experts._card import Card
from enecg.experts._contract import Array, Inputs
from enecg.experts._layers import attend, patches, sine_positions
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.experts._windows import joined, wanted_leads
from enecg.recording import Recording
from enecg.signal.resample import resample_fourier
from enecg.signal.windows import cut, fill_gaps
from enecg.weights import Origin

LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
RATE, SECONDS = 250.0, 10.0
N_PATCHES, PATCH = 50, 50
"""Of a lead, and samples of each."""

BETWEEN = 500.0
"""Hz to which recordings of other rates were brought first."""

LARGEST = 100.0
"""mV; no heart reaches it, and the network would be lost far beyond."""


@dataclass(frozen=True)
class Size:
    """Settings of the encoder."""

    width: int = 768
    depth: int = 12
    heads: int = 16

    @property
    def dim(self) -> int:
        """The width."""
        return self.width


class _Attention(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.heads = size.heads
        self.qkv = nn.Linear(size.width, 3 * size.width, bias=False)
        self.proj = nn.Linear(size.width, size.width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = self.qkv(x).chunk(3, -1)
        found: Tensor = self.proj(attend(query, key, value, self.heads, mask=mask))
        return found


class _FeedForward(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.fc1 = nn.Linear(size.width, 4 * size.width)
        self.fc2 = nn.Linear(4 * size.width, size.width)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.fc2(gelu(self.fc1(x)))
        return found


class _Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(size.width)
        self.norm2 = nn.LayerNorm(size.width)
        self.mlp = _FeedForward(size)
        self.attn = _Attention(size)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), mask)
        found: Tensor = x + self.mlp(self.norm2(x))
        return found


class _Blocks(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(size) for _ in range(size.depth))

    def forward(self, x: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x + positions, mask)
        return x


class ECGJEPA(nn.Module):
    """The encoder: [window, lead, sample] -> [window, dim]; 8 leads of 2500 samples."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(position_table(size.width))
        self.encoder_blocks = _Blocks(size)
        self.norm = nn.LayerNorm(size.width)
        self.W_P = nn.Linear(PATCH, size.width)

    @property
    def positions(self) -> Tensor:
        """[lead, patch, width]."""
        return self.pos_embed.reshape(len(LEADS), N_PATCHES, -1)

    def forward(self, windows: Tensor) -> Tensor:
        """Mean over all tokens."""
        return self.tokens(patches(windows, PATCH), self.positions).mean(1)

    def tokens(self, x: Tensor, positions: Tensor) -> Tensor:
        """Tokens after the last norm, lead by lead: [window, lead * patch, width].

        x : [window, lead, patch, sample];  positions : [lead, patch, width]. Any leads and patches of the whole, as
        long as the positions are theirs.
        """
        x = self.W_P(x).flatten(1, 2)
        x = self.encoder_blocks(x, positions.flatten(0, 1), same_lead_or_patch(*positions.shape[:2]))
        found: Tensor = self.norm(x)
        return found


def position_table(width: int) -> Tensor:
    """[lead * patch, width]: the patch's place in time in the first half, the lead's in the second."""
    of_patch = sine_positions(torch.arange(N_PATCHES), width // 2)
    of_lead = sine_positions(torch.arange(len(LEADS)), width // 2)
    return torch.cat([of_patch.repeat(len(LEADS), 1), of_lead.repeat_interleave(N_PATCHES, 0)], dim=1)


def same_lead_or_patch(n_leads: int, n_patches: int) -> Tensor:
    """Which tokens see each other, bool [token, token]: those that share the lead or the time."""
    token = torch.arange(n_leads * n_patches)
    lead, patch = token // n_patches, token % n_patches
    return (lead[:, None] == lead) | (patch[:, None] == patch)


def windows_at_250(signal: Array, rate: float) -> Array:
    """Windows of ten seconds, as published: [lead, sample] -> float32 [window, lead, 2500].

    The whole recording is brought to 500 Hz, cut, and each window brought to 250 Hz, both by its spectrum; a recording
    at 250 Hz is as it would be in the end.
    """
    n = round(RATE * SECONDS)
    if rate == RATE:
        return cut(signal, n)
    if rate != BETWEEN:
        signal = resample_fourier(signal, int(BETWEEN * signal.shape[-1] / rate)).astype(np.float32)
    parts = cut(signal, round(BETWEEN * SECONDS))
    return np.stack([resample_fourier(part, n) for part in parts]).astype(np.float32)


@register_expert
class ECGJEPAExpert(Published):
    """Ten seconds of eight leads, in millivolts."""

    size = Size()
    tiny = Size(32, 2, 4)
    attention = r"encoder_blocks\.blocks\.\d+\.attn\.(qkv|proj)"
    origin = Origin(
        file="multiblock_epoch100.pth",
        page="https://drive.google.com/file/d/1gMOT4xjQQg0GZkY1iE6NuDzua4ALw00l",
        inside=("encoder",),
    )
    card = Card(
        name="ecg-jepa",
        summary="hidden patches predicted in latent space, 180,000 eight-lead ECGs without labels",
        dim=768,
        leads=LEADS,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=85_374_720,
        licence="MIT (repository)",
        citation="Kim, arXiv 2410.08559",
        source="github.com/sehunfromdaegu/ECG_JEPA",
        batch=1,
        seen=("chapman_shaoxing", "ningbo", "code15"),
    )

    @staticmethod
    def network(size: Any) -> ECGJEPA:
        """The encoder."""
        return ECGJEPA(size)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds at 250 Hz in millivolts; missing samples are bridged, shorter recordings repeated."""
        parts = []
        for recording in recordings:
            signal = np.clip(fill_gaps(wanted_leads(recording, LEADS)), -LARGEST, LARGEST)
            parts.append(windows_at_250(signal, recording.rate))
        return joined(parts, (len(LEADS), round(RATE * SECONDS)))
