"""What all self-supervised objectives have in common."""

from dataclasses import replace

import pytest
import torch

from enecg.pretraining import Training, TrainSettings, find_objective

BOTH = ("s4d", "vit")
PAIRS = [(name, kind) for name in ("masked", "reorder", "patients") for kind in BOTH] + [("predictive", "s4d")]
HIDING = [(name, kind) for name in ("masked", "reorder") for kind in BOTH]


@pytest.mark.parametrize(("name", "learner"), PAIRS, indirect=["learner"])
def test_the_loss_falls_on_recordings_of_other_people(name, learner, corpus):
    settings = TrainSettings(steps=40, batch=8, check_every=20, learning_rate=1e-2)
    work = Training(learner, find_objective(name)(learner, corpus), corpus, settings)
    before = work.validate()
    work.run()
    assert work.best < before - 0.03


@pytest.mark.parametrize(("name", "learner"), PAIRS, indirect=["learner"])
def test_the_same_seed_gives_the_same_losses_and_another_others(name, learner, corpus, batch_of):
    objective = find_objective(name)(learner, corpus).eval()
    learner.eval()
    once, again, other = (objective(learner, batch_of(seed=seed)) for seed in (1, 1, 2))
    assert once.shape == (8,)
    assert torch.equal(once, again)
    assert torch.equal(once, other) == (name == "patients")  # which draws nothing


@pytest.mark.parametrize(("name", "learner"), PAIRS, indirect=["learner"])
def test_a_window_without_anything_is_no_loss_and_harms_no_weight(name, learner, corpus, batch_of):
    objective, batch = find_objective(name)(learner, corpus), batch_of()
    batch.x[3] = torch.nan
    loss = objective(learner, batch)
    assert torch.isnan(loss).tolist() == [place == 3 for place in range(8)]
    loss[~torch.isnan(loss)].mean().backward()
    for part in [*learner.parameters(), *objective.parameters()]:
        assert part.grad is None or torch.isfinite(part.grad).all()
    batch.x[:] = torch.nan
    assert torch.isnan(objective(learner, batch)).all()


@pytest.mark.parametrize(("name", "learner"), PAIRS, indirect=["learner"])
def test_some_leads_or_a_short_recording_can_be_learned_from(name, learner, corpus, batch_of):
    objective, batch = find_objective(name)(learner, corpus), batch_of()
    batch.x[:, 2:] = torch.nan
    batch.x[:4, 1] = torch.nan
    batch.x[..., 900:] = torch.nan
    assert torch.isfinite(objective(learner, batch)).all()


@pytest.mark.parametrize(("name", "learner"), PAIRS, indirect=["learner"])
def test_half_precision_gives_about_the_same_losses(name, learner, corpus, batch_of):
    objective = find_objective(name)(learner, corpus).eval()
    learner.eval()
    with torch.no_grad():
        exact = objective(learner, batch_of())
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(objective(learner, batch_of()), exact, atol=0.05, rtol=0, check_dtype=False)


@pytest.mark.parametrize("name", ["masked", "reorder"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("learner", BOTH, indirect=True)
def test_what_is_hidden_changes_the_loss_and_nothing_that_the_network_sees(
    name, training, learner, corpus, batch_of, monkeypatch
):
    shown, tokens = [], learner.tokens
    monkeypatch.setattr(learner, "tokens", lambda x: shown.append(x) or tokens(x))
    objective, batch = find_objective(name)(learner, corpus).train(training), batch_of()
    learner.eval()
    batch = replace(batch, x=torch.randn(batch.x.shape))  # every sample another number, to be found again
    before = objective(learner, batch)
    hidden = ~torch.isin(batch.x, shown[0])
    assert hidden.flatten(1).any(1).all()
    generator = torch.Generator().manual_seed(0)
    after = objective(learner, replace(batch, x=batch.x + hidden, generator=generator))
    assert torch.equal(shown[0].nan_to_num(9e9), shown[1].nan_to_num(9e9))
    assert (before != after).all()


@pytest.mark.parametrize(("name", "learner"), HIDING, indirect=["learner"])
def test_only_hidden_samples_that_were_there_are_asked_for(name, learner, corpus, batch_of, monkeypatch):
    shown, answers, tokens = [], [], learner.tokens
    monkeypatch.setattr(learner, "tokens", lambda x: shown.append(x) or tokens(x))
    objective, batch = find_objective(name)(learner, corpus), batch_of()
    decoder = objective.decoder if name == "masked" else objective.signal

    def watch(_, __, answer):
        answer.retain_grad()
        answers.append(answer)

    decoder.register_forward_hook(watch)
    batch.x[:, 4] = torch.nan
    batch.x[:2, :, 800:] = torch.nan
    objective(learner, batch).sum().backward()
    asked = (answers[0].grad != 0).flatten(2)[..., : batch.x.shape[-1]]
    assert asked.any()
    assert not (asked & ~torch.isnan(shown[0])).any()  # seen
    assert not asked[:, 4].any()  # never there
    # What was there is seen or asked for, and nothing is both; an order that is shuffled keeps the counts.
    assert int(asked.sum()) + int((~torch.isnan(shown[0])).sum()) == int((~torch.isnan(batch.x)).sum())
