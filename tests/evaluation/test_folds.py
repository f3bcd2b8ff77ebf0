"""Splits: whole subjects on one side each."""

import numpy as np
import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.cohorts import Cohort, load_cohort
from enecg.errors import CohortError, FitError, LeakageError
from enecg.evaluation import Fold, cross_validation, few_subjects, shuffled, split_by_column
from enecg.evaluation._folds import check_fold
from enecg.recording import LazyRecording, Recording


class Unread(LazyRecording):
    """A recording that nobody needs to read."""

    def __init__(self, name: str, subject: str | None) -> None:
        self.id, self.subject = name, subject

    @property
    def key(self) -> str:
        return self.id

    def read(self) -> Recording:
        raise AssertionError("a split reads no recording")


def cohort(subjects: list[str | None]) -> Cohort:
    """Recordings with labels, of these subjects."""
    n = len(subjects)
    table = polars.DataFrame(
        {
            "id": [f"r{row}" for row in range(n)],
            "subject": polars.Series(subjects, dtype=polars.String),
            "age": [20.0 + row for row in range(n)],
            "fold": [str(row % 4) for row in range(n)],
        }
    )
    recordings = [Unread(f"r{row}", subject) for row, subject in enumerate(subjects)]
    return Cohort(name="made", recordings=recordings, targets=table)


def sides(fold: Fold, subjects: list[str | None]) -> list[set[str]]:
    named = np.array([f"?{row}" if name is None else name for row, name in enumerate(subjects)])
    return [set(named[side]) for side in (fold.train, fold.validation, fold.test)]


@given(st.lists(st.integers(0, 30), min_size=40, max_size=60), st.integers(2, 5), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_every_recording_is_tested_once_and_no_subject_stands_on_two_sides(numbers, folds, seed):
    subjects = [f"x:{number}" if number else None for number in numbers]
    if len(set(numbers)) < 2 * folds + 4:
        return
    plan = cross_validation(cohort(subjects), ["age"], folds, seed)
    assert len(plan) == folds
    assert (np.sum([fold.test for fold in plan], axis=0) == 1).all()
    for fold in plan:
        train, validation, test = sides(fold, subjects)
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert train
        assert validation
        check_fold(subjects, fold)


def test_too_few_subjects_are_refused():
    with pytest.raises(FitError, match=r"5 subjects for 3 folds"):
        cross_validation(cohort(["a:1", "a:2", "a:3", "a:4", "a:5"]), ["age"], 3)


def test_a_subject_in_two_folds_is_an_error_that_names_it():
    subjects = ["a:1", "a:1", "a:2", "a:3"]
    rows = np.eye(4, dtype=bool)
    fold = Fold(rows[0] | rows[3], rows[2], rows[1])
    with pytest.raises(LeakageError, match=r"subject a:1 is in training and test"):
        check_fold(subjects, fold)


def test_a_split_by_column():
    fold = split_by_column(cohort([f"a:{k}" for k in range(12)]), "fold", ["0", "1"], ["2"], ["3"])
    assert [side.sum() for side in (fold.train, fold.validation, fold.test)] == [6, 3, 3]
    with pytest.raises(CohortError, match=r"no column 'folds'"):
        split_by_column(cohort(["a:1"]), "folds", ["0"], ["1"], ["2"])
    with pytest.raises(CohortError, match=r"no recording to validate"):
        split_by_column(cohort(["a:1", "a:2"]), "fold", ["0"], ["7"], ["1"])


def test_few_subjects_are_counted_with_those_that_make_choices():
    subjects = [f"a:{k // 2}" for k in range(80)]
    people = cohort(subjects)
    whole = cross_validation(people, ["age"], 4)[0]
    few = few_subjects(people, whole, 16, seed=1)
    train, validation, test = sides(few, subjects)
    assert len(train) + len(validation) == 16
    assert len(validation) == 2
    assert not (train | validation) & test
    np.testing.assert_array_equal(few.test, whole.test)
    assert (few_subjects(people, whole, 16, seed=2).train != few.train).any()
    with pytest.raises(CohortError, match=r"1000 subjects were asked for; expected 8 to"):
        few_subjects(people, whole, 1000)


def test_shuffling_keeps_labels_and_loses_whose_they_are():
    people = load_cohort("simulated", n=60, seed=1)
    mixed = shuffled(people, ["age", "superclass"], seed=0)
    assert sorted(mixed.targets["age"]) == sorted(people.targets["age"])
    assert mixed.targets["age"].to_list() != people.targets["age"].to_list()
    assert mixed.targets["sex"].to_list() == people.targets["sex"].to_list()
