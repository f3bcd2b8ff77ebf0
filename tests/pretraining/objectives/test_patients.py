"""Halves and recordings of one person are alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from enecg.errors import FitError
from enecg.pretraining.objectives.patients import Patients, _contrast

PEOPLE = torch.tensor([0, 1, 2, 0, 1, 2])
SAME = PEOPLE[:, None] == PEOPLE
KNOWN = torch.ones(6, dtype=torch.bool)


def test_guessing_is_one_and_telling_people_apart_nothing():
    torch.testing.assert_close(_contrast(torch.zeros(6, 6), SAME, KNOWN), torch.ones(6))
    assert (_contrast(50.0 * SAME, SAME, KNOWN) < 1e-6).all()


def test_three_views_of_a_person_are_no_rivals():
    people = torch.tensor([0, 0, 0, 1])
    same = people[:, None] == people
    found = _contrast(20.0 * same, same, torch.ones(4, dtype=torch.bool))
    assert (found[:3] < 1e-6).all()
    assert torch.isnan(found[3])  # one view alone


def test_empty_views_are_neither_found_nor_in_the_way():
    known = KNOWN.clone()
    known[5] = False
    scores = torch.randn(6, 6)
    other = scores.clone()
    other[5], other[:, 5] = 9.0, 9.0
    found = _contrast(scores, SAME, known)
    assert torch.isnan(found).tolist() == [False, False, True, False, False, True]
    assert torch.equal(found.nan_to_num(-1.0), _contrast(other, SAME, known).nan_to_num(-1.0))


@pytest.mark.parametrize("learner", ["s4d", "vit"], indirect=True)
def test_each_half_knows_nothing_of_the_other(learner, corpus, batch_of):
    objective, x = Patients(learner, corpus), batch_of().x
    first, second = objective.halves(learner, x).chunk(2)
    other = x.clone()
    other[..., 500:] += 1.0
    changed = objective.halves(learner, other).chunk(2)
    assert torch.equal(first.nan_to_num(9.0), changed[0].nan_to_num(9.0))
    assert not torch.equal(second.nan_to_num(9.0), changed[1].nan_to_num(9.0))


@pytest.mark.parametrize("learner", ["vit"], indirect=True)
def test_a_network_that_learns_places_sees_late_ones_too(learner, corpus, batch_of):
    objective, batch = Patients(learner, corpus), batch_of()
    objective(learner, batch).mean().backward()
    assert (learner.time.grad != 0).any(1).all()


@pytest.mark.parametrize("learner", ["s4d", "vit"], indirect=True)
def test_a_half_that_is_empty_and_a_person_alone_teach_nothing(learner, corpus, batch_of):
    objective, batch = Patients(learner, corpus), batch_of()
    batch.x[2, :, 480:] = torch.nan
    assert torch.isnan(objective(learner, batch)).tolist() == [place == 2 for place in range(8)]
    alone = replace(batch_of(), subjects=torch.zeros(8, dtype=torch.long))
    assert torch.isnan(objective(learner, alone)).all()


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_recordings_of_one_subject_are_views_of_one_person(learner, corpus, batch_of):
    learner.eval()
    objective, batch = Patients(learner, corpus).eval(), replace(batch_of(), subjects=torch.arange(8))
    joined = replace(batch, subjects=torch.tensor([0, 0, 2, 3, 4, 5, 6, 7]))
    apart, together = objective(learner, batch), objective(learner, joined)
    assert (apart != together)[:2].all()
    assert torch.equal(apart[2:], together[2:])


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_recordings_of_one_subject_alone_and_windows_without_halves_are_refused(learner, corpus, shortened):
    with pytest.raises(FitError, match="all training recordings are of one subject"):
        Patients(learner, replace(corpus, people=np.zeros_like(corpus.people)))
    with pytest.raises(FitError, match="8 samples are less than two tokens of 8"):
        Patients(learner, shortened(8))
