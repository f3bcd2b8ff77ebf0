"""Experts `hubert-ecg-small`, `hubert-ecg-base`, `hubert-ecg-large`: HuBERT-ECG.

Coppola et al. 2024, medRxiv 2024.11.14.24317328; github.com/Edoar-do/HuBERT-ECG (code and weights CC BY-NC 4.0).
The network is transformers' HuBERT, made for speech; twelve leads reach it one after the other as one channel. Easy to
get wrong: the filter works at the recording's own rate, a lead is scaled over the whole recording before it is cut, and
the last decimation comes after the leads were joined, so that it mixes two leads around each border. The published
mask counts: only the number of samples that are there decides how many tokens, from the first on, are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from enecg.experts._card import Card
from enecg.experts._contract import Array, Inputs
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.experts._windows import wanted_leads
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.resample import resample_fourier
from enecg.signal.windows import cut, fill_gaps, fit_length
from enecg.weights import Origin

RATE, SECONDS = 500.0, 5.0
"""Of a window before it is decimated, in Hz and seconds."""

DECIMATION = 5
BAND_HZ = (0.05, 47.0)
TERMS = "its weights are for non-commercial use only (CC BY-NC 4.0), and whoever shares them must name their authors"


@dataclass(frozen=True)
class Size:
    """Settings of the network, as its authors name them; `vocab_sizes`: of the code books of its pre-training."""

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    classifier_proj_size: int = 256
    vocab_sizes: tuple[int, ...] = (500,)
    conv_dim: tuple[int, ...] = (512, 512, 512, 512, 512)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 2, 2)
    conv_stride: tuple[int, ...] = (4, 2, 2, 2, 2)
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16

    @property
    def dim(self) -> int:
        """Width of the transformer."""
        return self.hidden_size


class Hubert(nn.Module):
    """Joined leads [window, sample] -> [window, dim]; any length from 82 samples on."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        from transformers import HubertConfig, HubertModel

        self.size = size
        model: Any = HubertModel(
            HubertConfig(
                hidden_size=size.hidden_size,
                num_hidden_layers=size.num_hidden_layers,
                num_attention_heads=size.num_attention_heads,
                intermediate_size=size.intermediate_size,
                conv_dim=list(size.conv_dim),
                conv_kernel=list(size.conv_kernel),
                conv_stride=list(size.conv_stride),
                num_conv_pos_embeddings=size.num_conv_pos_embeddings,
                num_conv_pos_embedding_groups=size.num_conv_pos_embedding_groups,
            )
        )
        # Its parts, because the whole cannot be told which tokens count.
        self.feature_extractor: nn.Module = model.feature_extractor
        self.feature_projection: nn.Module = model.feature_projection
        self.encoder: nn.Module = model.encoder
        self.masked_spec_embed = nn.Parameter(torch.rand(size.hidden_size))
        width = size.classifier_proj_size
        self.final_proj = nn.ModuleList(nn.Linear(size.hidden_size, width) for _ in size.vocab_sizes)
        self.label_embedding = nn.ModuleList(nn.Embedding(n, width) for n in size.vocab_sizes)

    def forward(self, windows: Tensor, there: Tensor | None = None) -> Tensor:
        """Mean over the tokens that count.

        there : [window, sample], 1 where a sample is there, 0 where it is padding; by default all are.
        """
        tokens = self.tokens(windows, there)
        if there is None:
            return tokens.mean(1)
        counted = self.counted(there, tokens.shape[1])[..., None]
        return (tokens * counted).sum(1) / counted.sum(1)

    def tokens(self, windows: Tensor, there: Tensor | None = None) -> Tensor:
        """The last layer, [window, token, dim]; what it says of tokens that do not count means nothing."""
        x = self.feature_projection(self.feature_extractor(windows).mT)
        counted = None if there is None else self.counted(there, x.shape[1])
        found: Tensor = self.encoder(x, attention_mask=counted).last_hidden_state
        return found

    def counted(self, there: Tensor, n_tokens: int) -> Tensor:
        """Which tokens count, bool [window, token]: as many as the samples that are there would give."""
        lengths = there.sum(-1)
        for kernel, stride in zip(self.size.conv_kernel, self.size.conv_stride, strict=True):
            lengths = (lengths - kernel).div(stride, rounding_mode="floor") + 1
        return torch.arange(n_tokens) < lengths[:, None]


def filtered(signal: npt.NDArray[np.floating], rate: float) -> npt.NDArray[np.float64]:
    """Band-pass from 0.05 to 47 Hz of the published length, 0.3 s, forwards and backwards: [..., sample].

    So short a filter hardly knows its low edge. At rates that cannot hold 47 Hz there is nothing above to be removed.
    """
    from scipy.signal import filtfilt, firwin

    n_taps = int(0.3 * rate) | 1
    band = BAND_HZ if rate / 2 > BAND_HZ[1] else BAND_HZ[:1]
    taps = firwin(n_taps, band, pass_zero=False, fs=rate)
    return np.asarray(filtfilt(taps, 1.0, signal.astype(np.float64)), dtype=np.float64)


