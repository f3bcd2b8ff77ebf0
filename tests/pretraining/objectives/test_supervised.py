"""All labels at once; while it is trained, of windows that are mixed with others."""

from dataclasses import replace

import pytest
import torch

from enecg.pretraining.objectives.supervised import Supervised, total


@pytest.fixture
def objective(corpus, network):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supervised(network(), corpus)


def watched(objective, network, batch):
    """The loss, what the network was shown, and what was answered."""
    shown, answered = [], []
    network.register_forward_pre_hook(lambda _, given: shown.append(given[0]))
    answers = objective.answers
    objective.answers = lambda *given: answered.append(answers(*given)) or answered[-1]
    return objective(network, batch), shown[0], answered[0]


def test_without_training_the_windows_are_seen_as_they_are(objective, network, batch_of):
    batch = batch_of(6)
    loss, shown, answers = watched(objective.eval(), network().eval(), batch)
    assert torch.equal(shown, batch.x)
    assert torch.equal(loss.nan_to_num(9.0), objective.loss(answers, batch.targets).nan_to_num(9.0))


@pytest.mark.parametrize("seed", range(8))
def test_in_training_each_window_is_more_than_half_itself_and_so_is_what_should_be_answered(
    objective, network, batch_of, seed
):
    batch = batch_of(6, seed)
    # Each window has a sample of its own, which tells how much of it is in another.
    batch = replace(batch, x=torch.zeros_like(batch.x))
    batch.x[:, :, :6] = torch.eye(6)[:, None]
    loss, shown, answers = watched(objective.train(), network().train(), batch)
    parts = shown[:, 0, :6]
    assert torch.allclose(parts.sum(1), torch.ones(6))
    share = float(parts.diagonal().min())
    assert 0.5 <= share < 1
    partners = (parts - share * torch.eye(6)).argmax(1)
    assert partners.sort().values.tolist() == list(range(6))
    own, other = objective.loss(answers, batch.targets), objective.loss(answers, batch.take(partners).targets)
    assert torch.allclose(loss, total([share * own, (1 - share) * other]), equal_nan=True)


def test_a_window_without_a_label_learns_from_its_partners_and_one_of_two_without_from_nothing(
    objective, network, batch_of
):
    batch = batch_of(6)
    nothing = {name: torch.full_like(column, torch.nan) for name, column in batch.targets.items()}
    for column in batch.targets.values():
        column[0] = torch.nan
    losses = torch.stack([objective.train()(network(), batch) for _ in range(20)])
    assert losses[:, 0].isfinite().any()
    batch.targets.update(nothing)
    assert objective(network(), batch).isnan().all()
