"""Expert `vit`: a small vision transformer over patches of lead and time.

Every half second of every lead is a token, as in ST-MEM (Na et al., ICLR 2024, arXiv 2402.09450); any of them may be
missing. A patch is seen through two convolutions that do not leave it, since a beat may be anywhere in it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from enecg.experts._layers import attend, patches
from enecg.experts._registry import register_expert
from enecg.experts.learned._expert import Learned, card
from enecg.experts.learned._tokens import TokenNetwork, filled


@dataclass(frozen=True)
class ViTSize:
    """patch : samples;  most : patches in time at most;  channels : of the convolutions;  hidden : of the FFN."""

    n_leads: int = 12
    patch: int = 50
    most: int = 20
    channels: tuple[int, int] = (16, 32)
    width: int = 128
    layers: int = 6
    heads: int = 4
    hidden: int = 256
    dropout: float = 0.1

    @property
    def dim(self) -> int:
        """Length of the embedding."""
        return 2 * self.width


class _Block(nn.Module):
    """Attention, then a feed-forward layer, each after a norm: [window, token, width], same shape."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        self.heads = size.heads
        self.attention_norm, self.norm = nn.LayerNorm(size.width), nn.LayerNorm(size.width)
        self.query_key_value = nn.Linear(size.width, 3 * size.width)
        self.output = nn.Linear(size.width, size.width)
        self.up, self.down = nn.Linear(size.width, size.hidden), nn.Linear(size.hidden, size.width)
        self.dropout = nn.Dropout(size.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = self.query_key_value(self.attention_norm(x)).chunk(3, -1)
        x = x + self.dropout(self.output(attend(query, key, value, self.heads, mask=mask)))
        found: Tensor = x + self.dropout(self.down(gelu(self.up(self.norm(x)))))
        return found


class ViT(TokenNetwork):
    """Tokens of one lead and half a second each; a patch is there if none of its samples is missing."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        self.width, self.stride = size.width, size.patch
        self.first = nn.Conv1d(1, size.channels[0], 9, 2, 4)
        self.second = nn.Conv1d(size.channels[0], size.channels[1], 5, 2, 2)
        self.project = nn.Linear(size.channels[1] * -(-size.patch // 4), size.width)
        self.lead = nn.Parameter(0.02 * torch.randn(size.n_leads, 1, size.width))
        self.time = nn.Parameter(0.02 * torch.randn(size.most, size.width))
        self.blocks = nn.ModuleList(_Block(size) for _ in range(size.layers))
        self.last = nn.LayerNorm(size.width)

    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [window, token, width], and which are of samples that are there.

        While it is trained, only as many tokens are computed as the fullest window has.
        """
        y, there = filled(x)
        y, whole = patches(y, self.stride), patches(there, self.stride).all(-1)
        n, _, n_patches, _ = y.shape
        seen, pieces = whole.flatten(1), y.flatten(1, 2)
        place = (self.lead + self.time[:n_patches]).flatten(0, 1).expand(n, -1, -1)
        if (order := self._computed(seen)) is not None:
            seen = seen.gather(1, order)
            pieces = pieces.gather(1, order[..., None].expand(-1, -1, self.stride))
            place = place.gather(1, order[..., None].expand(-1, -1, self.width))
        found = gelu(self.second(gelu(self.first(pieces.flatten(0, 1).unsqueeze(1))))).flatten(1)
        tokens = self.project(found).reshape(n, -1, self.width) + place
        # A window without anything looks at all of its empty patches: the softmax of nothing would be NaN.
        mask = (seen | ~seen.any(1, keepdim=True))[:, None, None]
        for block in self.blocks:
            tokens = block(tokens, mask)
        return self.last(tokens), seen

    def times(self, x: Tensor) -> Tensor:
        """The middle of each token of `tokens(x)`, in samples: float [window, token]."""
        whole = patches(~torch.isnan(x), self.stride).all(-1)
        middles = super().times(x)[:, None].expand(whole.shape).flatten(1)
        order = self._computed(whole.flatten(1))
        return middles if order is None else middles.gather(1, order)

    def _computed(self, seen: Tensor) -> Tensor | None:
        """Which tokens are computed, in which order, [window, token]; None: all, as they stand."""
        if not self.training or seen.all():
            return None
        most = max(1, int(seen.sum(1).max()))
        return seen.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :most]


@register_expert
class ViTExpert(Learned):
    """The transformer."""

    size = ViTSize()
    tiny = ViTSize(channels=(4, 8), width=16, layers=1, heads=2, hidden=16)
    card = card("vit", "a small transformer of our own", size.dim, 855_360, "Na et al., ICLR 2024, arXiv 2402.09450")

    @staticmethod
    def network(size: Any) -> ViT:
        """ViT."""
        return ViT(size)
