"""Contrastive predictive coding asks networks that do not know."""

from dataclasses import replace

import pytest
import torch

from enecg.errors import FitError
from enecg.pretraining.objectives.predictive import AHEAD, Predictive


@pytest.fixture
def objective(learner, corpus):
    learner.eval()
    return Predictive(learner, corpus)


@pytest.mark.parametrize("learner", ["vit"], indirect=True)
def test_a_network_that_sees_what_comes_is_refused_and_others_are_named(learner, corpus):
    with pytest.raises(FitError, match=r"which ViT sees; networks that do not: s4d, s4d-small$"):
        Predictive(learner, corpus)


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_windows_too_short_to_look_ahead_in_are_refused(learner, shortened):
    with pytest.raises(FitError, match="windows of 96 samples are 12 tokens"):
        Predictive(learner, shortened(96))
    Predictive(learner, shortened(104))


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_guessing_is_one(learner, objective, batch_of):
    torch.nn.init.zeros_(objective.maps.weight)
    torch.nn.init.zeros_(objective.maps.bias)
    torch.testing.assert_close(objective(learner, batch_of()), torch.ones(8))


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_what_comes_changes_what_is_right_but_not_what_is_told(learner, objective, batch_of):
    told = []
    objective.maps.register_forward_hook(lambda _, __, found: told.append(found))
    batch = batch_of()
    before = objective(learner, batch)
    after_starts = (batch.x.shape[-1] // learner.stride - AHEAD) * learner.stride
    x = batch.x.clone()
    x[..., after_starts:] += torch.randn(x[..., after_starts:].shape)
    after = objective(learner, replace(batch, x=x, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(told[0], told[1])
    assert (before != after).all()


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_other_windows_of_a_subject_are_never_wrong_answers(learner, objective, batch_of):
    batch = batch_of()
    other = batch.x.clone()
    other[1:] = torch.randn(other[1:].shape)

    def first(x, subjects):
        return objective(learner, replace(batch_of(), x=x, subjects=subjects))[0]

    one, many = torch.zeros(8, dtype=torch.long), torch.arange(8)
    torch.testing.assert_close(first(batch.x, one), first(other, one))
    assert not torch.allclose(first(batch.x, many), first(other, many))


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_tokens_of_what_is_missing_are_neither_right_nor_wrong_answers(learner, objective, batch_of, monkeypatch):
    batch, local = batch_of(), learner.local
    batch.x[:4, :, 600:] = torch.nan
    before = objective(learner, batch)

    def disturbed(x):
        found, there = local(x)
        return torch.where(there[..., None], found, torch.randn_like(found)), there

    monkeypatch.setattr(learner, "local", disturbed)
    after = objective(learner, replace(batch, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(before, after)
