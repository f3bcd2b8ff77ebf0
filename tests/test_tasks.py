import numpy as np
import pytest

from enecg import TASKS, Task
from enecg.errors import TaskError
from enecg.tasks import (
    DIAGNOSTIC_STATEMENTS,
    FIVE_TASKS,
    FORM_STATEMENTS,
    RHYTHM_STATEMENTS,
    RHYTHMS,
    SCORED_DIAGNOSES,
    STATEMENTS,
    get_task,
)

NAN = float("nan")


def test_built_in_vocabularies_have_their_published_sizes():
    assert len(RHYTHMS) == len(set(RHYTHMS.values())) == 15
    assert len(STATEMENTS) == len(set(STATEMENTS)) == 71
    assert RHYTHM_STATEMENTS[0] == "SR"
    assert len(RHYTHM_STATEMENTS) == 12
    assert set(FIVE_TASKS) <= set(TASKS)
    sizes = {"superclass": 5, "subclass": 23, "diagnostic_statements": 44, "form_statements": 19, "cinc2021": 26}
    assert {name: TASKS[name].n_outputs for name in sizes} == sizes
    # The first four form statements are diagnostic as well; every statement is of one kind at least.
    assert {*DIAGNOSTIC_STATEMENTS, *FORM_STATEMENTS, *RHYTHM_STATEMENTS} == set(STATEMENTS)
    assert set(DIAGNOSTIC_STATEMENTS) & set(FORM_STATEMENTS) == {"NDT", "NST_", "DIG", "LNGQT"}
    codes = [code for own in SCORED_DIAGNOSES.values() for code in own]
    assert len(codes) == len(set(codes)) == 30


@pytest.mark.parametrize(
    ("task", "column", "expected"),
    [
        ("age", [61, "45.5", None, NAN, ""], [[61], [45.5], [NAN], [NAN], [NAN]]),
        ("sex", ["male", "female", True, 0, None], [[0], [1], [1], [0], [NAN]]),
        ("potassium", ["low", "abnormal", 3.5, "5.5", None], [[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1], [NAN] * 3]),
        ("superclass", ["MI;HYP", [], "-", None], [[0, 1, 0, 0, 1], [0] * 5, [0] * 5, [NAN] * 5]),
    ],
)
def test_labels_become_numbers(task, column, expected):
    got = TASKS[task].encode(column)
    assert got.dtype == np.float32
    assert np.array_equal(got, np.array(expected, dtype=np.float32), equal_nan=True)


def test_an_empty_column_keeps_its_width():
    assert TASKS["rhythm"].encode([]).shape == (0, 15)


@pytest.mark.parametrize(
    ("task", "value", "message"),
    [
        ("age", "old", r"column age, row 1: 'old'; expected a number in years"),
        ("rr_interval", -5, "positive"),
        ("sex", "x", "male or female"),
        ("potassium", "lots", "low, normal, high, abnormal, or a number in mmol/L"),
        ("rhythm", "disco", "expected one of paced rhythm"),
        ("superclass", "MI;XX", "'XX'; expected labels among NORM"),
    ],
)
def test_a_wrong_label_is_refused_with_its_row(task, value, message):
    with pytest.raises(TaskError, match=message):
        TASKS[task].encode([None, value])


@pytest.mark.parametrize(
    "arguments",
    [
        ("not a name", "binary"),
        ("t", "quaternary"),
        ("t", "multiclass", ("one",)),
        ("t", "regression", ("a", "b")),
        ("t", "multilabel", ("a", "a")),
    ],
)
def test_a_task_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(TaskError):
        Task(*arguments)


def test_a_users_task_and_unknown_names():
    mine = Task("lvef_below_40", kind="binary")
    assert mine.classes == ("no", "yes")
    assert get_task(mine) is mine
    with pytest.raises(TaskError, match="Built in: rr_interval"):
        get_task("shoe_size")
