"""Coordinates of the space that few recordings span."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.ensemble._span import Span


@given(st.integers(2, 40), st.integers(3, 8), st.integers(0, 1000))
def test_a_layer_on_coordinates_is_the_same_layer_on_features(n, times, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, n * times)).astype(np.float32)
    span = Span.of(rows, seed)
    weights = rng.normal(size=(5, n)).astype(np.float32)
    others = rng.normal(size=(7, n * times)).astype(np.float32)
    for seen in (rows, others):
        np.testing.assert_allclose(span(seen) @ weights.T, seen @ span.back(weights).T, atol=2e-3, rtol=1e-3)


def test_coordinates_lose_nothing_of_the_recordings_that_span_them():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 900)).astype(np.float32)
    z = Span.of(rows, 0)(rows)
    products = rows @ rows.T
    np.testing.assert_allclose(z @ z.T * (900 / 60), products, atol=2e-2 * np.abs(products).max())


def test_recordings_that_are_all_alike_span_nothing_and_break_nothing():
    assert np.isfinite(Span.of(np.zeros((5, 40), np.float32), 0)(np.ones((2, 40), np.float32))).all()


def test_all_coordinates_are_alike():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 2000)) * np.linspace(2, 0.1, 2000)
    rows = (rows / rows.std(axis=0)).astype(np.float32)
    spread = Span.of(rows, 0)(rows).std(axis=0)
    assert spread.mean() == pytest.approx(1, abs=0.1)
    assert spread.max() / spread.min() < 2


def test_the_same_recording_twice_spans_nothing_new_and_breaks_nothing():
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(20, 300)), 2, axis=0).astype(np.float32)
    assert np.isfinite(Span.of(rows, 0)(rows)).all()
    assert np.isfinite(Span.of(rows, 0).back(np.ones((3, 40), np.float32))).all()
