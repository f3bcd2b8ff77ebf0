import csv
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from enecg.evaluation._challenge import challenge_metric, challenge_score, challenge_weights, decided
from enecg.evaluation._metrics import Scored, make_metric, metrics_of
from enecg.tasks import SCORED_DIAGNOSES, TASKS

NAMES = list(SCORED_DIAGNOSES)
MARKS = arrays.arrays(bool, st.tuples(st.integers(1, 6), st.just(26)))


def marks(*labels: str) -> np.ndarray:
    return np.array([[name in said.split() for name in NAMES] for said in labels])


def by_the_definition(true: np.ndarray, said: np.ndarray) -> float:
    """Reyna et al. 2021, word for word: loops over recordings and pairs, no algebra."""
    weights = challenge_weights()

    def total(answers: np.ndarray) -> float:
        found = 0.0
        for row, answer in zip(true, answers, strict=True):
            number = max(int(np.logical_or(row, answer).sum()), 1)
            for j in range(26):
                for k in range(26):
                    if row[j] and answer[k]:
                        found += weights[j, k] / number
        return found

    inactive = np.zeros_like(true)
    inactive[:, NAMES.index("NSR")] = True
    observed, correct, none = total(said), total(true), total(inactive)
    return (observed - none) / (correct - none) if correct != none else 0.0


def test_the_table_of_weights_is_the_challenge_s():
    weights = challenge_weights()
    assert weights.shape == (26, 26)
    assert (np.diag(weights) == 1).all()
    assert np.array_equal(weights, weights.T)
    at = {name: place for place, name in enumerate(NAMES)}
    assert weights[at["AF"], at["AFL"]] == 0.5
    assert weights[at["AF"], at["NSR"]] == 0.25
    assert weights[at["AF"], at["TInv"]] == 0.5
    assert weights[at["AF"], at["PAC"]] == 0.3375
    text = (files("enecg.data") / "challenge2021" / "weights.csv").read_text()
    head = next(csv.reader(text.splitlines()))
    assert [cell.split("|") for cell in head[1:]] == [list(map(str, codes)) for codes in SCORED_DIAGNOSES.values()]


@pytest.mark.parametrize(
    ("true", "said", "expected"),
    [
        (["AF", "NSR"], ["AF", "NSR"], 1.0),
        (["AF", "NSR"], ["NSR", "NSR"], 0.0),
        # Earned (0.5 / 2 + 1), by all that is true 2, by sinus rhythm for all (0.25 / 2 + 1).
        (["AF", "NSR"], ["AFL", "NSR"], (1.25 - 1.125) / (2 - 1.125)),
        # One of two: 1/2 and the pair's weight 0.35 / 2 of 2 + 2 * 0.35 over 2; sinus rhythm 0.25 and 0.4 over 3.
        (["AF LAD"], ["AF"], ((1 + 0.35) / 2 - (0.25 + 0.4) / 3) / ((2 + 0.7) / 2 - (0.25 + 0.4) / 3)),
        # Nothing said earns nothing, which is worse than always saying sinus rhythm.
        (["AF"], [""], (0 - 0.125) / (1 - 0.125)),
        # Where nothing scored is true there is nothing to earn.
        (["", "AF"], ["SB STach", "AF"], 1.0),
        ([""], ["AF"], 0.0),
        (["NSR"], ["AF"], 0.0),
    ],
)
def test_hand_made_examples(true, said, expected):
    weights = challenge_weights()
    at = {name: place for place, name in enumerate(NAMES)}
    assert (weights[at["AF"], at["LAD"]], weights[at["LAD"], at["NSR"]]) == (0.35, 0.4)
    assert challenge_score(marks(*true), marks(*said)) == pytest.approx(expected)


@given(MARKS, st.randoms())
def test_the_score_is_the_definition_s(true, random):
    said = np.array([[random.random() < 0.2 for _ in row] for row in true])
    assert challenge_score(true, said) == pytest.approx(by_the_definition(true, said), abs=1e-9)


@given(MARKS, MARKS.filter(lambda rows: True), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_a_recording_that_weighs_twice_is_one_that_is_there_twice(true, said, counts):
    n = min(len(true), len(said))
    true, said, weights = true[:n], said[:n], np.array(counts[:n])
    repeated = np.repeat(np.arange(n), weights)
    drawn = challenge_metric(true, said)(weights[None].astype(float))[0]
    assert drawn == pytest.approx(challenge_score(true[repeated], said[repeated]) if len(repeated) else 0.0, abs=1e-9)


def test_what_is_said_is_of_even_odds_or_the_likeliest():
    probabilities = np.array([[0.6, 0.5, 0.1], [0.1, 0.4, 0.3], [0.0, 0.0, 0.0]])
    assert decided(probabilities).tolist() == [[True, True, False], [False, True, False], [True, False, False]]


def test_it_is_a_metric_of_its_task_alone():
    task = TASKS["cinc2021"]
    assert metrics_of(task) == ("macro_auroc", "challenge_score")
    assert "challenge_score" not in metrics_of(TASKS["statements"])
    true = marks("AF", "NSR", "SB LAD", "").astype(np.float32)
    scored = Scored(task, true, np.where(true > 0, 0.9, 0.2).astype(np.float32))
    metric = make_metric("challenge_score", scored)
    assert metric(np.ones((1, 4)))[0] == pytest.approx(1.0)
    # All four rows of weights at once: the first recording alone, the second alone, ...
    assert metric(np.eye(4)).tolist() == pytest.approx([1, 0, 1, 0])
