import csv

import numpy as np
import pytest
import wfdb

from enecg.cohorts import about_cohort, load_cohort
from enecg.cohorts.ptbxl import patients
from enecg.errors import CohortError, ReadError
from enecg.tasks import STATEMENTS, SUPERCLASSES, get_task


@pytest.mark.parametrize("rate", [100, 500])
def test_the_published_rows_become_targets(data, rate):
    cohort = load_cohort("ptbxl", data / "ptbxl", rate=rate)
    rows = {row["id"]: row for row in cohort.targets.iter_rows(named=True)}
    assert rows["ptbxl_00001"] == {
        "id": "ptbxl_00001",
        "subject": "ptbxl:15709",
        "age": 56.0,
        "sex": "female",
        "rhythm": "sinus rhythm",
        "superclass": ["NORM"],
        "subclass": ["NORM"],
        "statements": ["NORM", "LVOLT", "SR"],
        "diagnostic_statements": ["NORM"],
        "form_statements": ["LVOLT"],
        "rhythm_statements": ["SR"],
        "fold": 3,
    }
    # Age 300 is over 89; AFIB has likelihood 0, which means "not stated", and counts.
    old = rows["ptbxl_00282"]
    assert (old["age"], old["sex"], old["rhythm"]) == (90.0, "male", "atrial fibrillation")
    assert old["superclass"] == ["MI", "STTC", "CD", "HYP"]
    assert old["subclass"] == ["AMI", "LVH", "ISC_", "ILBBB"]
    assert old["diagnostic_statements"] == ["ASMI", "LVH", "ISC_", "ILBBB"]
    assert (old["form_statements"], old["rhythm_statements"]) == (["PVC"], ["AFIB"])
    # A pacemaker is no diagnosis: none of the five superclasses, which is known, and not missing.
    paced = rows["ptbxl_00385"]
    assert (paced["superclass"], paced["rhythm"]) == ([], "paced rhythm")
    assert not get_task("superclass").encode([paced["superclass"]]).any()
    assert cohort.notes == ["3 of 21,799 recordings and 3 of 18,869 patients published"]
    assert (cohort.licence, cohort.simulated, cohort.origins) == ("CC BY 4.0", False, {"ptbxl"})


@pytest.mark.parametrize(("rate", "folder", "ending"), [(100, "records100", "lr"), (500, "records500", "hr")])
def test_recordings_are_the_publisher_s_samples_with_the_table_s_facts(data, rate, folder, ending):
    cohort = load_cohort("ptbxl", data / "ptbxl", rate=rate)
    for lazy, number in zip(cohort, ("00001", "00282", "00385"), strict=True):
        found = lazy.read()
        theirs = wfdb.rdrecord(str(data / f"ptbxl/{folder}/00000/{number}_{ending}"))
        np.testing.assert_array_equal(found.signal, theirs.p_signal.T.astype(np.float32))
        assert (found.rate, found.seconds, found.id) == (rate, 10, f"ptbxl_{number}")
    assert (found.subject, found.age, found.sex) == ("ptbxl:16064", 83, "male")


def test_every_target_fits_its_task(data):
    targets = load_cohort("ptbxl", data / "ptbxl").targets
    for name in about_cohort("ptbxl").tasks:
        assert np.isfinite(get_task(name).encode(targets[name])).all()


def test_rows_without_a_file_are_left_out_and_counted(ptbxl):
    root = ptbxl({}, {"filename_lr": "records100/21000/21837_lr"}, {"filename_lr": ""})
    cohort = load_cohort("ptbxl", root)
    assert [lazy.id for lazy in cohort] == ["ptbxl_00001"]
    assert "2 rows of the table have no file and were left out" in cohort.notes


def test_a_folder_without_any_file_is_an_error_that_says_what_to_copy(ptbxl):
    root = ptbxl({"filename_hr": "records500/21000/21837_hr"})
    with pytest.raises(CohortError, match=r"none of the 1 files of filename_hr is there; copy records500/"):
        load_cohort("ptbxl", root, rate=500)


def test_a_missing_signal_file_costs_only_its_recording(ptbxl, data, tmp_path):
    (tmp_path / "lonely.hea").write_text((data / "ptbxl/records100/00000/00001_lr.hea").read_text())
    root = ptbxl({"filename_lr": "../lonely"}, {})
    cohort = load_cohort("ptbxl", root)
    with pytest.raises(ReadError, match=r"lonely\.hea: its file 00001_lr\.dat is not there"):
        cohort[0].read()
    assert cohort[1].read().n_samples == 1000


