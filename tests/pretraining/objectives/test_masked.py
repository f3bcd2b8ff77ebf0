"""Masked autoencoding hides what does not follow from the rest by a law of physics."""

import pytest
import torch

from enecg.pretraining.objectives.masked import HIDDEN, LEADS, N_LIMB, PATCHES, SPANS, Masked
from enecg.recording import STANDARD_LEADS
from enecg.signal.leads import LIMB_LEADS

SEEDS = range(12)


@pytest.fixture
def objective(learner, corpus):
    return Masked(learner, corpus)


def seen(objective, there, seed):
    return objective.seen(there, torch.Generator().manual_seed(seed))


def kind_of(seen):
    """Of one window in which all was there."""
    if (seen == seen[:1]).all():
        return SPANS
    return LEADS if (seen == seen[:, :1]).all() else PATCHES


def test_the_limb_leads_are_the_first_of_a_window():
    assert set(STANDARD_LEADS[:N_LIMB]) == set(LIMB_LEADS)


@pytest.mark.parametrize("learner", ["vit"], indirect=True)
@pytest.mark.parametrize("training", [True, False])
def test_no_hidden_limb_lead_follows_from_two_that_are_seen(objective, training):
    objective.train(training)
    for seed in SEEDS:
        there = torch.rand(16, 12, 20, generator=torch.Generator().manual_seed(seed)) < 0.7 + 0.3 * (seed % 2)
        found = seen(objective, there, seed)
        limb, hidden = found[:, :N_LIMB], (there & ~found)[:, :N_LIMB]
        assert (limb.sum(1)[hidden.any(1)] <= 1).all()
        assert not (found & ~there).any()


@pytest.mark.parametrize("learner", ["s4d", "vit"], indirect=True)
def test_windows_of_a_training_batch_see_as_much_as_each_other_and_no_more_than_their_share(objective):
    there = torch.ones(16, 12, 20, dtype=torch.bool)
    kinds = set()
    for seed in SEEDS:
        found = seen(objective, there, seed)
        kind = kind_of(found[0])
        kinds.add(kind)
        assert {kind_of(window) for window in found} == {kind}
        assert found.flatten(1).sum(1).tolist() == [round((1 - HIDDEN[kind]) * 240)] * 16
    assert kinds == {PATCHES, LEADS, SPANS}


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_validation_looks_at_all_kinds_in_one_batch(objective):
    found = seen(objective.eval(), torch.ones(32, 12, 20, dtype=torch.bool), 0)
    assert {kind_of(window) for window in found} == {PATCHES, LEADS, SPANS}


@pytest.mark.parametrize("learner", ["s4d", "vit"], indirect=True)
def test_one_lead_alone_is_never_hidden_for_all_of_its_time(objective):
    there = torch.zeros(16, 12, 20, dtype=torch.bool)
    there[torch.arange(16), torch.arange(16) % 12] = True
    for seed in SEEDS:
        found = seen(objective, there, seed)
        assert found.flatten(1).any(1).all()
        assert (there & ~found).flatten(1).any(1).all()


@pytest.mark.parametrize("learner", ["vit"], indirect=True)
def test_a_network_that_computes_only_what_it_sees_computes_little(learner, objective, batch_of, monkeypatch):
    counts, tokens = [], learner.tokens

    def counted(x):
        found = tokens(x)
        counts.append(found[0].shape[1])
        return found

    monkeypatch.setattr(learner, "tokens", counted)
    for seed in SEEDS:
        objective(learner, batch_of(seed=seed))
    assert set(counts) == {60, 120}


@pytest.mark.parametrize("learner", ["s4d", "vit"], indirect=True)
def test_answering_nothing_is_one(learner, objective, batch_of):
    torch.nn.init.zeros_(objective.decoder.last.weight)
    torch.testing.assert_close(objective(learner, batch_of()), torch.ones(8), atol=0.1, rtol=0)


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_answers_know_the_time_of_a_causal_networks_tokens(learner, objective):
    """Tokens in another order are others' tokens."""
    tokens, there = torch.randn(2, 125, learner.width), torch.ones(2, 125, dtype=torch.bool)
    times = torch.arange(20) * 48.0
    own = learner.times(torch.zeros(2, 12, 1000))
    before, after = (objective.decoder(some, there, own, times) for some in (tokens, tokens.flip(1)))
    assert not torch.allclose(before, after, atol=1e-4)


@pytest.mark.parametrize("learner", ["vit"], indirect=True)
def test_tokens_that_are_not_there_change_no_answer(learner, objective):
    tokens, there = torch.randn(2, 240, learner.width), torch.rand(2, 240) < 0.3
    times = torch.arange(20) * 50.0
    other = torch.where(there[..., None], tokens, torch.randn_like(tokens))
    own = learner.eval().times(torch.zeros(2, 12, 1000))
    before, after = (objective.decoder(some, there, own, times) for some in (tokens, other))
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize("learner", ["s4d", "vit"], indirect=True)
@pytest.mark.parametrize("training", [True, False])
def test_a_token_stands_where_its_samples_are(learner, training):
    """What changes a token that has seen nothing else is within a stride of its time."""
    x = torch.full((1, 12, 1000), torch.nan)
    first = 7 * learner.stride
    x[..., first : first + learner.stride] = torch.randn(12, learner.stride)
    learner.train(training)
    (_, there), times = learner.tokens(x), learner.times(x)
    assert times.shape == there.shape
    assert set(times[there].tolist()) == {first + learner.stride / 2}
