"""A small copy of SPH's shape; nothing of the data set is in it."""

import csv

import h5py
import numpy as np
import pytest

from enecg.cohorts import load_cohort
from enecg.cohorts.sph import _SNOMED
from enecg.errors import CohortError

CODES = [
    ("A", 1, "Normal ECG"),
    ("C", 21, "Sinus tachycardia"),
    ("C", 22, "Sinus bradycardia"),
    ("C", 23, "Sinus arrhythmia"),
    ("D", 30, "Atrial premature complex(es)"),
    ("E", 50, "Atrial fibrillation"),
    ("F", 60, "Ventricular premature complex(es)"),
    ("H", 82, "Prolonged PR interval"),
    ("H", 88, "AV block, complete (third-degree)"),
    ("I", 106, "Right bundle-branch block"),
    ("L", 147, "T-wave abnormality"),
    ("Modifier", 310, "Frequent"),
]


@pytest.fixture
def write(tmp_path):
    """metadata.csv with these rows, code.csv, and a file for each."""

    def write(*rows, files=True):
        (tmp_path / "records").mkdir(exist_ok=True)
        with (tmp_path / "code.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("Category", "Code", "Description"), *CODES])
        with (tmp_path / "metadata.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, "ECG_ID AHA_Code Patient_ID Age Sex N Date".split())
            writer.writeheader()
            for number, row in enumerate(rows, start=1):
                good = {"ECG_ID": f"A{number:05d}", "AHA_Code": "1", "Patient_ID": f"S{number:05d}", "Age": 55}
                writer.writerow(good | {"Sex": "M", "N": 5000, "Date": "2020-03-04"} | row)
        for number in range(1, len(rows) + 1 if files else 1):
            with h5py.File(tmp_path / f"records/A{number:05d}.h5", "w") as file:
                file["ecg"] = (np.arange(12)[:, None] + np.sin(np.arange(5000) / 50)).astype(np.float16) / 8
        return tmp_path

    return write


def test_the_publisher_s_table_becomes_targets(write):
    root = write({}, {"AHA_Code": "60+310;147", "Sex": "F", "Age": 95}, {"AHA_Code": "22;23", "Patient_ID": "S00001"})
    cohort = load_cohort("sph", root)
    assert [tuple(row.values()) for row in cohort.targets.iter_rows(named=True)] == [
        ("sph_A00001", "sph:S00001", 55, "male", "sinus rhythm", ["1"], ["Normal ECG"]),
        (
            *("sph_A00002", "sph:S00002", 90, "female", "sinus with ventricular premature beats", ["60", "147"]),
            ["Ventricular premature complex(es)", "T-wave abnormality"],
        ),
        (
            "sph_A00003",
            "sph:S00001",
            55,
            "male",
            "sinus arrhythmia",
            ["22", "23"],
            ["Sinus bradycardia", "Sinus arrhythmia"],
        ),
    ]
    assert cohort.notes == [
        "3 of 25,770 recordings and 2 of 24,666 patients published",
        "the files do not say their unit; taken as mV (unit=)",
    ]


@pytest.mark.parametrize(
    ("written", "rhythm"),
    [
        ("1;1", "sinus rhythm"),
        ("21", "sinus tachycardia"),
        ("30", "sinus with atrial premature beats"),
        ("50;60", "atrial fibrillation"),
        ("82", "1st degree AV block"),
        ("88;22", "AV block of 2nd or 3rd degree"),
        ("106", None),
        ("147", None),
    ],
)
def test_statements_become_rhythms(write, written, rhythm):
    assert load_cohort("sph", write({"AHA_Code": written})).targets["rhythm"].to_list() == [rhythm]


def test_every_code_s_number_is_one(write):
    assert all(code.isdigit() for code in _SNOMED)


def test_recordings_are_the_files_samples_in_millivolts(write):
    found = load_cohort("sph", write({}))[0].read()
    assert (found.id, found.rate, found.seconds, found.leads[4]) == ("sph_A00001", 500, 10, "aVL")
    assert found.lead("V6")[0] == pytest.approx(11 / 8, abs=0.001)
    assert load_cohort("sph", write({}), unit="uV")[0].read().lead("V6")[0] == pytest.approx(0.011 / 8, abs=1e-6)


@pytest.mark.parametrize(
    ("cells", "column", "told"),
    [
        ({"AHA_Code": ""}, "rhythm", "AHA_Code None, which is none; labels left missing"),
        ({"AHA_Code": "1;x"}, "aha_codes", "AHA_Code '1;x', which is none; labels left missing"),
        ({"Sex": "?"}, "sex", "sex '?', expected M or F; left missing"),
        ({"Age": "old"}, "age", "age old, which is none; left missing"),
        ({"Patient_ID": ""}, "subject", "no Patient_ID; counted as a person of its own"),
        ({"AHA_Code": "999"}, "rhythm", "statement 999, which code.csv does not have"),
    ],
)
def test_what_a_row_cannot_mean_is_missing_and_told(write, cells, column, told):
    cohort = load_cohort("sph", write(cells, {}))
    assert cohort.targets[column].is_null().to_list() == [True, False]
    assert cohort.notes[2:] == [f"1 x {told} (first: ECG_ID A00001)"]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"ECG_ID": "../x"}, "ECG_ID '../x'; expected a name"),
        ({"ECG_ID": "A00002"}, "ECG_ID A00002 is there more than"),
    ],
)
def test_a_table_that_cannot_be_is_an_error(write, cells, told):
    with pytest.raises(CohortError, match=told):
        load_cohort("sph", write(cells, {}))


def test_rows_without_a_file_are_left_out_and_counted(write):
    root = write({}, {})
    (root / "records/A00001.h5").unlink()
    assert load_cohort("sph", root).notes[2:] == ["1 rows of the table have no file and were left out"]
    (root / "records/A00002.h5").unlink()
    with pytest.raises(CohortError, match=r"none of the 2 records of metadata\.csv is there; copy records/"):
        load_cohort("sph", root)


def test_a_damaged_file_costs_the_others_nothing(write):
    root = write({}, {})
    (root / "records/A00001.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    cohort = load_cohort("sph", root)
    with pytest.raises(ValueError, match=r"A00001\.h5"):
        cohort[0].read()
    assert cohort[1].read().n_leads == 12
