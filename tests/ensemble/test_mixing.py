import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.ensemble._mixing import convex_weights, mix
from enecg.ensemble._targets import TargetSpace
from enecg.tasks import Task

TASKS = (
    Task("size", "regression"),
    Task("flag", "binary"),
    Task("kind", "multiclass", ("a", "b", "c")),
    Task("signs", "multilabel", ("a", "b")),
)


def made(task, noise, n=300, seed=0):
    """Experts' answers [recording, expert, output] with the given noise, the labels, and the task's space."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 2, size=(n, task.n_outputs))
    if task.kind == "regression":
        labels = truth
    elif task.kind == "multiclass":
        labels = np.eye(3)[(truth + rng.gumbel(size=truth.shape)).argmax(axis=1)]
    else:
        labels = (rng.random(truth.shape) < 1 / (1 + np.exp(-truth))).astype(float)
    labels = labels.astype(np.float32)
    space = TargetSpace.of(task, labels)
    if task.kind == "regression":
        truth = (truth - space.base) / space.scale
    answers = np.stack([truth + size * rng.normal(size=truth.shape) for size in noise], axis=1)
    return answers.astype(np.float32), space.targets(labels), space


def loss(answers, present, targets, space, weights):
    share = present * np.asarray(weights, dtype=np.float64)
    share = share / share.sum(axis=1, keepdims=True)
    return space.loss(np.einsum("neo,ne->no", answers.astype(np.float64), share), targets).mean()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
def test_the_expert_that_knows_gets_the_weight(task):
    answers, targets, space = made(task, [5.0, 0.01, 5.0])
    answers[:, [0, 2]] = 5 * np.random.default_rng(1).normal(size=answers[:, [0, 2]].shape)
    weights = convex_weights(answers, np.ones(answers.shape[:2], bool), targets, space)
    assert weights[1] > 0.9
    assert weights.sum() == pytest.approx(1, abs=1e-6)
    assert (weights > 0).all()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@given(seed=st.integers(0, 1000), n_experts=st.integers(1, 5), lost=st.sampled_from([0.0, 0.3]))
@settings(max_examples=10, deadline=None)
def test_weights_are_never_worse_than_equal_ones_where_they_were_found(task, seed, n_experts, lost):
    rng = np.random.default_rng(seed)
    answers, targets, space = made(task, rng.uniform(0, 3, n_experts), n=60, seed=seed)
    present = rng.random((60, n_experts)) >= lost
    present[np.arange(60), rng.integers(n_experts, size=60)] = True
    targets[:5] = np.nan
    weights = convex_weights(np.where(present[:, :, None], answers, np.nan), present, targets, space)
    rows = slice(5, None)
    equal = loss(answers[rows], present[rows], targets[rows], space, np.ones(n_experts))
    assert loss(answers[rows], present[rows], targets[rows], space, weights) <= equal + 1e-3 * space.trivial


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.kind)
@pytest.mark.parametrize("lost", [0.0, 0.4])
def test_two_experts_get_the_best_weights_of_a_grid(task, lost):
    answers, targets, space = made(task, [0.8, 1.2])
    present = np.random.default_rng(2).random(answers.shape[:2]) >= lost
    present[~present.any(axis=1), 0] = True
    weights = convex_weights(answers, present, targets, space)
    grid = np.linspace(0, 1, 101)
    found = [loss(answers, present, targets, space, [w + 1e-9, 1 - w + 1e-9]) for w in grid]
    best = int(np.argmin(found))
    assert abs(weights[0] - grid[best]) < 0.03
    assert loss(answers, present, targets, space, weights) <= found[best] + 1e-4


def test_one_expert_and_no_label_need_no_search():
    answers, targets, space = made(TASKS[0], [1.0, 1.0])
    everyone = np.ones((300, 2), bool)
    assert convex_weights(answers[:, :1], everyone[:, :1], targets, space).tolist() == [1]
    assert convex_weights(answers, everyone, np.full_like(targets, np.nan), space).tolist() == [0.5, 0.5]


def test_an_expert_that_no_label_has_judged_gets_next_to_nothing():
    answers, targets, space = made(TASKS[0], [1.0, 1.0, 1.0])
    present = np.ones((300, 3), bool)
    present[:, 1] = False
    weights = convex_weights(answers, present, targets, space)
    assert 0 < weights[1] < 1e-3
    assert weights[[0, 2]] == pytest.approx([0.5, 0.5], abs=0.15)


def test_mixing_leaves_out_what_has_no_weight():
    outputs = np.array([[[1, 2], [np.nan, np.nan]], [[3, 4], [5, 6]]], np.float32)
    weights = np.array([[1, 0], [0.25, 0.75]], np.float32)
    assert mix(outputs, weights).tolist() == [[1, 2], [4.5, 5.5]]
    assert mix(outputs[:0], weights[:0]).shape == (0, 2)
