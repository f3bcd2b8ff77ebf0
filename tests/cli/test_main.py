"""Start-up, help, exit codes, and how a command ends that cannot go on."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import click
import pytest

from enecg.cli._main import COMMANDS, cli

HEAVY = {
    "torch",
    "scipy",
    "scipy.signal",
    "sklearn",
    "peft",
    "transformers",
    "pandas",
    "polars",
    "wfdb",
    "sleepecg",
    "matplotlib",
    "numpy",
}
PROGRAM = [sys.executable, "-c", "from enecg.cli import main; main()"]


def loaded_by(*arguments: str) -> set[str]:
    code = (
        "import sys\nfrom enecg.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n"
        "    print(end.code, *sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    code, *names = done.stderr.split()
    assert code == "0"
    assert done.stdout
    return set(names)


@pytest.fixture
def broken(monkeypatch):
    """A command that raises what it is given."""

    def make(error: BaseException) -> None:
        @click.command()
        def command() -> None:
            raise error

        module = types.ModuleType("enecg.cli.broken")
        module.command = command
        monkeypatch.setitem(sys.modules, "enecg.cli.broken", module)
        monkeypatch.setitem(COMMANDS, "broken", "Raises.")

    return make


def test_help_loads_nothing_heavy():
    assert not loaded_by("--help") & HEAVY
    assert not loaded_by("--version") & HEAVY


def test_the_help_of_every_command_loads_nothing_heavy():
    code = (
        "import sys\nfrom enecg.cli._main import COMMANDS, main\nfor name in COMMANDS:\n"
        "    try:\n        main([name, '--help'])\n    except SystemExit as end:\n        assert end.code == 0, name\n"
        "print(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not set(done.stderr.split()) & HEAVY


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_as_they_are_typed_and_they_are_valid(enecg, name):
    code, out, _ = enecg(name, "--help")
    assert code == 0
    lines = [line.strip() for line in out.splitlines() if line.startswith("  enecg ")]
    assert any(line.startswith(f"enecg {name}") for line in lines)
    for line in lines:
        _, called, *arguments = shlex.split(line)
        command = cli.get_command(click.Context(cli), called)
        command.make_context(called, arguments)  # raises for an option or value that is none


def test_every_command_has_a_file_and_is_listed(enecg):
    _, out, _ = enecg("--help")
    folder = Path(sys.modules["enecg.cli"].__file__).parent
    assert {path.stem for path in folder.glob("[!_]*.py")} == set(COMMANDS)
    assert all(re.search(rf"^  {name}\s+\w", out, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [(), ("nonsense",), ("predict",), ("read",), ("fit",), ("predict", "x", "--top-k", "0"), ("demo", "--n", "none")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(enecg, arguments):
    code, _, err = enecg(*arguments)
    assert code == 2
    assert "Usage: enecg" in err
    assert "Traceback" not in err


def test_a_fault_of_ours_is_one_line_and_a_traceback_only_on_request(enecg, broken):
    broken(ZeroDivisionError("division by zero"))
    code, out, err = enecg("broken")
    assert (code, out) == (3, "")
    assert err == (
        "error: ZeroDivisionError: division by zero. This is a fault of enecg: "
        "run it again with --debug and report it\n"
    )
    with pytest.raises(ZeroDivisionError):
        enecg("--debug", "broken")


@pytest.mark.parametrize(
    ("number", "advice"),
    [(28, "free some space"), (13, "may write"), (30, "can be written"), (20, "where a folder is wanted")],
)
def test_what_the_system_refuses_is_one_line_with_the_place_and_what_to_do(enecg, broken, number, advice):
    broken(OSError(number, os.strerror(number), "some/file.csv"))
    code, _, err = enecg("broken")
    assert code == 3
    assert err.startswith(f"error: some/file.csv: {os.strerror(number)}; ")
    assert advice in err
    assert len(err.splitlines()) == 1


def test_debug_is_known_before_and_after_a_command(enecg):
    from enecg.errors import BundleError

    assert enecg("predict", "--help", "--debug")[0] == 0
    for arguments in (("--debug", "predict", "x", "--bundle", "no"), ("predict", "--debug", "x", "--bundle", "no")):
        with pytest.raises(BundleError):
            enecg(*arguments)


def test_interrupted_it_says_so_and_ends_with_3(tmp_path):
    command = [*PROGRAM, "simulate", str(tmp_path / "many"), "--n", "100000"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("many/*.hea")) and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (3, "stopped\n")


def test_a_reader_that_leaves_early_is_no_error(hearts):
    running = subprocess.Popen(
        [*PROGRAM, "read", *[str(hearts)] * 40], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = running.stdout.readline()
    running.stdout.close()
    err = running.stderr.read()
    running.stderr.close()
    assert "simulated_21_000000.hea" in first
    assert (running.wait(timeout=60), err) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run([*PROGRAM, "tasks", "--json"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 3
    assert done.stderr == "error: No space left on device; free some space, or choose another folder\n"
