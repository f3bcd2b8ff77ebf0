"""Curves with few points are the curves that they were."""

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.pages._figures import Scale
from enecg.pages._lines import path_of, short, thinned


def points_of(path, unit=1.0):
    """The pieces of a path of relative steps: list of [point, 2]."""
    pieces = []
    for start, rest in re.findall(r"M(-?\d+[ -]-?\d*)(?:l|h)([^M]*)", path):
        numbers = [int(n) for n in re.findall(r"-?\d+", start)]
        steps = [int(n) for n in re.findall(r"-?\d+", rest)]
        steps = steps if len(steps) > 1 else []
        pieces.append(np.cumsum([numbers, *np.reshape(steps, (-1, 2)).tolist()], axis=0) * unit)
    return pieces


def away(x, y, points):
    """How far each sample is from the line through the points."""
    found = []
    for one in np.column_stack([x, y]):
        best = np.inf
        for a, b in pairwise(points):
            d = b - a
            t = np.clip(np.dot(one - a, d) / max(np.dot(d, d), 1e-12), 0, 1)
            best = min(best, np.hypot(*(one - a - t * d)))
        found.append(best)
    return np.array(found)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=60), st.floats(0.001, 1))
def test_no_sample_is_further_away_than_allowed(values, tolerance):
    x, y = np.arange(len(values)) * 0.05, np.array(values)
    kept = thinned(x, y, tolerance)
    assert {0, len(values) - 1} <= set(kept.tolist())
    assert away(x, y, np.column_stack([x[kept], y[kept]])).max() <= tolerance * (1 + 1e-6) + 1e-9


def test_a_straight_line_is_its_ends_and_a_peak_is_kept():
    x = np.arange(100.0)
    assert thinned(x, 2 * x, 0.01).tolist() == [0, 99]
    y = np.zeros(100)
    y[40] = 5
    assert 40 in thinned(x, y, 0.01)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=40))
def test_a_path_is_off_by_a_step_at_most_however_long_it_is(values):
    x, y = np.arange(len(values)) * 0.05, np.array(values)
    [points] = points_of(path_of(x, y, 0.0, 0.01), 0.01)
    assert abs(points[0] - [x[0], y[0]]).max() <= 0.0051
    assert abs(points[-1] - [x[-1], y[-1]]).max() <= 0.0051


def test_missing_samples_are_gaps_and_a_single_one_is_a_dot():
    y = np.array([1.0, 2, np.nan, 4, np.nan, np.nan, 7, 9, 4])
    pieces = points_of(path_of(np.arange(9.0), y, 0.0))
    assert [piece.tolist() for piece in pieces] == [[[0, 1], [1, 2]], [[3, 4]], [[6, 7], [7, 9], [8, 4]]]
    assert path_of(np.arange(3.0), np.full(3, np.nan), 0.0) == ""


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "0"), (-0.001, "0"), (1.5, "1.5"), (10.0, "10"), (0.126, "0.13"), (-2.5, "-2.5")]
)
def test_numbers_are_short(value, said):
    assert short(value) == said


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.sampled_from([2, 3, 4, 5]))
def test_a_scale_has_a_few_round_ticks_that_lie_on_it(low, wide, most):
    scale = Scale(low, low + wide)
    ticks = scale.ticks(most)
    assert len(ticks) <= most
    assert len(ticks) >= (2 if most == 5 else 0)
    assert all(low - 1e-6 * wide - 1e-9 <= tick <= low + wide + 1e-6 * wide + 1e-9 for tick in ticks)
    assert all(scale.margin - 0.01 <= scale.at(tick) <= scale.length - scale.margin + 0.01 for tick in ticks)


@given(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), max_size=5))
def test_every_value_fits_on_its_scale(values):
    scale = Scale.of(values)
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in values if value == value)  # NaN is not
