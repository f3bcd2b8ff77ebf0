"""Expert `st-mem`: ST-MEM, a masked autoencoder over leads and time.

Na et al., ICLR 2024, arXiv 2402.09450; github.com/bakqui/ST-MEM. For non-commercial use only (CC BY-NC 4.0), all other
rights reserved by VUNO Inc. Pretrained on Chapman-Shaoxing, Ningbo and CODE-15%.
A transformer over 12 leads x 30 patches of 0.3 s. Easy to get wrong: each lead stands between two separators, the right
one of which takes the table's last position however few the patches; the mean over the patches comes before the last
norm; a crop is filtered and scaled by itself, all leads together, so that a dead lead is a constant but not zero.

Published, the answers of three crops of 9 s are averaged for a recording of 10 s. Here a window is 10 s, and its
embedding the mean of the three crops'. A longer recording is several windows, the last one right-aligned; a shorter one
is repeated to 10 s first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from enecg.experts._card import Card
from enecg.experts._contract import Array, Inputs
from enecg.experts._layers import sine_positions
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.experts._windows import joined, wanted_leads
from enecg.experts.published._vit import ATTENTION, Block
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.resample import resample_fourier
from enecg.signal.scale import PER_RECORDING, zscore
from enecg.signal.windows import cut, fill_gaps
from enecg.weights import Origin

RATE, SECONDS = 250.0, 10.0
CROP, STARTS = 2250, (0, 125, 250)
"""Samples of a crop, and where in a window the three begin."""


@dataclass(frozen=True)
class Size:
    """Settings of the encoder, as its authors name them."""

    seq_len: int = CROP
    patch_size: int = 75
    num_leads: int = 12
    width: int = 768
    depth: int = 12
    heads: int = 12
    dim_head: int = 64
    mlp_dim: int = 3072

    @property
    def dim(self) -> int:
        """The width."""
        return self.width


class STMEM(nn.Module):
    """[window, crop, lead, sample] -> [window, dim]."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        n_patches = size.seq_len // size.patch_size
        places = sine_positions(torch.arange(n_patches), size.width)
        self.pos_embedding = nn.Parameter(nn.functional.pad(places, (0, 0, 1, 1))[None])
        self.sep_embedding = nn.Parameter(0.02 * torch.randn(size.width))
        self.lead_embeddings = nn.ParameterList(0.02 * torch.randn(size.width) for _ in range(size.num_leads))
        self.to_patch_embedding = nn.Sequential(
            nn.Unflatten(-1, (-1, size.patch_size)),
            nn.LayerNorm(size.patch_size),
            nn.Linear(size.patch_size, size.width),
            nn.LayerNorm(size.width),
        )
        self.depth = size.depth
        for number in range(size.depth):
            self.add_module(f"block{number}", Block(size.width, size.heads, size.dim_head, size.mlp_dim))
        self.norm = nn.LayerNorm(size.width)

    def forward(self, windows: Tensor) -> Tensor:
        """Mean over each window's crops."""
        found = self.encode(windows.flatten(0, 1))
        return found.reshape(*windows.shape[:2], -1).mean(1)

    def encode(self, crops: Tensor) -> Tensor:
        """Mean over leads and patches, then the norm: [crop, lead, sample] -> [crop, dim].

        Any whole number of patches up to the published one. Raises RuntimeError for a part of a patch.
        """
        x = self.to_patch_embedding(crops)
        x = self.tokens(x + self.pos_embedding[:, 1 : x.shape[2] + 1])
        found: Tensor = self.norm(x[:, :, 1:-1].mean((1, 2)))
        return found

    def tokens(self, x: Tensor) -> Tensor:
        """Tokens before the norm, a separator first and last: [crop, lead, patch + 2, width].

        x : patches with their positions, [crop, lead, patch, width]; any of the whole, in any order.
        """
        ends = (self.sep_embedding + self.pos_embedding[0, [0, -1]]).expand(*x.shape[:2], -1, -1)
        x = torch.cat([ends[:, :, :1], x, ends[:, :, 1:]], dim=2) + torch.stack(list(self.lead_embeddings))[:, None]
        shape = x.shape
        x = x.flatten(1, 2)
        for number in range(self.depth):
            x = self.get_submodule(f"block{number}")(x)
        return x.reshape(shape)


def crops_of(window: npt.NDArray[np.floating]) -> Array:
    """The three crops of ten seconds at 250 Hz, filtered and scaled: [..., lead, 2500] -> [crop, ..., lead, 2250].

    Butterworth of order 5, high-pass at 0.67 and low-pass at 40 Hz, forwards and backwards with scipy's defaults, in
    double precision; z-score over all leads together.
    """
    from scipy.signal import butter, sosfiltfilt

    crops = np.stack([window[..., start : start + CROP] for start in STARTS]).astype(np.float64)
    for kind, hertz in (("highpass", 0.67), ("lowpass", 40.0)):
        crops = sosfiltfilt(butter(5, hertz, kind, fs=RATE, output="sos"), crops)
    return zscore(crops, PER_RECORDING)


@register_expert
class STMEMExpert(Published):
    """Ten seconds of twelve leads."""

    size = Size()
    tiny = Size(width=32, depth=2, heads=2, dim_head=16, mlp_dim=64)
    attention = ATTENTION
    origin = Origin(
        file="encoder.pth",
        page="https://drive.google.com/file/d/1E7J-A1HqWa2f08T6Sfk5uWk-_CFJhOYQ",
        inside=("model",),
        # Of the file with the decoder, which is as good; in the encoder's own file no name begins so.
        prefix="encoder.",
        terms=(
            "its weights are for non-commercial use only (CC BY-NC 4.0), and VUNO Inc. reserves all rights beyond that "
            "(github.com/bakqui/ST-MEM)"
        ),
    )
    card = Card(
        name="st-mem",
        summary="hidden patches of leads and time filled in, of twelve-lead ECGs without labels",
        dim=768,
        leads=STANDARD_LEADS,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=85_150_614,
        licence="CC BY-NC 4.0: non-commercial use only; all other rights reserved by VUNO Inc.",
        citation="Na et al., ICLR 2024, arXiv 2402.09450",
        source="github.com/bakqui/ST-MEM",
        batch=1,
        seen=("chapman_shaoxing", "ningbo", "code15"),
    )

    @staticmethod
    def network(size: Any) -> STMEM:
        """The encoder."""
        return STMEM(size)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Of ten seconds each, three crops at 250 Hz, [window, crop, lead, sample]; missing samples are bridged."""
        parts = []
        for recording in recordings:
            signal = fill_gaps(wanted_leads(recording, STANDARD_LEADS))
            windows = cut(signal, round(SECONDS * recording.rate))
            parts.append(np.stack([crops_of(resample_fourier(one, round(SECONDS * RATE))) for one in windows]))
        return joined(parts, (len(STARTS), len(STANDARD_LEADS), CROP))
