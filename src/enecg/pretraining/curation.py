"""Active data curation: of more windows than a step needs, it learns from those with most left to learn.

ACID (Udandarao et al., CVPR 2025, arXiv 2411.18674), from JEST (Evans et al., NeurIPS 2024, arXiv 2406.17711). Where
the loss of a window depends on no other window, what both search for step by step, the batch of highest learnability,
is simply the windows of highest learnability: as in RHO-LOSS (Mindermann et al., ICML 2022, arXiv 2206.07137), where
it was found. They are taken as they are, not drawn by a softmax of the scores, which would ask for a temperature that
fits each objective's unit of loss.

What a window's loss could come to is told by one who has not learned that window's own label, so that labels which are
wrong stay unlearnable: by a teacher's answers where there are some (of `held_out_answers`), else by networks that have
never met its person. For these the training people are halved, and a training on each half tells of the other; no
recording is set aside. A reference must know more than the learner. Once it knows less it asks for what nobody can
learn: a sure learner loses more by a wrong label than an unsure reference.
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
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._objective import Objective
from enecg.pretraining._training import Precision, Training, batches, window_losses
from enecg.pretraining.objectives.supervised import Supervised
from enecg.tasks import Task

HALVES = 2

REFERENCE_SHARE = 1 / HALVES
"""Steps of a reference, as a share of those of the training it serves: so it sees each of its windows as often."""

SURE = 1e-6
"""A teacher's probabilities are no nearer to 0 and 1."""


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
        """For a training that has not begun. Raises FitError for too few windows, or a teacher who says too little."""
        settings, there = training.settings, len(training.corpus.train)
        if settings.batch * training.of > there:
            raise FitError(
                f"{there} windows to learn from, and {settings.batch} x {training.of} to choose from in each step; "
                "take a smaller batch, or choose from fewer"
            )
        return cls(reference_losses(training), settings.batch, settings.precision)


def reference_losses(training: Training) -> Tensor:
    """Loss that each window could come to, [window]; NaN where nobody can tell, such as of what the teacher refused."""
    objective = training.objective
    if isinstance(objective, Supervised) and training.corpus.taught:
        return _of_teacher(objective, training.corpus).to(training.device)
    return _of_halves(training)


def _of_teacher(objective: Supervised, corpus: Corpus) -> Tensor:
    """What the teacher's answers lose by the labels. Raises FitError for tasks that it does not answer."""
    unknown = sorted(corpus.spaces.keys() - corpus.taught.keys())
    if unknown:
        raise FitError(
            f"the teacher says nothing of {', '.join(unknown)}, so it cannot choose windows to learn it from"
        )
    taught = {name: torch.from_numpy(corpus.taught[name][corpus.owner]) for name in corpus.spaces}
    targets = {name: torch.from_numpy(corpus.targets[name][corpus.owner]) for name in corpus.spaces}
    found = objective.loss({name: _outputs(corpus.spaces[name].task, own) for name, own in taught.items()}, targets)
    silent = [torch.isnan(taught[name]).any(dim=1) & ~torch.isnan(targets[name]).any(dim=1) for name in taught]
    return found.masked_fill(torch.stack(silent).any(dim=0), torch.nan)


def _outputs(task: Task, taught: Tensor) -> Tensor:
    """A teacher's answers as heads would give them: the inverse of `TargetSpace.values`."""
    if task.kind == "regression":
        return taught
    return taught.clamp_min(SURE).log() if task.kind == "multiclass" else taught.logit(SURE)


def _of_halves(training: Training) -> Tensor:
    """For a network that learned from the other half of the people; NaN for windows that nobody is trained on.

    The references begin as the training does, and leave checkpoints beside its own.
    """
    corpus, settings = training.corpus, training.settings
    fold = folds_of(corpus.people[corpus.owner[corpus.train]], HALVES, training.seed)
    steps = max(1, round(REFERENCE_SHARE * settings.steps))
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