@pytest.mark.parametrize(
    ("change", "column", "note"),
    [
        ({"age": "-3"}, "age", "1 x age -3, which is none; left missing (first: ecg_id 2)"),
        ({"age": "150"}, "age", "1 x age 150, which is none; left missing (first: ecg_id 2)"),
        ({"age": "old"}, "age", "1 x age old, which is none; left missing (first: ecg_id 2)"),
        ({"age": ""}, "age", None),
        ({"sex": "2"}, "sex", "1 x sex '2', expected 0 or 1; left missing (first: ecg_id 2)"),
        ({"sex": ""}, "sex", None),
        ({"patient_id": ""}, "subject", "1 x no patient_id; counted as a person of its own (first: ecg_id 2)"),
        ({"strat_fold": ""}, "fold", None),
        ({"scp_codes": ""}, "rhythm", "1 x scp_codes that cannot be understood; labels left missing (first: ecg_id 2)"),
        ({"scp_codes": "{'SR': "}, "superclass", "1 x scp_codes that cannot be understood; labels left missing"),
        ({"scp_codes": "SR"}, "statements", "1 x scp_codes that cannot be understood; labels left missing"),
        ({"scp_codes": "['SR']"}, "statements", "1 x scp_codes that cannot be understood; labels left missing"),
        ({"scp_codes": "__import__('os')"}, "statements", "1 x scp_codes that cannot be understood"),
        ({"scp_codes": "(" * 5000}, "statements", "1 x scp_codes that cannot be understood"),
    ],
)
def test_what_a_row_cannot_mean_is_missing_and_told(ptbxl, change, column, note):
    cohort = load_cohort("ptbxl", ptbxl({}, change, {}))
    assert cohort.targets[column].is_null().to_list() == [False, True, False]
    assert len(cohort) == 3
    assert [text.startswith(note or "nothing") for text in cohort.notes[1:]] == ([True] if note else [])


def test_an_unknown_statement_is_told_and_costs_the_others_nothing(ptbxl):
    cohort = load_cohort(
        "ptbxl", ptbxl({"scp_codes": "{'NORM': 100.0, 'XYZ': 50.0, 'SR': 0.0}"}, {"scp_codes": "{'XYZ': 1}"})
    )
    assert cohort.targets["statements"].to_list() == [["NORM", "SR"], []]
    assert "2 x statement XYZ, which PTB-XL does not have; passed over (first: ecg_id 1)" in cohort.notes


def test_no_statement_at_all_is_none_of_each_and_not_missing(ptbxl):
    row = load_cohort("ptbxl", ptbxl({"scp_codes": "{}"})).targets.row(0, named=True)
    assert (row["statements"], row["superclass"], row["rhythm"]) == ([], [], None)


@pytest.mark.parametrize("age", ["89", "89.0", "90", "95", "300", "300.0"])
def test_all_over_89_are_90(ptbxl, age):
    assert load_cohort("ptbxl", ptbxl({"age": age})).targets["age"].to_list() == [min(float(age), 90)]


def test_rows_are_in_the_order_of_their_numbers(ptbxl):
    cohort = load_cohort("ptbxl", ptbxl({"ecg_id": "30"}, {"ecg_id": "4"}, {"ecg_id": "100"}))
    assert cohort.targets["id"].to_list() == ["ptbxl_00004", "ptbxl_00030", "ptbxl_00100"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([{}, {"ecg_id": "1"}], "ecg_id 1 is there more than once"),
        ([{"ecg_id": "one"}], "line 2: ecg_id 'one'; expected a whole number"),
        ([{"ecg_id": ""}], "line 2: ecg_id None; expected a whole number"),
        ([{"ecg_id": "1.5"}], "expected a whole number"),
    ],
)
def test_ids_that_are_none_or_twice_are_errors(ptbxl, changes, told):
    with pytest.raises(CohortError, match=rf"ptbxl_database\.csv.*{told}"):
        load_cohort("ptbxl", ptbxl(*changes))


def test_a_table_without_a_column_names_it_and_the_nearest(ptbxl):
    root = ptbxl({})
    path = root / "ptbxl_database.csv"
    path.write_text(path.read_text().replace("scp_codes", "scp_code", 1))
    with pytest.raises(CohortError, match=r"no column 'scp_codes' \(found ecg_id, .*\); is it 'scp_code'\?"):
        load_cohort("ptbxl", root)


@pytest.mark.parametrize("missing", ["ptbxl_database.csv", "scp_statements.csv"])
def test_a_folder_that_is_not_ptbxl_s_says_what_is_missing(ptbxl, missing):
    root = ptbxl({})
    (root / missing).unlink()
    with pytest.raises(CohortError, match=f"not a folder of ptbxl: no {missing}; expected the publisher's layout"):
        load_cohort("ptbxl", root)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("diagnostic_class", "class", 1), "no column 'diagnostic_class'"),
        (lambda text: text.replace("NORM,NORM", "HEALTHY,NORM"), "diagnostic_class 'HEALTHY'; expected NORM, MI"),
        (lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("AFIB")), "no row for AFIB"),
    ],
)
def test_a_table_of_statements_that_is_not_the_publisher_s_is_an_error(ptbxl, data, change, told):
    root = ptbxl({})
    path = root / "scp_statements.csv"
    text = path.read_text()
    path.unlink()
    path.write_text(change(text))
    with pytest.raises(CohortError, match=told):
        load_cohort("ptbxl", root)


def test_the_publisher_s_table_has_the_task_s_statements(data):
    with (data / "ptbxl/scp_statements.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert tuple(line[""] for line in lines) == STATEMENTS
    assert {line["diagnostic_class"] for line in lines} - {""} == set(SUPERCLASSES)


@pytest.mark.parametrize("rate", [250, 0])
def test_a_rate_that_ptbxl_does_not_have_is_refused(data, rate):
    with pytest.raises(CohortError, match=f"PTB-XL has 100 and 500 Hz, not {rate}"):
        load_cohort("ptbxl", data / "ptbxl", rate=rate)


@pytest.mark.parametrize("name", ["ptbxl", "ptbxl/ptbxl_database.csv"])
def test_patients_are_found_by_the_folder_or_the_table(data, name):
    assert patients(data / name) == {1: "ptbxl:15709", 282: "ptbxl:437", 385: "ptbxl:16064"}
