"""Active data curation: of more windows than a step needs, it learns from those with most left to learn.

ACID (Udandarao et al., CVPR 2025, arXiv 2411.18674), from JEST (Evans et al., NeurIPS 2024, arXiv 2406.17711). Where
the loss of a window depends on no other window, what both search for step by step, the batch of highest learnability,
is simply the windows of highest learnability: as in RHO-LOSS (Mindermann et al., ICML 2022, arXiv 2206.07137), where
it was found. They are taken as they are, not drawn by a softmax of the scores, which would ask for a temperature that
fits each objective's unit of loss.

What a window's loss could come to is told by a network that has never met its person: the training people are halved,
a short training on each half tells it of the other. So labels that are wrong stay unlearnable, since nobody can have
learned them by heart, and no recording is set aside.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from enecg.ensemble import folds_of
from enecg.errors import FitError
from enecg.experts.learned import TokenNetwork
from enecg.pretraining._batch import Batch
from enecg.pretraining._objective import Objective
from enecg.pretraining._training import Precision, Training, batches, window_losses

REFERENCE_SHARE = 0.25
"""Steps of both references together, as a share of those of the training that they serve."""

HALVES = 2


class Learnability:
    """Chooses windows by the learner's loss minus the reference's; how it is called: `Choose`.

    reference : loss that each window of the corpus could come to, [window], NaN where that is not known;
    keep : how many are chosen;  precision : in which the learner is scored.
    Scoring is without dropout, before augmentation and without a gradient: a third of a step's work for each window.
    """

    def __init__(self, reference: Tensor, keep: int, precision: Precision = "fp32") -> None:
        self.reference, self.keep, self.precision = reference, keep, precision

    def __call__(self, objective: Objective, network: TokenNetwork, batch: Batch) -> Tensor:
        """Places in the batch, in rising order. Windows with nothing to learn from come last."""
        score = _scores(objective, network, batch, self.precision) - self.reference[batch.windows]
        order = score.nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True)
        return order[: self.keep].sort().values

    @classmethod
    def of(cls, training: Training) -> "Learnability":
        """For a training that has not begun. Raises FitError where a batch to choose from is more than there is."""
        settings, there = training.settings, len(training.corpus.train)
        if settings.batch * training.of > there:
            raise FitError(
                f"{there} windows to learn from, and {settings.batch} x {training.of} to choose from in each step; "
                "take a smaller batch, or choose from fewer"
            )
        return cls(reference_losses(training), settings.batch, settings.precision)


def reference_losses(training: Training) -> Tensor:
    """Loss of each training window for a network that learned from other people, [window]; NaN for all others.

    The references begin as the training does, and leave checkpoints beside its own.
    """
    corpus, settings = training.corpus, training.settings
    fold = folds_of(corpus.people[corpus.owner[corpus.train]], HALVES, training.seed)
    steps = max(1, round(REFERENCE_SHARE / HALVES * settings.steps))
    found = torch.full((len(corpus.owner),), torch.nan, device=training.device)
    for number in range(HALVES):
        own = training.checkpoint
        work = Training(
            deepcopy(training.network),
            deepcopy(training.objective),
            replace(corpus, train=corpus.train[fold != number]),
            replace(settings, steps=steps, check_every=min(settings.check_every, steps)),
            training.seed,
            checkpoint=None if own is None else own.with_name(f"{own.stem}-reference-{number}{own.suffix}"),
            device=training.device,
        )
        work.resume()
        work.run()
        for count, windows in enumerate(batches(corpus.train[fold == number], settings.batch)):
            draws = torch.Generator().manual_seed(int(np.random.default_rng([training.seed, 4, count]).integers(2**31)))
            batch = corpus.batch(windows, draws, training.device)
            found[batch.windows] = _scores(work.objective, work.network, batch, settings.precision)
    return found


def _scores(objective: Objective, network: TokenNetwork, batch: Batch, precision: Precision) -> Tensor:
    """Loss of each window [window] as in validation; networks that were being trained go on being trained."""
    before = network.training, objective.training
    network.eval()
    objective.eval()
    with torch.no_grad():
        found = window_losses(objective, network, batch, precision)
    network.train(before[0])
    objective.train(before[1])
    return found
