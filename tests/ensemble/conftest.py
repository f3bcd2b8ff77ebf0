"""Synthetic embeddings with known answers, and settings that train in a second."""

from dataclasses import replace

import numpy as np
import pytest

from enecg.ensemble import JointSettings, fit_ensemble
from enecg.ensemble._heads import ExpertHead, Linear, Member
from enecg.ensemble._linear import Scaler
from enecg.ensemble._lora import RANK, Adapter, AdapterSettings
from enecg.ensemble._train_gate import GateSettings
from enecg.ensemble._train_head import HeadSettings
from enecg.ensemble._trunk import Trunk, TrunkSettings
from enecg.store import Embedded
from enecg.tasks import Task

GATE = "gate:II:100x1"


@pytest.fixture(scope="session")
def tasks():
    """One of each kind."""
    return {
        "size": Task("size", "regression", unit="mm"),
        "time": Task("time", "regression", unit="ms", log=True),
        "flag": Task("flag", "binary"),
        "kind": Task("kind", "multiclass", ("low", "normal", "high"), merged={"odd": ("low", "high")}),
        "signs": Task("signs", "multilabel", ("A", "B")),
    }


@pytest.fixture(scope="session")
def make_embedded():
    """n recordings, normal embeddings of the given widths by experts e0, e1, ..., and a gate's input."""

    def make(n, dims=(40,), seed=0, per_subject=1):
        rng = np.random.default_rng(seed)
        embeddings = {f"e{number}": rng.normal(size=(n, dim)).astype(np.float32) for number, dim in enumerate(dims)}
        embeddings[GATE] = rng.normal(size=(n, 100)).astype(np.float32)
        present = {name: np.ones(n, dtype=bool) for name in embeddings}
        subjects = [f"made:{row // per_subject}" for row in range(n)]
        return Embedded([f"r{row}" for row in range(n)], subjects, embeddings, present)

    return make


@pytest.fixture(scope="session")
def without():
    """An expert taken away from some recordings: bool [recording]."""

    def remove(embedded, expert, rows):
        embedding = embedded.embeddings[expert].copy()
        embedding[rows] = np.nan
        present = embedded.present[expert] & ~rows
        return replace(
            embedded,
            embeddings={**embedded.embeddings, expert: embedding},
            present={**embedded.present, expert: present},
        )

    return remove


@pytest.fixture(scope="session")
def quick():
    """Recipe "joint", small: three folds, a narrow trunk, few steps."""
    adapters = AdapterSettings(max_epochs=1)
    new_task = AdapterSettings(learning_rate=1e-3, max_epochs=5, patience=2, min_steps=20)
    trunk = TrunkSettings(width=32, max_epochs=4, patience=2, min_steps=30)
    head = HeadSettings(trunk=trunk, adapters=adapters, new_task=new_task)
    return JointSettings(n_folds=3, head=head, gate=GateSettings(max_epochs=2))


@pytest.fixture(scope="session")
def fit(quick):
    """`fit_ensemble` on everything that is embedded, with the quick settings."""

    def run(embedded, targets, tasks, **options):
        experts = [name for name in embedded.embeddings if name != GATE]
        options = {"settings": quick} | options
        return fit_ensemble(embedded, targets, tasks, experts=experts, gate=GATE, **options)

    return run


@pytest.fixture(scope="session")
def labels():
    """Labels that the embeddings tell, with noise: `size` and `kind` by expert e0, the others by the last expert."""

    def make(embedded, seed=0):
        rng = np.random.default_rng([seed, 7])
        first, *_, last = (rows for name, rows in embedded.embeddings.items() if name != GATE)
        n = len(embedded)
        kind = np.digitize(first[:, 1] + 0.3 * rng.normal(size=n), [-0.7, 0.7])
        return {
            "size": (50 + 10 * first[:, :1] + rng.normal(size=(n, 1))).astype(np.float32),
            "time": np.exp(6 + 0.3 * last[:, :1] + 0.03 * rng.normal(size=(n, 1))).astype(np.float32),
            "flag": (last[:, 1:2] + 0.5 * rng.normal(size=(n, 1)) > 0).astype(np.float32),
            "kind": np.eye(3, dtype=np.float32)[kind],
            "signs": (last[:, 2:4] + 0.5 * rng.normal(size=(n, 2)) > 0.5).astype(np.float32),
        }

    return make


@pytest.fixture(scope="session")
def known(make_embedded, labels, fit, tasks):
    """(embedded, targets, ensemble) of 300 recordings, two experts and one task of each kind; to be read only."""
    embedded = make_embedded(300, (30, 20))
    targets = labels(embedded)
    return embedded, targets, fit(embedded, targets, list(tasks.values()))


@pytest.fixture
def random_head():
    """A head with random weights: `random_head(dim, {"task": n_outputs}, members=2, share=0.3)`."""

    def make(dim, outputs, members=2, share=0.3, width=16, seed=0):
        rng = np.random.default_rng(seed)

        def normal(*shape):
            return (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(np.float32)

        def member():
            trunk = Trunk((normal(width, dim), normal(width)), (normal(width, width), normal(width)), {})
            adapters = {
                name: Adapter(
                    (normal(RANK, dim), normal(width, RANK)),
                    (normal(RANK, width), normal(width, RANK)),
                    (normal(n, width), normal(n)),
                )
                for name, n in outputs.items()
            }
            return Member(trunk, adapters)

        scaler = Scaler.of(rng.normal(2, 3, size=(50, dim)).astype(np.float32))
        linear = {name: Linear(normal(dim, n), normal(n), share) for name, n in outputs.items()}
        return ExpertHead(scaler, [member() for _ in range(members)], linear)

    return make
