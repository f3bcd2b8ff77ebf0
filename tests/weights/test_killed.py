"""Whatever ends a pull, whenever, leaves weights that are whole or none, and the next pull works."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from enecg.weights import Origin, find_kept, layout_of, load_kept, pull_weights

STATE = {"a": torch.arange(500_000.0), "b": torch.arange(500_000.0) + 0.5}
ORIGIN = Origin(repository="heart/model", file="weights.pt", inside=("model",))
PULL = """
import os, resource, signal, sys
from pathlib import Path
from enecg.weights import Origin, _shelf, _writing, pull_weights
ORIGIN = Origin(repository="heart/model", file="weights.pt", inside=("model",))
LAYOUT = {name: ((500_000,), "float32") for name in "ab"}
def pull(**options):
    kept = pull_weights("heart", ORIGIN, LAYOUT, **options)
    print(kept.content)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"model": STATE}, path)
    return path


@pytest.fixture(autouse=True)
def _filled(hub, shelf, file):
    hub.files["heart/model/weights.pt"] = file.read_bytes()


@pytest.fixture
def started():
    """Another process that runs this; ended if it still runs when the test is over."""
    all_ = []

    def start(code, *arguments):
        all_.append(
            subprocess.Popen(
                [sys.executable, "-c", PULL + code, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return all_[-1]

    yield start
    for process in all_:
        process.kill()
        process.communicate()


def left(shelf):
    return sorted(path.name for path in (shelf / "heart").iterdir() if path.name != ".lock")


def pulls_well(shelf):
    kept = pull_weights("heart", ORIGIN, layout_of(STATE))
    assert left(shelf) == [kept.file, "weights.json"]
    assert all(torch.equal(part, STATE[name]) for name, part in load_kept("heart").items())


def test_killed_while_it_downloads_it_goes_on_where_it_was(shelf, hub, started):
    hub.fail("GET", ("trickle", 30.0))
    process = started("pull()")
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size > 900_000 for part in shelf.glob("heart/.download-*")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert find_kept("heart") is None
    hub.asked.clear()
    pulls_well(shelf)
    [asked] = hub.ranges()
    assert int(asked.removeprefix("bytes=").removesuffix("-")) > 900_000


def test_killed_while_it_converts_it_uses_the_file_that_is_whole(shelf, hub, started):
    # Each tensor's bytes are asked for twice: the first time for their digest.
    code = """
asked = []
bytes_of = _writing._bytes
def dying(part):
    asked.append(part)
    if len(asked) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return bytes_of(part)
_writing._bytes = dying
pull()
"""
    process = started(code)
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert sorted(name.partition("-")[0] for name in left(shelf)) == [".download", ".part"]
    assert find_kept("heart") is None
    hub.asked.clear()
    pulls_well(shelf)
    assert hub.ranges() == []


def test_killed_while_it_replaces_weights_the_old_ones_are_there(shelf, hub, file, started):
    pulls_well(shelf)
    torch.save({"model": {name: -part for name, part in STATE.items()}}, file)
    code = """
def dying(*_):
    os.kill(os.getpid(), signal.SIGKILL)
_shelf.Kept.write = dying
pull(file=Path(sys.argv[1]))
"""
    assert started(code, file).wait(timeout=60) == -signal.SIGKILL
    assert len(list(shelf.glob("heart/weights-*.safetensors"))) == 2
    assert torch.equal(load_kept("heart")["a"], STATE["a"])
    kept = pull_weights("heart", ORIGIN, layout_of(STATE), file=file)
    assert left(shelf) == [kept.file, "weights.json"]
    assert torch.equal(load_kept("heart")["a"], -STATE["a"])


def test_two_processes_that_pull_at_once_download_once(shelf, hub, started):
    hub.fail("GET", ("trickle", 0.3))
    processes = [started("pull()") for _ in range(2)]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    assert answers[0] == answers[1] == (f"{find_kept('heart').content}\n", "")
    assert hub.ranges() == ["all"]
    pulls_well(shelf)


@pytest.mark.parametrize("where", ["download", "conversion"])
def test_a_disk_that_is_full_is_one_line_and_leaves_nothing(shelf, hub, file, started, where):
    code = f"""
resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
from enecg.errors import WeightsError
try:
    pull(file={"None" if where == "download" else "Path(sys.argv[1])"})
except WeightsError as error:
    print(error)
"""
    out, err = started(code, file).communicate(timeout=60)
    assert err == ""
    assert "File too large; nothing was changed. Weights are kept in a folder with enough space" in out
    assert len(out.splitlines()) == 1
    assert str(shelf / "heart") in out
    assert left(shelf) == []
    pulls_well(shelf)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of memory differs")
def test_of_a_trainings_file_only_the_weights_are_read_into_memory(shelf, hub, file, started):
    moments = {number: {"exp_avg": torch.zeros(12_500_000)} for number in range(5)}
    torch.save({"model": STATE, "optimizer": {"state": moments}}, file)
    assert os.path.getsize(file) > 250e6
    code = """
import json, torch
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
from enecg.weights import read_state
torch.save({"model": {"a": torch.zeros(3)}}, sys.argv[2])
read_state(Path(sys.argv[2]), ("model",))
before = peak()
pull(file=Path(sys.argv[1]))
print(json.dumps(peak() - before))
"""
    out, err = started(code, file, file.with_name("other.pt")).communicate(timeout=60)
    assert err == ""
    assert json.loads(out.splitlines()[-1]) < 30  # MB
    assert torch.equal(load_kept("heart")["b"], STATE["b"])
