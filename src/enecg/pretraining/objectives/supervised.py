"""Objective `supervised`: answers to all tasks at once, from one linear layer on the embedding."""

import torch
from torch import Tensor, nn

from enecg.ensemble import torch_loss
from enecg.errors import FitError
from enecg.experts.learned import TokenNetwork
from enecg.pretraining._batch import Batch
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._objective import Objective, register_objective

DROPOUT = 0.2


@register_objective
class Supervised(Objective):
    """Each task's loss is divided by that of the answer that knows no recording; a task weighs what its labels do."""

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
        return self.by_labels(self.dropout(network(batch.x)), batch)

    def by_labels(self, x: Tensor, batch: Batch) -> Tensor:
        """The same from the embedding [window, 2 * width]."""
        total = torch.zeros(len(batch), device=x.device)
        known = torch.zeros(len(batch), dtype=torch.bool, device=x.device)
        for name, space in self.spaces.items():
            there = ~torch.isnan(batch.targets[name]).any(dim=1)
            loss = torch_loss(space.task, self.heads[name](x[there]).float(), batch.targets[name][there])
            total = total.index_add(0, there.nonzero()[:, 0], loss * (self.weights[name] / space.trivial))
            known = known | there
        return torch.where(known, total, torch.nan)
