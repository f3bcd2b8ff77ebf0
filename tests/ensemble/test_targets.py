import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from enecg.ensemble._targets import TargetSpace, torch_loss
from enecg.errors import FitError
from enecg.tasks import Task, get_task

AGE = Task("age", "regression", unit="years")
RR = Task("rr", "regression", unit="ms", log=True)
SEX = Task("sex", "binary")
POTASSIUM = get_task("potassium")
SIGNS = Task("signs", "multilabel", ("A", "B", "C"))
NAN = float("nan")


def column(values, width=1):
    return np.array(values, dtype=np.float32).reshape(len(values), width)


def constant_loss(space, labels):
    return space.loss(np.tile(space.start, (len(labels), 1)), space.targets(labels)).mean()


def test_regression_loss_is_hubers():
    space = TargetSpace(AGE, np.zeros(1, np.float32), 1.0, 1.0)
    error = np.array([0, 0.1, -0.4, 0.5, 2.0, -3.0])[:, None]
    by_hand = np.where(np.abs(error) < 0.1, error**2 / (2 * 0.1), np.abs(error) - 0.1 / 2)[:, 0]
    assert np.allclose(space.loss(error, np.zeros_like(error)), by_hand)


@pytest.mark.parametrize("seed", range(3))
def test_classification_losses_are_scikit_learns_log_loss(seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, size=(50, 3))
    kind = rng.integers(3, size=50)
    space = TargetSpace(POTASSIUM, np.zeros(3, np.float32), 1.0, 1.0)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert space.loss(logits, np.eye(3)[kind]).mean() == pytest.approx(log_loss(kind, p, labels=[0, 1, 2]))
    signs = rng.integers(2, size=(50, 3)).astype(float)
    space = TargetSpace(SIGNS, np.zeros(3, np.float32), 1.0, 1.0)
    p = 1 / (1 + np.exp(-logits))
    by_label = [log_loss(signs[:, label], p[:, label], labels=[0, 1]) for label in range(3)]
    assert space.loss(logits, signs).mean() == pytest.approx(np.mean(by_label))
    space = TargetSpace(SEX, np.zeros(1, np.float32), 1.0, 1.0)
    assert space.loss(logits[:, :1], signs[:, :1]).mean() == pytest.approx(by_label[0])


def test_an_abnormal_potassium_is_low_or_high_and_nothing_more():
    logits = np.array([[1.0, 0.5, -2.0]])
    p = np.exp(logits) / np.exp(logits).sum()
    space = TargetSpace(POTASSIUM, np.zeros(3, np.float32), 1.0, 1.0)
    label = POTASSIUM.encode(["abnormal"])
    assert space.loss(logits, label)[0] == pytest.approx(-np.log(p[0, 0] + p[0, 2]))
    assert space.loss(logits, np.ones((1, 3)))[0] == pytest.approx(0, abs=1e-12)
    slope = torch.tensor(logits, requires_grad=True)
    torch_loss(POTASSIUM, slope, torch.from_numpy(label).double()).sum().backward()
    # Towards both allowed classes in proportion to what they have, away from the third.
    share = p * label / (p * label).sum()
    assert np.allclose(slope.grad, p - share)


@pytest.mark.parametrize("task", [AGE, SEX, POTASSIUM, SIGNS], ids=lambda task: task.kind)
def test_a_missing_label_has_no_loss_whatever_is_answered(task):
    n = task.n_outputs
    space = TargetSpace(task, np.zeros(n, np.float32), 1.0, 1.0)
    losses = space.loss(np.ones((2, n)), np.stack([np.full(n, NAN), np.eye(n)[0]]))
    assert np.isnan(losses[0])
    assert np.isfinite(losses[1])


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (AGE, column([20, 40, 70, NAN])),
        (RR, column([600, 800, 1200, NAN])),
        (SEX, column([0, 1, 1, NAN])),
        (POTASSIUM, POTASSIUM.encode(["low", "normal", "abnormal", "normal", None])),
        (SIGNS, SIGNS.encode(["A", "A;B", "-", None])),
    ],
    ids=["regression", "log", "binary", "multiclass", "multilabel"],
)
def test_the_trivial_loss_is_that_of_the_answer_that_knows_no_recording(task, labels):
    space = TargetSpace.of(task, labels)
    there = ~np.isnan(labels).any(axis=1)
    assert space.trivial == pytest.approx(constant_loss(space, labels[there]), rel=1e-5)
    answer = space.values(space.start[None])[0]
    if task.kind == "regression":
        mean = np.exp(np.log(labels[there]).mean()) if task.log else labels[there].mean()
        assert answer == pytest.approx(mean, rel=1e-5)
    elif task is POTASSIUM:
        assert answer == pytest.approx([(1 + 0.5) / 4, 2 / 4, 0.5 / 4], rel=1e-4)  # an abnormal one is half of each
    elif task is SEX:
        assert answer == pytest.approx([2 / 3], rel=1e-4)
    else:
        assert answer == pytest.approx([2 / 3, 1 / 3, 1e-4], rel=1e-3)


@given(st.lists(st.floats(0.125, 1e5, width=32), min_size=2, max_size=20, unique=True), st.booleans())
def test_targets_become_values_again(values, log):
    labels = column(values)
    space = TargetSpace.of(RR if log else AGE, labels)
    again = space.values(space.targets(labels))
    assert np.allclose(again, labels, rtol=1e-4, atol=1e-5 * np.abs(labels).max())


def test_log_targets_are_standardised_logarithms():
    labels = column(np.exp([5.0, 6.0, 7.0, 8.0]))
    space = TargetSpace.of(RR, labels)
    assert space.targets(labels)[:, 0] == pytest.approx((np.arange(4) - 1.5) / np.std(np.arange(4)), abs=1e-5)


@given(st.floats(-1e6, 1e6))
def test_no_answer_is_too_large_to_be_a_probability(size):
    for task in (SEX, POTASSIUM, SIGNS):
        outputs = np.zeros((1, task.n_outputs), np.float32)
        outputs[0, 0] = size
        p = TargetSpace(task, outputs[0], 1.0, 1.0).values(outputs)
        assert ((p >= 0) & (p <= 1)).all()
        if task is POTASSIUM:
            assert p.sum() == pytest.approx(1, abs=1e-6)


def test_an_answer_beyond_32_bits_is_infinite_without_a_warning():
    space = TargetSpace(RR, np.array([6], np.float32), 1.0, 1.0)
    assert space.values(np.array([[500.0], [np.inf], [-np.inf]], np.float32)).ravel().tolist() == [np.inf, np.inf, 0]


def test_a_space_comes_back_from_its_state():
    space = TargetSpace.of(POTASSIUM, POTASSIUM.encode(["low", "normal", "high"]))
    again = TargetSpace.from_state(POTASSIUM, space.to_state())
    assert np.array_equal(again.base, space.base)
    assert (again.task, again.scale, again.trivial) == (space.task, space.scale, space.trivial)


def test_nothing_labelled_is_refused_with_the_task():
    with pytest.raises(FitError, match="task age: no recording has a label"):
        TargetSpace.of(AGE, column([NAN, NAN]))


@pytest.mark.parametrize(
    ("task", "labels"),
    [(AGE, column([5, 5, NAN])), (SEX, column([1, 1])), (SIGNS, SIGNS.encode(["A", "A"])), (RR, column([700]))],
)
def test_labels_that_are_all_the_same_are_refused(task, labels):
    with pytest.raises(FitError, match=f"task {task.name}: all . labels are the same; expected two different"):
        TargetSpace.of(task, labels)
