import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.ensemble._splits import check_whole, folds_of, hold_out, subject_codes
from enecg.errors import FitError


@st.composite
def cohorts(draw):
    """Subjects' codes [recording] and which tasks each recording has a label for [recording, task]."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_people, n_more, n_tasks = draw(st.integers(4, 40)), draw(st.integers(0, 40)), draw(st.integers(1, 5))
    codes = rng.permutation(np.concatenate([np.arange(n_people), rng.integers(n_people, size=n_more)]))
    labelled = rng.random((len(codes), n_tasks)) < draw(st.sampled_from([0.02, 0.2, 0.7, 1.0]))
    return codes.astype(np.intp), labelled


def of_people(codes, labelled):
    return np.array([labelled[codes == person].any(axis=0) for person in np.unique(codes)])


@given(cohorts(), st.integers(0, 3))
def test_whole_subjects_are_held_out(cohort, seed):
    codes, labelled = cohort
    held = hold_out(codes, labelled, 1 / 8, seed)
    check_whole(codes, held, ~held, [f"s{code}" for code in codes])


@given(cohorts(), st.integers(0, 3))
@settings(max_examples=200)
def test_every_task_finds_labelled_subjects_on_both_sides(cohort, seed):
    codes, labelled = cohort
    held = hold_out(codes, labelled, 1 / 8, seed)
    for task in range(labelled.shape[1]):
        everyone = of_people(codes, labelled)[:, task].sum()
        out = of_people(codes[held], labelled[held])[:, task].sum() if held.any() else 0
        assert out >= (max(1, round(everyone / 8)) if everyone >= 4 else 0)


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.7])
def test_labels_missing_at_random_do_not_swell_the_share(missing):
    rng = np.random.default_rng(0)
    labelled = rng.random((800, 6)) >= missing
    held = hold_out(np.arange(800), labelled, 1 / 8, seed=0)
    assert 1 / 8 - 0.01 <= held[labelled.any(axis=1)].mean() <= 0.2
    assert not held[~labelled.any(axis=1)].any()


def test_two_cohorts_with_tasks_of_their_own_give_a_share_each():
    labelled = np.repeat(np.eye(2, dtype=bool), [160, 16], axis=0)
    held = hold_out(np.arange(176), labelled, 1 / 8, seed=0)
    assert held[:160].sum() == 20
    assert held[160:].sum() == 2


def test_three_subjects_are_too_few():
    with pytest.raises(FitError, match="3 subjects; expected 4 at least"):
        hold_out(np.array([0, 1, 2, 2]), np.ones((4, 1), bool), 1 / 8, 0)


@given(cohorts(), st.integers(1, 5), st.integers(0, 3))
def test_each_subject_has_one_fold_and_folds_are_of_one_size(cohort, n_folds, seed):
    codes, labelled = cohort
    for fold in (folds_of(codes, n_folds, seed), folds_of(codes, n_folds, seed, labelled)):
        people, first = np.unique(codes, return_index=True)
        assert np.array_equal(fold, fold[first][np.searchsorted(people, codes)])
        counts = np.bincount(fold[first], minlength=n_folds)
        assert counts.max() - counts.min() <= 1


@given(cohorts(), st.integers(2, 5), st.integers(0, 3))
def test_the_rarest_task_is_spread_over_the_folds(cohort, n_folds, seed):
    codes, labelled = cohort
    fold = folds_of(codes, n_folds, seed, labelled)
    of = of_people(codes, labelled)
    _, first = np.unique(codes, return_index=True)
    numbers = of.sum(axis=0)
    counts = np.array([np.bincount(fold[first][task], minlength=n_folds) for task in of.T])
    assert (np.ptp(counts[numbers == numbers.min()], axis=1) <= 1).any()


def test_a_split_is_the_same_for_the_same_seed_alone():
    codes, labelled = np.arange(100), np.ones((100, 1), bool)
    for split in (lambda seed: hold_out(codes, labelled, 1 / 8, seed), lambda seed: folds_of(codes, 4, seed)):
        assert np.array_equal(split(0), split(0))
        assert not np.array_equal(split(0), split(1))


@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=12))
def test_an_unknown_subject_is_nobody_else(subjects):
    codes = subject_codes(subjects)
    for one in range(len(subjects)):
        for other in range(len(subjects)):
            same = one == other or (subjects[one] is not None and subjects[one] == subjects[other])
            assert (codes[one] == codes[other]) == same


def test_a_subject_on_both_sides_is_named():
    codes = subject_codes(["s:1", "s:2", "s:2"])
    with pytest.raises(FitError, match="subject s:2 has recordings in training and validation"):
        check_whole(codes, np.array([True, True, False]), np.array([False, False, True]), ["s:1", "s:2", "s:2"])
