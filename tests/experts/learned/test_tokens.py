"""What every network of our own promises: what is missing cannot matter, whatever is missing, and all stays finite."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.experts import get_expert
from enecg.experts.learned import filled, summary
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

NAMES = ("s4d", "s4d-small", "vit")
NETWORKS = {name: get_expert(f"{name}:tiny").fresh_network() for name in NAMES}

networks = pytest.mark.parametrize("network", NETWORKS.values(), ids=NAMES)


def windows(n=3, samples=400, seed=0):
    return torch.randn(n, 12, samples, generator=torch.Generator().manual_seed(seed))


@st.composite
def holes(draw):
    """bool [3, 12, 400]: leads, spans of all leads, the end, or everything of some windows."""
    missing = torch.zeros(3, 12, 400, dtype=torch.bool)
    for window in range(3):
        missing[window, draw(st.lists(st.integers(0, 11), max_size=12))] = True
        start, length = draw(st.integers(0, 399)), draw(st.integers(0, 400))
        missing[window, :, start : start + length] = True
    return missing


def test_mean_and_largest_are_of_the_tokens_that_are_there():
    tokens = torch.tensor([[[1.0, -5.0], [3.0, -1.0], [100.0, 100.0]], [[7.0, 7.0], [7.0, 7.0], [7.0, 7.0]]])
    there = torch.tensor([[True, True, False], [False, False, False]])
    assert summary(tokens, there).tolist() == [[2.0, -3.0, 3.0, -1.0], [0.0] * 4]


def test_what_is_missing_is_filled_with_zeros_and_told():
    x = torch.tensor([[[1.0, torch.nan], [torch.nan, -0.5]]])
    values, there = filled(x)
    assert values.tolist() == [[[1.0, 0.0], [0.0, -0.5]]]
    assert there.tolist() == [[[True, False], [False, True]]]


@networks
@settings(max_examples=25)
@given(missing=holes())
def test_whatever_is_missing_the_embedding_is_finite(network, missing):
    x = windows().masked_fill(missing, torch.nan)
    with torch.no_grad():
        tokens, there = network.tokens(x)
        found = network(x)
    assert tokens.isfinite().all()
    assert found.isfinite().all()
    assert found.shape == (3, 2 * network.width)
    assert there.shape == tokens.shape[:2]
    gone = missing.all(-1).all(-1)
    assert not there[gone].any()
    assert (found[gone] == 0).all()


@networks
@settings(max_examples=25)
@given(missing=holes(), other=st.integers(1, 99))
def test_a_windows_embedding_does_not_depend_on_the_windows_beside_it(network, missing, other):
    x = windows().masked_fill(missing, torch.nan)
    with torch.no_grad():
        beside = network(torch.cat([x[:1], windows(seed=other)]))[0]
        torch.testing.assert_close(network(x)[0], beside, atol=1e-5, rtol=1e-5)


@networks
@settings(max_examples=25)
@given(leads=st.sets(st.integers(0, 11), min_size=1))
def test_any_leads_will_do_and_each_that_is_there_matters(network, leads):
    x = windows()
    gone = [lead for lead in range(12) if lead not in leads]
    x[:, gone] = torch.nan
    with torch.no_grad():
        found = network(x)
        assert found.isfinite().all()
        for lead in leads:
            changed = x.clone()
            changed[:, lead] *= -1
            assert not torch.equal(network(changed), found)


@networks
def test_any_length_that_is_a_multiple_of_the_stride_gives_its_tokens(network):
    for samples in (network.stride, 3 * network.stride, 1000 // network.stride * network.stride):
        with torch.no_grad():
            tokens, there = network.tokens(windows(samples=samples))
        assert there.all()
        assert tokens.shape[1] in (samples // network.stride, 12 * samples // network.stride)
        assert tokens.isfinite().all()


@networks
@settings(max_examples=25)
@given(missing=holes())
def test_gradients_are_finite_whatever_is_missing(network, missing):
    x = windows().masked_fill(missing, torch.nan)
    network.train()
    try:
        network.zero_grad()
        network(x).square().mean().backward()
        assert all(part.grad is None or part.grad.isfinite().all() for part in network.parameters())
    finally:
        network.eval()
        network.zero_grad()


@networks
def test_every_weight_is_taught_by_whole_windows(network):
    network.train()
    try:
        network(windows()).square().sum().backward()
        silent = [name for name, part in network.named_parameters() if part.grad is None or not part.grad.any()]
        assert silent == []
    finally:
        network.eval()
        network.zero_grad()


@pytest.mark.parametrize("name", NAMES)
def test_an_expert_takes_what_a_recording_has(name):
    expert = get_expert(f"{name}:tiny")
    whole = simulate_one(0, 5, rate=250.0, seconds=10.0).recording
    few = whole.select(("V2", "II"))
    prepared = expert.prepare([whole, few]).windows
    assert prepared.shape == (2, 12, 1000)
    rows = [STANDARD_LEADS.index(lead) for lead in ("II", "V2")]
    there = ~torch.from_numpy(prepared[1]).isnan().all(-1)
    assert there.nonzero()[:, 0].tolist() == rows
    assert torch.equal(torch.from_numpy(prepared[1][rows]), torch.from_numpy(prepared[0][rows]))
    short = simulate_one(0, 5, rate=250.0, seconds=4.0).recording
    [window] = expert.prepare([short]).windows
    missing = torch.from_numpy(window).isnan().all(0)
    assert missing.tolist() == [False] * 400 + [True] * 600


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_how_large_the_network_is(name):
    expert = get_expert(f"{name}:random")
    network = expert.fresh_network()
    assert sum(part.numel() for part in network.parameters()) == expert.card.parameters
    assert expert.card.dim == 2 * network.width
