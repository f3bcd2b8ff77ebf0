"""Objective `distil`: a small student learns what a teacher answers, beside the labels.

Distillation (Hinton et al., arXiv 1503.02531) of a whole ensemble into one network, as in ACED (Udandarao et al., CVPR
2025, arXiv 2411.18674), which chooses the windows as well (`curation`). The teacher's probabilities are calibrated, so
they are learned as they are, without a temperature.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax

from enecg.ensemble import torch_loss
from enecg.errors import FitError
from enecg.experts.learned import TokenNetwork
from enecg.pretraining._batch import Batch
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._objective import register_objective
from enecg.pretraining.objectives.supervised import Supervised, total
from enecg.tasks import Task

TEACHER = 1.0
"""How much the teacher's answers weigh; the labels weigh 1."""


@register_objective
class Distil(Supervised):
    """How far the answers are from the teacher's, relative to the answer that knows no recording, plus `supervised`.

    Where the teacher gives no answer the labels teach alone, and where there is no label the teacher.
    """

    name = "distil"
    summary = "answers of an ensemble, beside the labels"

    def __init__(self, network: TokenNetwork, corpus: Corpus) -> None:
        super().__init__(network, corpus)
        if not corpus.taught:
            raise FitError("objective 'distil' needs a teacher's answers to its tasks; see `teacher_answers`")
        places = corpus.owner[corpus.train]
        self.scales = {}
        for name, column in corpus.taught.items():
            space, taught = self.spaces[name], torch.from_numpy(column[places])
            taught = taught[~torch.isnan(taught).any(dim=1)]
            trivial = divergence(space.task, torch.from_numpy(space.start).expand_as(taught), taught)
            if not len(taught) or not trivial.mean() > 0:
                raise FitError(
                    f"the teacher says nothing of {name} that differs between recordings; leave the task out"
                )
            share = len(taught) / len(places)
            self.scales[name] = TEACHER / (share * len(corpus.spaces) * float(trivial.mean()))

    def judged(self, answers: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Sum over the tasks, [window]; NaN for a window with neither label nor answer."""
        rows = [super().judged(answers, batch)]
        for name, scale in self.scales.items():
            taught = batch.taught[name]
            there = ~torch.isnan(taught).any(dim=1)
            apart = divergence(self.spaces[name].task, answers[name][there], taught[there])
            rows.append(torch.full_like(rows[0], torch.nan).index_put((there,), scale * apart))
        return total(rows)


def divergence(task: Task, outputs: Tensor, taught: Tensor) -> Tensor:
    """How far answers are from a teacher's, [row], 0 where they agree.

    outputs : heads' numbers [row, output];  taught : standardised values or probabilities, same shape.
    The loss of the task for a regression, else the Kullback-Leibler divergence from the teacher's probabilities, mean
    over labels: as cross-entropy, less what the teacher itself is unsure of.
    """
    if task.kind == "regression":
        return torch_loss(task, outputs, taught)
    if task.kind == "multiclass":
        return (torch.xlogy(taught, taught) - taught * log_softmax(outputs, dim=-1)).sum(dim=-1)
    unsure = -torch.xlogy(taught, taught) - torch.xlogy(1 - taught, 1 - taught)
    return (binary_cross_entropy_with_logits(outputs, taught, reduction="none") - unsure).mean(dim=-1)
