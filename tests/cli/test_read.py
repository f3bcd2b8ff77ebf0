"""enecg read: what a file holds, with units."""

import json

import pytest

from enecg.formats import READERS


def test_it_shows_a_recording_with_units(enecg, data):
    code, out, err = enecg("read", data / "ludb" / "data" / "1.hea")
    assert (code, err) == (0, "")
    for line in (
        "patient    female, 51 years",
        "leads      12: I II III aVR aVL aVF V1 V2 V3 V4 V5 V6",
        "length     10 s, 5000 samples at 500 Hz",
        "says       Rhythm: Sinus bradycardia.",
    ):
        assert f"  {line}\n" in out
    assert " mV\n" in out
    assert "1 digital unit taken as 1 uV" in out
    assert all(len(line) <= 110 for line in out.splitlines()[1:])


def test_every_format_is_listed_on_request(enecg):
    code, out, _ = enecg("read", "--formats")
    assert code == 0
    assert [line.partition("  ")[0] for line in out.splitlines()] == [reader.NAME for reader in READERS]


def test_json_is_a_line_for_each_recording(enecg, hearts, data):
    code, out, _ = enecg("read", hearts, data / "ludb" / "data" / "8.hea", "--json")
    assert code == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == 7
    assert found[-1]["rate_hz"] == 500
    assert len(found[0]["lowest_mv"]) == len(found[0]["leads"]) == 12
    assert all(low < high for one in found for low, high in zip(one["lowest_mv"], one["highest_mv"], strict=True))


def test_bad_files_are_told_and_the_others_are_shown(enecg, mixed):
    code, out, _ = enecg("read", mixed, "--json")
    found = {json.loads(line)["path"].rpartition("/")[2]: json.loads(line) for line in out.splitlines()}
    assert code == 1
    refused = {name for name, one in found.items() if "refused" in one}
    assert refused == {f"{name}.hea" for name in ("missing_signal", "truncated", "no_unit", "nonsense")}
    assert all(name.removesuffix(".hea") in found[name]["refused"] for name in refused)
    assert "V3" not in found["unknown_lead.hea"]["leads"]
    assert any("Pleth" in note for note in found["unknown_lead.hea"]["notes"])
    assert found["all_missing.hea"]["lowest_mv"] == [None] * 12
    assert found["gaps.hea"]["missing"] == pytest.approx([0.08] * 4 + [1.0] + [0.08] * 7)


def test_a_unit_can_be_said_for_files_that_do_not(enecg, mixed):
    code, out, _ = enecg("read", mixed / "no_unit.hea", "--unit", "uV")
    assert code == 0
    code, out, _ = enecg("read", mixed / "no_unit.hea", "--unit", "apples")
    assert code == 3
    assert "apples" in out


def test_nothing_readable_ends_with_3(enecg, mixed, tmp_path):
    assert enecg("read", mixed / "truncated.hea", tmp_path / "nowhere.hea")[0] == 3
    code, out, err = enecg("read", tmp_path)
    assert (code, out) == (3, "")
    assert f"error: {tmp_path}: no recordings" in err
    assert ".hea" in err


def test_a_folder_without_recordings_among_others_is_told(enecg, hearts, tmp_path):
    code, out, err = enecg("read", tmp_path, hearts)
    assert code == 1
    assert out.count("WFDB") == 6
    assert f"{tmp_path}: no recordings" in err


def test_a_picture_is_drawn_of_one_recording_only(enecg, hearts, tmp_path):
    one = sorted(hearts.glob("*.hea"))[0]
    assert enecg("read", one, "--plot", tmp_path / "new" / "one.svg")[0] == 0
    assert (tmp_path / "new" / "one.svg").read_text().startswith("<?xml")
    code, _, err = enecg("read", hearts, "--plot", tmp_path / "all.png")
    assert code == 2
    assert "6 were given" in err
