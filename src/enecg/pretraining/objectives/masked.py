"""Objective `masked`: what was hidden from the network is computed from the tokens of the rest.

Masked autoencoding for any network (arXiv 2310.11153); in space and time as ST-MEM (Na et al., arXiv 2402.09450);
answers by cross-attention as CrossMAE (Fu et al., arXiv 2401.14391).
"""

import torch
from torch import Tensor

from enecg.experts.learned import TokenNetwork
from enecg.pretraining._batch import Batch
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._hiding import hide, in_pieces, piece_of, relative_error, some
from enecg.pretraining._objective import Objective, register_objective
from enecg.pretraining.objectives._decoder import Decoder
from enecg.signal.leads import LIMB_LEADS

PATCHES, LEADS, SPANS = range(3)
"""What is hidden: pieces of lead and time; leads, for all of their time; spans of time, of all leads."""

HIDDEN = {PATCHES: 0.75, LEADS: 0.75, SPANS: 0.5}
"""Share that is hidden. Less of spans: what follows from no other lead has to be told from the beats around it."""

N_LIMB = len(LIMB_LEADS)
"""They are the first ones of a window."""


@register_objective
class Masked(Objective):
    """Smooth error on hidden samples that are known, relative to answering zero."""

    name = "masked"
    summary = "tell what was hidden of leads and time"

    def __init__(self, network: TokenNetwork, corpus: Corpus) -> None:
        super().__init__(network, corpus)
        self.piece = piece_of(network.stride)
        self.decoder = Decoder(network, corpus.n_leads, self.piece, self.piece)

    def forward(self, network: TokenNetwork, batch: Batch) -> Tensor:
        """Relative error, [window]; NaN where nothing could be hidden, since nothing or one piece alone is there."""
        truth = in_pieces(batch.x, self.piece)
        known = ~torch.isnan(truth)
        seen = self.seen(known.any(-1), batch.generator)
        shown = hide(batch.x, seen, self.piece)
        tokens, there, own = *network.tokens(shown), network.times(shown)
        answer = self.decoder(tokens, there, own, self.piece * (torch.arange(truth.shape[2]) + 0.5))
        return relative_error(answer, truth, known & ~seen[..., None])

    def seen(self, there: Tensor, generator: torch.Generator) -> Tensor:
        """Which pieces the network sees: bool [window, lead, piece], some of those that are there.

        While it is trained, all windows of a batch hide the same kind of thing, and so about as much of it: a network
        that computes only what it sees then computes little. Validation looks at all kinds in each batch.
        """
        leads, times = there.any(2, keepdim=True), there.any(1, keepdim=True)
        kinds = torch.stack(
            [
                some(there, 1 - HIDDEN[PATCHES], generator, _independent(there, generator)),
                some(leads, 1 - HIDDEN[LEADS], generator, _independent(leads, generator)).expand_as(there),
                some(times, 1 - HIDDEN[SPANS], generator).expand_as(there),
            ]
        )
        kind = torch.randint(3, (1 if self.training else len(there),), generator=generator).to(there.device)
        # Of one lead alone no other can be told.
        kind = torch.where((leads.sum((1, 2)) < 2) & (kind == LEADS), PATCHES, kind)
        return kinds[kind, torch.arange(len(there), device=there.device)] & there


def _independent(there: Tensor, generator: torch.Generator) -> Tensor:
    """What may be seen where something is hidden: of the limb leads one at each time, and all others; as `there`.

    By Einthoven's and Goldberger's laws two limb leads give the other four. With two of them in sight a hidden one is
    a sum, which teaches nothing about hearts; so at most one of the six is ever seen beside hidden ones.
    """
    limb = there[:, :N_LIMB]
    draw = torch.rand(limb.shape, generator=generator).to(there.device).masked_fill(~limb, -1.0)
    one = torch.zeros_like(limb).scatter(1, draw.argmax(1, keepdim=True), True) & limb
    return torch.cat([one, there[:, N_LIMB:]], dim=1)
