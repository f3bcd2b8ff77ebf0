"""The small commands: simulate, embed, tasks, doctor."""

import json
import os

import numpy as np
import polars
import pytest

from enecg import TASKS, read
from enecg.experts import expert_names, published_names
from enecg.simulation import simulate_one


def test_simulated_recordings_come_back_from_their_files_with_their_truth(enecg, tmp_path):
    folder = tmp_path / "hearts"
    code, out, _ = enecg("simulate", folder, "--n", 3, "--seed", 5, "--rate", 250)
    assert code == 0
    assert out == f"3 simulated recordings and targets.csv in {folder}\n"
    table = polars.read_csv(folder / "targets.csv")
    for index, row in enumerate(table.iter_rows(named=True)):
        made = simulate_one(index, 5, rate=250.0)
        again = read(folder / f"{row['id']}.hea")
        assert np.abs(again.signal - made.recording.signal).max() <= 0.00051
        assert (again.leads, again.rate, again.age, again.sex) == (
            made.recording.leads,
            250.0,
            made.recording.age,
            made.recording.sex,
        )
        assert "simulated" in (*again.notes, *again.statements)
        for name, truth in made.truth.labels.items():
            assert np.array_equal(TASKS[name].encode([row[name]]), TASKS[name].encode([truth]), equal_nan=True)


def test_a_simulated_patient_is_who_was_asked_for(enecg, tmp_path):
    options = ("--rhythm", "atrial fibrillation", "--age", 70, "--sex", "female", "--potassium", 7.1, "--n", 2)
    assert enecg("simulate", tmp_path, *options, "--seconds", 4)[0] == 0
    table = polars.read_csv(tmp_path / "targets.csv")
    assert table.select("rhythm", "age", "sex", "potassium").unique().rows() == [
        ("atrial fibrillation", 70.0, "female", 7.1)
    ]


@pytest.mark.parametrize(
    "options",
    [("--rhythm", "samba"), ("--n", "0"), ("--rate", "5"), ("--seconds", "-1"), ("--sex", "other")],
    ids=" ".join,
)
def test_a_patient_or_recording_that_cannot_be_is_wrong_usage(enecg, tmp_path, options):
    folder = tmp_path / "hearts"
    assert enecg("simulate", folder, *options)[0] == 2
    assert not list(folder.glob("*.hea"))


def test_embed_fills_a_store_that_is_used_again(enecg, hearts, tmp_path):
    arguments = ("embed", tmp_path / "store", "--data", hearts, "--experts", "measurements,dlinear", "--json")
    code, out, _ = enecg(*arguments)
    assert code == 0
    first = {row["expert"]: row for row in json.loads(out)}
    assert first["dlinear"]["recordings"] == first["dlinear"]["of"] == 6
    again = {row["expert"]: row for row in json.loads(enecg(*arguments)[1])}
    assert all(row["seconds"] == 0 for row in again.values())


def test_embed_names_what_it_could_not_read_and_goes_on(enecg, mixed, tmp_path):
    code, out, err = enecg("embed", tmp_path / "store", "--data", mixed, "--experts", "measurements")
    assert code == 1
    assert "refused truncated (all experts): " in err
    assert "measurements" in out


def test_tasks_lists_them_and_shows_the_classes_of_one(enecg):
    _, out, _ = enecg("tasks")
    assert [line.split()[0] for line in out.splitlines()] == list(TASKS)
    _, out, _ = enecg("tasks", "rhythm")
    assert "  atrial fibrillation  (SNOMED CT 164889003)\n" in out
    _, out, _ = enecg("tasks", "potassium", "--json")
    assert json.loads(out)[0]["merged"] == {"abnormal": ["low", "high"]}
    code, _, err = enecg("tasks", "horoscope")
    assert (code, "unknown task 'horoscope'" in err) == (3, True)


def test_doctor_says_what_runs_here(enecg):
    import torch

    code, out, _ = enecg("doctor", "--json")
    found = json.loads(out)
    assert found["torch"] == torch.__version__
    assert found["threads"] == torch.get_num_threads()
    for name in expert_names():
        expected = f"not here; enecg experts pull {name}" if name in published_names() else "works, "
        assert found[f"expert {name}"].startswith(expected)
    assert found["weights in"] == os.environ["ENECG_WEIGHTS"]
    assert (code, found["faults"]) == (0, [])
    assert found["starter bundle"].startswith("whole, answers ")


def test_doctor_tells_a_fault_and_what_to_do(enecg, monkeypatch, tmp_path):
    from enecg import estimator

    monkeypatch.setattr(estimator, "files", lambda package: tmp_path)
    code, out, _ = enecg("doctor")
    assert code == 1
    assert "FAULT: " in out
    assert "install enecg again" in out
