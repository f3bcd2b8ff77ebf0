import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enecg.ensemble._gate import Encoder, Gate, choose, softmax
from enecg.errors import FitError


@st.composite
def logits_and_presence(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_experts = draw(st.integers(0, 12)), draw(st.integers(1, 5))
    logits = {name: rng.normal(0, 3, size=(n, n_experts)).astype(np.float32) for name in ("a", "b")}
    return logits, rng.random((n, n_experts)) < draw(st.sampled_from([0.0, 0.5, 1.0]))


@given(logits_and_presence(), st.one_of(st.none(), st.integers(1, 6)))
def test_absent_experts_are_masked_then_k_are_chosen_then_weights_add_up(case, top_k):
    logits, present = case
    chosen = choose(logits, present, top_k)
    k = present.shape[1] if top_k is None else top_k
    assert not (chosen & ~present).any()
    assert np.array_equal(chosen.sum(axis=1), np.minimum(present.sum(axis=1), k))
    mean = np.mean([softmax(own, present) for own in logits.values()], axis=0)
    for row in range(len(present)):
        left_out = present[row] & ~chosen[row]
        if left_out.any():
            assert mean[row][chosen[row]].min() >= mean[row][left_out].max()
    for own in logits.values():
        weights = softmax(own, chosen)
        assert weights.dtype == np.float32
        assert np.array_equal(weights > 0, chosen)  # none left: all zero
        assert np.allclose(weights.sum(axis=1), chosen.any(axis=1), atol=1e-6)


def test_an_absent_experts_weight_goes_to_the_others_in_proportion():
    logits = np.log(np.array([[0.5, 0.3, 0.2]], np.float32))
    assert softmax(logits, np.array([[True, True, True]]))[0] == pytest.approx([0.5, 0.3, 0.2])
    assert softmax(logits, np.array([[False, True, True]]))[0] == pytest.approx([0, 0.6, 0.4])


def test_the_mean_weight_over_the_tasks_asked_for_decides():
    logits = {"a": np.log(np.array([[0.6, 0.3, 0.1]])), "b": np.log(np.array([[0.1, 0.3, 0.6]]))}
    everyone = np.ones((1, 3), bool)
    assert choose({"a": logits["a"]}, everyone, 1).tolist() == [[True, False, False]]
    assert choose({"b": logits["b"]}, everyone, 1).tolist() == [[False, False, True]]
    # 0.35, 0.3, 0.35: of the two that are equal, the first.
    assert choose(logits, everyone, 1).tolist() == [[True, False, False]]
    assert choose(logits, everyone, 2).tolist() == [[True, False, True]]
    # Without the first, the others have 3/4 and 1/4, and 1/3 and 2/3.
    assert choose(logits, np.array([[False, True, True]]), 1).tolist() == [[False, True, False]]


def test_an_absent_expert_takes_no_place_from_one_whose_weight_is_next_to_nothing():
    logits = {"a": np.array([[0, 1e4, -1e4]], np.float32)}
    assert choose(logits, np.array([[False, True, True]]), 2).tolist() == [[False, True, True]]


def test_weights_bear_logits_of_any_size():
    logits = np.array([[1e4, 0, -1e4]], np.float32)
    assert softmax(logits, np.ones((1, 3), bool)).tolist() == [[1, 0, 0]]
    assert softmax(logits, np.array([[False, False, True]])).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("top_k", [0, -1])
def test_fewer_than_one_expert_cannot_be_asked_for(top_k):
    with pytest.raises(FitError, match=f"top_k {top_k}: expected 1 at least"):
        choose({"a": np.zeros((2, 3), np.float32)}, np.ones((2, 3), bool), top_k)


def test_no_task_needs_no_choice():
    present = np.array([[True, False, True]])
    assert np.array_equal(choose({}, present, 1), present)


def random_encoder(kind, n_leads=2, seed=0):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    if kind == "dense":
        return Encoder("dense", [(normal(6, n_leads * 400), normal(6))], n_leads)
    shapes = [(8, n_leads, 11), (16, 8, 7), (16, 16, 5)]
    return Encoder("conv", [(normal(*shape) / 5, normal(shape[0])) for shape in shapes], n_leads)


def test_the_encoder_is_torchs_convolution():
    encoder = random_encoder("conv")
    x = np.random.default_rng(1).normal(size=(5, 2, 400)).astype(np.float32)
    h = torch.from_numpy(x)
    for weight, bias in encoder.layers:
        h = torch.relu(torch.conv1d(h, torch.from_numpy(weight), torch.from_numpy(bias), stride=Encoder.STRIDE))
    theirs = torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1).numpy()
    assert np.abs(theirs).max() > 1
    assert np.allclose(encoder(x.reshape(5, -1)), theirs, rtol=1e-5, atol=1e-5)


def test_the_dense_encoder_is_torchs_linear_layer():
    encoder = random_encoder("dense")
    x = np.random.default_rng(1).normal(size=(5, 800)).astype(np.float32)
    weight, bias = (torch.from_numpy(part) for part in encoder.layers[0])
    theirs = torch.relu(torch.nn.functional.linear(torch.from_numpy(x), weight, bias)).numpy()
    assert np.allclose(encoder(x), theirs, rtol=1e-5, atol=1e-4)


@pytest.fixture
def gate():
    rng = np.random.default_rng(3)
    prior = {name: rng.normal(size=3).astype(np.float32) for name in ("a", "b", "c")}
    rows = {"a": 32, "b": 6}
    made = {
        name: (rng.normal(size=(3, n)).astype(np.float32), rng.normal(size=3).astype(np.float32))
        for name, n in rows.items()
    }
    return Gate(prior, [random_encoder("conv"), random_encoder("dense")], {"a": 0, "b": 1}, made)


def test_logits_are_prior_plus_what_the_encoder_says(gate):
    x = np.random.default_rng(1).normal(size=(70, 800)).astype(np.float32)
    logits = gate.logits(x, ["a", "c"])
    assert set(logits) == {"a", "c"}
    assert np.array_equal(logits["c"], np.tile(gate.prior["c"], (70, 1)))
    weight, bias = gate.rows["a"]
    assert np.allclose(logits["a"], gate.prior["a"] + gate.encoders[0](x) @ weight.T + bias, atol=1e-4)


def test_a_recordings_logits_do_not_depend_on_its_neighbours(gate):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(150, 800)).astype(np.float32)
    whole = gate.logits(x, ["a", "b"])
    for rows in ([3], [149, 3], rng.permutation(150), np.arange(65)):
        for name, part in gate.logits(x[rows], ["a", "b"]).items():
            assert np.array_equal(part, whole[name][rows])
    assert gate.logits(x[:0], ["a", "b"])["a"].shape == (0, 3)


def test_a_gate_comes_back_from_its_state(gate):
    x = np.random.default_rng(1).normal(size=(9, 800)).astype(np.float32)
    again = Gate.from_state(*gate.to_state())
    for name, logits in gate.logits(x, ["a", "b", "c"]).items():
        assert np.array_equal(again.logits(x, [name])[name], logits)
