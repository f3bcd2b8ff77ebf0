"""Metrics against scikit-learn, and the bootstrap over subjects."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, roc_auc_score

from enecg.evaluation._metrics import (
    Scored,
    bootstrap_weights,
    calibration_error,
    drawn,
    higher_is_better,
    interval_of,
    label_auroc,
    make_metric,
    metrics_of,
)
from enecg.tasks import TASKS, Task, get_task

RHYTHM = Task("three", "multiclass", ("a", "b", "c"))


def value(name: str, scored: Scored, weights: np.ndarray | None = None) -> float:
    ones = np.ones(len(scored.truth)) if weights is None else weights
    return float(make_metric(name, scored)(ones[None])[0])


def draw(seed: int, n: int = 60, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.repeat(np.arange(classes), 6), rng.integers(classes, size=n - 6 * classes)])
    scores = rng.dirichlet(np.ones(classes), n).round(2)  # Rounded, so that there are ties.
    return labels, scores.astype(np.float32)


@given(st.integers(0, 10_000))
def test_auroc_accuracy_and_f1_are_scikit_learns(seed):
    labels, scores = draw(seed)
    scored = Scored(RHYTHM, np.eye(3, dtype=np.float32)[labels], scores)
    each = [roc_auc_score(labels == k, scores[:, k].astype(np.float64)) for k in range(3)]
    assert value("macro_auroc", scored) == pytest.approx(np.mean(each), abs=1e-9)
    said = scores.argmax(axis=1)
    assert value("accuracy", scored) == pytest.approx(accuracy_score(labels, said))
    assert value("macro_f1", scored) == pytest.approx(f1_score(labels, said, average="macro", zero_division=0))


def test_an_area_over_folds_is_the_mean_over_pairs_of_one_fold():
    rng = np.random.default_rng(4)
    labels, fold = rng.integers(2, size=90), np.repeat([0, 1, 2], [50, 30, 10])
    # The models of the folds are on scales of their own, which is nobody's fault.
    scores = (rng.normal(size=90) + labels + 10 * fold).astype(np.float32)
    weights = rng.integers(0, 3, size=(5, 90)).astype(np.float64)
    found = make_metric("auroc", Scored(TASKS["sex"], labels[:, None].astype(np.float32), scores[:, None], fold))(
        weights
    )
    for w, value_ in zip(weights, found, strict=True):
        areas, pairs = [], []
        for k in range(3):
            here = fold == k
            areas.append(roc_auc_score(labels[here], scores[here].astype(np.float64), sample_weight=w[here]))
            pairs.append((w * labels)[here].sum() * (w * (1 - labels))[here].sum())
        assert value_ == pytest.approx(np.average(areas, weights=pairs))


@given(st.integers(0, 10_000))
def test_a_constant_answer_of_each_fold_is_chance_and_not_less(seed):
    labels, _ = draw(seed)
    fold = np.arange(len(labels)) % 5
    truth = np.eye(3, dtype=np.float32)[labels]
    constant = np.array([truth[fold != k].mean(axis=0) for k in range(5)])[fold].astype(np.float32)
    assert value("macro_auroc", Scored(RHYTHM, truth, constant, fold)) == pytest.approx(0.5)


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_a_weight_of_k_is_the_recording_k_times(seed, k):
    labels, scores = draw(seed)
    truth = np.eye(3, dtype=np.float32)[labels]
    weights = np.ones(len(truth))
    weights[7] = k
    repeated = np.concatenate([np.arange(len(truth)), np.repeat(7, k - 1)])
    for name in metrics_of(RHYTHM):
        weighted = value(name, Scored(RHYTHM, truth, scores), weights)
        assert weighted == pytest.approx(value(name, Scored(RHYTHM, truth[repeated], scores[repeated])), abs=1e-9)


def test_binary_figures_are_scikit_learns():
    rng = np.random.default_rng(3)
    labels, scores = rng.integers(2, size=80), rng.random(80).astype(np.float32)
    scored = Scored(TASKS["sex"], labels[:, None].astype(np.float32), scores[:, None])
    assert value("auroc", scored) == pytest.approx(roc_auc_score(labels, scores.astype(np.float64)))
    assert value("macro_f1", scored) == pytest.approx(f1_score(labels, scores >= 0.5, average="macro"))


def test_errors_of_a_regression():
    truth, answer = np.array([[1.0], [2.0], [4.0]], np.float32), np.array([[2.0], [2.0], [2.0]], np.float32)
    scored = Scored(TASKS["age"], truth, answer)
    assert value("mae", scored) == pytest.approx(mean_absolute_error(truth, answer))
    assert value("rmse", scored) == pytest.approx(np.sqrt(5 / 3))
    assert value("over_20", Scored(TASKS["rr_interval"], truth * 100, answer * 100)) == pytest.approx(2 / 3)


def test_a_class_with_few_examples_has_no_auroc_worth_averaging():
    truth = np.zeros((40, 3), np.float32)
    truth[:20, 0] = truth[20:38, 1] = truth[38:, 2] = 1
    scores = truth.copy()
    scores[:, 2] = 1 - scores[:, 2]  # Entirely wrong where it does not count.
    assert value("macro_auroc", Scored(RHYTHM, truth, scores)) == 1


def test_a_label_that_allows_two_classes_is_hit_by_either_and_decides_no_f1():
    potassium = get_task("potassium")
    truth = potassium.encode(["abnormal", "normal", "low", "high"])
    answer = np.array([[0.1, 0.2, 0.7], [0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    assert value("accuracy", Scored(potassium, truth, answer)) == 1
    assert value("macro_f1", Scored(potassium, truth, answer)) == 1


def test_the_mean_auroc_of_named_labels():
    task = TASKS["rhythm_statements"]
    rng = np.random.default_rng(0)
    truth = (rng.random((200, 12)) < 0.3).astype(np.float32)
    answer = rng.random((200, 12)).astype(np.float32)
    names = ("SR", "AFIB")
    wanted = [roc_auc_score(truth[:, task.classes.index(n)], answer[:, task.classes.index(n)]) for n in names]
    found = label_auroc(Scored(task, truth, answer), names)(np.ones((1, 200)))[0]
    assert found == pytest.approx(np.mean(wanted))


def test_calibration_error_is_nothing_for_true_probabilities_and_large_for_boasts():
    rng = np.random.default_rng(1)
    p = rng.random((40_000, 1)).astype(np.float32)
    truth = (rng.random(p.shape) < p).astype(np.float32)
    assert calibration_error(Scored(TASKS["sex"], truth, p)) < 0.01
    boast = np.where(p > 0.5, 0.999, 0.001).astype(np.float32)
    assert calibration_error(Scored(TASKS["sex"], truth, boast)) > 0.2


def test_the_bootstrap_draws_whole_subjects():
    subjects = np.repeat(np.arange(50), 3)
    weights = bootstrap_weights(subjects, 200, seed=0)
    assert (weights.reshape(200, 50, 3) == weights.reshape(200, 50, 3)[:, :, :1]).all()
    assert (weights.sum(axis=1) == 150).all()
    np.testing.assert_array_equal(weights, bootstrap_weights(subjects, 200, seed=0))


def test_bootstrap_intervals_cover_a_known_auroc():
    """Two normals one deviation apart: the AUROC is Phi(1 / sqrt 2)."""
    inside = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        truth = np.repeat([0.0, 1.0], 60)[:, None].astype(np.float32)
        answer = (truth + rng.normal(size=truth.shape)).astype(np.float32)
        metric = make_metric("auroc", Scored(TASKS["sex"], truth, answer))
        low, high = interval_of(drawn(metric, bootstrap_weights(np.arange(120), 400, seed)))
        inside += low <= 0.7602 <= high
    assert inside >= 45


@pytest.mark.parametrize("name", ["macro_auroc", "accuracy", "macro_f1"])
def test_draws_in_blocks_are_draws_at_once(name, monkeypatch):
    labels, scores = draw(5)
    metric = make_metric(name, Scored(RHYTHM, np.eye(3, dtype=np.float32)[labels], scores))
    weights = bootstrap_weights(np.arange(len(labels)) // 2, 70, seed=1)
    monkeypatch.setattr("enecg.evaluation._metrics._BLOCK", 7 * len(labels))
    np.testing.assert_array_equal(drawn(metric, weights), metric(weights.astype(np.float64)))


def test_a_draw_without_any_recording_has_no_value():
    truth = np.array([[1.0], [2.0]], np.float32)
    metric = make_metric("mae", Scored(TASKS["age"], truth, truth + 1))
    np.testing.assert_array_equal(metric(np.array([[1.0, 1.0], [0.0, 0.0]])), [1, np.nan])


def test_errors_are_better_small():
    assert [higher_is_better(name) for name in ("mae", "rmse", "ece", "over_20", "auroc")] == [False] * 4 + [True]
