"""Answers in words: nothing is rounded into what it is not, and every line fits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.predictions import Prediction, TaskPrediction
from enecg.report import REMARKS, abstention, as_text, certainty_text, number, percent, value_text
from enecg.tasks import TASKS, Task


def sex(**changes) -> TaskPrediction:
    made = {
        "task": TASKS["sex"],
        "value": "female",
        "probabilities": {"male": 0.3, "female": 0.7},
        "members": ("female",),
    }
    return TaskPrediction(**(made | {"weights": {"rocket": 0.25, "measurements": 0.75}} | changes))


def age(value=61.4, low=40.2, high=82.9, **changes) -> TaskPrediction:
    return TaskPrediction(task=TASKS["age"], value=value, low=low, high=high, weights={"rocket": 1.0}, **changes)


def superclass(**changes) -> TaskPrediction:
    chances = {"NORM": 0.1, "MI": 0.8, "STTC": 0.55, "CD": 0.3, "HYP": 0.001}
    made = {"task": TASKS["superclass"], "value": ("MI", "STTC"), "probabilities": chances, "undecided": ("STTC", "CD")}
    return TaskPrediction(**(made | {"weights": {"rocket": 1.0}} | changes))


@given(st.floats(0, 1))
def test_a_percentage_is_never_certain_of_what_is_not(share):
    said = percent(share)
    assert (said == "0%") == (share == 0)
    assert (said == "100%") == (share == 1)
    assert said in ("<1%", ">99%") or abs(float(said.removesuffix("%")) / 100 - share) <= 0.0051


@given(st.floats(-1e5, 1e5), st.floats(1e-4, 1e5))
def test_a_number_is_rounded_far_below_its_intervals_width(value, width):
    assert abs(float(number(value, width)) - value) <= max(0.06 * width, 5e-7)


@pytest.mark.parametrize(
    ("value", "width", "said"),
    [
        (812.4, 48.0, "812"),
        (4.2345, 0.9, "4.23"),
        (61.36, 42.0, "61"),
        (0.0, None, "0"),
        (3.14159, None, "3.14"),
        (1e6, 3.0, "1000000.0"),
    ],
)
def test_numbers_have_the_decimals_that_their_interval_supports(value, width, said):
    assert number(value, width) == said


def test_each_kind_of_answer_has_its_words():
    assert value_text(age()) == "61 years"
    assert certainty_text(age()) == "40 to 83"
    assert value_text(sex()) == "female 70%"
    assert certainty_text(sex()) == "no other"
    assert certainty_text(sex(members=("male", "female"))) == "or male"
    assert certainty_text(sex(members=())) == "none is likely"
    assert value_text(superclass()) == "MI 80%, STTC 55%"
    assert certainty_text(superclass()) == "undecided: STTC, CD"
    assert value_text(superclass(value=(), undecided=())) == "none of them"


def test_an_answer_is_shown_even_where_the_set_leaves_it_out():
    assert certainty_text(sex(members=("male",))) == "or male"


def test_a_unit_less_number_of_ones_own_keeps_its_decimals():
    answer = TaskPrediction(task=Task("ratio", "regression"), value=1.23456, low=1.1, high=1.4)
    assert value_text(answer) == "1.23"
    assert certainty_text(answer) == "1.10 to 1.40"


def test_a_recordings_table_says_all_that_its_reader_must_know():
    answers = {"age": age(simulated=True), "sex": sex(calibrated=False), "superclass": superclass()}
    text = as_text(
        Prediction(
            id="one",
            quality=0.873,
            experts=("rocket", "measurements"),
            notes=("left out: dlinear needs lead V1", "st-mem: for non-commercial use"),
            answers=answers,
        )
    )
    title, *lines = text.splitlines()
    assert title == "one"
    assert lines[0] == "  quality 0.87; experts: rocket, measurements"
    assert lines[1] == "  left out: dlinear needs lead V1"
    assert lines[2] == "  st-mem: for non-commercial use"
    assert "within 90%" in lines[3]
    assert "61 years [simulated]" in text
    assert "female 70% (male 30%) [uncalibrated]" in text
    assert "measurements 75%," in text
    for mark in ("simulated", "uncalibrated"):
        assert text.count(f"[{mark}] {REMARKS[mark]}") == 1


def test_a_refusal_and_a_common_abstention_are_said_once():
    assert as_text(Prediction(id="x", refused="cut short")) == "x\n  refused: cut short"
    why = "signal quality 0.03 is below 0.3: flat (100% of the leads)"
    poor = {"age": age(value=None, abstained=why), "sex": sex(value=None, abstained=why)}
    text = as_text(Prediction(id="x", quality=0.03, experts=("rocket",), answers=poor))
    assert text.count("flat") == 1
    assert "no answers: signal quality" in text
    assert abstention(Prediction(id="x", answers={"age": age(), "sex": poor["sex"]})) is None
    mixed = as_text(Prediction(id="x", experts=("rocket",), answers={"age": age(), "sex": poor["sex"]}))
    assert "no answer: signal quality" in mixed
    assert "61 years" in mixed


@given(
    st.lists(st.text("abc -", min_size=1, max_size=60), min_size=2, max_size=8, unique_by=str.strip),
    st.integers(20, 250),
)
def test_no_line_is_wider_than_the_screen(names, width):
    task = Task("cause", "multiclass", tuple(names))
    answer = TaskPrediction(
        task=task,
        value=names[0],
        probabilities=dict.fromkeys(names, 1 / len(names)),
        members=tuple(names),
        weights={f"expert-{k}": 0.1 for k in range(10)},
    )
    text = as_text(Prediction(id="one", experts=("rocket",), answers={"cause": answer}), width)
    assert all(len(line) <= max(72, width) for line in text.splitlines())


def test_infinite_and_missing_widths_do_not_break_a_number():
    assert number(5.0, math.inf) == "5"
    assert number(-math.inf) == "-inf"
    assert number(math.nan) == "nan"
