"""Objective `supervised`: answers to all tasks at once, from one linear layer on the embedding."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from enecg.ensemble import torch_loss
from enecg.errors import FitError
from enecg.experts.learned import TokenNetwork
from enecg.pretraining._batch import Batch
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._objective import Objective, register_objective

DROPOUT = 0.2

MIXING = 0.3
"""Both parameters of the beta distribution that says how much of a window another one is (mixup, arXiv 1710.09412)."""


@register_objective
class Supervised(Objective):
    """Each task's loss is divided by that of the answer that knows no recording; a task weighs what its labels do.

    While it is trained, each window is mixed with another of its batch, and so is what should be answered: several
    thousand recordings are learned by heart otherwise.
    """

    name = "supervised"
    summary = "labels of all tasks together"
    labels = True

    def __init__(self, network: TokenNetwork, corpus: Corpus) -> None:
        super().__init__(network, corpus)
        if not corpus.spaces:
            raise FitError("objective 'supervised' needs tasks, with targets for them")
        self.spaces = corpus.spaces
        # A mean over windows: those without a label have none of the sum.
        self.weights = {name: 1 / (share * len(corpus.spaces)) for name, share in corpus.shares.items()}
        self.dropout = nn.Dropout(DROPOUT)
        self.heads = nn.ModuleDict()
        for name, space in corpus.spaces.items():
            head = nn.Linear(2 * network.width, len(space.base))
            nn.init.normal_(head.weight, std=0.01)
            with torch.no_grad():
                head.bias.copy_(torch.from_numpy(space.start))
            self.heads[name] = head

    def forward(self, network: TokenNetwork, batch: Batch) -> Tensor:
        """Sum over the tasks, [window]; NaN for a window without any label."""
        if not self.training:
            return self.judged(self.answers(network, batch), batch)
        draw = np.random.default_rng(int(torch.randint(2**31, (), generator=batch.generator)))
        share = draw.beta(MIXING, MIXING)
        share = max(share, 1 - share)
        other = batch.take(torch.from_numpy(draw.permutation(len(batch))).to(batch.x.device))
        answers = self.answers(network, replace(batch, x=share * batch.x + (1 - share) * other.x))
        return total([share * self.judged(answers, batch), (1 - share) * self.judged(answers, other)])

    def judged(self, answers: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """How wrong answers are of these windows, [window]; NaN for a window of which nothing is known."""
        return self.loss(answers, batch.targets)

    def answers(self, network: TokenNetwork, batch: Batch) -> Mapping[str, Tensor]:
        """By task, what the heads say, [window, output]."""
        x = self.dropout(network(batch.x))
        return {name: head(x).float() for name, head in self.heads.items()}

    def loss(self, answers: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Of answers, whoever gives them, [window, output] by task; NaN for a window without any label."""
        rows = []
        for name, space in self.spaces.items():
            there = ~torch.isnan(targets[name]).any(dim=1)
            loss = torch_loss(space.task, answers[name][there], targets[name][there])
            row = torch.full_like(targets[name][:, 0], torch.nan)
            rows.append(row.index_put((there,), loss * (self.weights[name] / space.trivial)))
        return total(rows)


def total(rows: Sequence[Tensor]) -> Tensor:
    """Sum of losses [window], over those that are there; NaN where none is."""
    every = torch.stack(list(rows))
    return torch.where(torch.isnan(every).all(dim=0), torch.nan, every.nansum(dim=0))
