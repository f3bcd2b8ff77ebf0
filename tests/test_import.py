"""Importing the package must cost nothing heavy, and every public name must resolve."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "scipy", "sklearn", "peft", "transformers", "pandas", "polars", "wfdb", "sleepecg", "matplotlib")


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("statement", ["import enecg", "import enecg; enecg.Recording; enecg.TASKS"])
def test_import_loads_nothing_heavy(statement):
    assert not loaded_by(statement) & set(HEAVY)


@pytest.mark.parametrize("name", ["EnECG", "read", "load_cohort", "simulate", "plot_recording", "evaluate"])
def test_a_name_loads_what_its_definition_needs_and_not_what_its_use_will(name):
    """Torch, PEFT, the readers of tables and files and the drawing come when they are used."""
    assert loaded_by(f"import enecg; enecg.{name}") & set(HEAVY) <= {"scipy"}


def test_every_public_name_resolves():
    import enecg

    assert all(getattr(enecg, name) is not None for name in enecg.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        enecg.nonsense  # noqa: B018
