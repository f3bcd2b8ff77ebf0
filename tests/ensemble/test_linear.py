import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge, orthogonal_mp

from enecg.ensemble._linear import FEW, PENALTIES, Gram, Scaler, average, few_features


def generic(n, dim, n_outputs=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim)).astype(np.float32)
    y = x[:, : min(3, dim)].sum(axis=1, keepdims=True) + rng.normal(size=(n, n_outputs))
    return x, y


@pytest.mark.parametrize(("n", "dim"), [(80, 12), (40, 200), (13, 13)], ids=["primal", "dual", "square"])
def test_ridge_is_that_of_scikit_learn_on_both_sides(n, dim):
    x, y = generic(n, dim)
    rows = np.arange(n)[n // 4 :]
    gram = Gram(x)
    assert gram.dual == (n < dim)
    centred = x[rows] - x[rows].mean(axis=0)
    size = (centred**2).sum(axis=1).mean()  # PENALTIES are in units of a row's mean squared length
    for penalty, (weights, intercept) in zip(PENALTIES, gram.ridge(rows, y[rows]), strict=True):
        strength = penalty * size
        theirs = Ridge(alpha=strength, solver="cholesky").fit(x[rows].astype(np.float64), y[rows])
        assert np.allclose(weights, theirs.coef_.T, atol=1e-4)
        assert np.allclose(intercept, theirs.intercept_, atol=1e-4)


def test_a_stronger_penalty_makes_smaller_weights():
    x, y = generic(50, 80)
    sizes = [np.linalg.norm(weights) for weights, _ in Gram(x).ridge(np.arange(50), y)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("dim", [5, 50])
def test_features_that_never_vary_get_no_weight_and_raise_no_error(dim):
    gram = Gram(np.zeros((20, dim), np.float32))
    for weights, intercept in gram.ridge(np.arange(20), np.arange(20.0)[:, None]):
        assert not weights.any()
        assert intercept == pytest.approx(9.5)


def test_one_row_answers_with_its_own_label():
    x, y = generic(30, 60)
    for weights, intercept in Gram(x).ridge(np.array([4]), y[[4]]):
        assert np.abs(weights).max() < 1e-4
        assert intercept == pytest.approx(y[4], abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_pursuit_chooses_as_scikit_learn_where_nothing_is_odd(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 40)).astype(np.float32)
    y = x[:, [3, 17, 30, 8]] @ [2.0, -1.0, 0.5, 0.25] + 0.05 * rng.normal(size=400) + 7
    centred = x.astype(np.float64) - x.mean(axis=0)
    for count, (weights, intercept) in list(zip(FEW, few_features(x, y), strict=True))[:3]:
        theirs = orthogonal_mp(centred, y - y.mean(), n_nonzero_coefs=count)
        assert set(np.flatnonzero(weights)) == set(np.flatnonzero(theirs))
        assert np.allclose(weights[:, 0], theirs, atol=0.05 if count == 4 else 0.2)
        assert np.allclose(x.mean(axis=0) @ weights + intercept, y.mean(), atol=0.3)


@pytest.mark.parametrize("seed", range(4))
def test_odd_recordings_neither_hide_the_feature_that_answers_nor_bend_the_fit(seed):
    """As where one beat too many was found: the mean interval is exact but there, the median is never quite right."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=60)
    exact, rough = y.copy(), y + 0.15 * rng.normal(size=60)
    exact[:3] -= 1
    x = np.column_stack([rng.normal(size=(60, 30)), rough, exact]).astype(np.float32)
    weights, intercept = few_features(x, y)[0]
    assert np.flatnonzero(weights) == [31]
    assert np.abs(x[3:] @ weights[:, 0] + intercept - y[3:]).max() < 0.01


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_pursuit_stops_where_the_features_end(dim):
    x, y = generic(40, dim, 1)
    found = few_features(x, y[:, 0])
    assert len(found) == sum(count <= dim for count in FEW)
    assert np.count_nonzero(found[-1][0]) == max(count for count in FEW if count <= dim)


def test_pursuit_bears_constant_and_doubled_features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    x = np.column_stack([np.zeros(50, np.float32), x[:, 0], x[:, 0], x[:, 1]])
    for weights, intercept in few_features(x, x[:, 1].astype(np.float64) * 2):
        assert np.allclose(x @ weights[:, 0] + intercept, x[:, 1] * 2, atol=1e-4)


def test_an_average_of_linear_answers_is_the_average_of_the_answers():
    x, y = generic(30, 7)
    parts = Gram(x).ridge(np.arange(30), y)
    weights, intercept = average(parts)
    assert np.allclose(x @ weights + intercept, np.mean([x @ w + b for w, b in parts], axis=0), atol=1e-5)


def test_a_scaler_standardises_and_switches_constant_features_off():
    rng = np.random.default_rng(0)
    rows = rng.normal([5, 1000, 0, -3], [2, 0.5, 1e-3, 0], size=(400, 4)).astype(np.float32)
    x = Scaler.of(rows)(rows)
    assert x.dtype == np.float32
    assert np.allclose(x[:, :3].mean(axis=0), 0, atol=2e-3)
    assert np.allclose(x[:, :3].std(axis=0), 1, atol=2e-3)
    assert not x[:, 3].any()
    assert not Scaler.of(rows)(rows + 1)[:, 3].any()  # even where it varies later


@given(st.floats(-1e30, 1e30), st.integers(0, 4))
def test_whatever_a_feature_says_it_says_no_more_than_eight_deviations(value, place):
    rng = np.random.default_rng(0)
    scaler = Scaler.of(rng.normal(size=(50, 5)).astype(np.float32))
    row = np.zeros((1, 5), np.float32)
    row[0, place] = value
    assert np.isfinite(scaler(row)).all()
    assert np.abs(scaler(row)).max() <= Scaler.LIMIT


def test_one_huge_value_in_training_leaves_every_other_feature_alone():
    rows = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    spoilt = rows.copy()
    spoilt[7, 1] = 1e30
    x = Scaler.of(spoilt)(spoilt)
    assert np.isfinite(x).all()
    assert np.array_equal(x[:, [0, 2]], Scaler.of(rows)(rows)[:, [0, 2]])
