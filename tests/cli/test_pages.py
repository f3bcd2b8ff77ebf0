"""--report: one page from predict, one from evaluate; what makes no sense is told before any work."""

import json
import re

import pytest

from enecg import EnECG, pages
from enecg.formats import read
from enecg.report import value_text


def sections(page):
    """Of each recording, by its heading."""
    parts = page.split('<section id="recording-')[1:]
    return {re.search("<h2>(.*?)</h2>", part)[1]: part.partition("<footer>")[0] for part in parts}


def test_a_folder_becomes_a_page_with_answers_refusals_and_pictures(enecg, mixed, bundle, tmp_path):
    page, out = tmp_path / "new" / "page.html", tmp_path / "answers.jsonl"
    code, _, err = enecg("predict", mixed, "--bundle", bundle, "--report", page, "--out", out)
    assert code == 1, err
    found = sections(page.read_text())
    records = {record["id"]: record for record in map(json.loads, out.read_text().splitlines())}
    assert list(found) == list(records)
    assert len(records) == len(list(mixed.glob("*.hea")))
    for name, part in found.items():
        refused = records[name]["refused"]
        assert ("Refused: " in part) == (refused is not None)
        readable = refused is None or name == "too_short"  # for the experts, which is no fault of the file
        assert ('class="paper"' in part) == readable, name
    assert "flat" in found["flat_lead"]
    assert "bundle small of rocket-small, measurements" in page.read_text()


def test_the_page_says_what_the_python_interface_says(enecg, hearts, bundle, tmp_path):
    one = sorted(hearts.glob("*.hea"))[0]
    page = tmp_path / "page.html"
    assert enecg("predict", one, "--bundle", bundle, "--report", page)[0] == 0
    [part] = sections(page.read_text()).values()
    [prediction] = EnECG.load(bundle).predict([one])
    cards = re.findall(r'<article><h4>([\w ]*?)(?: <span.*?)?</h4>.*?<p class="value">(.*?)</p>', part)
    assert dict(cards) == {name.replace("_", " "): value_text(own) for name, own in prediction.answers.items()}
    assert all(note in part for note in read(one).notes)


def test_the_starter_is_called_so(enecg, hearts, tmp_path):
    page = tmp_path / "page.htm"
    assert enecg("predict", sorted(hearts.glob("*.hea"))[0], "--report", page)[0] == 0
    text = page.read_text()
    assert "starter ensemble of " in text
    assert "How good it was on people that it had not seen" in text


@pytest.mark.parametrize("name", ["page.pdf", "page", "page.html.txt"])
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_page_that_is_none_is_wrong_usage(enecg, hearts, tmp_path, command, name):
    code, out, err = enecg(command, *([hearts] if command == "predict" else []), "--report", tmp_path / name)
    assert (code, out) == (2, "")
    assert ".html" in err


def test_a_page_for_too_many_is_wrong_usage_with_a_way_out(enecg, hearts, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "MOST", 5)
    code, _, err = enecg("predict", hearts, "--report", tmp_path / "page.html")
    assert code == 2
    assert "--report holds 5 recordings at most; 6 were given" in " ".join(err.split())
    assert "--out" in err


def test_a_page_is_of_ensembles(enecg, hearts, tmp_path):
    code, _, err = enecg("predict", hearts, "--expert", "ecgfounder:tiny", "--report", tmp_path / "page.html")
    assert code == 2
    assert "--report is for ensembles" in err


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(enecg, hearts, tmp_path, command):
    (tmp_path / "file").write_text("here")
    target = tmp_path / "file" / "page.html"
    code, out, err = enecg(command, *([hearts] if command == "predict" else []), "--report", target)
    assert (code, out) == (3, "")
    assert f"error: {target}" in err
    assert "where a folder is wanted" in err


def test_a_page_and_the_rows_are_two_files(enecg, tmp_path):
    both = tmp_path / "page.html"
    code, _, err = enecg("evaluate", "--out", both, "--report", both)
    assert code == 2
    assert "a name of its own" in err


def test_an_evaluation_becomes_a_page(enecg, bundle, hearts, tmp_path):
    rows = ["id,subject,sex"]
    folder = tmp_path / "clinic"
    folder.mkdir()
    for place, file in enumerate(sorted(hearts.glob("*.*"))):
        (folder / file.name).write_bytes(file.read_bytes())
        if file.suffix == ".hea":
            rows.append(f"{file.stem},p{place},{['female', 'male'][place // 2 % 2]}")
    (folder / "targets.csv").write_text("\n".join(rows) + "\n")
    page, out = tmp_path / "page.html", tmp_path / "rows.json"
    code, shown, err = enecg("evaluate", "--bundle", bundle, "--data", folder, "--report", page, "--out", out)
    assert code == 0, err
    text = page.read_text()
    record = json.loads(out.read_text())
    assert record["about"]["used"] == [{"tested": {"recordings": 6, "subjects": 6}}]
    assert "6 recordings of folder tested, 0 refused." in text
    assert "6 (6 subjects)" in text
    assert "Too few recordings for curves: female (3 of it, 3 not)." in text
    [accuracy] = [row for row in record["rows"] if row["system"] == "ensemble" and row["metric"] == "accuracy"]
    assert f"{accuracy['value']:.3f} (" in text
    assert shown.startswith("6 recordings of folder tested")
