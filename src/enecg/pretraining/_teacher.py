"""What a whole ensemble answers, for a student to learn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg.ensemble import folds_of, subject_codes
from enecg.errors import FitError
from enecg.estimator import EnECG
from enecg.inputs import Item, Targets, as_mask, encode_targets, labelled_rows, subject_digests

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Taught:
    """A teacher's answers, and whom it has them from: whoever learns from them has seen these people too.

    answers : by task, values in its unit or probabilities, [recording, output]; NaN where no expert could answer;
    subjects : digests of the people whom the teacher and its experts have learned from;
    seen : cohorts that its experts have learned from, "unknown" where they do not say;
    chosen_by : of the subjects, those who only made choices.
    """

    answers: Mapping[str, Array]
    subjects: frozenset[str]
    seen: frozenset[str]
    chosen_by: frozenset[str] = frozenset()


def teacher_answers(teacher: EnECG | str | Path, recordings: Sequence[Item]) -> Taught:
    """What a fitted ensemble, or a bundle, answers to all of its tasks.

    Of recordings that it has learned from itself it is too sure: answers of `held_out_answers` are not. Raises
    BundleError or NotFittedError.
    """
    model = teacher if isinstance(teacher, EnECG) else EnECG.load(teacher)
    answers = {name: own.value for name, own in model.answer(model.embed(recordings)).items()}
    return _taught(model, answers, model.seen_subjects_)


def held_out_answers(
    teacher: EnECG,
    recordings: Sequence[Item],
    targets: Targets | None = None,
    *,
    validation: Mask | None = None,
    folds: int = 4,
    seed: int = 0,
) -> Taught:
    """What the ensemble would answer had it not learned from these people: each fold by a clone that knows the others.

    Only heads and gate are fitted, by clones, so `teacher` itself need not be; what experts have learned stays.
    validation : bool [recording], those that make choices for every clone, by default a share of those whom it knows.
    They themselves get no answer (NaN): an ensemble that they chose for may answer them. Whom experts have learned from
    say nothing of how much these count, so others should make the choices. Raises FitError or TaskError.
    """
    targets = getattr(recordings, "targets", None) if targets is None else targets
    embedded = teacher.embed(recordings)
    encoded = {task.name: encode_targets(task, targets, len(embedded)) for task in teacher.task_list()}
    labelled = np.stack([labelled_rows(column) for column in encoded.values()], axis=1)
    asked = np.ones(len(embedded), dtype=bool) if validation is None else ~as_mask(validation, len(embedded))
    fold = np.full(len(embedded), -1)
    fold[asked] = folds_of(subject_codes(embedded.subjects)[asked], folds, seed, labelled[asked])
    numbers = np.unique(fold[asked])
    if len(numbers) < 2:
        raise FitError(f"{folds} folds of {asked.sum()} recordings; expected 2 at least, of different people")
    answers = {name: np.full_like(column, np.nan) for name, column in encoded.items()}
    for number in numbers:
        known = fold != number
        choosing = None if validation is None else ~asked[known]
        other = teacher.clone()
        other.fit_encoded(embedded.take(known), {name: own[known] for name, own in encoded.items()}, choosing)
        for name, own in other.answer(embedded.take(~known)).items():
            answers[name][~known] = own.value
    return _taught(teacher, answers, subject_digests(embedded.take(asked)), subject_digests(embedded.take(~asked)))


def _taught(
    model: EnECG, answers: Mapping[str, Array], people: frozenset[str], choosing: frozenset[str] = frozenset()
) -> Taught:
    """people, choosing : whom the ensemble itself has learned from, and who only made choices for it."""
    cards = [expert.card for expert in model.fitted_experts()]
    met = people.union(choosing, *(card.seen_subjects for card in cards))
    taught = people.union(*(card.seen_subjects - card.chosen_by for card in cards))
    return Taught(answers, met, frozenset(name for card in cards for name in card.seen), met - taught)
