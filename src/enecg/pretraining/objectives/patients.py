"""Objective `patients`: ECGs of one person are alike, those of two are not.

CLOCS (Kiyasseh et al., arXiv 2005.13249): the halves of a window are two views of one person; so are recordings of one
subject that stand in one batch, as in PCLR (Diamant et al., arXiv 2104.04569). The halves are the mainstay: a batch
drawn at random rarely holds two recordings of one person.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from enecg.errors import FitError
from enecg.experts.learned import TokenNetwork, summary
from enecg.pretraining._batch import Batch
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._objective import Objective, register_objective
from enecg.pretraining.objectives._contrast import TEMPERATURE, info_nce

WIDTHS = 128, 64
"""Of the projection, which is thrown away."""


@register_objective
class Patients(Objective):
    """InfoNCE, relative to guessing: another view of the same person among those of others."""

    name = "patients"
    summary = "tell the halves of one person's ECG from others'"

    def __init__(self, network: TokenNetwork, corpus: Corpus) -> None:
        """Raises FitError for windows too short to be halved, or of one person alone."""
        super().__init__(network, corpus)
        self.span = corpus.n_samples // 2 // network.stride * network.stride
        if not self.span:
            raise FitError(
                f"objective 'patients' halves windows, but {corpus.n_samples} samples are less than two tokens of "
                f"{network.stride}; use another objective"
            )
        people = corpus.people[corpus.owner[corpus.train]]
        if (people == people[0]).all():
            raise FitError("objective 'patients' tells people apart; all training recordings are of one subject")
        self.project = nn.Sequential(
            nn.Linear(2 * network.width, WIDTHS[0]), nn.GELU(), nn.Linear(WIDTHS[0], WIDTHS[1])
        )

    def forward(self, network: TokenNetwork, batch: Batch) -> Tensor:
        """Mean over both halves, [window]; NaN where one is empty or nobody else is in the batch."""
        tokens, there = network.tokens(self.halves(network, batch.x))
        views = normalize(self.project(summary(tokens, there)).float(), dim=-1)
        known, person = there.any(1), batch.subjects.repeat(2)
        loss = _contrast(views @ views.T / TEMPERATURE, person[:, None] == person, known)
        return loss.reshape(2, -1).mean(0)

    def halves(self, network: TokenNetwork, x: Tensor) -> Tensor:
        """All first halves, then all second ones: [2 * window, lead, sample]."""
        if network.causal:
            # Where it stands is nothing to such a network, and half as many samples are half as much work.
            return torch.cat([x[..., : self.span], x[..., -self.span :]])
        # One that learns places has to see all of them; what is missing it does not compute.
        late = torch.arange(x.shape[-1], device=x.device) >= x.shape[-1] - self.span
        early = torch.arange(x.shape[-1], device=x.device) < self.span
        return torch.cat([x.masked_fill(~early, torch.nan), x.masked_fill(~late, torch.nan)])


def _contrast(scores: Tensor, same: Tensor, known: Tensor) -> Tensor:
    """How hard the other views of a person are to find among others', [view].

    scores, same : [view, view], `same` of one person;  known : [view], whether there is something to see. The mean over
    all other views of the person; NaN where there is none, or nobody else.
    """
    both = known[:, None] & known
    own = both & same & ~torch.eye(len(known), dtype=torch.bool, device=known.device)
    others = both & ~same
    loss = (info_nce(scores, scores, others) * own).sum(1) / own.sum(1).clamp_min(1)
    return torch.where(own.any(1) & others.any(1), loss, torch.nan)
