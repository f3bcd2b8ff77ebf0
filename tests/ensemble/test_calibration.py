import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.ensemble._calibration import GRID, Calibration, Scores, calibrate, expected_error, interval, members
from enecg.ensemble._targets import TargetSpace
from enecg.errors import FitError
from enecg.tasks import Task

SIZE = Task("size", "regression", unit="mm")
TIME = Task("time", "regression", unit="ms", log=True)
FLAG = Task("flag", "binary")
KIND = Task("kind", "multiclass", ("low", "normal", "high"))
SIGNS = Task("signs", "multilabel", ("A", "B"))


def space_of(task):
    n = task.n_outputs
    return TargetSpace(task, np.full(n, 6 if task.log else 0, np.float32), 0.3 if task.log else 1.0, 1.0)


def answered(task, n, rng, heat=1.0):
    """Logits or values with an error that grows with the disagreement; labels; disagreement."""
    truth = rng.normal(0, 1.5, size=(n, task.n_outputs))
    apart = rng.uniform(0.2, 1.5, size=n)
    if task.kind == "regression":
        mixed = truth + (apart * rng.standard_t(5, size=n))[:, None]
        labels = truth
    elif task.kind == "multiclass":
        mixed, labels = truth, np.eye(task.n_outputs)[(truth + rng.gumbel(size=truth.shape)).argmax(axis=1)]
    else:
        mixed, labels = truth, (rng.random(truth.shape) < 1 / (1 + np.exp(-truth))).astype(float)
    return (heat * mixed).astype(np.float32), apart.astype(np.float32), labels.astype(np.float32)


def reach(task, found, mixed, apart, coverage):
    """Both ends of the intervals."""
    return interval(space_of(task), found, mixed / np.float32(found.temperature), apart, coverage)


def share_covered(task, found, mixed, apart, labels, coverage):
    """By output: how often interval or set hold the truth; for yes / no, the worse of the two truths."""
    space = space_of(task)
    if task.kind == "regression":
        low, high = reach(task, found, mixed, apart, coverage)
        truth = space.values(labels)[:, 0]
        return [np.mean((low <= truth) & (truth <= high))]
    marks = members(space, found, space.values(mixed / np.float32(found.temperature)), coverage)
    if task.kind == "multiclass":
        return [np.mean(marks[labels > 0] == 1)]
    right = (marks == labels) | (marks == -1)
    return [right[labels[:, label] == truth, label].mean() for label in range(labels.shape[1]) for truth in (0, 1)]


@pytest.mark.parametrize("task", [SIZE, TIME, FLAG, KIND, SIGNS], ids=lambda task: f"{task.kind}-{task.log}")
@pytest.mark.parametrize(("n", "coverage"), [(60, 0.8), (400, 0.9)])
def test_the_stated_coverage_holds_over_repetitions(task, n, coverage):
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(40):
        found = calibrate(space_of(task), *answered(task, n, rng))
        covered.append(share_covered(task, found, *answered(task, 400, rng), coverage))
    # Temperature and spread are fitted on the same recordings, which costs a little where these are few.
    assert np.mean(covered, axis=0).min() >= coverage - (0.01 if n >= 400 else 0.025)
    assert np.mean(covered) <= coverage + 0.04


def test_rare_yes_is_covered_as_often_as_common_no():
    rng = np.random.default_rng(0)

    def rare(n):
        labels = (rng.random((n, 1)) < 0.05).astype(np.float32)
        return (rng.normal(size=(n, 1)) + 2 * labels - 4).astype(np.float32), np.zeros(n, np.float32), labels

    covered = [
        share_covered(FLAG, calibrate(space_of(FLAG), *rare(1500)), *rare(1500), coverage=0.9) for _ in range(20)
    ]
    assert np.mean(covered, axis=0) == pytest.approx([0.9, 0.9], abs=0.02)


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=60) | st.integers(1, 3000),
    st.floats(0.01, 0.99),
)
def test_thinning_and_rounding_never_lower_a_quantile(scores, coverage):
    if isinstance(scores, int):
        scores = np.random.default_rng(scores).gamma(0.5, size=scores)
    ranked = np.sort(np.asarray(scores, dtype=np.float64))
    rank = int(np.ceil((len(ranked) + 1) * coverage))
    found = Scores.of(np.asarray(scores))
    assert len(found.values) <= GRID + 1
    if rank > len(ranked):
        assert found.quantile(coverage) == np.inf
        return
    step = int(np.ceil(len(ranked) / GRID))
    highest = ranked[min(rank - 1 + 2 * step, len(ranked) - 1)]
    assert ranked[rank - 1] <= found.quantile(coverage) <= highest * (1 + 2e-5) + 1e-300


def test_a_score_that_all_share_holds_all_of_them():
    # 1/3 rounded down to six digits would hold none: every recording of a model that knows nothing.
    labels = np.eye(3, dtype=np.float32)[np.arange(300) % 3]
    found = calibrate(space_of(KIND), np.zeros((300, 3), np.float32), np.zeros(300, np.float32), labels)
    assert share_covered(KIND, found, np.zeros((300, 3), np.float32), None, labels, 0.9) == [1.0]


