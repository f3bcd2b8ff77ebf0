"""Expert `melp`: the ECG encoder of MELP, aligned with the reports of MIMIC-IV-ECG.

Wang et al., ICML 2025, arXiv 2506.21803; github.com/HKU-MedAI/MELP (MIT).
ECG-FM's network with eight layers; learned queries look at its tokens. Its feature for linear probing is the queries'
mean after their norm, without the projection that text is compared with. Easy to get wrong: ten seconds are scaled to
0..1 over all leads together, after they are cut and padded with zeros, and aVF comes before aVL.
By the code beside them, the weights are a model of transformers, with the encoder below `ecg_encoder.`. How many
queries are contrasted with text differs between the published defaults (10 to 14), and the file was not opened: any
number is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enecg.experts._card import Card
from enecg.experts._contract import Inputs
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.experts.published import _wav2vec
from enecg.experts.published._mimic import LEADS, RATE, SECONDS, unit_windows
from enecg.experts.published._wav2vec import PretrainedWav2Vec
from enecg.recording import Recording
from enecg.weights import ANY, Layout, Origin


@dataclass(frozen=True)
class Size:
    """Settings of the encoder; `ecg`: of the network below."""

    ecg: _wav2vec.Size = field(default_factory=lambda: _wav2vec.Size(encoder_layers=8))
    shared_emb_dim: int = 256
    embed_dim_caption: int = 768
    n_queries_contrast: int = 13
    n_queries_caption: int = 128
    heads: int = 8

    @property
    def dim(self) -> int:
        """Width of what is shared with text."""
        return self.shared_emb_dim


class _Pool(nn.Module):
    """Learned queries look at tokens: [window, token, width below] -> [window, query, width]."""

    def __init__(self, width: int, below: int, n_queries: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(n_queries, width))
        self.attn = nn.MultiheadAttention(width, heads, kdim=below, vdim=below, batch_first=True)
        self.ln_q = nn.LayerNorm(width)
        self.ln_k = nn.LayerNorm(below)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.ln_k(tokens)
        query = self.ln_q(self.query).expand(len(tokens), -1, -1)
        found: Tensor = self.attn(query, tokens, tokens, need_weights=False)[0]
        return found

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        # The file says how many queries there are.
        given = state.get(f"{prefix}query")
        if given is not None and given.shape[1:] == self.query.shape[1:]:
            self.query = nn.Parameter(self.query.new_empty(given.shape))
        super()._load_from_state_dict(state, prefix, *rest)


class Encoder(nn.Module):
    """[window, lead, sample] -> [window, dim]; any length from 16 samples on."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        below = size.ecg.dim
        self.ecg_encoder = PretrainedWav2Vec(size.ecg)
        self.attn_pool_contrast = _Pool(size.shared_emb_dim, below, size.n_queries_contrast, size.heads)
        self.ln_contrast = nn.LayerNorm(size.shared_emb_dim)
        self.proj_contrast = nn.Parameter(torch.randn(size.shared_emb_dim, size.shared_emb_dim) * below**-0.5)
        self.attn_pool_caption = _Pool(size.embed_dim_caption, below, size.n_queries_caption, size.heads)
        self.ln_caption = nn.LayerNorm(size.embed_dim_caption)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        self.bn = nn.BatchNorm1d(768, affine=False)  # 768 in every size

    def forward(self, windows: Tensor) -> Tensor:
        """Mean over the queries of the contrast with text, before the projection."""
        tokens = self.ecg_encoder.tokens(windows)
        found: Tensor = self.ln_contrast(self.attn_pool_contrast(tokens)).mean(1)
        return found


@register_expert
class MELP(Published):
    """The encoder alone, without text."""

    size = Size()
    tiny: ClassVar[Size] = Size(_wav2vec.Size(12, 16, 32, 64, 4, 2, 32, 4, 16, 6), 16, 24, 5, 6, 8)
    attention = _wav2vec.ATTENTION
    unused = (
        "bn.*",
        "logit_scale",
        "proj_contrast",
        "attn_pool_caption.*",
        "ln_caption.*",
        *(f"ecg_encoder.{name}" for name in _wav2vec.PRETRAINING),
    )
    origin = Origin(
        file="the file of weights",
        page="https://huggingface.co/fuyingw/MELP_Encoder",
        inside=("state_dict",),
        prefix="ecg_encoder.",
    )
    card = Card(
        name="melp",
        summary="an encoder aligned with the reports of MIMIC-IV-ECG",
        dim=256,
        leads=LEADS,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=65_593_601,
        licence="Apache-2.0 (weights), MIT (code)",
        citation="Wang et al., ICML 2025, arXiv 2506.21803",
        source="github.com/HKU-MedAI/MELP",
        batch=1,
        seen=("mimic-iv-ecg",),
    )

    @staticmethod
    def network(size: Any) -> Encoder:
        """The encoder."""
        return Encoder(size)

    @classmethod
    def layout(cls) -> Layout:
        """Of the published size, with any number of queries."""
        found = dict(super().layout())
        (_, width), kind = found["attn_pool_contrast.query"]
        return found | {"attn_pool_contrast.query": ((ANY, width), kind)}

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds at 500 Hz, each window scaled to 0..1; short recordings end in zeros."""
        return unit_windows(recordings)
