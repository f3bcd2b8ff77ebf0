"""The trained ensemble as a thing: its state, its choice of experts, its answers' form."""

import json
from dataclasses import replace

import numpy as np
import pytest

from enecg.ensemble import Ensemble
from enecg.ensemble._ensemble import disagreement_of

FIELDS = ("value", "experts", "weights", "calibrated", "low", "high", "members")


def assert_same(one, other):
    assert set(one) == set(other)
    for name, own in one.items():
        for field in FIELDS:
            mine, theirs = getattr(own, field), getattr(other[name], field)
            if mine is None:
                assert theirs is None
            else:
                assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"), (name, field)


def through_text(ensemble, **options):
    state, arrays = ensemble.to_state(**options)
    return Ensemble.from_state(json.loads(json.dumps(state)), arrays), arrays


def test_an_ensemble_comes_back_from_plain_text_and_arrays_with_the_same_bits(known):
    embedded, _, ensemble = known
    again, _ = through_text(ensemble)
    assert again.tasks == ensemble.tasks
    assert again.experts == ensemble.experts
    for top_k in (None, 1):
        assert_same(again.predict(embedded, top_k=top_k), ensemble.predict(embedded, top_k=top_k))
    twice, arrays = through_text(again)
    assert all(np.array_equal(part, ensemble.to_state()[1][name]) for name, part in arrays.items())
    assert_same(twice.predict(embedded), ensemble.predict(embedded))


def test_half_precision_halves_the_heads_and_hardly_moves_an_answer(known):
    embedded, _, ensemble = known
    again, arrays = through_text(ensemble, halves=True)
    whole = sum(part.nbytes for part in ensemble.to_state()[1].values())
    assert sum(part.nbytes for part in arrays.values()) < 0.6 * whole
    theirs = again.predict(embedded)
    for name, own in ensemble.predict(embedded).items():
        assert np.abs(theirs[name].value - own.value).max() < 0.01 * max(1, np.abs(own.value).max())


def test_all_numbers_are_counted(known):
    _, _, ensemble = known
    assert ensemble.n_parameters == sum(part.size for part in ensemble.to_state()[1].values())
    assert sum(ensemble.head_parameters().values()) < ensemble.n_parameters
    assert set(ensemble.head_parameters()) == {"e0", "e1"}


def test_answers_have_the_form_that_is_promised(known):
    embedded, _, ensemble = known
    for name, own in ensemble.predict(embedded).items():
        n_outputs = own.task.n_outputs
        assert own.value.shape == (300, n_outputs)
        assert own.experts.shape == (300, 2, n_outputs)
        assert own.value.dtype == own.experts.dtype == own.weights.dtype == np.float32
        assert np.allclose(own.weights.sum(axis=1), 1, atol=1e-6)
        assert own.coverage == 0.9
        if own.task.kind == "regression":
            assert own.members is None
            assert ((own.low <= own.value[:, 0]) & (own.value[:, 0] <= own.high)).all()
        else:
            assert own.low is own.high is None
            assert own.members.shape == (300, n_outputs)
            assert set(np.unique(own.members)) <= ({0, 1} if name == "kind" else {-1, 0, 1})
            assert ((own.value >= 0) & (own.value <= 1)).all()


def test_the_answer_lies_between_the_experts_answers(known):
    embedded, _, ensemble = known
    for name in ("size", "time", "flag"):
        own = ensemble.predict(embedded)[name]
        spread = np.sort(own.experts[:, :, 0], axis=1)
        slack = 1e-4 * np.abs(own.value[:, 0])
        assert (spread[:, 0] - slack <= own.value[:, 0]).all()
        assert (own.value[:, 0] <= spread[:, 1] + slack).all()


def test_only_the_chosen_experts_need_to_run(known, without):
    embedded, _, ensemble = known
    for tasks in (["size"], ["flag"], [task.name for task in ensemble.tasks]):
        chosen = ensemble.choose(embedded, tasks, 1)
        assert (chosen.sum(axis=1) == 1).all()
        part = embedded
        for place, name in enumerate(ensemble.experts):
            part = without(part, name, ~chosen[:, place])
        dense = ensemble.predict(embedded, tasks, top_k=1)
        sparse = ensemble.predict(part, tasks, top_k=1)
        for name in tasks:
            assert np.array_equal(sparse[name].value, dense[name].value)
            assert np.array_equal(sparse[name].weights > 0, chosen)
            assert np.array_equal(sparse[name].calibrated, dense[name].calibrated)


def test_the_choice_passes_over_experts_that_cannot_run(known):
    embedded, _, ensemble = known
    able = np.ones((300, 2), bool)
    able[:100, 0] = False
    chosen = ensemble.choose(embedded, ["size"], 1, able)  # which e0 answers
    assert (chosen[:100] == [False, True]).all()
    assert (chosen[100:] == [True, False]).all()


def test_a_choice_for_some_tasks_says_that_it_was_calibrated_for_all(known):
    embedded, _, ensemble = known
    whole = ensemble.predict(embedded, top_k=1)
    assert all(own.calibrated.all() for own in whole.values())
    used = whole["size"].weights[0].argmax()
    for name in ("size", "flag"):
        alone = ensemble.predict(embedded, [name], top_k=1)[name]
        same = alone.weights.argmax(axis=1) == used
        assert np.array_equal(alone.calibrated, same)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_recordings_are_answered_like_many(known, n):
    embedded, _, ensemble = known
    whole = ensemble.predict(embedded)
    for top_k in (None, 1):
        for name, own in ensemble.predict(embedded.take(np.arange(n)), top_k=top_k).items():
            assert own.value.shape == (n, own.task.n_outputs)
            if top_k is None:
                assert np.array_equal(own.value, whole[name].value[:n])
    assert ensemble.predict(embedded, []) == {}


def test_missing_leads_of_the_gate_change_nothing_else(known, without):
    embedded, _, ensemble = known
    rows = np.arange(300) < 10
    blind = without(embedded, ensemble.gate_name, rows)
    blind = replace(blind, present=embedded.present)
    for own in ensemble.predict(blind).values():
        assert np.isfinite(own.value).all()


def test_disagreement_is_the_weighted_deviation_between_experts():
    outputs = np.array([[[1.0], [3.0], [np.nan]], [[5.0], [np.nan], [np.nan]]], np.float32)
    weights = np.array([[0.25, 0.75, 0], [1, 0, 0]], np.float32)
    mean = 0.25 * 1 + 0.75 * 3
    by_hand = np.sqrt(0.25 * (1 - mean) ** 2 + 0.75 * (3 - mean) ** 2)
    assert disagreement_of(outputs, weights) == pytest.approx([by_hand, 0])
