"""docs/pretraining.md is true: its commands are understood, its code runs, its tables say what is there."""

import re
import shlex
from pathlib import Path

import pytest

from enecg.cli._main import cli
from enecg.experts import get_expert
from enecg.experts._registry import NETWORKS
from enecg.pretraining import find_objective, objective_names

PAGE = Path(__file__).parents[2] / "docs/pretraining.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for language, code in BLOCKS if language == "bash" for line in code.splitlines()]


def cells(first):
    """Rows of the table whose head begins so, by their first cell."""
    _, _, rest = TEXT.partition(f"| {first} |")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in rows}


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_are_understood(line):
    program, name, *arguments = shlex.split(line)
    assert program == "enecg"
    command = cli.get_command(cli.make_context("enecg", ["doctor"]), name)
    assert command.make_context(name, arguments).params


def test_its_code_runs(shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = {}
    for code in (code for language, code in BLOCKS if language == "python"):
        exec(code, known)  # the page's own
    assert known["embedding"].shape == (1, known["expert"].card.dim)
    assert (tmp_path / "curves.svg").exists()
    assert get_expert("s4d+student").card.seen_subjects


def test_its_objectives_are_those_that_there_are():
    rows = cells("objective")
    assert tuple(rows) == objective_names()
    for name, (labels, asked) in rows.items():
        kind = find_objective(name)
        assert labels == ("yes" if kind.labels else "no")
        assert asked.startswith(kind.summary)


def test_its_networks_are_those_that_there_are():
    rows = cells("name")
    assert list(rows) == list(NETWORKS)
    for name, (parameters, _) in rows.items():
        assert parameters == f"{get_expert(name).card.parameters:,}"


def test_what_it_links_to_is_there():
    for link in re.findall(r"\]\((?!https?://)([^)#]+)", TEXT):
        assert (PAGE.parent / link).exists(), link
