"""enecg convert: recordings in other formats, de-identified on request."""

import json
import os
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from enecg import read
from enecg.cli.convert import FORMATS
from enecg.formats import find, write
from enecg.formats.writing import WRITERS
from enecg.simulation import simulate_one


@pytest.fixture
def patients(tmp_path):
    """Two recordings of one patient and one of another, in folders that tell who they are."""
    visits = [("Meier", 1, datetime(2020, 1, 2, 8, 30)), ("Meier", 2, datetime(2020, 3, 2, 9)), ("Huber", 1, None)]
    for index, (name, visit, when) in enumerate(visits):
        folder = tmp_path / "in" / f"{name}_Hans"
        folder.mkdir(parents=True, exist_ok=True)
        made = simulate_one(index, rate=250.0, seconds=4).recording
        said = replace(made, subject=f"file:{name}", acquired=when, age=95.0, statements=(f"{name}: sinus rhythm",))
        write(said, folder / f"visit{visit}.dcm")
    return tmp_path / "in"


def test_the_formats_are_those_that_are_written():
    assert set(FORMATS) == set(WRITERS)


@pytest.mark.parametrize("to", FORMATS)
def test_a_folder_is_written_in_another_format_and_its_folders_are_kept(enecg, patients, tmp_path, to):
    code, out, err = enecg("convert", patients, "--to", to, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    ending = WRITERS[to].ENDING
    for name in ("Meier_Hans/visit1", "Meier_Hans/visit2", "Huber_Hans/visit1"):
        before, after = read(patients / f"{name}.dcm"), read(tmp_path / "out" / f"{name}{ending}")
        assert np.abs(before.signal - after.signal).max() < 2e-4
        for fact in ("id", "subject", "age", "sex", "acquired", "statements", "notes"):
            assert getattr(after, fact) == getattr(before, fact)
        assert f"{patients / name}.dcm -> {tmp_path / 'out' / name}{ending}\n" in out


def test_one_file_is_written_to_the_file_whose_ending_tells_the_format(enecg, hearts, tmp_path):
    one = sorted(hearts.glob("*.hea"))[0]
    assert enecg("convert", one, "--out", tmp_path / "new" / "ecg.EDF")[0] == 0
    assert read(tmp_path / "new" / "ecg.EDF").source.format == "EDF"
    code, _, err = enecg("convert", hearts, "--out", tmp_path / "all.edf")
    assert (code, "6 recordings were given: choose a folder" in err) == (2, True)
    code, _, err = enecg("convert", one, "--out", tmp_path / "folder")
    assert (code, "--to is needed" in err) == (2, True)


def test_what_cannot_be_read_or_written_is_told_and_the_others_are_written(enecg, mixed, tmp_path):
    code, out, _ = enecg("convert", mixed, "--to", "edf", "--out", tmp_path / "out", "--json")
    assert code == 1
    lines = [json.loads(line) for line in out.splitlines()]
    refused = {os.path.basename(line["path"]): line["refused"] for line in lines if "refused" in line}
    assert "cut short" in refused["truncated.hea"] or "truncated" in refused["truncated.hea"]
    assert "samples are missing, which EDF has no number for" in refused["gaps.hea"]
    written = {line["path"]: line["written"] for line in lines if "written" in line}
    assert len(written) == len(find(tmp_path / "out")) == len(lines) - len(refused) >= 4
    assert enecg("convert", mixed / "truncated.hea", "--to", "edf", "--out", tmp_path / "out")[0] == 3


def test_a_file_that_does_not_say_its_unit_rate_and_leads_is_told_them(enecg, tmp_path):
    np.save(tmp_path / "plain.npy", np.arange(200.0).reshape(2, 100))
    options = ("--unit", "uV", "--rate", 250, "--leads", "V1,V2")
    assert enecg("convert", tmp_path / "plain.npy", "--out", tmp_path / "plain.dcm")[0] == 3
    assert enecg("convert", tmp_path / "plain.npy", "--out", tmp_path / "plain.dcm", *options)[0] == 0
    found = read(tmp_path / "plain.dcm")
    assert (found.leads, found.rate) == (("V1", "V2"), 250.0)
    np.testing.assert_allclose(found.signal, np.arange(200.0).reshape(2, 100) / 1000, atol=1e-4)


def test_files_that_are_there_are_replaced_on_request_only(enecg, hearts, tmp_path):
    one = sorted(hearts.glob("*.hea"))[0]
    target = tmp_path / f"{one.stem}.dat"
    target.write_bytes(b"mine")
    code, _, err = enecg("convert", one, "--to", "wfdb", "--out", tmp_path)
    assert code == 3
    assert f"refused {one}: {target}: is there already; --force replaces it" in err
    assert target.read_bytes() == b"mine"
    assert enecg("convert", one, "--to", "wfdb", "--out", tmp_path, "--force")[0] == 0
    assert read(target).n_leads == 12


def test_two_recordings_of_one_name_get_two_files(enecg, hearts, tmp_path):
    one = sorted(hearts.glob("*.hea"))[0]
    assert enecg("convert", one, one, "--to", "parquet", "--out", tmp_path)[0] == 0
    assert {file.name for file in tmp_path.iterdir()} == {f"{one.stem}.parquet", f"{one.stem}-2.parquet"}


def test_a_name_that_the_format_does_not_take_is_mended(enecg, hearts, tmp_path):
    (tmp_path / "Größe 1.0").mkdir()
    write(read(sorted(hearts.glob("*.hea"))[0]), tmp_path / "Größe 1.0" / "a b.ü.edf")
    assert enecg("convert", tmp_path / "Größe 1.0", "--to", "wfdb", "--out", tmp_path / "out")[0] == 0
    assert [file.name for file in find(tmp_path / "out")] == ["a_b__.hea"]


# -- de-identified -----------------------------------------------------------------------------------------------------


def everything_below(folder) -> bytes:
    return b"".join(str(file.relative_to(folder)).encode() + file.read_bytes() for file in find_all(folder))


def find_all(folder):
    return [file for file in sorted(folder.rglob("*")) if file.is_file()]


@pytest.mark.parametrize("to", FORMATS)
def test_no_name_or_date_is_left_and_a_patients_recordings_stay_together(enecg, patients, tmp_path, to):
    out, key = tmp_path / "out", tmp_path / "secret.key"
    code, shown, err = enecg("convert", patients, "--to", to, "--out", out, "--deidentify", "--key", key)
    assert code == 0
    assert f"a new key is in {key}" in err
    content = everything_below(out)
    for word in ("Meier", "Huber", "Hans", "visit", "2020", str(tmp_path)):
        assert word.encode() not in content
    places = dict(line.split(" -> ") for line in shown.splitlines())
    first, second, other = (
        read(places[f"{patients}/{name}.dcm"])
        for name in ("Meier_Hans/visit1", "Meier_Hans/visit2", "Huber_Hans/visit1")
    )
    assert first.subject == second.subject != other.subject
    assert second.acquired - first.acquired == timedelta(days=60, minutes=30)
    assert (first.age, first.statements) == (90.0, ())
    assert first.id in places[f"{patients}/Meier_Hans/visit1.dcm"]


def test_one_key_gives_the_same_ids_and_dates_again_and_none_gives_others(enecg, patients, tmp_path):
    key = tmp_path / "secret.key"

    def made(name, *options):
        assert enecg("convert", patients, "--to", "edf", "--out", tmp_path / name, "--deidentify", *options)[0] == 0
        return {file.name: file.read_bytes() for file in find_all(tmp_path / name)}

    assert made("a", "--key", key) == made("b", "--key", key)
    assert oct(key.stat().st_mode & 0o777) == "0o600"
    assert not {*made("c")} & {*made("d")}


def test_without_a_key_it_is_said_that_nobody_keeps_it(enecg, patients, tmp_path):
    _, _, err = enecg("convert", patients, "--to", "edf", "--out", tmp_path / "out", "--deidentify")
    assert "a random key was made, which is not kept" in err


def test_statements_are_kept_on_request(enecg, patients, tmp_path):
    options = ("--deidentify", "--keep-statements")
    assert enecg("convert", patients, "--to", "edf", "--out", tmp_path / "out", *options)[0] == 0
    assert {read(file).statements for file in find(tmp_path / "out")} == {
        ("Meier: sinus rhythm",),
        ("Huber: sinus rhythm",),
    }


def test_recordings_that_name_no_patient_are_counted(enecg, hearts, tmp_path):
    one = read(sorted(hearts.glob("*.hea"))[0])
    write(replace(one, subject=None), tmp_path / "one.edf")
    _, _, err = enecg("convert", tmp_path / "one.edf", "--to", "edf", "--out", tmp_path / "out", "--deidentify")
    assert "1 of 1 recordings name no patient" in err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--key", "k"), "belong to --deidentify"),
        (("--keep-statements",), "belong to --deidentify"),
        (("--deidentify", "--key", "short"), "5 bytes, which can be guessed"),
        (("--deidentify", "--key", "out/k"), "would be handed on with the files"),
        (("--to", "scp"), "is not one of"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_written(enecg, hearts, tmp_path, monkeypatch, options, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("guess\n")
    code, _, err = enecg("convert", hearts, "--to", "edf", "--out", "out", *options)
    assert (code, why in err) == (2, True)
    assert [file.name for file in tmp_path.iterdir()] == ["short"]