def scaled(signal: npt.NDArray[np.float64]) -> Array:
    """Each lead from -1 at its lowest to 1 at its highest sample; a constant lead is -1: float32, same shape."""
    low, high = signal.min(-1, keepdims=True), signal.max(-1, keepdims=True)
    return np.asarray(2 * (signal - low) / (high - low + 1e-8) - 1, dtype=np.float32)


def joined(windows: Array) -> Array:
    """Leads one after the other, decimated over their borders: [window, lead, sample] -> [window, sample].

    Missing samples (NaN) become the mean of all others of their window; a window without any is zero.
    """
    from scipy.signal import decimate

    missing = np.isnan(windows)
    count = np.maximum((~missing).sum((1, 2), keepdims=True), 1)
    mean = np.where(missing, 0.0, windows).sum((1, 2), keepdims=True, dtype=np.float64) / count
    filled = np.where(missing, mean, windows).reshape(len(windows), -1)
    return np.asarray(decimate(filled, DECIMATION), dtype=np.float32)


class _HubertECG(Published):
    attention = r"encoder\.layers\.\d+\.attention\.(q|k|v|out)_proj"
    unused = ("masked_spec_embed", "final_proj.*", "label_embedding.*")
    tiny = Size(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        classifier_proj_size=8,
        vocab_sizes=(4,),
        conv_dim=(16, 16, 16, 16, 16),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    size: ClassVar[Size]

    @staticmethod
    def network(size: Size) -> Hubert:
        """transformers' HuBERT, under the published names."""
        return Hubert(size)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Five seconds of twelve leads joined, 100 Hz, after filter and scaling of the whole recording.

        Published: the first five seconds only, or some at random in training. Here a shorter recording starts again
        (the published mask would read its first leads only), and a gap is bridged (the published filter would lose the
        lead); a lead that is missing altogether becomes the mean of the others, as published.
        """
        windows, owner = [np.empty((0, 12 * 500), dtype=np.float32)], []
        for row, recording in enumerate(recordings):
            parts = joined(_windows(wanted_leads(recording, STANDARD_LEADS), recording.rate))
            windows.append(parts)
            owner += [row] * len(parts)
        return Inputs(np.concatenate(windows), np.array(owner, dtype=np.intp), len(recordings))


def _windows(signal: Array, rate: float) -> Array:
    """[window, lead, sample] at 500 Hz, a missing lead NaN."""
    missing = np.isnan(signal).all(-1)
    shortest = round(SECONDS * rate)
    if signal.shape[-1] < shortest:
        signal = fit_length(signal, shortest)
    clean = filtered(fill_gaps(signal), rate)
    whole = scaled(resample_fourier(clean, round(clean.shape[-1] * RATE / rate)))
    whole[missing] = np.nan
    return cut(whole, round(SECONDS * RATE))


def _card(name: str, summary: str, dim: int, parameters: int) -> Card:
    return Card(
        name=name,
        summary=summary,
        dim=dim,
        leads=STANDARD_LEADS,
        rate=RATE / DECIMATION,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=parameters,
        licence="CC BY-NC 4.0 (not for commercial use)",
        citation="Coppola et al. 2024, medRxiv 2024.11.14.24317328",
        source="github.com/Edoar-do/HuBERT-ECG",
        batch=1,
        # 9.1 million ECGs; which data sets they are of is not known to us.
        seen=("unknown",),
    )


def _origin(kind: str) -> Origin:
    return Origin(repository=f"Edoardo-BS/hubert-ecg-{kind}", file="model.safetensors", terms=TERMS)


@register_expert
class HubertECGSmall(_HubertECG):
    """8 layers."""

    size = Size(hidden_size=512, num_hidden_layers=8, num_attention_heads=8, intermediate_size=2048)
    origin = _origin("small")
    card = _card("hubert-ecg-small", "HuBERT, learned from 9.1 million ECGs; 8 layers", 512, 30_468_992)


@register_expert
class HubertECGBase(_HubertECG):
    """12 layers."""

    size = Size()
    origin = _origin("base")
    card = _card("hubert-ecg-base", "HuBERT, learned from 9.1 million ECGs; 12 layers", 768, 93_123_712)


@register_expert
class HubertECGLarge(_HubertECG):
    """16 layers."""

    size = Size(
        hidden_size=960,
        num_hidden_layers=16,
        intermediate_size=3840,
        classifier_proj_size=512,
        vocab_sizes=(1000,),
    )
    origin = _origin("large")
    card = _card("hubert-ecg-large", "HuBERT, learned from 9.1 million ECGs; 16 layers", 960, 188_648_768)
