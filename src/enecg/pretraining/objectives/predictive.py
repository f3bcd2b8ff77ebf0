"""Objective `predictive`: from all that came before, tell what comes next from what does not.

Contrastive predictive coding: van den Oord et al., arXiv 1807.03748; of ECGs: Mehari and Strodthoff, arXiv 2103.12676;
with state-space networks, ahead of transformers twenty times as large: arXiv 2509.25095.
"""

from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from enecg.errors import FitError
from enecg.experts import get_expert
from enecg.experts._registry import NETWORKS
from enecg.experts.learned import Learned, TokenNetwork
from enecg.pretraining._batch import Batch
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._objective import Objective, register_objective
from enecg.pretraining.objectives._contrast import TEMPERATURE, info_nce

AHEAD = 12
"""Tokens: 1 to AHEAD are told, which is about a second, or a beat, of `s4d`."""

STARTS = 16
"""Tokens of each window from which is told what comes next."""

OTHERS = 128
"""Tokens of other windows that might have come; all of the same window might have, too."""


@runtime_checkable
class Sequential(Protocol):
    """A network that reads from left to right: each token of the context knows the local ones up to its own."""

    def local(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What is seen at each moment, [window, token, width], and where something was there."""

    def context(self, local: Tensor) -> Tensor:
        """What is known by then: same shape."""


@register_objective
class Predictive(Objective):
    """InfoNCE with a linear map for each step ahead, relative to guessing."""

    name = "predictive"
    summary = "tell what comes next, as far as a beat ahead"

    def __init__(self, network: TokenNetwork, corpus: Corpus) -> None:
        """Raises FitError for a network that knows what comes next, and for windows that are too short."""
        super().__init__(network, corpus)
        if not (network.causal and isinstance(network, Sequential)):
            raise FitError(
                f"objective 'predictive' asks what comes next, which {type(network).__name__} sees; networks that do "
                f"not: {', '.join(_causal_names())}"
            )
        if corpus.n_samples // network.stride <= AHEAD:
            raise FitError(
                f"objective 'predictive' looks {AHEAD} tokens ahead; windows of {corpus.n_samples} samples are "
                f"{corpus.n_samples // network.stride} tokens; use another objective"
            )
        self.maps = nn.Linear(network.width, AHEAD * network.width)

    def forward(self, network: TokenNetwork, batch: Batch) -> Tensor:
        """Mean over starts and steps ahead, [window]; NaN where nothing follows on anything."""
        assert isinstance(network, Sequential)
        local, there = network.local(batch.x)
        n_tokens, width = local.shape[1:]
        starts = _starts(there, batch.generator)
        context = network.context(local).gather(1, starts[..., None].expand(-1, -1, width))
        told = self.maps(context).unflatten(-1, (AHEAD, width)).flatten(1, 2)  # of each start and step
        told, local = normalize(told.float(), dim=-1) / TEMPERATURE, normalize(local.float(), dim=-1)
        next_ = (starts[..., None] + torch.arange(1, AHEAD + 1, device=starts.device)).flatten(1)
        asked = there.gather(1, starts).repeat_interleave(AHEAD, dim=1) & there.gather(1, next_)

        own = told @ local.transpose(1, 2)
        other_times = there[:, None] & (torch.arange(n_tokens, device=next_.device) != next_[..., None])
        places = torch.randint(there.numel(), (OTHERS,), generator=batch.generator).to(next_.device)
        strange = batch.subjects[:, None] != batch.subjects[places // n_tokens]
        other_people = (strange & there.flatten()[places])[:, None].expand(-1, next_.shape[1], -1)

        wrong = torch.cat([own, told @ local.flatten(0, 1)[places].T], dim=-1)
        might = torch.cat([other_times, other_people], dim=-1)
        asked = asked & might.any(-1)
        loss = info_nce(own.gather(2, next_[..., None]), wrong, might)[..., 0] * asked
        return torch.where(asked.any(1), loss.sum(1) / asked.sum(1).clamp_min(1), torch.nan)


def _starts(there: Tensor, generator: torch.Generator) -> Tensor:
    """Tokens with AHEAD more after them, those that are there first, in random order: [window, start]."""
    able = there[:, :-AHEAD]
    draw = torch.rand(able.shape, generator=generator).to(there.device).masked_fill(~able, -1.0)
    return draw.argsort(dim=1, descending=True)[:, :STARTS]


def _causal_names() -> list[str]:
    networks = {name: cast(Learned, get_expert(f"{name}:tiny")).fresh_network() for name in NETWORKS}
    return [name for name, network in networks.items() if network.causal]