@pytest.mark.parametrize(("n", "coverage"), [(0, 0.9), (8, 0.9), (5, 0.85)])
def test_too_few_recordings_rule_nothing_out(n, coverage):
    rng = np.random.default_rng(0)
    mixed, apart, labels = answered(SIZE, n, rng)
    low, high = interval(space_of(SIZE), calibrate(space_of(SIZE), mixed, apart, labels), *rows(3), coverage)
    assert (low == -np.inf).all()
    assert (high == np.inf).all()
    for task in (KIND, FLAG):
        found = calibrate(space_of(task), *answered(task, n, rng))
        marks = members(space_of(task), found, np.full((3, task.n_outputs), 0.5, np.float32), coverage)
        assert (marks == (1 if task is KIND else -1)).all()


def rows(n):
    return np.zeros((n, 1), np.float32), np.ones(n, np.float32)


def test_nine_recordings_are_the_fewest_that_bound_nine_tenths():
    assert Scores.of(np.arange(9)).quantile(0.9) == 8
    assert Scores.of(np.arange(8)).quantile(0.9) == np.inf


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 1.5, float("nan")])
def test_a_coverage_that_is_no_share_is_refused(coverage):
    with pytest.raises(FitError, match="expected a share between 0 and 1"):
        Scores.of(np.arange(20)).quantile(coverage)


@pytest.mark.parametrize("task", [FLAG, KIND, SIGNS], ids=lambda task: task.kind)
@pytest.mark.parametrize("heat", [0.4, 1.0, 3.0])
def test_the_temperature_of_overheated_logits_is_found(task, heat):
    rng = np.random.default_rng(1)
    found = calibrate(space_of(task), *answered(task, 6000, rng, heat))
    assert found.temperature == pytest.approx(heat, rel=0.08)


@given(seed=st.integers(0, 99), heat=st.sampled_from([0.5, 0.8, 1.0, 1.25]))
def test_a_regression_that_stays_too_near_the_mean_leaves_it(seed, heat):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(3000, 1))
    mixed = (heat * (truth + 0.01 * rng.normal(size=truth.shape))).astype(np.float32)
    found = calibrate(space_of(SIZE), mixed, np.zeros(3000, np.float32), truth.astype(np.float32))
    assert found.temperature == pytest.approx(heat, rel=0.01)


def test_a_few_recordings_do_not_make_good_answers_much_worse():
    rng = np.random.default_rng(4)

    def answers(n):
        seen = rng.normal(size=(n, 1))
        return (0.6 * seen).astype(np.float32), (0.6 * seen + 0.8 * rng.normal(size=(n, 1))).astype(np.float32)

    losses = []
    for _ in range(100):
        mixed, labels = answers(20)
        found = calibrate(space_of(SIZE), mixed, np.zeros(20, np.float32), labels)
        mixed, labels = answers(1000)
        losses.append([np.abs(mixed / t - labels).mean() for t in (1, found.temperature)])
    before, after = np.mean(losses, axis=0)
    assert after < 1.02 * before


def test_the_mean_of_two_answers_that_are_as_modest_as_they_should_be_is_too_modest():
    rng = np.random.default_rng(3)
    seen = rng.normal(size=(2, 20000))
    truth = seen.sum(0) + rng.normal(size=20000)  # each answer is the best there is for who knows one of the two
    apart = np.abs(seen[0] - seen[1]).astype(np.float32) / 2
    found = calibrate(space_of(SIZE), seen.mean(0, dtype=np.float32)[:, None], apart, truth.astype(np.float32)[:, None])
    assert found.temperature == pytest.approx(0.5, rel=0.05)


def expected_calibration_error(p, truth):
    """Mean distance between probability and frequency in tenths of probability."""
    place = np.minimum((p * 10).astype(int), 9)
    return sum(abs((p - truth)[place == tenth].sum()) for tenth in range(10)) / len(p)


def test_overconfident_probabilities_become_frequencies():
    rng = np.random.default_rng(1)
    found = calibrate(space_of(FLAG), *answered(FLAG, 3000, rng, heat=3.0))
    mixed, _, labels = answered(FLAG, 3000, rng, heat=3.0)
    before = expected_calibration_error(space_of(FLAG).values(mixed)[:, 0], labels[:, 0])
    after = expected_calibration_error(space_of(FLAG).values(mixed / np.float32(found.temperature))[:, 0], labels[:, 0])
    assert before > 0.1
    assert after < 0.03


def test_intervals_are_wide_where_experts_disagree():
    rng = np.random.default_rng(2)
    found = calibrate(space_of(SIZE), *answered(SIZE, 3000, rng))
    mixed, apart, labels = answered(SIZE, 6000, rng)
    low, high = reach(SIZE, found, mixed, apart, 0.9)
    calm, wild = apart < 0.5, apart > 1.2
    assert np.median((high - low)[wild]) > 2 * np.median((high - low)[calm])
    inside = (low <= labels[:, 0]) & (labels[:, 0] <= high)
    assert inside[calm].mean() == pytest.approx(0.9, abs=0.04)
    assert inside[wild].mean() == pytest.approx(0.9, abs=0.04)


