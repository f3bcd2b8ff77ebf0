"""Results on disk and as Markdown."""

import csv
import json

import pytest

from enecg.errors import WriteError
from enecg.evaluation import markdown, write_json, write_roles

ABOUT = {"cohort": "clinic", "simulated": False, "tested": 1200, "refused": 3}


def row(**more):
    return {"task": "age", "system": "ensemble", "metric": "mae", "value": 7.123, "n": 9} | more


def record(*rows, **about):
    return {"about": ABOUT | about, "rows": list(rows)}


def test_the_table_says_first_what_was_tested():
    assert markdown(record(row())).startswith("1,200 recordings of clinic tested, 3 refused.\n\n| age | mae |")


def test_simulated_recordings_say_so_above_the_table():
    assert "simulated" not in markdown(record(row()))
    assert "All of them are simulated." in markdown(record(row(), simulated=True))


def test_rows_by_experts_that_have_seen_the_data_are_flagged_above_the_table():
    said = markdown(record(row(seen_by=["travelled"]), row(system="trivial", seen_by=["travelled"]))).splitlines()[0]
    assert said.endswith("Too good to be true: travelled had seen this data set, or does not say.")


def test_what_has_to_be_known_of_experts_stands_below_the_tables_in_one_line():
    caveats = {"st-mem": "for non-commercial use", "founder:random": "random weights"}
    last = markdown(record(row(), caveats=caveats)).rstrip().splitlines()[-1]
    assert last == "What has to be known: st-mem: for non-commercial use; founder:random: random weights."
    assert "known" not in markdown(record(row(), caveats={}))
    assert "known" not in markdown(record(row()))  # Results of earlier versions.


def test_figures_have_the_digits_of_their_unit_and_gains_a_sign():
    text = markdown(
        record(
            row(low=6.9, high=7.346),
            row(system="ensemble - peer", metric="mae gain", value=0.5, low=-0.1, high=1.2),
            row(task="sex", metric="auroc", value=0.91234),
            row(task="", metric="trained parameters", value=123456.0),
        )
    )
    assert "| ensemble | 7.12 (6.90 to 7.35) |" in text
    assert "| peer | +0.50 (-0.10 to +1.20) |" in text
    assert "| ensemble | 0.912 |" in text
    assert "| ensemble | 123,456 |" in text


def test_results_are_read_back_with_six_digits(tmp_path):
    path = tmp_path / "new" / "results.json"
    write_json(record(row(value=1 / 3, high=(2 / 3, 1))), path)
    found = json.loads(path.read_text())
    assert found["rows"][0]["value"] == 0.333333
    assert found["rows"][0]["high"] == [0.666667, 1]
    assert [one.name for one in path.parent.iterdir()] == ["results.json"]


def test_any_id_is_read_back_with_its_role(tmp_path):
    roles = {"a,b": "tve", 'say "x"': "-e-", "plain": "ttt"}
    write_roles(roles, tmp_path / "roles.csv")
    with (tmp_path / "roles.csv").open(newline="") as file:
        assert {line["id"]: line["role"] for line in csv.DictReader(file)} == roles


def test_a_place_that_cannot_be_written_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match=r"results\.json: results cannot be written"):
        write_json(record(row()), tmp_path / "file" / "results.json")
