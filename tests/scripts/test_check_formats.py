"""The check of real files: what agrees agrees, every difference is told, and a page says both."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = np.arange(24).reshape(2, 12) - 4


def loaded(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return loaded("check_formats")


EXPECTED = {
    "format": "WFDB",
    "origin": "constructed",
    "must_refuse": False,
    "fs": 500,
    "leads": ["V1", "v2"],
    "n_samples": 12,
    "first8_mV": (SAMPLES[0, :8] / 200).tolist(),
    "range_mV": {"V1": [-0.02, 0.035], "v2": [0.04, 0.095]},
    "metadata": {"sex": "F", "age": 51},
}


@pytest.fixture
def folder(tmp_path):
    """A folder with a file that is read and one that is not."""
    (tmp_path / "wfdb").mkdir()
    lines = ["one 2 500 12", *(f"one.dat 16 200/mV 12 0 0 0 0 {lead}" for lead in ("V1", "V2")), "# Age: 51 Sex: F"]
    lines[-1] = "# <age>: 51 <sex>: F"
    (tmp_path / "wfdb" / "one.hea").write_text("\n".join(lines) + "\n")
    (tmp_path / "wfdb" / "one.dat").write_bytes(SAMPLES.T.astype("<i2").tobytes())
    (tmp_path / "wfdb" / "two.hea").write_text("two 1 500 12\nlost.dat 16 200/mV 12 0 0 0 0 V1\n")
    return tmp_path


def test_a_file_that_is_as_it_should_be_agrees(script, folder):
    row = script.checked(folder, "wfdb/one.hea", EXPECTED)
    assert row["wrong"] == []
    assert row["found"] == "2 leads, 500 Hz, 0.024 s"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"fs": 500.5}, "500.0 Hz; expected 500.5"),
        ({"n_samples": 13}, "12 samples; expected 13"),
        ({"leads": ["v2", "V1"]}, "leads V1, V2; expected V2, V1"),
        ({"leads": ["V1"], "range_mV": {}}, "leads V1, V2; expected V1"),
        ({"first8_mV": [*EXPECTED["first8_mV"][:7], 0.01501]}, "V1 begins"),
        ({"first8_mV": None}, "no samples are expected"),
        ({"range_mV": {"v2": [0.04, 0.0951]}}, "v2 is within"),
        ({"missing_samples": {"V1": 1}}, "missing samples"),
        ({"metadata": {"sex": "M"}}, "sex 'female'; expected 'M'"),
        ({"metadata": {"age": 50}}, "age 51.0; expected 50"),
        ({"metadata": {"patient_id": "A"}}, "patient_id None; expected 'A'"),
        ({"metadata": {"recorded_at": "2001-02-03T04:05:06"}}, "recorded_at None"),
        ({"metadata": {"statements": ["normal"]}}, "statements ()"),
        ({"metadata": {"measurements": {"qt_interval": 400}}}, "qt_interval not 400"),
        ({"must_refuse": True}, "is read, and should be refused"),
    ],
)
def test_every_difference_is_told(script, folder, changed, told):
    changed = {key: value for key, value in (EXPECTED | changed).items() if value is not None}
    (wrong,) = script.checked(folder, "wfdb/one.hea", changed)["wrong"]
    assert told in wrong


def test_a_file_that_has_to_be_refused_is_and_by_name(script, folder, monkeypatch):
    row = script.checked(folder, "wfdb/two.hea", EXPECTED | {"must_refuse": True})
    assert row["wrong"] == []
    assert row["found"] == "ReadError: two.hea: its file lost.dat is not there; copy it beside the header"
    assert script.checked(folder, "wfdb/two.hea", EXPECTED)["wrong"] == ["is not read"]

    def nameless(path, **ask):
        raise script.EnECGError("something is wrong")

    monkeypatch.setattr(script.enecg, "read", nameless)
    wrong = script.checked(folder, "wfdb/two.hea", EXPECTED | {"must_refuse": True})["wrong"]
    assert wrong == ["the refusal does not name the file"]


def test_what_is_read_otherwise_on_purpose_is_held_to_what_is_expected_instead(script, folder, monkeypatch):
    monkeypatch.setattr(script, "CHANGES", (("wfdb/o*", lambda e: {"n_samples": e["n_samples"] - 8}, "for a reason"),))
    other = EXPECTED | {"n_samples": 20}
    row = script.checked(folder, "wfdb/one.hea", other)
    assert (row["wrong"], row["reasons"]) == ([], ["for a reason"])
    assert script.checked(folder, "wfdb/one.hea", EXPECTED)["wrong"] == ["12 samples; expected 4"]


def test_what_the_caller_gives_must_have_been_asked_for(script, folder, monkeypatch):
    monkeypatch.setattr(script, "GIVEN", (("wfdb/one.hea", {"unit": "mV"}),))
    assert script.checked(folder, "wfdb/one.hea", EXPECTED)["wrong"] == ["is read, and should be refused"]


def test_a_note_that_has_to_be_there_is_missed(script, folder, monkeypatch):
    monkeypatch.setattr(script, "SAID", {"wfdb/*": "a calibration pulse"})
    assert script.checked(folder, "wfdb/one.hea", EXPECTED)["wrong"] == ["no note speaks of 'a calibration pulse'"]


def test_files_of_one_recording_are_compared_sample_by_sample(script, folder):
    other = SAMPLES.copy()
    other[1, 7] += 2
    for name, samples in (("same", SAMPLES), ("other", other)):
        text = (folder / "wfdb" / "one.hea").read_text().replace("one", name)
        (folder / "wfdb" / f"{name}.hea").write_text(text)
        (folder / "wfdb" / f"{name}.dat").write_bytes(samples.T.astype("<i2").tobytes())
    rows = script.twins(folder, "a title", {"files": [f"wfdb/{name}.hea" for name in ("one", "same", "other")]})
    assert [row["mV"] for row in rows] == [0, pytest.approx(0.01)]
    assert [row["wrong"] for row in rows] == [[], ["differs by 0.01 mV; expected 1e-06 at most"]]


def test_a_folder_opens_but_for_what_is_known(script, folder, monkeypatch):
    row = script.opened(folder)
    assert (row["read"], list(row["refused"])) == (1, ["wfdb/two.hea"])
    assert "lost.dat" in row["wrong"][0]
    monkeypatch.setattr(script, "REFUSED_RIGHTLY", {"wfdb/two.hea": "its signal was lost"})
    row = script.opened(folder)
    assert (row["refused"], row["wrong"]) == ({"wfdb/two.hea": "its signal was lost"}, [])
    (folder / "empty").mkdir()
    assert script.opened(folder / "empty")["wrong"] == ["nothing was found"]


@pytest.mark.parametrize(("age", "code"), [(51, 0), (52, 1)])
def test_the_result_is_written_and_a_page_is_made_of_it(script, folder, monkeypatch, capsys, age, code):
    entries = {"wfdb/one.hea": EXPECTED | {"metadata": {"age": age}}, "wfdb/two.hea": EXPECTED | {"must_refuse": True}}
    (folder / "expected.json").write_text(json.dumps({"files": entries, "_same_recording": {}}))
    to = folder / "formats.json"
    monkeypatch.setattr(sys, "argv", ["check_formats.py", str(folder), "--to", str(to)])
    with pytest.raises(SystemExit) as stop:
        script.main()
    assert stop.value.code == code
    assert f"{code} disagreements" in capsys.readouterr().out
    page = loaded("make_formats_page")
    row = {
        "format": "wfdb",
        "files": 7,
        "read": 3,
        "refused": 4,
        "unforeseen": 0,
        "fault": 0,
        "seconds": 0.1,
        "MiB": 2.0,
    }
    about = {"files": 7, "faults": 0, "seconds": 3, "seed": 0, "watched": True}
    text = page.page(json.loads(to.read_text()), {"small files": {"about": about, "rows": [row]}})
    assert f"2 files, 1 of them to be refused; {2 - code} agree." in text
    verdict = "**disagrees**: age 51.0; expected 52" if code else "agrees"
    assert f"| `wfdb/one.hea` | WFDB |  | 2 leads, 500 Hz, 0.024 s | {verdict} |" in text
    told = "ReadError: two.hea: its file lost.dat is not there; copy it beside the header"
    assert f"| `wfdb/two.hea` | WFDB |  | {told} | refused, as it has to be |" in text
    assert "1 open, 0 are refused." in text
    assert "| wfdb | 7 | 3 | 4 | 0 | 0 | 0.1 | 2.0 |" in text


def test_a_page_that_fell_behind_is_found_and_written_again(monkeypatch, tmp_path, capsys):
    page = loaded("make_formats_page")
    found = {"files": [], "same": [], "others": [], "folders": []}
    (tmp_path / "docs").mkdir()
    (tmp_path / "formats.json").write_text(json.dumps(found))
    for name, place in (("ROOT", tmp_path), ("PAGE", tmp_path / "docs" / "formats.md"), ("RESULTS", tmp_path)):
        monkeypatch.setattr(page, name, place)
    monkeypatch.setattr(sys, "argv", ["make_formats_page.py", "--check"])
    with pytest.raises(SystemExit, match="run `make results`"):
        page.main()
    monkeypatch.setattr(sys, "argv", ["make_formats_page.py"])
    page.main()
    assert capsys.readouterr().out == "docs/formats.md\n"
    page.main()
    assert capsys.readouterr().out == ""
