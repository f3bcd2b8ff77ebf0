"""From answers to rows, with answers made by hand."""

import numpy as np
import polars
import pytest

from enecg.ensemble import Answers
from enecg.evaluation import _systems
from enecg.evaluation._metrics import bootstrap_weights, interval_of
from enecg.evaluation._score import DRAWS, score
from enecg.evaluation._tables import cell_text
from enecg.tasks import get_task

AGE, N = get_task("age"), 60


@pytest.fixture(scope="module")
def some(people):
    """The first recordings of the cohort, which nobody reads."""
    return people.take(np.arange(N))


@pytest.fixture(scope="module")
def codes():
    """Two recordings of each subject."""
    return np.repeat(np.arange(N // 2), 2)


def truth_of(cohort):
    return AGE.encode(cohort.targets["age"])


def answered(truth, systems, places=None):
    """A round of one fold: the systems' answers, `ensemble` first, with an interval of ten years on both sides."""
    places = np.arange(N) if places is None else places
    ours = systems["ensemble"][places]
    whole = Answers(
        task=AGE,
        value=ours,
        experts=ours[:, None],
        weights=np.ones((len(ours), 1), np.float32),
        coverage=0.9,
        calibrated=np.ones(len(ours), dtype=bool),
        low=ours[:, 0] - 10,
        high=ours[:, 0] + 10,
    )
    answers = {name: {"age": own[places]} for name, own in systems.items()}
    return _systems.Tested(places, answers, {"age": whole})


def one(rows, **wanted):
    [row] = [r for r in rows if "group" not in r and all(r[key] == value for key, value in wanted.items())]
    return row


def off(truth, years, seed=0):
    """Answers that are wrong by so many years, in either direction."""
    sign = np.random.default_rng(seed).choice([-1, 1], truth.shape)
    return (truth + sign * years).astype(np.float32)


def test_a_system_that_missed_a_recording_stays_and_is_compared_on_the_others(some, codes):
    truth = truth_of(some)
    ours, theirs = off(truth, 3), off(truth, 5)
    ours[0] = truth[0] + 63  # Where the peer has no answer, ours is far off: that must not count for the peer.
    theirs[0] = np.nan
    rows = score(AGE, truth, [[answered(truth, {"ensemble": ours, "peer": theirs})]], codes, some, 0)
    assert one(rows, system="ensemble", metric="mae") | {"low": 0, "high": 0} == {
        "task": "age",
        "system": "ensemble",
        "metric": "mae",
        "value": pytest.approx(4),
        "n": N,
        "low": 0,
        "high": 0,
    }
    peer = one(rows, system="peer", metric="mae")
    assert (peer["value"], peer["n"]) == (pytest.approx(5), N - 1)
    gain = one(rows, system="ensemble - peer", metric="mae gain")
    assert (gain["value"], gain["n"]) == (pytest.approx(2), N - 1)
    assert gain["low"] == pytest.approx(2) == gain["high"]  # On common recordings every error differs by two years.


def test_a_system_without_an_answer_or_without_a_round_is_no_row(some, codes):
    truth = truth_of(some)
    ours = off(truth, 3)
    never = np.full_like(truth, np.nan)
    first = answered(truth, {"ensemble": ours, "peer": never, "best expert": ours})
    second = answered(truth, {"ensemble": ours, "peer": never})
    rows = score(AGE, truth, [[first], [second]], codes, some, 0)
    assert {row["system"] for row in rows} == {"ensemble"}


def test_figures_and_their_gains_are_means_over_rounds(some, codes):
    truth = truth_of(some)
    rounds = [
        [answered(truth, {"ensemble": off(truth, ours), "peer": off(truth, theirs)})]
        for ours, theirs in ((2, 3), (4, 9))
    ]
    rows = score(AGE, truth, rounds, codes, some, 0)
    assert one(rows, system="ensemble", metric="mae")["value"] == pytest.approx(3)
    assert one(rows, system="ensemble - peer", metric="mae gain")["value"] == pytest.approx(3)


def test_the_folds_of_a_round_are_scored_together(some, codes):
    truth = truth_of(some)
    answers = {"ensemble": off(truth, 6, seed=1)}
    halves = [answered(truth, answers, places) for places in (np.arange(N // 2), np.arange(N // 2, N))]
    whole = score(AGE, truth, [[answered(truth, answers)]], codes, some, 0)
    assert score(AGE, truth, [halves], codes, some, 0) == whole


def test_the_interval_is_that_of_the_bootstrap_over_subjects(some, codes):
    truth = truth_of(some)
    answers = truth + np.random.default_rng(2).normal(0, 8, truth.shape).astype(np.float32)
    row = one(
        score(AGE, truth, [[answered(truth, {"ensemble": answers})]], codes, some, seed=4),
        system="ensemble",
        metric="mae",
    )
    weights = bootstrap_weights(codes, DRAWS, 4).astype(np.float64)
    values = weights @ np.abs(answers - truth)[:, 0] / weights.sum(axis=1)
    assert (row["low"], row["high"]) == pytest.approx(interval_of(values))
    assert row["low"] < row["value"] < row["high"]


def test_a_groups_interval_is_that_of_the_same_draws_of_subjects(some):
    truth = truth_of(some)
    answers = truth + np.random.default_rng(2).normal(0, 8, truth.shape).astype(np.float32)
    codes = np.arange(N)
    sex = ["female", "male", "male"] * (N // 3)
    other = type(some)(
        name="clinic", recordings=some.recordings, targets=some.targets.with_columns(polars.Series("sex", sex))
    )
    rows = score(AGE, truth, [[answered(truth, {"ensemble": answers})]], codes, other, seed=4)
    [row] = [row for row in rows if row.get("group") == "male"]
    male = np.array(sex) == "male"
    weights = bootstrap_weights(codes, DRAWS, 4)[:, male].astype(np.float64)
    wrong = np.abs(answers - truth)[male, 0]
    assert (row["n"], row["subjects"], row["value"]) == (40, 40, pytest.approx(wrong.mean()))
    assert (row["low"], row["high"]) == pytest.approx(interval_of(weights @ wrong / weights.sum(axis=1)))
    assert row["low"] < row["value"] < row["high"]
    assert not [row for row in rows if row.get("group") == "female"], "20 recordings"


def test_everyone_of_known_age_is_in_one_age_band(some, codes):
    truth = truth_of(some)
    people, answers = some.targets.drop("sex"), {"ensemble": off(truth, 5)}
    for first, counts in ((None, {"under 40 y": 30}), (75.0, {"under 40 y": 30, "75 y and over": 30})):
        ages = polars.Series("age", [first, *[39.9] * 30, *[90.0] * 29])
        aged = type(some)(name="clinic", recordings=some.recordings, targets=people.with_columns(ages))
        rows = score(AGE, truth, [[answered(truth, answers)]], codes, aged, 0)
        assert {row["group"]: row["n"] for row in rows if "group" in row} == counts


def test_a_group_of_few_subjects_says_how_many_instead_of_an_interval(some, codes):
    truth = truth_of(some)
    one_sex = type(some)(
        name="clinic",
        recordings=some.recordings,
        targets=some.targets.with_columns(polars.Series("sex", ["female"] * 58 + ["male"] * 2)),
    )
    rows = score(AGE, truth, [[answered(truth, {"ensemble": off(truth, 5)})]], codes, one_sex, 0)
    [row] = [row for row in rows if row.get("group") == "female"]
    assert (row["n"], row["subjects"], "low" in row) == (58, 29, False)
    assert cell_text(row) == "5.00 (no interval: 29 subjects)"


def test_coverage_counts_recordings_whose_truth_is_inside(some, codes):
    truth = truth_of(some)
    answers = off(truth, 5)
    answers[: N // 4] += 40
    rows = score(AGE, truth, [[answered(truth, {"ensemble": answers})]], codes, some, 0)
    assert one(rows, metric="coverage")["value"] == pytest.approx(0.75)
    assert one(rows, metric="mean interval")["value"] == pytest.approx(20)


def test_two_labels_are_the_fewest_that_are_scored(some, codes):
    truth = truth_of(some)
    answers = off(truth, 5)
    for known, systems in ((1, set()), (2, {"ensemble"})):
        few = np.where(np.arange(N)[:, None] < known, truth, np.nan).astype(np.float32)
        rows = score(AGE, few, [[answered(truth, {"ensemble": answers})]], codes, some, 0)
        assert {row["system"] for row in rows} == systems


def test_columns_that_are_no_numbers_make_no_groups_and_no_error(some, codes):
    rr = get_task("rr_interval")
    truth = rr.encode(some.targets["rr_interval"])
    own = Answers(rr, truth, truth[:, None], np.ones((N, 1), np.float32), 0.9, np.ones(N, dtype=bool))
    own = Answers(**{**own.__dict__, "low": truth[:, 0], "high": truth[:, 0]})
    columns = {"age": ["about fifty"] * N, "rr_sd": ["small"] * N, "sex": ["f"] * N}
    odd = type(some)(
        name="clinic",
        recordings=some.recordings,
        targets=some.targets.with_columns(*(polars.Series(name, column) for name, column in columns.items())),
    )
    fold = _systems.Tested(np.arange(N), {"ensemble": {"rr_interval": truth}}, {"rr_interval": own})
    groups = {row.get("group") for row in score(rr, truth, [[fold]], codes, odd, 0)}
    assert groups == {None, "less regular"}  # What is not known to be regular is not.
