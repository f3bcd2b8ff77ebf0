"""A small copy of CODE-15%'s shape; nothing of the data set is in it."""

import csv

import h5py
import numpy as np
import pytest

from enecg.cohorts import load_cohort
from enecg.errors import CohortError, UnitError
from enecg.tasks import get_task

COLUMNS = "exam_id age is_male nn_predicted_age 1dAVb RBBB LBBB SB ST AF patient_id death timey normal_ecg trace_file"
NO = dict.fromkeys("1dAVb RBBB LBBB SB ST AF normal_ecg".split(), "False")


def exam(number, patient, part="exams_part0.hdf5", **cells):
    row = {"exam_id": number, "age": 53, "is_male": "True", "nn_predicted_age": 50.1, "patient_id": patient}
    return row | NO | {"death": "", "timey": "", "trace_file": part} | cells


def tracing(number: int) -> np.ndarray:
    """[sample, lead] with the padding of a 10 s exam; lead k has the amplitude of k + 1 tenths."""
    time = np.arange(4000) / 400
    signal = np.sin(2 * np.pi * (1 + number % 3) * time)[:, None] * np.arange(1, 13) / 10
    return np.pad(signal, ((48, 48), (0, 0))).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    """exams.csv with these rows, and its parts with these exams in another order and a last row without one."""

    def write(*rows, lacking=()):
        root = tmp_path / "code15"
        root.mkdir(exist_ok=True)
        with (root / "exams.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS.split())
            writer.writeheader()
            writer.writerows(rows)
        for part in {row["trace_file"] for row in rows} - set(lacking):
            numbers = [int(row["exam_id"]) for row in rows if row["trace_file"] == part][::-1]
            with h5py.File(root / part, "w") as file:
                file["exam_id"] = np.array([*numbers, 0], dtype=np.int64)
                file["tracings"] = np.stack([*map(tracing, numbers), np.zeros((4096, 12), np.float32)])
        return root

    return write


def test_the_publisher_s_table_becomes_targets(write):
    root = write(
        exam(26, 7, RBBB="True", AF="True"),
        exam(31, 7, is_male="False", age=91, normal_ecg="True"),
        exam(44, 8, "exams_part1.hdf5", SB="True"),
        exam(45, 9, "exams_part1.hdf5"),
    )
    cohort = load_cohort("code15", root)
    rows = [tuple(row.values()) for row in cohort.targets.iter_rows(named=True)]
    assert rows == [
        ("code15_26", "code15:7", 53, "male", "atrial fibrillation", ["RBBB", "AF"], False),
        ("code15_31", "code15:7", 90, "female", "sinus rhythm", [], True),
        ("code15_44", "code15:8", 53, "male", "sinus bradycardia", ["SB"], False),
        ("code15_45", "code15:9", 53, "male", None, [], False),  # something else than the six, and not normal
    ]
    assert np.isfinite(get_task("age").encode(cohort.targets["age"])).all()
    assert cohort.notes == [
        "4 of 345,779 recordings and 3 of 233,770 patients published",
        "the files do not say their unit; taken as 0.5 mV (unit=)",
    ]
    assert cohort.origins == {"code15"}


def test_exams_are_found_by_their_number_whatever_their_place(write):
    cohort = load_cohort("code15", write(exam(26, 7), exam(31, 7), exam(44, 8)))
    for lazy, number in zip(cohort, (26, 31, 44), strict=True):
        found = lazy.read()
        np.testing.assert_allclose(found.signal, tracing(number)[48:-48].T[:, -found.n_samples :] / 2, atol=1e-6)
        assert (found.id, found.rate, found.n_leads) == (f"code15_{number}", 400, 12)
        assert found.subject == lazy.subject


def test_the_unit_is_the_caller_s_to_say(write):
    root = write(exam(26, 7))
    as_halves, as_mv = (load_cohort("code15", root, **options)[0] for options in ({}, {"unit": "mV"}))
    assert as_halves.key != as_mv.key
    np.testing.assert_allclose(as_mv.read().signal / 2, as_halves.read().signal, atol=1e-6)
    assert any("taken as mV" in note for note in load_cohort("code15", root, unit="mV").notes)
    with pytest.raises(UnitError):
        load_cohort("code15", root, unit="furlong")


def test_parts_that_are_not_there_and_exams_that_are_not_in_theirs_are_told(write):
    root = write(exam(26, 7), exam(44, 8, "exams_part1.hdf5"), lacking=["exams_part1.hdf5"])
    text = (root / "exams.csv").read_text()
    (root / "exams.csv").write_text(
        text.replace("\n44,", "\n31,") + text.splitlines()[1].replace("26,", "99,", 1) + "\n"
    )
    cohort = load_cohort("code15", root)
    assert cohort.targets["id"].to_list() == ["code15_26"]
    assert cohort.notes[2:] == [
        "1 exams are in parts that are not there and were left out",
        "1 exams are not in the part that exams.csv says, and were left out",
    ]


def test_a_damaged_part_costs_the_others_nothing(write):
    root = write(exam(26, 7), exam(44, 8, "exams_part1.hdf5"))
    part = root / "exams_part1.hdf5"
    part.write_bytes(part.read_bytes()[:3000])
    cohort = load_cohort("code15", root)
    assert cohort.targets["id"].to_list() == ["code15_26"]
    assert any("parts that cannot be read" in note and "exams_part1.hdf5" in note for note in cohort.notes)


@pytest.mark.parametrize(
    ("cells", "column", "told"),
    [
        ({"AF": "maybe"}, "diagnoses", "1 x AF 'maybe', expected True or False; left missing (first: exam_id 26)"),
        ({"AF": ""}, "rhythm", None),
        ({"is_male": "2"}, "sex", "1 x is_male '2', expected True or False; left missing (first: exam_id 26)"),
        ({"age": 200}, "age", "1 x age 200, which is none; left missing (first: exam_id 26)"),
        ({"patient_id": ""}, "subject", "1 x no patient_id; counted as a person of its own (first: exam_id 26)"),
    ],
)
def test_what_a_row_cannot_mean_is_missing_and_told(write, cells, column, told):
    cohort = load_cohort("code15", write(exam(26, 7, **{"SB": "True"} | cells), exam(31, 8, SB="True")))
    assert cohort.targets[column].is_null().to_list() == [True, False]
    assert cohort.notes[2:] == ([told] if told else [])


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([exam(26, 7), exam(26, 7)], "exam_id 26 is there more than once"),
        ([exam(26, 7, "../part.hdf5")], "expected the name of a part beside it"),
    ],
)
def test_a_table_that_cannot_be_is_an_error(tmp_path, rows, told):
    with (tmp_path / "exams.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS.split())
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(CohortError, match=told):
        load_cohort("code15", tmp_path)


def test_a_folder_without_any_part_says_what_to_copy(write):
    root = write(exam(26, 7), lacking=["exams_part0.hdf5"])
    with pytest.raises(CohortError, match=r"none of the 1 exams of exams\.csv is there; copy exams_part"):
        load_cohort("code15", root)
