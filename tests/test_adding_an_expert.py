"""docs/adding-an-expert.md is true: its file is registered both ways, keeps the contract, and works in an ensemble."""

import contextlib
import importlib.util
import inspect
import io
import re
import shlex
import subprocess
import sys
import tomllib
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import enecg
from enecg.experts import get_expert
from enecg.experts._registry import HOMES, _experts
from enecg.simulation import simulate, simulate_one

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding-an-expert.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILE, HOME, USE = (code for language, code in BLOCKS if language == "python")
[ENTRY_POINT] = (code for language, code in BLOCKS if language == "toml")
[COMMANDS] = (code for language, code in BLOCKS if language == "bash")


def load(path):
    spec = importlib.util.spec_from_file_location(f"page_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONTRACT = load(ROOT / "tests" / "experts" / "test_contract.py")


def promises():
    """The contract's tests, each with every combination of what it is parametrised by besides the expert."""
    for name, test in vars(CONTRACT).items():
        marks = {mark.args[0]: mark.args[1] for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"}
        if marks.pop("name", None) is not None:
            for values in product(*marks.values()):
                yield pytest.param(test, dict(zip(marks, values, strict=True)), id="-".join([name, *map(str, values)]))


@pytest.fixture(scope="module")
def registered(tmp_path_factory):
    """The page's file in this package's folder of experts, by the page's line of HOMES."""
    folder = tmp_path_factory.mktemp("experts")
    (folder / "amplitudes.py").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enecg.experts, "__path__", [*enecg.experts.__path__, str(folder)])
        [(name, home)] = eval("{" + HOME + "}").items()
        patch.setitem(HOMES, name, home)
        patch.setitem(CONTRACT.GOLDEN, name, load(ROOT / "scripts" / "make_golden_experts.py").entry(get_expert(name)))
        yield name
        del _experts[name], sys.modules[f"enecg.experts.{home}"]
        delattr(enecg.experts, home)


@pytest.fixture(scope="module")
def recordings():
    return [*(one.recording for one in simulate(4, seed=6)), simulate_one(4, seed=6, seconds=25).recording]


@pytest.mark.parametrize(("test", "values"), list(promises()))
def test_the_expert_of_the_page_keeps_the_contract(registered, recordings, test, values):
    given = {"name": registered, "recordings": recordings, **values}
    test(**{name: given[name] for name in inspect.signature(test).parameters})


def test_the_contract_is_whole():
    found = {param.values[0].__name__ for param in promises()}
    assert len(found) >= 18
    assert {"test_an_expert_is_frozen", "test_the_golden_numbers_are_met"} <= found


def test_its_numbers_are_the_right_ones(registered):
    recording = simulate_one(1, seed=2, rate=250.0, seconds=10).recording
    expert = get_expert(registered)
    found = expert.embed(expert.prepare([recording]))[0]
    signal = recording.signal.astype(np.float64)
    expected = [*(signal.max(axis=1) - signal.min(axis=1)), *signal.std(axis=1)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_it_works_in_an_ensemble(registered, small_settings, monkeypatch):
    monkeypatch.setattr(enecg, "EnECG", partial(enecg.EnECG, settings=small_settings))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(USE, "adding-an-expert.md", "exec"), {})
    lines = said.getvalue().splitlines()
    assert len(lines) == 2
    assert all("'amplitudes': " in line and "'dlinear': " in line for line in lines)


def test_an_entry_point_of_another_package_is_enough(tmp_path):
    [(group, points)] = tomllib.loads(ENTRY_POINT)["project"]["entry-points"].items()
    [(name, module)] = points.items()
    package, _, home = module.partition(".")
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / package / f"{home}.py").write_text(FILE)
    about = tmp_path / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    [command] = re.findall(r"`enecg (experts \w+)`", PAGE)
    code = f"import sys; sys.path.append({str(tmp_path)!r}); from enecg.cli import main; main({command.split()!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "amplitudes" in done.stdout
    assert "peak-to-peak height and standard deviation of each lead" in done.stdout


def test_whatever_the_page_names_is_there():
    named = {part for line in COMMANDS.splitlines() for part in shlex.split(line) if part.endswith(".py")}
    named |= set(re.findall(r"`((?:src|tests|scripts)/[\w/.]+)`", PAGE))
    named |= {f"docs/{link}" for link in re.findall(r"\]\((?!https?://)([^)#]+)", PAGE)}
    assert len(named) >= 6
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert all(line.endswith(" amplitudes") for line in COMMANDS.splitlines())
    assert "HOMES = {" in (ROOT / "src" / "enecg" / "experts" / "_registry.py").read_text()


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_the_file_is_in_the_style_of_the_others(command):
    name = str(ROOT / "src" / "enecg" / "experts" / "amplitudes.py")
    ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", name, "-"]
    subprocess.run(ruff, check=True, input=FILE, text=True, cwd=ROOT)
