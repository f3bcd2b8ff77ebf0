"""docs/experts.md says what the cards say."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from enecg.experts import Published, expert_names, get_expert, published_names

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_experts_page", ROOT / "scripts" / "make_experts_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rows(script):
    """What the page says of each expert, by column."""
    found = {}
    for line in script.page().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            found[cells[0].strip("`")] = dict(zip(script.COLUMNS, cells, strict=True))
    return found


def test_the_committed_page_is_the_one_that_the_script_makes(script):
    assert (ROOT / "docs" / "experts.md").read_text() == script.page(), "run `make results`"


def test_every_expert_has_one_row_in_its_section(script, rows):
    assert script.page().count("\n| `") == len(rows)
    assert set(rows) == set(expert_names())
    ours, published = (re.findall(r"^\| `([\w-]+)`", part, re.MULTILINE) for part in script.page().split("\n## ")[1:])
    assert tuple(published) == published_names()
    assert sorted(ours) == ours
    assert not set(ours) & set(published)


def test_a_row_says_what_the_card_says(rows):
    for name, row in rows.items():
        card = get_expert(name).card
        assert row["made for"] == card.summary
        assert int(row["embedding"]) == card.dim
        assert int(row["parameters"].replace(",", "")) == card.parameters
        people = [f"{len(card.seen_subjects):,} people"] if card.seen_subjects else []
        assert row["seen"].split(", ") == ([*card.seen, *people] or ["nothing"])
        assert row["licence"].startswith(card.licence)
        assert row["citation"] == card.citation
        assert card.source in row["source"]
        assert float(row["seconds"]) == card.seconds
        assert row["rate, Hz"] == (f"{card.rate:g}" if card.rate else "any")


def test_leads_are_counted_or_named(rows):
    assert rows["rocket"]["leads"] == "12"
    assert rows["measurements"]["leads"] == "any of 12"
    assert rows["timesnet"]["leads"] == "II"


def test_a_licence_that_asks_to_be_accepted_says_so(script, rows):
    asking = {name for name in published_names() if get_expert(name).origin.terms}
    assert {name for name, row in rows.items() if row["licence"].endswith("to be accepted")} == asking


def test_labels_are_counted(rows):
    assert rows["ecgfounder"]["own labels"] == "150"
    assert rows["rocket"]["own labels"] == ""


def test_golden_numbers_are_claimed_where_a_test_reads_them_and_only_there(rows):
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "experts").rglob("test_*.py"))
    for name, row in rows.items():
        links = re.fullmatch(r"\[yes\]\(\.\./tests/golden/(\w+)\)", row["golden numbers"])
        if links:
            folder = ROOT / "tests" / "golden" / links[1]
            assert list(folder.glob("*.safetensors")), name
            assert f'"{links[1]}"' in tests, name
        elif isinstance(get_expert(name), Published):
            assert row["golden numbers"] == "no"
            assert "no golden numbers" in get_expert(name).card.summary
        else:
            assert row["golden numbers"] == "made here"
    assert rows["ecgfounder"]["golden numbers"].startswith("[yes]")
    assert rows["chronos-bolt-base"]["golden numbers"] == "no"


def test_links_lead_somewhere(script, rows):
    assert rows["rocket"]["source"] == "[scripts/make_rocket.py](../scripts/make_rocket.py)"
    links = re.findall(r"\]\((?!https?://)([^)#]+)", script.page())
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    assert script.link("github.com/a/b (weights)") == "[github.com/a/b](https://github.com/a/b) (weights)"
    assert script.link("computed") == "computed"


def test_a_page_that_fell_behind_is_found_and_written_again(script, monkeypatch, tmp_path, capsys):
    page = tmp_path / "docs" / "experts.md"
    page.parent.mkdir()
    monkeypatch.setattr(script, "PAGE", page)
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "GOLDEN", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_experts_page.py", "--check"])
    with pytest.raises(SystemExit, match="run `make results`"):
        script.main()
    assert not page.exists()
    monkeypatch.setattr(sys, "argv", ["make_experts_page.py"])
    script.main()
    assert capsys.readouterr().out == "docs/experts.md\n"
    script.main()
    assert capsys.readouterr().out == ""
    changed = replace(get_expert("rocket").card, summary="something else")
    monkeypatch.setattr(type(get_expert("rocket")), "card", changed)
    monkeypatch.setattr(sys, "argv", ["make_experts_page.py", "--check"])
    with pytest.raises(SystemExit, match="run `make results`"):
        script.main()
