"""Some simulated people, their windows, a network that learns in a moment, and a death on the way."""

import os
import subprocess
import sys

import pytest
import torch

from enecg.cohorts import load_cohort
from enecg.experts import get_expert
from enecg.experts.learned.s4d import S4D, S4DSize
from enecg.pretraining import Corpus
from enecg.tasks import get_task

TASKS = (get_task("rr_interval"), get_task("sex"))


@pytest.fixture(scope="session")
def cohort():
    """64 recordings of 32 people at 100 Hz; every fourth label is missing or so."""
    return load_cohort("simulated", n=64, seed=7, rate=100.0, recordings_per_subject=2, missing=0.25)


@pytest.fixture(scope="session")
def corpus(cohort, tmp_path_factory):
    """Their windows."""
    room = str(tmp_path_factory.mktemp("room"))
    return Corpus.of(get_expert("s4d:tiny"), cohort, room, targets=cohort.targets, tasks=TASKS, validation=0.2)


@pytest.fixture(scope="session")
def network():
    """Makes a network of a few hundred weights, the same ones every time."""

    def make(seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return S4D(S4DSize(stem=4, width=8, layers=1, states=4, dropout=0.1))

    return make


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """An empty folder of weights."""
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


DYING = """
import os, signal, sys
from enecg.pretraining import Training

learn = Training._learn

def dying(training):
    if (training.objective.name, training.step) == ({objective!r}, {step}):
        os.kill(os.getpid(), signal.SIGKILL)
    return learn(training)

Training._learn = dying
"""


@pytest.fixture
def killed_at(shelf):
    """Runs code in a process of its own, which is killed before this step of this objective."""

    def run(objective, step, code, *arguments):
        return subprocess.run(
            [sys.executable, "-c", DYING.format(objective=objective, step=step) + code, *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1", "ENECG_WEIGHTS": str(shelf)},
            capture_output=True,
            check=False,
        )

    return run


@pytest.fixture(autouse=True)
def _one_thread():
    """As the command line has it: sums of several threads are not the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
