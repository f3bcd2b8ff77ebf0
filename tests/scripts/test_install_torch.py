"""Which torch is asked for on which machine, and that an installed one is left alone."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "install_torch.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("install_torch", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_linux_gets_the_cpu_build_by_name_and_then_from_its_index(script):
    assert script.attempts("2.13.0", "Linux", "") == [
        ["torch==2.13.0+cpu"],
        ["--index-url", "https://download.pytorch.org/whl/cpu", "torch==2.13.0"],
    ]


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_elsewhere_the_default_build_is_the_cpus(script, system):
    assert script.attempts("2.13.0", system, "") == [["torch==2.13.0"]]


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
def test_a_named_index_counts_and_default_means_what_pip_offers(script, system):
    assert script.attempts("2.13.0", system, "https://x.example/cu") == [
        ["--index-url", "https://x.example/cu", "torch==2.13.0"]
    ]
    assert script.attempts("2.13.0", system, "default") == [["torch==2.13.0"]]


def test_the_pin_is_the_one_of_the_constraints_without_a_build(script):
    assert script.pinned("numpy==2.4.6\ntorch==2.13.0\ntorchvision==1\n") == "2.13.0"
    assert "+" not in script.pinned((ROOT / "constraints.txt").read_text())
    with pytest.raises(SystemExit, match="no line torch==VERSION"):
        script.pinned("# torch==2.13.0\ntorch>=2\n")


def test_an_installed_torch_of_the_pinned_version_is_kept_without_asking_anyone(script, monkeypatch):
    found = script.installed()
    assert found.partition("+")[0] == script.pinned((ROOT / "constraints.txt").read_text())
    monkeypatch.setenv("PIP_INDEX_URL", "https://nowhere.invalid/simple")
    done = subprocess.run([sys.executable, SCRIPT], check=True, capture_output=True, text=True)
    assert done.stdout == f"torch {found} is installed already\n"


def test_what_cannot_be_installed_is_told_with_what_to_try(script, monkeypatch, tmp_path):
    """A real pip with no index and an empty folder of wheels."""
    monkeypatch.setattr(script, "installed", lambda: None)
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path)), ("PIP_TARGET", str(tmp_path / "to"))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCH_INDEX", "default")
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert "pip install torch==" in str(ended.value)
    assert "ERROR: " in str(ended.value)
    assert "PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER" in str(ended.value)
    assert not (tmp_path / "to").exists()
