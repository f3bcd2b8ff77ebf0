"""The network that ECG-FM and MELP share: wav2vec 2.0 as fairseq-signals has it for ECGs.

Baevski et al., NeurIPS 2020, arXiv 2006.11477; github.com/Jwoo5/fairseq-signals (MIT).
Four convolutions halve the samples each, then a transformer. Easy to get wrong: only the first convolution is followed
by a group norm, one group a channel, so that a channel is scaled over its own window, padding included; the weight norm
of the positions' convolution has one magnitude for each tap of the kernel; the norm before the layers comes first,
inside them it comes after each sum, and there is none at the end.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu
from torch.nn.utils.parametrizations import weight_norm

from enecg.experts._layers import attend

N_HALVINGS = 4

ATTENTION = r".*\.self_attn\.(q|k|v|out)_proj"
"""The linear layers of the attention."""

PRETRAINING = ("mask_emb", "quantizer.*", "project_q.*", "final_proj.*")
"""What served pre-training only."""


@dataclass(frozen=True)
class Size:
    """Settings of the network, as its authors name them; `conv_dim`: channels of the convolutions."""

    in_d: int = 12
    conv_dim: int = 256
    encoder_embed_dim: int = 768
    encoder_ffn_embed_dim: int = 3072
    encoder_attention_heads: int = 12
    encoder_layers: int = 12
    conv_pos: int = 128
    conv_pos_groups: int = 16
    final_dim: int = 256
    latent_vars: int = 320
    latent_groups: int = 2

    @property
    def dim(self) -> int:
        """Width of the transformer."""
        return self.encoder_embed_dim


class _Extractor(nn.Module):
    """[window, lead, sample] -> [window, channel, token]; what does not fill a token is dropped."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        channels = size.conv_dim

        def halving(n_in: int, *norm: nn.Module) -> nn.Sequential:
            # Dropout's place is kept, for the published numbers of what follows.
            return nn.Sequential(nn.Conv1d(n_in, channels, 2, 2, bias=False), nn.Identity(), *norm, nn.GELU())

        first = halving(size.in_d, nn.GroupNorm(channels, channels))
        self.conv_layers = nn.Sequential(first, *(halving(channels) for _ in range(N_HALVINGS - 1)))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv_layers(x)
        return found


class _Positions(nn.Module):
    """What a token's place adds to it, of the tokens around: [window, token, width] -> the same."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width, kernel = size.dim, size.conv_pos
        conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=size.conv_pos_groups)
        self.pos_conv = nn.Sequential(weight_norm(conv, dim=2))

    def forward(self, x: Tensor) -> Tensor:
        # An even kernel gives one token too many.
        return gelu(self.pos_conv(x.mT)[..., : x.shape[1]]).mT


class _SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        found: Tensor = self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, mask=mask))
        return found


class _Layer(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.self_attn = _SelfAttention(size.dim, size.encoder_attention_heads)
        self.self_attn_layer_norm = nn.LayerNorm(size.dim)
        self.fc1 = nn.Linear(size.dim, size.encoder_ffn_embed_dim)
        self.fc2 = nn.Linear(size.encoder_ffn_embed_dim, size.dim)
        self.final_layer_norm = nn.LayerNorm(size.dim)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.self_attn_layer_norm(x + self.self_attn(x, mask))
        found: Tensor = self.final_layer_norm(x + self.fc2(gelu(self.fc1(x))))
        return found


class _Transformer(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(size) for _ in range(size.encoder_layers))
        self.layer_norm = nn.LayerNorm(size.dim)

    def forward(self, x: Tensor, padded: Tensor | None) -> Tensor:
        """Of tokens; padded : bool [window, token], True where nobody looks."""
        mask = None
        if padded is not None:
            x, mask = x.masked_fill(padded[..., None], 0.0), ~padded[:, None, None, :]
        x = self.layer_norm(x)
        for layer in self.layers:
            x = layer(x, mask)
        return x


class Wav2Vec(nn.Module):
    """[window, lead, sample] -> [window, dim]; any length from 16 samples on."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.feature_extractor = _Extractor(size)
        self.layer_norm = nn.LayerNorm(size.conv_dim)
        self.post_extract_proj = nn.Linear(size.conv_dim, size.dim)
        self.conv_pos = _Positions(size)
        self.encoder = _Transformer(size)

    def forward(self, windows: Tensor, padding: Tensor | None = None) -> Tensor:
        """Mean over the tokens that are not padding; as published, values of exactly zero are not counted.

        padding : bool [window, sample] or [window, lead, sample], True after the end of a window's signal.
        """
        tokens = self.tokens(windows, padding)
        padded = padded_tokens(padding, tokens.shape[1])
        if padded is not None:
            tokens = tokens.masked_fill(padded[..., None], 0.0)
        return tokens.sum(1) / (tokens != 0).sum(1)

    def tokens(self, windows: Tensor, padding: Tensor | None = None) -> Tensor:
        """The last layer, [window, token, dim]; what it says where there is padding means nothing."""
        x = self.post_extract_proj(self.layer_norm(self.feature_extractor(windows).mT))
        x = x + self.conv_pos(x)
        found: Tensor = self.encoder(x, padded_tokens(padding, x.shape[1]))
        return found


def padded_tokens(padding: Tensor | None, n_tokens: int) -> Tensor | None:
    """Which tokens are padding, bool [window, token], from which samples are; None where none is."""
    if padding is None or not padding.any():
        return None
    if padding.ndim == 3:  # every lead's is the same
        padding = padding[:, 0]
    lengths = (~padding).sum(-1) // 2**N_HALVINGS
    found: Tensor = torch.arange(n_tokens) >= lengths[:, None]
    return found


class _Quantizer(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        n_codes = size.latent_groups * size.latent_vars
        self.vars = nn.Parameter(torch.rand(1, n_codes, size.final_dim // size.latent_groups))
        self.weight_proj = nn.Linear(size.conv_dim, n_codes)


class PretrainedWav2Vec(Wav2Vec):
    """The same with what served pre-training; nothing reads it."""

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        self.mask_emb = nn.Parameter(torch.rand(size.dim))
        self.quantizer = _Quantizer(size)
        self.project_q = nn.Linear(size.final_dim, size.final_dim)
        self.final_proj = nn.Linear(size.dim, size.final_dim)
