"""Who trains, who makes choices, who is tested: whole subjects on one side each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from enecg.cohorts import Cohort
from enecg.ensemble import folds_of, hold_out, subject_codes
from enecg.errors import CohortError, FitError, LeakageError
from enecg.tasks import Task, get_task

Mask = npt.NDArray[np.bool_]

VALIDATION_SHARE = 1 / 8


@dataclass(frozen=True)
class Fold:
    """bool [recording] each."""

    train: Mask
    validation: Mask
    test: Mask

    @property
    def learned(self) -> Mask:
        """Everything that is not tested: training and validation."""
        return self.train | self.validation


def cross_validation(cohort: Cohort, tasks: Sequence[str | Task], folds: int, seed: int = 0) -> list[Fold]:
    """Folds by subject; an eighth of the subjects of each training part make choices. Raises FitError."""
    codes = subject_codes(cohort.subjects)
    if folds < 2 or len(np.unique(codes)) < 2 * folds:
        raise FitError(f"{len(np.unique(codes))} subjects for {folds} folds; expected two subjects for each at least")
    number = folds_of(codes, folds, seed)
    columns = [task.encode(cohort.targets[task.name]) for task in map(get_task, tasks)]
    labelled = np.column_stack([~np.isnan(column).any(axis=1) for column in columns])
    plan = []
    for fold in range(folds):
        rest = number != fold
        held = np.zeros(len(codes), dtype=bool)
        held[rest] = hold_out(codes[rest], labelled[rest], VALIDATION_SHARE, seed + fold)
        plan.append(Fold(rest & ~held, held, ~rest))
    return plan


def split_by_column(
    cohort: Cohort, column: str, train: Sequence[str], validation: Sequence[str], test: Sequence[str]
) -> Fold:
    """By the values of a column, such as PTB-XL's `fold`. Raises CohortError if the column or a side is not there."""
    if column not in cohort.targets.columns:
        raise CohortError(f"no column {column!r} to split by (found {', '.join(cohort.targets.columns)})")
    values = np.array([str(value) for value in cohort.targets[column]])
    sides = [np.isin(values, list(wanted)) for wanted in (train, validation, test)]
    for name, side in zip(("train", "validate", "test"), sides, strict=True):
        if not side.any():
            raise CohortError(f"column {column}: no recording to {name}; it holds {', '.join(sorted(set(values)))}")
    return Fold(*sides)


def few_subjects(cohort: Cohort, fold: Fold, count: int, seed: int = 0) -> Fold:
    """The same test set with `count` subjects to learn from in all, an eighth of whom make the choices.

    Raises CohortError if there are not that many.
    """
    codes = subject_codes(cohort.subjects)
    people = np.unique(codes[fold.learned])
    if not 8 <= count <= len(people):
        raise CohortError(
            f"{count} subjects were asked for; expected 8 to {len(people)}, which are there to learn from"
        )
    chosen = np.random.default_rng([seed, 5]).permutation(people)[:count]
    held = chosen[: count // 8]
    return Fold(fold.learned & np.isin(codes, chosen[len(held) :]), fold.learned & np.isin(codes, held), fold.test)


def shuffled(cohort: Cohort, tasks: Sequence[str], seed: int = 0) -> Cohort:
    """The same recordings with each task's labels in random order: whatever is learned of them is a leak."""
    rng = np.random.default_rng([seed, 6])
    columns = [cohort.targets[name].gather(rng.permutation(len(cohort)).tolist()).alias(name) for name in tasks]
    return replace(cohort, targets=cohort.targets.with_columns(columns))


def check_fold(subjects: Sequence[str | None], fold: Fold) -> None:
    """Raises LeakageError if a subject stands on two sides."""
    codes = subject_codes(subjects)
    sides = {"training": fold.train, "validation": fold.validation, "test": fold.test}
    for one, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        both = np.intersect1d(codes[sides[one]], codes[sides[other]])
        if len(both):
            row = int(np.flatnonzero(codes == both[0])[0])
            raise LeakageError(
                f"subject {subjects[row]} is in {one} and {other}, and {len(both) - 1} more are; split whole subjects"
            )
