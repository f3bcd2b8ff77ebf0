import numpy as np
import polars
import pytest

from enecg.cohorts import Cohort, load_cohort
from enecg.cohorts._cohort import CohortRecording, Oddities, table
from enecg.errors import CohortError


@pytest.fixture
def cohort(data) -> Cohort:
    return load_cohort("ptbxl", data / "ptbxl")


def test_a_cohort_is_a_sequence_of_its_recordings(cohort):
    assert len(cohort) == 3
    assert [lazy.id for lazy in cohort] == ["ptbxl_00001", "ptbxl_00282", "ptbxl_00385"]
    assert cohort[-1].id == "ptbxl_00385"
    assert cohort[1] in cohort
    with pytest.raises(IndexError):
        _ = cohort[3]
    assert repr(cohort) == "Cohort(ptbxl, 3 recordings, 3 subjects)"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([2, 0], [2, 0]), ([], []), ([True, False, True], [0, 2]), (np.array([1]), [1]), ([-1], [2]), ([0, 0], [0, 0])],
)
def test_some_of_the_recordings_keep_their_rows(cohort, rows, expected):
    taken = cohort.take(rows)
    assert [lazy.id for lazy in taken] == [cohort[row].id for row in expected]
    assert taken.targets.equals(cohort.targets[expected])
    assert (taken.licence, taken.citation, taken.notes) == (cohort.licence, cohort.citation, cohort.notes)


def test_a_slice_is_a_cohort(cohort):
    assert [lazy.id for lazy in cohort[1:]] == ["ptbxl_00282", "ptbxl_00385"]
    assert cohort[::-1].targets["id"].to_list() == ["ptbxl_00385", "ptbxl_00282", "ptbxl_00001"]


def test_rows_beside_other_recordings_are_an_error(cohort):
    with pytest.raises(CohortError, match="3 recordings for 2 rows"):
        Cohort(name="x", recordings=cohort.recordings, targets=cohort.targets[:2])
    with pytest.raises(CohortError, match=r"recording ptbxl_00001 of ptbxl:15709 stands beside the row of ptbxl_00385"):
        Cohort(name="x", recordings=cohort.recordings, targets=cohort.targets[::-1])
    with pytest.raises(CohortError, match="no column 'subject' in its targets"):
        Cohort(name="x", recordings=cohort.recordings, targets=cohort.targets.drop("subject"))
    swapped = cohort.targets.with_columns(polars.lit("ptbxl:1").alias("subject"))
    with pytest.raises(CohortError, match="expected recordings and rows in one order"):
        Cohort(name="x", recordings=cohort.recordings, targets=swapped)


def test_a_recording_s_key_changes_with_the_table_s_facts_and_with_what_is_done(data):
    path = data / "ptbxl/records100/00000/00001_lr.hea"
    made = [
        CohortRecording(path, id="a", subject="s:1"),
        CohortRecording(path, id="b", subject="s:1"),
        CohortRecording(path, id="a", subject="s:2"),
        CohortRecording(path, id="a", subject=None),
        CohortRecording(path, id="a", subject="s:1", age=50.0),
        CohortRecording(path, id="a", subject="s:1", sex="male"),
        CohortRecording(path, id="a", subject="s:1", unit="mV"),
        CohortRecording(path, id="a", subject="s:1", change=lambda one: one, changed="cropped"),
    ]
    assert len({one.key for one in made}) == len(made)
    assert CohortRecording(path, id="a", subject="s:1").key == made[0].key


def test_what_the_table_does_not_know_the_file_tells(data):
    path = data / "challenge2021/georgia/E00271.hea"
    found = CohortRecording(path, id="a", subject="s:1", age=None, sex=None).read()
    assert (found.id, found.subject, found.age, found.sex) == ("a", "s:1", 83, "female")
    assert CohortRecording(path, id="a", subject="s:1", age=30.0, sex="male").read().age == 30


def test_an_empty_table_has_its_columns_and_types():
    columns = {"id": polars.String, "labels": polars.List(polars.String), "age": polars.Float64}
    made = table([], columns)
    assert dict(made.schema) == columns
    assert table([{"id": "a"}], columns).row(0) == ("a", None, None)


@pytest.mark.parametrize(
    ("value", "expected", "odd"),
    [
        (50, 50, False), ("50", 50, False), (0, 0, False), (89, 89, False), (90, 90, False), (101.5, 90, False),
        (None, None, False), ("", None, False), (float("nan"), None, False), ("NA", None, False),
        (-1, None, True), (126, None, True), (300, None, True), ("old", None, True),
    ],
)  # fmt: skip
def test_an_age_is_one_that_people_have(value, expected, odd):
    oddities = Oddities()
    assert oddities.age(value, "row 1") == expected
    assert bool(oddities.notes) == odd


def test_oddities_of_a_kind_are_counted_with_the_first():
    oddities = Oddities()
    for row in range(3):
        oddities.sex("7", f"row {row}", {"0": "male", "1": "female"})
    oddities.add("something else", "row 9")
    assert oddities.sex("1", "row 1", {"0": "male", "1": "female"}) == "female"
    assert oddities.notes == [
        "3 x sex '7', expected 0 or 1; left missing (first: row 0)",
        "1 x something else (first: row 9)",
    ]
