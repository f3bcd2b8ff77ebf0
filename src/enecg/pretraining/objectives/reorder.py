"""Objective `reorder`: the time is cut into pieces, which are shuffled, and some of it is hidden; tell both.

The warm start of Kumar et al. (*Learnable Weight Initialization*, arXiv 2306.09320), carried over from volumes of an
image to the time of an ECG.
"""

import torch
from torch import Tensor

from enecg.errors import FitError
from enecg.experts.learned import TokenNetwork
from enecg.pretraining._batch import Batch
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._hiding import hide, in_pieces, piece_of, relative_error, some
from enecg.pretraining._objective import Objective, register_objective
from enecg.pretraining.objectives._decoder import WIDTH, Decoder

SLOTS = 5
"""Pieces of the time, two seconds each."""

HIDDEN = 0.25
"""Share of the time, in spans of half a second, that is hidden of all leads."""


@register_objective
class Reorder(Objective):
    """Which piece comes after which, relative to guessing; and hidden samples, relative to answering zero; their mean.

    Not which place a piece had: a window that was turned in time (`Augmentation.shift`) has no first piece.
    """

    name = "reorder"
    summary = "tell the order of shuffled pieces, and what was hidden of them"

    def __init__(self, network: TokenNetwork, corpus: Corpus) -> None:
        """Raises FitError for windows too short to be cut."""
        super().__init__(network, corpus)
        n_tokens = corpus.n_samples // network.stride
        if n_tokens < SLOTS:
            raise FitError(
                f"objective 'reorder' cuts a window into {SLOTS} pieces of whole tokens; windows of {corpus.n_samples} "
                f"samples are {n_tokens} tokens of {network.stride}; use another objective"
            )
        self.slot, self.piece = n_tokens // SLOTS * network.stride, piece_of(network.stride)
        self.signal = Decoder(network, corpus.n_leads, self.piece, self.piece)
        self.ends = Decoder(network, 2, WIDTH, 2 * self.piece)  # how a piece ends, and how it begins

    def forward(self, network: TokenNetwork, batch: Batch) -> Tensor:
        """Mean of both, or the one that can be asked for, [window]; NaN where neither can."""
        place = torch.rand(len(batch), SLOTS, generator=batch.generator).argsort(dim=1).to(batch.x.device)
        x = self.shuffled(batch.x, place)
        truth = in_pieces(x, self.piece)
        known = ~torch.isnan(truth)
        seen = some(known.any(-1).any(1, keepdim=True), 1 - HIDDEN, batch.generator)
        shown = hide(x, seen, self.piece)
        tokens, there, own = *network.tokens(shown), network.times(shown)
        answer = self.signal(tokens, there, own, self.piece * (torch.arange(truth.shape[2]) + 0.5))
        ends, begins = self.ends(tokens, there, own, self.slot * torch.arange(SLOTS + 1)).unbind(1)
        slots = (~torch.isnan(self.cut(shown))).any(-1).any(1)
        return _mean(
            relative_error(answer, truth, known & ~seen[..., None]),
            _order_error(ends[:, 1:] @ begins[:, :-1].transpose(1, 2) / WIDTH**0.5, place, slots),
        )

    def cut(self, x: Tensor) -> Tensor:
        """The pieces that change places, [window, lead, slot, sample]."""
        return x[..., : SLOTS * self.slot].reshape(*x.shape[:-1], SLOTS, -1)

    def shuffled(self, x: Tensor, place: Tensor) -> Tensor:
        """In slot s stands the piece that was at `place[s]`, [window, slot]; what is left over at the end stays."""
        pieces = self.cut(x)
        order = place[:, None, :, None].expand_as(pieces)
        return torch.cat([pieces.gather(2, order).flatten(2), x[..., SLOTS * self.slot :]], dim=-1)


def _order_error(scores: Tensor, place: Tensor, there: Tensor) -> Tensor:
    """Cross-entropy of which slot's piece comes next, relative to guessing among the others, [window].

    scores : [window, slot, slot that comes next];  place, there : [window, slot]. NaN where there is no choice.
    """
    itself = torch.eye(SLOTS, dtype=torch.bool, device=there.device)
    scores = scores.float().masked_fill(itself | ~there[:, None], torch.finfo(torch.float32).min)
    asked = (place[:, None] == place[:, :, None] + 1) & there[:, None] & there[:, :, None]
    count, others = asked.sum((1, 2)), there.sum(1) - 1
    loss = -(scores.log_softmax(-1) * asked).sum((1, 2)) / count.clamp_min(1)
    return torch.where((count > 0) & (others > 1), loss / others.clamp_min(2).log(), torch.nan)


def _mean(*parts: Tensor) -> Tensor:
    """Of those that are known, [window]; NaN where none is."""
    stack = torch.stack(parts)
    known = ~torch.isnan(stack)
    total = torch.where(known, stack, 0.0).sum(0) / known.sum(0).clamp_min(1)
    return torch.where(known.any(0), total, torch.nan)
