"""The transformer looks only at patches that are there, and computes no others while it is trained."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.experts.learned.vit import ViT, ViTSize

SIZE = ViTSize(channels=(4, 8), width=16, layers=2, heads=2, hidden=16, dropout=0.0)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ViT(SIZE).eval()


def windows(n=3, samples=400, seed=0):
    return torch.randn(n, 12, samples, generator=torch.Generator().manual_seed(seed))


@st.composite
def patched(draw):
    """bool [3, 96]: which patches are there."""
    share = draw(st.floats(0.05, 1.0))
    seen = torch.rand(3, 96, generator=torch.Generator().manual_seed(draw(st.integers(0, 999)))) < share
    seen[draw(st.integers(0, 2))] &= draw(st.booleans())
    return seen


def shown(seen, samples=400):
    hidden = ~seen.reshape(3, 12, samples // 50, 1).expand(-1, -1, -1, 50).reshape(3, 12, samples)
    return windows(samples=samples).masked_fill(hidden, torch.nan)


@settings(max_examples=25)
@given(seen=patched())
def test_training_computes_what_use_does_of_the_tokens_that_are_there(network, seen):
    x = shown(seen)
    with torch.no_grad():
        expected, there = network.tokens(x)
        network.train()
        try:
            found, kept = network.tokens(x)
            embedding = network(x)
        finally:
            network.eval()
        assert torch.equal(there, seen)
        assert kept.sum(1).tolist() == seen.sum(1).tolist()
        assert kept.shape[1] == max(1, int(seen.sum(1).max()))
        for window in range(3):
            torch.testing.assert_close(
                found[window][kept[window]], expected[window][there[window]], atol=1e-5, rtol=1e-4
            )
        torch.testing.assert_close(embedding, network(x), atol=1e-5, rtol=1e-4)


@settings(max_examples=25)
@given(lead=st.integers(0, 11), sample=st.integers(0, 399), value=st.floats(-20, 20))
def test_a_patch_with_a_missing_sample_is_not_there_and_its_other_samples_cannot_matter(network, lead, sample, value):
    x = windows()
    x[:, lead, sample] = torch.nan
    changed = x.clone()
    start = sample // 50 * 50
    changed[:, lead, start : start + 50] = torch.where(x[:, lead, start : start + 50].isnan(), torch.nan, value)
    with torch.no_grad():
        there = network.tokens(x)[1]
        assert (~there).nonzero()[:, 1].tolist() == [lead * 8 + sample // 50] * 3
        assert torch.equal(network(x), network(changed))


def test_it_knows_which_lead_and_which_time_a_patch_is_of(network):
    x = windows()
    with torch.no_grad():
        found = network(x)
        assert not torch.allclose(network(x.flip(1)), found, atol=1e-4)
        assert not torch.allclose(network(x.roll(50, dims=-1)), found, atol=1e-4)


def test_a_window_without_anything_is_finite_and_teaches_nothing(network):
    x = torch.full((2, 12, 400), torch.nan)
    x[1] = windows(1)[0]
    network.train()
    try:
        found = network(x)
        assert (found[0] == 0).all()
        found[0].sum().backward()
        assert all(part.grad is None or not part.grad.any() for part in network.parameters())
    finally:
        network.eval()
        network.zero_grad()
