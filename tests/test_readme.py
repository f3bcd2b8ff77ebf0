"""Whatever the README shows works: its code blocks are run in order in an empty folder, its links lead somewhere."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

import enecg
from enecg.cli import main
from enecg.experts import expert_names, get_expert, published_names

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def run_shell(line: str) -> None:
    """A line of a shell block: `enecg` is run, `make` must have the target, `pip` is not run but must be right."""
    program, *arguments = shlex.split(line)
    if program == "enecg":
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code, line
    elif program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {part for part in arguments if "=" not in part} <= set(targets), line
    else:
        assert line in ("pip install torch --index-url https://download.pytorch.org/whl/cpu", "pip install ."), line


def test_every_code_block_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [language for language, _ in BLOCKS].count("python") == 2
    for language, code in BLOCKS:
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(code, "README.md", "exec"), {})
            assert said.getvalue()
        else:
            assert language == "bash"
            for line in code.splitlines():
                run_shell(line)
    for made in ("answers.csv", "prediction.png", "my-bundle/bundle.json", "pictures/simulated_0_000002.png"):
        assert (tmp_path / made).exists(), made


def test_every_link_leads_somewhere():
    links = re.findall(r"\]\((?!https?://)([^)#]+)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_picture_is_small():
    assert (ROOT / "docs" / "images" / "prediction.png").stat().st_size < 150_000


def test_the_table_of_experts_without_download_is_complete_and_true():
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (\d+) \|", README, re.MULTILINE))
    assert rows == {name: str(get_expert(name).card.dim) for name in set(expert_names()) - set(published_names())}


def test_the_commands_named_are_those_that_are_there():
    from enecg.cli._main import COMMANDS

    [named] = re.findall(r"all commands \(`([\w\s]+)`\)", README)
    assert named.split() == list(COMMANDS)


def test_results_have_a_place_that_a_command_fills():
    assert README.count("<!-- results -->") == README.count("<!-- /results -->") == 1


def test_the_page_of_the_interface_names_every_public_name():
    text = (ROOT / "docs" / "api.md").read_text().partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(enecg.__all__)


@pytest.mark.parametrize("name", ["fit", "predict", "add_task"])
def test_the_page_of_the_interface_shows_the_true_parameters(name):
    import inspect

    text = (ROOT / "docs" / "api.md").read_text()
    [shown] = re.findall(rf"^\| `{name}\((.*?)\)`", text, re.MULTILINE)
    names = [part.partition("=")[0].strip() for part in shown.split(",")]
    parameters = list(inspect.signature(getattr(enecg.EnECG, name)).parameters)[1:]
    assert [part for part in names if part != "*"] == parameters
