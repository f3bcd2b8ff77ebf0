"""Curves and thresholds, against scikit-learn and against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from enecg.ensemble import Answers
from enecg.evaluation import OutOfFold, _systems, curves_of, spread_of
from enecg.evaluation._metrics import MIN_CLASS, average_precision
from enecg.tasks import TASKS, Task

SEX, POTASSIUM, AGE = TASKS["sex"], TASKS["potassium"], TASKS["age"]
LABELS = Task("found", "multilabel", ("often", "seldom", "never"))


def held(task, truth, answers, subjects=None, fold=None):
    """Of one round."""
    n = len(truth)
    whole = np.asarray(answers, np.float32)[None]
    folds = np.zeros((1, n), np.intp) if fold is None else np.asarray(fold)[None]
    return OutOfFold(task, np.asarray(truth, np.float32), whole, folds, np.arange(n) if subjects is None else subjects)


@pytest.fixture(params=[0, 1])
def some(request):
    """300 answers about sex that know something, with ties: (truth, chance)."""
    rng = np.random.default_rng(request.param)
    chance = np.round(rng.uniform(size=300), 2)
    return (rng.uniform(size=300) < chance).astype(float), chance


def one(task, truth, answers, **more):
    made, few = curves_of(held(task, truth, answers, **more))
    assert not few
    [only] = made
    return only


def test_areas_and_the_curve_are_scikit_learns(some):
    truth, chance = some
    chance = np.float32(chance)
    found = one(SEX, truth[:, None], chance[:, None])
    assert (found.name, found.n, found.positives) == ("female", 300, truth.sum())
    assert found.auroc.value == pytest.approx(roc_auc_score(truth, chance))
    assert found.average_precision.value == pytest.approx(average_precision_score(truth, chance))
    precision, recall, _ = precision_recall_curve(truth, chance)
    assert found.recall == pytest.approx(recall[:-1][::-1])
    assert found.precision == pytest.approx(precision[:-1][::-1])
    for area in (found.auroc, found.average_precision):
        assert area.low < area.value < area.high


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans(), st.integers(0, 3)), min_size=1))
def test_weighing_a_recording_twice_is_having_it_twice(rows):
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    again = np.repeat(np.arange(len(rows)), weights)
    value = average_precision(scores, positive)(weights[None].astype(float))[0]
    if not positive[again].any():
        assert np.isnan(value)
    else:
        assert value == pytest.approx(average_precision_score(positive[again], scores[again]))


def test_the_bins_hold_every_answer_and_say_the_share_that_was_found(some):
    truth, chance = some
    bins = one(SEX, truth[:, None], chance[:, None]).bins
    assert sum(own.n for own in bins) == 300
    assert sum(own.share.value * own.n for own in bins) == pytest.approx(truth.sum())
    assert sum(own.chance * own.n for own in bins) == pytest.approx(chance.sum(), rel=1e-5)
    assert all(own.share.low <= own.share.value <= own.share.high for own in bins)
    # These answers are calibrated: nine of ten bins and more agree.
    assert sum(own.share.low <= own.chance <= own.share.high for own in bins) >= 8


def test_all_or_nothing_is_not_certain():
    truth = np.repeat([0.0, 1.0], 10)
    first, *_, last = one(SEX, truth[:, None], truth[:, None] * 0.98 + 0.01).bins
    assert (first.share.value, last.share.value) == (0, 1)
    # Wilson: z^2 / (n + z^2).
    assert first.share.high == pytest.approx(3.8415 / 13.8415, abs=1e-3)
    assert last.share.low == pytest.approx(10 / 13.8415, abs=1e-3)


def test_points_are_counted_and_thresholds_do_what_they_say(some):
    truth, chance = some
    chance = np.float32(chance)
    found = one(SEX, truth[:, None], chance[:, None])
    answered, sensitive, specific = found.points
    assert (answered.how, answered.threshold) == ("as answered", 0.5)
    for point in found.points:
        yes = chance >= np.float32(point.threshold)
        assert point.flagged == yes.sum()
        assert point.sensitivity.value == pytest.approx(yes[truth == 1].mean())
        assert point.specificity.value == pytest.approx((~yes)[truth == 0].mean())
        assert point.precision.value == pytest.approx(truth[yes].mean())
        for share in (point.sensitivity, point.specificity, point.precision):
            assert share.low <= share.value <= share.high
    thresholds = np.unique(chance)
    above = thresholds[thresholds > sensitive.threshold].min()
    assert sensitive.sensitivity.value >= 0.9 > (chance >= above)[truth == 1].mean()
    below = thresholds[thresholds < specific.threshold].max()
    assert specific.specificity.value >= 0.9 > (chance < below)[truth == 0].mean()


def test_where_no_threshold_is_specific_enough_there_is_no_such_point():
    truth = np.tile([0.0, 1.0], 20)
    found = one(SEX, truth[:, None], np.full((40, 1), 0.3))
    assert [point.how for point in found.points] == ["as answered", "sensitivity 90% or more"]
    assert found.points[0].flagged == 0
    assert np.isnan(found.points[0].precision.value)


def test_more_recordings_of_the_same_people_make_nothing_surer(some):
    truth, chance = some
    people = np.arange(300)
    alone = one(SEX, truth[:, None], chance[:, None], subjects=people)
    twice = one(SEX, np.tile(truth, 2)[:, None], np.tile(chance, 2)[:, None], subjects=np.tile(people, 2))
    assert twice.points[0].sensitivity == pytest.approx(alone.points[0].sensitivity)
    assert twice.average_precision.value == pytest.approx(alone.average_precision.value)
    width = [own.average_precision.high - own.average_precision.low for own in (alone, twice)]
    assert width[1] == pytest.approx(width[0], rel=0.01)


def test_each_class_and_each_group_is_asked_about_and_unsure_labels_are_left_out():
    truth = np.array([[1, 0, 0]] * 20 + [[0, 1, 0]] * 20 + [[0, 0, 1]] * 20 + [[1, 0, 1]] * 7, np.float32)
    answers = np.random.default_rng(0).dirichlet([1, 1, 1], len(truth)).astype(np.float32)
    made, few = curves_of(held(POTASSIUM, truth, answers))
    assert not few
    counted = {own.name: (own.n, own.positives) for own in made}
    # `abnormal` says neither low nor high, but not normal, and abnormal.
    assert counted == {"low": (60, 20), "normal": (67, 20), "high": (60, 20), "abnormal": (67, 47)}
    by_name = {own.name: own for own in made}
    top = answers.argmax(axis=1)
    assert by_name["abnormal"].points[0].flagged == (top != 1).sum()
    assert by_name["normal"].points[0].flagged == (top == 1).sum()
    assert by_name["low"].points[0].threshold is None


def test_labels_stand_for_themselves_and_rare_ones_are_told():
    rng = np.random.default_rng(0)
    truth = np.zeros((50, 3), np.float32)
    truth[:20, 0], truth[: MIN_CLASS - 1, 1] = 1, 1
    made, few = curves_of(held(LABELS, truth, rng.uniform(size=(50, 3))))
    assert [own.name for own in made] == ["often"]
    assert few == {"seldom": (MIN_CLASS - 1, 51 - MIN_CLASS), "never": (0, 50)}


def test_recordings_without_a_label_or_an_answer_do_not_count(some):
    truth, chance = some[0].copy(), some[1].copy()
    truth[:10], chance[10:20] = np.nan, np.nan
    assert one(SEX, truth[:, None], chance[:, None]).n == 280
    assert curves_of(held(SEX, np.full((5, 1), np.nan), np.zeros((5, 1)))) == ([], {})


def test_folds_are_not_compared_with_each_other(some):
    """Two models of which one says less of everything, and each orders its own rightly."""
    truth = np.tile([0.0, 1.0], 20)
    fold = np.repeat([0, 1], 20)
    chance = 0.1 + 0.2 * truth + 0.5 * fold
    assert one(SEX, truth[:, None], chance[:, None], fold=fold).auroc.value == 1


def test_rounds_stand_beside_each_other_in_order():
    """What each model of a round said is found where it was said, also by models that tested a part only."""
    n = 30
    truth = np.tile([0.0, 1.0], n // 2)[:, None].astype(np.float32)
    said = np.linspace(0, 1, n, dtype=np.float32)[:, None]

    def part(places, values):
        whole = Answers(
            SEX, values, values[:, None], np.ones((len(places), 1), np.float32), 0.9, np.ones(len(places), bool)
        )
        return _systems.Tested(places, {"ensemble": {"sex": values}}, {"sex": whole})

    half = np.arange(n) < n // 2
    first, second = np.flatnonzero(half), np.flatnonzero(~half)
    rounds = [[part(first, said[first]), part(second, said[second])], [part(first, 1 - said[first])]]
    found = OutOfFold.of(SEX, truth, rounds, np.arange(n))
    assert found.answers[0] == pytest.approx(said)
    assert found.answers[1, :, 0] == pytest.approx(np.where(half, 1 - said[:, 0], np.nan), nan_ok=True)
    assert found.fold.tolist() == [[0] * 15 + [1] * 15, [0] * 15 + [-1] * 15]
    _, answers, fold, subjects = found.pooled()
    assert len(answers) == 45
    assert len(np.unique(fold)) == 3
    assert subjects.tolist() == [*range(30), *range(15)]


def test_the_truth_where_so_much_was_answered():
    answers = np.arange(100.0)[:, None]
    rows = spread_of(held(AGE, answers + 3, answers))
    assert rows.shape == (10, 4)
    assert rows[:, 0] == pytest.approx(np.arange(4.5, 100, 10))
    assert rows[:, 2] == pytest.approx(rows[:, 0] + 3)
    assert rows[:, 3] - rows[:, 1] == pytest.approx(np.full(10, 7.2))
    assert spread_of(held(AGE, answers[:25], answers[:25])).shape == (2, 4)
    assert spread_of(held(AGE, answers[:0], answers[:0])).shape == (0, 4)


def test_the_same_seed_draws_the_same_people(some):
    truth, chance = some
    whole = held(SEX, truth[:, None], chance[:, None])
    first, again, other = (curves_of(whole, seed)[0][0].auroc for seed in (0, 0, 1))
    assert first == again
    assert first != other
