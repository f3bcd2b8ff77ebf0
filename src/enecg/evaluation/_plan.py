"""Other plans than cross-validation: a fixed split, few labelled subjects, shuffled labels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from enecg.cohorts import Cohort
from enecg.ensemble._splits import subject_codes
from enecg.errors import CohortError
from enecg.evaluation._evaluate import Fold


def split_by_column(
    cohort: Cohort, column: str, train: Sequence[str], validation: Sequence[str], test: Sequence[str]
) -> Fold:
    """Who trains, makes choices and is tested, by the values of a column. Raises CohortError if it is not there."""
    if column not in cohort.targets.columns:
        raise CohortError(f"no column {column!r} to split by (found {', '.join(cohort.targets.columns)})")
    values = np.array([str(value) for value in cohort.targets[column]])
    sides = [np.isin(values, list(wanted)) for wanted in (train, validation, test)]
    for name, side in zip(("train", "validate", "test"), sides, strict=True):
        if not side.any():
            raise CohortError(f"column {column}: no recording to {name}; it holds {', '.join(sorted(set(values)))}")
    return Fold(*sides)


def few_subjects(cohort: Cohort, fold: Fold, count: int, seed: int) -> Fold:
    """The same test set with `count` subjects to learn from in all, an eighth of whom make the choices."""
    codes = subject_codes(cohort.subjects)
    people = np.unique(codes[fold.train | fold.validation])
    if count > len(people):
        raise CohortError(f"{count} subjects were asked for; {len(people)} are there to learn from")
    chosen = np.random.default_rng([seed, 5]).permutation(people)[:count]
    held = chosen[: max(1, count // 8)]
    usable = fold.train | fold.validation
    return Fold(usable & np.isin(codes, chosen[len(held) :]), usable & np.isin(codes, held), fold.test)


def shuffled(cohort: Cohort, tasks: Sequence[str], seed: int) -> Cohort:
    """The same recordings with each task's labels in random order."""
    rng = np.random.default_rng([seed, 6])
    columns = [cohort.targets[name].gather(rng.permutation(len(cohort)).tolist()).alias(name) for name in tasks]
    return replace(cohort, targets=cohort.targets.with_columns(columns))
