"""The page of performance is made from the numbers kept, and the numbers kept are what is claimed."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("benchmark_report", ROOT / "benchmarks" / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kept(name):
    return json.loads((ROOT / "results" / "performance" / f"{name}.json").read_text())


def test_the_page_is_made_from_the_numbers(report):
    assert report.PAGE.read_text() == report.page(), "run python benchmarks/report.py"


@pytest.mark.parametrize("name", ["embed", "reading", "simulator", "store"])
def test_what_is_kept_says_where_it_was_measured_and_meets_its_floors(name):
    found = kept(name)
    assert {"claim", "command", "date", "processor", "system", "python", "versions"} <= found["about"].keys()
    assert found["rows"]
    assert found["floors"]
    assert all(row["found"] >= row["at least"] for row in found["floors"])


def test_the_simulator_is_claimed_to_make_200_a_second_and_100_times_its_peer():
    floors = {row["what"]: row["at least"] for row in kept("simulator")["floors"]}
    assert floors == {"recordings per second": 200.0, "times neurokit2": 100.0}


def test_reading_on_two_cores_is_claimed_to_be_three_times_the_loop():
    floors = {row["what"]: row["at least"] for row in kept("reading")["floors"]}
    assert floors["500 to 100 Hz: two processes, times the loop"] == 3.0
    assert floors["100 to 250 Hz: two processes, times the loop"] == 3.0


def test_a_number_below_its_floor_fails_after_it_was_kept(report, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    facts = report.about("A claim.") | {"command": "python benchmarks/x.py"}
    with pytest.raises(AssertionError, match="rate: 3, at least 4 expected"):
        report.save("x", facts, [{"what": "a", "rate": 3.0}], [("rate", 3.0, 4.0)])
    assert json.loads((tmp_path / "x.json").read_text())["rows"] == [{"what": "a", "rate": 3.0}]
    assert "| a | 3 |" in (tmp_path / "page.md").read_text()
    with pytest.raises(AssertionError, match="rate: nan"):
        report.save("x", facts, [{"what": "a", "rate": 3.0}], [("rate", float("nan"), 4.0)])
