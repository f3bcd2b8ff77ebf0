import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enecg.ensemble._chunks import CHUNK
from enecg.ensemble._heads import ExpertHead

OUTPUTS = {"size": 1, "kind": 3, "signs": 5}


def embeddings(n, dim=30, seed=1):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


@given(st.lists(st.integers(0, 2 * CHUNK + 6), max_size=2 * CHUNK + 7))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_answers_bits_do_not_depend_on_its_neighbours(random_head, rows):
    head, there = random_head(30, OUTPUTS), embeddings(2 * CHUNK + 7)
    whole = head.outputs(there, list(OUTPUTS))
    for name, part in head.outputs(there[rows], list(OUTPUTS)).items():
        assert np.array_equal(part, whole[name][rows])


def test_no_recording_has_no_answer_but_its_shape(random_head):
    outputs = random_head(30, OUTPUTS).outputs(embeddings(0), list(OUTPUTS))
    assert {name: part.shape for name, part in outputs.items()} == {"size": (0, 1), "kind": (0, 3), "signs": (0, 5)}


def test_an_answer_is_the_share_of_the_line_and_the_mean_of_the_members(random_head):
    head = random_head(30, OUTPUTS, members=3, share=0.3)
    rows = embeddings(5)
    x = head.scaler(rows)
    for name, outputs in head.outputs(rows, list(OUTPUTS)).items():
        deep = [m.adapters[name].outputs(m.trunk, x, m.trunk.hidden(x)) for m in head.members]
        line = x @ head.linear[name].weight + head.linear[name].intercept
        assert np.allclose(outputs, 0.3 * line + 0.7 * np.mean(deep, axis=0), atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_head_comes_back_from_its_state_with_the_same_bits(random_head, share):
    head = random_head(30, OUTPUTS, share=share)
    again = ExpertHead.from_state(*head.to_state("heads.e0"), "heads.e0")
    theirs = again.outputs(embeddings(10), list(OUTPUTS))
    for name, outputs in head.outputs(embeddings(10), list(OUTPUTS)).items():
        assert np.array_equal(theirs[name], outputs)


def test_two_heads_keep_apart_in_one_state(random_head):
    one, other = random_head(30, {"a": 1, "ab": 2}), random_head(7, {"a": 2}, seed=9)
    (state, arrays), (more, own) = one.to_state("heads.e"), other.to_state("heads.e1")
    assert not set(arrays) & set(own)
    again = ExpertHead.from_state(state, {**arrays, **own}, "heads.e")
    assert np.array_equal(again.outputs(embeddings(3), ["ab"])["ab"], one.outputs(embeddings(3), ["ab"])["ab"])
    again = ExpertHead.from_state(more, {**arrays, **own}, "heads.e1")
    assert np.array_equal(again.outputs(embeddings(3, 7), ["a"])["a"], other.outputs(embeddings(3, 7), ["a"])["a"])


def test_joined_heads_answer_as_each_did(random_head):
    one = random_head(30, {"a": 1})
    more = random_head(30, {"a": 1, "b": 2})
    members = [
        type(member)(mine.trunk, {"b": member.adapters["b"]})
        for mine, member in zip(one.members, more.members, strict=True)
    ]
    other = ExpertHead(one.scaler, members, {"b": more.linear["b"]})
    both = one.joined(other)
    assert np.array_equal(both.outputs(embeddings(4), ["a"])["a"], one.outputs(embeddings(4), ["a"])["a"])
    assert np.array_equal(both.outputs(embeddings(4), ["b"])["b"], other.outputs(embeddings(4), ["b"])["b"])
