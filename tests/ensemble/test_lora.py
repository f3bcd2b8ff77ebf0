from dataclasses import replace

import numpy as np
import pytest
import torch

from enecg.ensemble._lora import RANK, SCALE, Adapter, AdapterSettings, train_adapters
from enecg.ensemble._targets import TargetSpace
from enecg.ensemble._trunk import Trunk

DIM, WIDTH, N = 12, 16, 240
SETTINGS = AdapterSettings(learning_rate=3e-3, max_epochs=6, batch=32, patience=6)


def normal(rng, *shape):
    return (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)


@pytest.fixture
def trunk():
    rng = np.random.default_rng(0)
    return Trunk((normal(rng, WIDTH, DIM), normal(rng, WIDTH)), (normal(rng, WIDTH, WIDTH), normal(rng, WIDTH)), {})


@pytest.fixture
def lesson(tasks):
    """Embeddings, labels of every kind of task with some missing, spaces, training and validation rows."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(N, DIM)).astype(np.float32)
    noise = rng.normal(size=N)
    labels = {
        "size": (3 * x[:, 0] + noise)[:, None],
        "flag": (x[:, 1] + noise > 0)[:, None],
        "kind": np.eye(3)[np.digitize(x[:, 2] + 0.5 * noise, [-0.5, 0.5])],
        "signs": np.stack([x[:, 3] > 0.3 * noise, x[:, 4] > 0.3 * noise], axis=1),
    }
    labels = {name: column.astype(np.float32) for name, column in labels.items()}
    labels["flag"][rng.random(N) < 0.5] = np.nan
    labels["size"][5:] = np.nan  # so few that most batches hold none
    spaces = {name: TargetSpace.of(tasks[name], column) for name, column in labels.items()}
    targets = {name: torch.from_numpy(spaces[name].targets(column)) for name, column in labels.items()}
    return torch.from_numpy(x), targets, spaces, np.arange(180), np.arange(180, N)


def train(trunk, lesson, names, settings=SETTINGS, seed=3):
    x, targets, spaces, rows, validation = lesson
    chosen = {name: spaces[name] for name in names}
    return train_adapters(trunk, x, targets, chosen, rows, validation, settings, seed)


def parts(adapter):
    return [part for pair in (adapter.first, adapter.second, adapter.row) if pair is not None for part in pair]


@pytest.mark.parametrize("order", [["flag", "kind", "signs", "size"], ["size", "signs", "kind", "flag"]])
def test_an_adapter_is_the_same_whichever_others_are_trained_beside_it(trunk, lesson, order):
    together = train(trunk, lesson, order)
    for name in order:
        alone = train(trunk, lesson, [name])[name]
        assert len(parts(together[name])) == len(parts(alone))
        for one, other in zip(parts(together[name]), parts(alone), strict=True):
            assert np.allclose(one, other, atol=2e-5)


def test_one_tasks_labels_do_not_touch_another_tasks_adapter(trunk, lesson):
    x, targets, *rest = lesson
    spoilt = {**targets, "kind": targets["kind"].roll(7, 0)}
    before = train(trunk, lesson, ["flag", "kind"])
    after = train(trunk, (x, spoilt, *rest), ["flag", "kind"])
    assert all(np.array_equal(a, b) for a, b in zip(parts(before["flag"]), parts(after["flag"]), strict=True))
    assert not np.array_equal(before["kind"].row[0], after["kind"].row[0])


@pytest.mark.parametrize("seed", range(4))
def test_a_task_stops_when_it_would_alone(trunk, lesson, seed):
    # Large steps and little patience: tasks stop at different epochs, and some would improve again later.
    settings = replace(SETTINGS, learning_rate=0.02, patience=1, max_epochs=12)
    together = train(trunk, lesson, ["flag", "kind", "signs", "size"], settings, seed)
    assert together["size"].first is None  # without a label to choose by, nothing is better than nothing
    for name, adapter in together.items():
        alone = train(trunk, lesson, [name], settings, seed)[name]
        assert np.allclose(adapter.row[0], alone.row[0], atol=1e-3)


def test_training_is_the_same_for_the_same_seed_and_takes_no_global_randomness(trunk, lesson):
    state = torch.get_rng_state()
    one, again, other = (train(trunk, lesson, ["signs"], seed=seed)["signs"] for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(np.array_equal(a, b) for a, b in zip(parts(one), parts(again), strict=True))
    assert not np.array_equal(one.row[0], other.row[0])


def test_an_adapter_learns_and_uses_its_whole_rank(trunk, lesson):
    x, targets, spaces, _, validation = lesson
    adapter = train(trunk, lesson, ["signs"], replace(SETTINGS, dropout=0.0, max_epochs=20, patience=20))["signs"]
    outputs = adapter.outputs(trunk, x.numpy(), trunk.hidden(x.numpy()))[validation]
    loss = spaces["signs"].loss(outputs, targets["signs"].numpy()[validation]).mean()
    assert loss < 0.85 * spaces["signs"].trivial
    for a, b in (adapter.first, adapter.second):
        assert np.linalg.matrix_rank(b @ a) == RANK


def test_labels_that_nothing_tells_leave_the_trunk_as_it_is(trunk, lesson):
    x, targets, spaces, rows, validation = lesson
    shuffled = targets["signs"][torch.randperm(N, generator=torch.Generator().manual_seed(0))]
    settings = replace(SETTINGS, learning_rate=0.5, max_epochs=4)  # at once too far
    adapter = train_adapters(trunk, x, {"signs": shuffled}, {"signs": spaces["signs"]}, rows, validation, settings, 0)
    assert adapter["signs"].first is None
    assert adapter["signs"].second is None
    assert np.array_equal(adapter["signs"].row[1], spaces["signs"].start)


def test_a_known_tasks_adapter_starts_at_the_trunks_own_row(trunk, lesson):
    rng = np.random.default_rng(5)
    row = (normal(rng, 2, WIDTH), normal(rng, 2))
    adapter = train(replace(trunk, rows={"signs": row}), lesson, ["signs"], replace(SETTINGS, max_epochs=0))["signs"]
    assert np.array_equal(adapter.row[0], row[0])
    assert np.array_equal(adapter.row[1], row[1])


@pytest.mark.parametrize("layers", [(), ("first",), ("second",), ("first", "second")])
def test_an_adapter_adds_its_low_rank_product_to_each_layer(trunk, layers):
    rng = np.random.default_rng(2)
    sizes = {"first": (DIM, WIDTH), "second": (WIDTH, WIDTH)}
    pairs = {name: (normal(rng, RANK, n_in), normal(rng, n_out, RANK)) for name, (n_in, n_out) in sizes.items()}
    used = {name: pairs[name] if name in layers else None for name in sizes}
    adapter = Adapter(used["first"], used["second"], (normal(rng, 3, WIDTH), normal(rng, 3)))
    x = normal(rng, 7, DIM)
    h = x
    for name, (weight, bias) in (("first", trunk.first), ("second", trunk.second)):
        merged = weight + SCALE * pairs[name][1] @ pairs[name][0] if name in layers else weight
        h = np.maximum(h @ merged.T + bias, 0)
    expected = h @ adapter.row[0].T + adapter.row[1]
    got = adapter.outputs(trunk, x, trunk.hidden(x))
    assert got.dtype == np.float32
    assert np.allclose(got, expected, atol=1e-5)
    again = Adapter.from_peft(adapter.to_peft())
    assert np.array_equal(again.outputs(trunk, x, trunk.hidden(x)), got)
