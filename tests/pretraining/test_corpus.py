"""Windows and labels of a training: whole subjects on one side, nothing of the other, and who was not used is told."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from enecg.errors import FitError, TaskError
from enecg.experts import get_expert
from enecg.pretraining import Corpus
from enecg.simulation import simulate_one
from enecg.tasks import get_task

from .conftest import TASKS

EXPERT = get_expert("s4d:tiny")


@pytest.fixture
def made(tmp_path):
    """A corpus of these recordings."""

    def make(items, **options):
        return Corpus.of(EXPERT, items, str(tmp_path), **options)

    return make


def test_whole_subjects_validate_and_every_window_is_on_one_side(corpus):
    n = len(corpus.prepared.data)
    assert sorted([*corpus.train, *corpus.validation]) == list(range(n))
    train, validation = (set(corpus.people[corpus.owner[part]].tolist()) for part in (corpus.train, corpus.validation))
    assert not train & validation
    assert len(validation) >= 0.2 * 32


def test_the_space_of_targets_knows_only_the_training_part(corpus, cohort):
    learned = np.unique(corpus.owner[corpus.train])
    rows = corpus.prepared.rows[learned].tolist()
    rr = np.log(cohort.targets["rr_interval"][rows].drop_nulls().to_numpy())
    assert corpus.spaces["rr_interval"].base == pytest.approx(rr.mean(), rel=1e-5)
    assert corpus.spaces["rr_interval"].scale == pytest.approx(rr.std(), rel=1e-5)
    everyone = np.log(cohort.targets["rr_interval"].drop_nulls().to_numpy())
    assert corpus.spaces["rr_interval"].base != pytest.approx(everyone.mean(), rel=1e-5)


def test_missing_labels_are_nan_and_the_others_in_the_spaces_unit(corpus, cohort):
    column = cohort.targets["rr_interval"]
    batch = corpus.batch(np.arange(len(corpus.owner)), torch.Generator())
    found = batch.targets["rr_interval"][:, 0].numpy()
    missing = column.is_null().to_numpy()[corpus.prepared.rows[corpus.owner]]
    assert missing.any()
    assert np.array_equal(np.isnan(found), missing)
    space = corpus.spaces["rr_interval"]
    rr = column.to_numpy()[corpus.prepared.rows[corpus.owner]]
    np.testing.assert_allclose(found[~missing] * space.scale + space.base, np.log(rr[~missing]), rtol=1e-4)
    shares = ~missing[corpus.train]
    assert corpus.shares["rr_interval"] == pytest.approx(shares.mean())


def test_a_batch_is_the_windows_as_the_expert_prepares_them_with_their_people(corpus, cohort):
    rows = np.array([5, 3, 11])
    batch = corpus.batch(rows, torch.Generator())
    expected = np.concatenate([EXPERT.prepare([cohort[row].read()]).windows for row in rows])
    assert np.array_equal(batch.x.numpy(), expected, equal_nan=True)
    subjects = [cohort.subjects[row] for row in rows]
    for one, number in enumerate(batch.subjects.tolist()):
        others = {corpus.subjects[place] for place in np.flatnonzero(corpus.people == number)}
        assert others == {subjects[one]}
    assert len(batch) == 3
    assert torch.equal(batch.take(torch.tensor([2, 0])).x, batch.x[[2, 0]])


def test_a_long_recording_is_several_windows_of_one_person(made):
    recordings = [simulate_one(k, 3, rate=100.0, seconds=35.0 if k == 1 else 10.0).recording for k in range(6)]
    corpus = made(recordings)
    assert np.bincount(corpus.owner).tolist() == [1, 4, 1, 1, 1, 1]
    sides = {row in corpus.train for row in np.flatnonzero(corpus.owner == 1)}
    assert len(sides) == 1


def test_recordings_that_cannot_be_used_are_told_and_cost_the_others_nothing(made, tmp_path):
    recordings = [simulate_one(k, 3, rate=100.0).recording for k in range(8)]
    items = [*recordings, tmp_path / "none.hea"]
    items[2] = replace(recordings[2], signal=recordings[2].signal[:, :100])
    corpus = made(items)
    assert len(corpus.prepared.refused) == 2
    assert "2 s" in corpus.prepared.refused[0]
    assert "none.hea" in corpus.prepared.refused[1]
    assert corpus.prepared.rows.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert corpus.subjects == [recording.subject for k, recording in enumerate(recordings) if k != 2]


def test_who_validates_may_be_said_if_subjects_stay_whole(made, cohort):
    subjects = cohort.subjects
    mask = np.array([subject in subjects[:6] for subject in subjects])
    corpus = made(cohort, validation=mask)
    assert {corpus.subjects[place] for place in corpus.owner[corpus.validation]} == set(subjects[:6])
    torn = mask.copy()
    torn[np.flatnonzero(mask)[0]] = False
    with pytest.raises(FitError, match="has recordings in training and validation; expected whole subjects"):
        made(cohort, validation=torn)
    with pytest.raises(FitError, match=r"expected bool \(64,\)"):
        made(cohort, validation=np.flatnonzero(mask))
    for nobody in (np.zeros_like(mask), np.ones_like(mask)):
        with pytest.raises(FitError, match="of 64 recordings validate; expected some, and others to learn from"):
            made(cohort, validation=nobody)


def test_subjects_that_are_given_count_before_those_of_the_recordings(made, cohort):
    corpus = made(cohort[:12], subjects=["one"] * 3 + ["two"] * 3 + ["three"] * 3 + ["four"] * 3, validation=0.25)
    assert len(set(corpus.people.tolist())) == 4
    assert len(corpus.validation) == 3


def test_too_few_people_and_labels_that_are_not_there_are_refused(made, cohort):
    with pytest.raises(FitError, match="3 subjects; expected 4 at least"):
        made(cohort[:6])
    with pytest.raises(TaskError, match="the targets have no column potassium"):
        made(cohort, targets={"sex": ["male"] * 64}, tasks=[get_task("potassium")])
    with pytest.raises(FitError, match=r"task sex: all \d+ labels are the same"):
        made(cohort, targets={"sex": ["male"] * 64}, tasks=[get_task("sex")])


def test_the_digest_tells_labels_people_and_windows_apart(corpus, cohort, made):
    def digest(items=cohort, targets=cohort.targets, validation=0.2, **options):
        return made(items, targets=targets, tasks=TASKS, validation=validation, **options).digest

    assert digest() == corpus.digest
    labels = cohort.targets.with_columns(cohort.targets["sex"].reverse())
    assert len({corpus.digest, digest(targets=labels), digest(validation=0.4), digest(seed=5)}) == 4
    assert digest(cohort[:63], cohort.targets[:63]) != corpus.digest