def test_an_interval_of_a_positive_task_is_positive_and_holds_its_answer():
    rng = np.random.default_rng(2)
    found = calibrate(space_of(TIME), *answered(TIME, 200, rng))
    mixed, apart, _ = answered(TIME, 200, rng)
    low, high = reach(TIME, found, mixed, apart, 0.95)
    value = space_of(TIME).values(mixed / np.float32(found.temperature))[:, 0]
    assert (low > 0).all()
    assert ((low <= value) & (value <= high)).all()


@given(st.integers(0, 1000), st.sampled_from([0.05, 0.5, 0.9]))
def test_a_class_set_is_never_empty_and_holds_the_likeliest_class(seed, coverage):
    rng = np.random.default_rng(seed)
    found = calibrate(space_of(KIND), *answered(KIND, 100, rng))
    p = rng.dirichlet([0.3, 0.3, 0.3], size=20).astype(np.float32)
    marks = members(space_of(KIND), found, p, coverage)
    assert set(np.unique(marks)) <= {0, 1}
    assert (marks[np.arange(20), p.argmax(axis=1)] == 1).all()


def test_more_coverage_never_shrinks_an_answer():
    rng = np.random.default_rng(4)
    mixed, apart, _ = answered(SIZE, 50, rng)
    found = calibrate(space_of(SIZE), *answered(SIZE, 300, rng))
    widths = [np.subtract(*reach(SIZE, found, mixed, apart, c)[::-1]) for c in (0.5, 0.8, 0.9, 0.99)]
    assert (np.diff(widths, axis=0) >= 0).all()
    found = calibrate(space_of(KIND), *answered(KIND, 300, rng))
    p = rng.dirichlet([1, 1, 1], size=50).astype(np.float32)
    sizes = [members(space_of(KIND), found, p, c).sum(axis=1) for c in (0.5, 0.8, 0.9, 0.99)]
    assert (np.diff(sizes, axis=0) >= 0).all()


def test_a_label_that_allows_two_classes_is_covered_whichever_it_is():
    # All that is known of the abnormal ones is that they are; that the model leans to low means nothing.
    rng = np.random.default_rng(5)

    def flagged(n):
        odd = rng.random(n) < 0.5
        logit = 4 * (odd - 0.5) + rng.normal(size=n)
        mixed = np.stack([logit / 2 + 1, -logit / 2, logit / 2], axis=1).astype(np.float32)
        return mixed, np.where(odd[:, None], [1.0, 0, 1], [0, 1, 0]).astype(np.float32)

    mixed, labels = flagged(600)
    found = calibrate(space_of(KIND), mixed, np.zeros(600, np.float32), labels)
    mixed, labels = flagged(3000)
    marks = members(space_of(KIND), found, space_of(KIND).values(mixed / np.float32(found.temperature)), 0.9)
    assert np.mean((marks >= labels).all(axis=1)) > 0.88


def test_recordings_without_label_or_answer_teach_nothing():
    rng = np.random.default_rng(6)
    mixed, apart, labels = answered(KIND, 80, rng)
    more = np.concatenate([mixed, np.full((2, 3), np.nan, np.float32), mixed[:1]])
    unknown = np.concatenate([labels, labels[:2], np.full((1, 3), np.nan, np.float32)])
    assert calibrate(space_of(KIND), more, np.append(apart, [1, 1, 1]), unknown) == calibrate(
        space_of(KIND), mixed, apart, labels
    )


def test_exact_answers_have_intervals_of_almost_no_width():
    x = np.random.default_rng(0).normal(size=(100, 1)).astype(np.float32)
    found = calibrate(space_of(SIZE), x, np.zeros(100, np.float32), x)
    low, high = interval(space_of(SIZE), found, x, np.zeros(100, np.float32), 0.9)
    assert ((low <= x[:, 0]) & (x[:, 0] <= high)).all()
    assert np.abs(high - low).max() < 1e-3


def test_the_expected_error_is_finite_for_any_answer():
    found = calibrate(space_of(SIZE), *answered(SIZE, 50, np.random.default_rng(0)))
    answer = np.array([0, 1e6, -1e6, 1e30], np.float32)
    error = expected_error(found.spread, answer, np.array([0, 1e-30, 1e30, 1], np.float32))
    assert np.isfinite(error).all()
    assert (error > 0).all()


@pytest.mark.parametrize("task", [SIZE, FLAG, KIND, SIGNS], ids=lambda task: task.kind)
def test_a_calibration_comes_back_from_plain_text(task):
    found = calibrate(space_of(task), *answered(task, 700, np.random.default_rng(0)))
    assert Calibration.from_state(json.loads(json.dumps(found.to_state()))) == found
