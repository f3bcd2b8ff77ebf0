"""The state-space network reads from left to right, and computes what the equations of its layers say."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.experts.learned.s4d import S4D, S4DSize, StateSpace

SIZE = S4DSize(stem=8, width=16, layers=2, states=8)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return S4D(SIZE).eval()


def windows(n=2, samples=400, seed=0):
    return torch.randn(n, 12, samples, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25)
@given(moment=st.integers(1, 399), missing=st.booleans())
def test_later_samples_change_no_earlier_token(network, moment, missing):
    x, changed = windows(), windows()
    changed[..., moment:] = torch.nan if missing else 9.0
    with torch.no_grad():
        tokens, other = network.tokens(x)[0], network.tokens(changed)[0]
    # A token stands at the first sample of its stride.
    earlier = -(-moment // network.stride)
    assert torch.equal(tokens[:, :earlier], other[:, :earlier])
    assert not torch.equal(tokens[:, earlier:], other[:, earlier:]) or earlier == tokens.shape[1]


def test_a_token_knows_what_came_long_before(network):
    x, changed = windows(), windows()
    changed[..., :8] += 3.0
    with torch.no_grad():
        local, other_local = network.local(x)[0], network.local(changed)[0]
        tokens, other = network.tokens(x)[0], network.tokens(changed)[0]
    assert torch.equal(local[:, -1], other_local[:, -1])
    assert not torch.equal(tokens[:, -1], other[:, -1])


@settings(max_examples=25)
@given(shift=st.integers(1, 20))
def test_what_the_convolutions_see_moves_with_the_signal(network, shift):
    x = windows()
    moved = torch.cat([windows(samples=shift * network.stride, seed=1), x], dim=-1)
    with torch.no_grad():
        local, later = network.local(x)[0], network.local(moved)[0]
    # But for the first tokens, which look back at what was put before.
    torch.testing.assert_close(later[:, shift + 4 :], local[:, 4:])


def test_a_layer_answers_as_its_system_of_equations_does():
    """x' = A x + u with u held between samples, y = 2 Re(C x) + D u: stepped, instead of convolved."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layer = StateSpace(5, 8).eval()
    u = torch.randn(1, 40, 5, generator=torch.Generator().manual_seed(2))
    heard = []
    layer.mix.register_forward_pre_hook(lambda _, given: heard.append(given[0]))
    with torch.no_grad():
        layer(u)
        a = torch.complex(-layer.log_decay.exp(), layer.frequency).numpy().astype(complex)
        dt = layer.log_dt.exp().numpy().astype(float)[:, None]
        c = torch.view_as_complex(layer.C).numpy().astype(complex)
        turn, gain = np.exp(a * dt), (np.exp(a * dt) - 1) / a
        state, answers = np.zeros_like(a), []
        for moment in u[0].numpy():
            state = turn * state + gain * moment[:, None]
            answers.append(2 * (c * state).sum(axis=1).real + layer.D.numpy() * moment)
        expected = torch.nn.functional.gelu(torch.from_numpy(np.stack(answers)).float())
    torch.testing.assert_close(heard[0][0], expected, atol=1e-4, rtol=1e-4)


def test_training_and_use_compute_the_same_without_dropout(network):
    from dataclasses import replace

    same = S4D(replace(SIZE, dropout=0.0))
    same.load_state_dict(network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(same.train()(windows()), network(windows()), atol=1e-6, rtol=1e-5)


def test_a_response_that_was_kept_is_forgotten_when_weights_may_have_changed(network):
    learner = S4D(SIZE).eval()
    with torch.no_grad():
        before = learner(windows())
        learner.load_state_dict(network.state_dict())
        learner.eval()
        assert torch.equal(learner(windows()), network(windows()))
        assert not torch.equal(learner(windows()), before)
        assert learner(windows(samples=160)).isfinite().all()
        assert torch.equal(learner(windows()), network(windows()))


def test_a_token_is_there_if_any_sample_of_its_stride_is_in_any_lead(network):
    x = torch.full((1, 12, 80), torch.nan)
    x[0, 3, 17] = 0.5
    assert network.tokens(x)[1].tolist() == [[False, False, True] + [False] * 7]
