"""What a whole ensemble answers, for a student to learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg.ensemble import folds_of, subject_codes
from enecg.errors import FitError
from enecg.estimator import EnECG
from enecg.inputs import Item, Targets, encode_targets, labelled_rows, subject_digests

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Taught:
    """A teacher's answers, and whom it has them from: whoever learns from them has seen these people too.

    answers : by task, values in its unit or probabilities, [recording, output]; NaN where no expert could answer;
    subjects : digests of the people whom the teacher and its experts have learned from;
    seen : cohorts that its experts have learned from, "unknown" where they do not say.
    """

    answers: Mapping[str, Array]
    subjects: frozenset[str]
    seen: frozenset[str]


def teacher_answers(teacher: EnECG | str | Path, recordings: Sequence[Item]) -> Taught:
    """What a fitted ensemble, or a bundle, answers to all of its tasks.

    Of recordings that it has learned from itself it is too sure: answers of `held_out_answers` are not. Raises
    BundleError or NotFittedError.
    """
    model = teacher if isinstance(teacher, EnECG) else EnECG.load(teacher)
    answers = {name: own.value for name, own in model.answer(model.embed(recordings)).items()}
    return _taught(model, answers, model.seen_subjects_)


def held_out_answers(
    teacher: EnECG, recordings: Sequence[Item], targets: Targets | None = None, *, folds: int = 4, seed: int = 0
) -> Taught:
    """What the ensemble would answer had it not learned from these people: each fold by a clone that knows the others.

    Only heads and gate are fitted, by clones, so `teacher` itself need not be; what experts have learned stays. Raises
    FitError or TaskError.
    """
    targets = getattr(recordings, "targets", None) if targets is None else targets
    embedded = teacher.embed(recordings)
    encoded = {task.name: encode_targets(task, targets, len(embedded)) for task in teacher.task_list()}
    labelled = np.stack([labelled_rows(column) for column in encoded.values()], axis=1)
    fold = folds_of(subject_codes(embedded.subjects), folds, seed, labelled)
    if len(np.unique(fold)) < 2:
        raise FitError(f"{folds} folds of {len(fold)} recordings; expected 2 at least, of different people")
    answers = {name: np.full_like(column, np.nan) for name, column in encoded.items()}
    for number in np.unique(fold):
        known = fold != number
        other = teacher.clone().fit_encoded(embedded.take(known), {name: own[known] for name, own in encoded.items()})
        for name, own in other.answer(embedded.take(~known)).items():
            answers[name][~known] = own.value
    return _taught(teacher, answers, subject_digests(embedded))


def _taught(model: EnECG, answers: Mapping[str, Array], people: frozenset[str]) -> Taught:
    cards = [expert.card for expert in model.fitted_experts()]
    return Taught(
        answers,
        people.union(*(card.seen_subjects for card in cards)),
        frozenset(name for card in cards for name in card.seen),
    )
