"""The recipe "joint" from end to end, on embeddings whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from enecg.ensemble import JointSettings, SeenWarning, extend_ensemble
from enecg.ensemble._splits import folds_of, hold_out, subject_codes
from enecg.ensemble._targets import TargetSpace
from enecg.ensemble._train_head import Split, train_head
from enecg.errors import FitError
from enecg.tasks import Task

NAN = np.float32(np.nan)


@pytest.fixture(scope="module")
def fresh(make_embedded, labels):
    """Recordings that no ensemble has seen, and their labels."""
    embedded = make_embedded(500, (30, 20), seed=99)
    return embedded, labels(embedded, seed=99)


def accuracy(answers, labels):
    """By task: mean absolute error over that of the constant, or the AUROC (mean over classes)."""
    found = {}
    for name, own in answers.items():
        truth = labels[name]
        if own.task.kind == "regression":
            constant = np.abs(truth - np.median(truth)).mean()
            found[name] = np.abs(own.value - truth).mean() / constant
        else:
            found[name] = np.mean([roc_auc_score(t, p) for t, p in zip(truth.T, own.value.T, strict=True)])
    return found


def same(one, other):
    """Whether two sets of answers have the same bits."""
    fields = ("value", "experts", "weights", "calibrated", "low", "high", "members")
    return all(
        np.array_equal(getattr(one[name], field), getattr(other[name], field), equal_nan=field in ("value", "experts"))
        if getattr(one[name], field) is not None
        else getattr(other[name], field) is None
        for name in one
        for field in fields
    )


def test_what_the_embeddings_tell_is_learned(known, fresh):
    found = accuracy(known[2].predict(fresh[0]), fresh[1])
    assert found["size"] < 0.25
    assert found["time"] < 0.25
    assert found["flag"] > 0.9
    assert found["kind"] > 0.8
    assert found["signs"] > 0.85


def test_the_stated_coverage_holds_on_new_recordings(known, fresh):
    embedded, truth = fresh
    for name, own in known[2].predict(embedded, coverage=0.8).items():
        if own.task.kind == "regression":
            covered = (own.low <= truth[name][:, 0]) & (truth[name][:, 0] <= own.high)
        elif own.task.kind == "multiclass":
            covered = (own.members * truth[name]).sum(axis=1) == 1
        else:
            covered = (own.members == -1) | (own.members == truth[name])
        assert 0.72 < covered.mean() < 0.9, name
        assert own.calibrated.all()


def test_the_weights_follow_the_expert_that_knows(known):
    embedded, _, ensemble = known
    for name, own in ensemble.predict(embedded).items():
        right = 0 if name in ("size", "kind") else 1
        assert own.weights[:, right].min() > 0.7, name


def test_shuffled_labels_teach_nothing(make_embedded, labels, fit, tasks, fresh):
    embedded = make_embedded(300, (30, 20))
    order = np.random.default_rng(1).permutation(300)
    shuffled = {name: column[order] for name, column in labels(embedded).items()}
    found = accuracy(fit(embedded, shuffled, list(tasks.values())).predict(fresh[0]), fresh[1])
    for name, value in found.items():
        assert value > 0.95 if tasks[name].kind == "regression" else abs(value - 0.5) < 0.12, name


def test_missing_labels_are_masked(make_embedded, labels, fit, tasks, fresh):
    embedded = make_embedded(400, (30, 20))
    told = labels(embedded)
    rng = np.random.default_rng(1)
    for name in ("size", "kind"):
        told[name][rng.random(400) < 0.4] = NAN
    told["flag"][:200] = NAN  # one cohort does not know it
    told["signs"][200:] = NAN
    found = accuracy(fit(embedded, told, list(tasks.values())).predict(fresh[0]), fresh[1])
    assert found["size"] < 0.25
    assert found["kind"] > 0.8
    assert found["flag"] > 0.9
    assert found["signs"] > 0.85


def test_a_recording_without_any_label_changes_nothing(make_embedded, labels, fit, tasks, fresh):
    embedded = make_embedded(150, (10, 6))
    told = labels(embedded)
    told = {name: told[name] for name in ("size", "flag")}
    chosen = [tasks["size"], tasks["flag"]]
    rows = np.arange(100)
    for column in told.values():
        column[100:] = NAN
    fewer = fit(embedded.take(rows), {name: column[:100] for name, column in told.items()}, chosen)
    there = make_embedded(60, (10, 6), seed=5)
    assert same(fit(embedded, told, chosen).predict(there), fewer.predict(there))


def test_an_absent_experts_recordings_are_answered_by_the_other(known, without):
    embedded, _, ensemble = known
    gone = np.arange(300) < 100
    part = without(embedded, "e0", gone)
    whole = ensemble.predict(embedded)
    for name, own in ensemble.predict(part).items():
        assert np.isfinite(own.value).all()
        assert (own.weights[gone] == [0, 1]).all()
        assert np.isnan(own.experts[gone, 0]).all()
        assert not own.calibrated[gone].any()
        assert own.calibrated[~gone].all()
        assert np.array_equal(own.value[~gone], whole[name].value[~gone])


def test_a_recording_that_no_expert_took_has_no_answer(known, without):
    embedded, _, ensemble = known
    gone = np.arange(300) == 7
    part = without(without(embedded, "e0", gone), "e1", gone)
    for own in ensemble.predict(part).values():
        assert np.isnan(own.value[7]).all()
        assert not own.weights[7].any()
        assert not own.calibrated[7]
        assert np.isfinite(np.delete(own.value, 7, axis=0)).all()


def test_an_expert_that_misses_recordings_is_trained_on_the_others(make_embedded, labels, fit, tasks, fresh, without):
    embedded = make_embedded(300, (30, 20))
    part = without(embedded, "e1", np.arange(300) % 3 == 0)
    found = accuracy(fit(part, labels(embedded), list(tasks.values())).predict(fresh[0]), fresh[1])
    assert found["time"] < 0.3
    assert found["flag"] > 0.88


def test_one_more_task_leaves_the_others_bits_alone(known, fresh, quick):
    embedded, told, ensemble = known
    more = Task("more", "binary")
    column = (told["size"] > 50).astype(np.float32)
    extended = extend_ensemble(ensemble, more, embedded, column, settings=quick)
    names = [task.name for task in ensemble.tasks]
    there, truth = fresh
    assert same(extended.predict(there, names), ensemble.predict(there))
    assert same(extended.predict(there, names, top_k=1), ensemble.predict(there, top_k=1))
    learned = extended.predict(there, ["more"])["more"]
    assert roc_auc_score(truth["size"][:, 0] > 50, learned.value[:, 0]) > 0.95
    assert learned.calibrated.all()
    before = ensemble.to_state()[1]
    after = extended.to_state()[1]
    assert all(np.array_equal(after[name], part) for name, part in before.items())
    added = set(after) - set(before)
    assert added
    assert all("more" in name for name in added)


def test_new_tasks_leave_the_others_choice_of_experts_alone(make_embedded, labels, fit, tasks, quick):
    # With two tasks that expert e1 answers, the mean weight over all three is no longer what `size` was calibrated on.
    embedded = make_embedded(150, (10, 8))
    told = labels(embedded)
    one = fit(embedded, {"size": told["size"]}, [tasks["size"]])
    more = one
    for name in ("time", "flag"):
        more = extend_ensemble(more, tasks[name], embedded, told[name], settings=quick)
    before, after = one.predict(embedded, top_k=1), more.predict(embedded, ["size"], top_k=1)
    assert same(before, after)
    assert after["size"].calibrated.all()
    assert (after["size"].weights[:, 0] == 1).all()
    assert not more.predict(embedded, top_k=1)["size"].calibrated.any()  # chosen for all three: e1


def test_the_same_seed_gives_the_same_bits_and_another_others(make_embedded, labels, fit, tasks):
    embedded = make_embedded(120, (8, 6))
    told = labels(embedded)
    chosen = [tasks["size"], tasks["kind"]]
    one, again, other = (fit(embedded, told, chosen, seed=seed).predict(embedded) for seed in (1, 1, 2))
    assert same(one, again)
    assert not same(one, other)


def test_the_order_of_recordings_to_be_answered_does_not_matter(known):
    embedded, _, ensemble = known
    order = np.random.default_rng(0).permutation(300)
    whole = ensemble.predict(embedded)
    for rows in (order, order[:1], order[:70], order[:0]):
        for name, own in ensemble.predict(embedded.take(rows)).items():
            assert np.array_equal(own.value, whole[name].value[rows])
            assert np.array_equal(own.weights, whole[name].weights[rows])


@pytest.fixture(scope="module")
def identified():
    """Embeddings that name the subject and say nothing else; two recordings each; labels drawn for each subject."""
    rng = np.random.default_rng(0)
    people = rng.normal(size=(150, 400)).astype(np.float32)
    label = rng.normal(size=(150, 1)).astype(np.float32)
    x = np.repeat(people, 2, axis=0) + 0.01 * rng.normal(size=(300, 400)).astype(np.float32)
    return x, np.repeat(label, 2, axis=0)


@pytest.mark.parametrize("known_subjects", [True, False])
def test_honest_answers_come_from_members_that_did_not_see_the_subject(identified, quick, known_subjects):
    x, label = identified
    subjects = [f"made:{row // 2}" if known_subjects else None for row in range(300)]
    space = TargetSpace.of(Task("size", "regression"), label)
    codes = subject_codes(subjects)
    held = hold_out(codes, np.ones((300, 1), bool), 1 / 8, 0)
    fold = np.full(300, -1)
    fold[~held] = folds_of(codes[~held], 3, 0)
    split = Split(fold, np.flatnonzero(held))
    _, honest = train_head(x, {"size": space.targets(label)}, {"size": space}, split, quick.head, 0)
    told = np.corrcoef(honest["size"][~held, 0], label[~held, 0])[0, 1]
    # Where recordings of one person stand on both sides, the leak is plain to see: the test can fail.
    assert abs(told) < 0.2 if known_subjects else told > 0.4


def test_intervals_are_honest_about_subjects_that_could_be_recognised(identified, make_embedded, fit):
    x, label = identified
    embedded = make_embedded(300, (400,), per_subject=2)
    embedded = replace(embedded, embeddings={**embedded.embeddings, "e0": x})
    ensemble = fit(embedded, {"size": label}, [Task("size", "regression")])
    rng = np.random.default_rng(5)
    strangers = make_embedded(400, (400,), seed=6)
    truth = rng.normal(size=400)
    own = ensemble.predict(strangers)["size"]
    assert 0.86 < np.mean((own.low <= truth) & (truth <= own.high)) < 0.96


def test_validation_subjects_choose_and_never_calibrate(make_embedded, labels, fit, tasks):
    # Labels of validation subjects that are far off stretch no interval: these subjects are no part of calibration.
    embedded = make_embedded(200, (10, 6))
    told = labels(embedded)["size"]
    held = np.arange(200) < 30
    spoilt = told.copy()
    spoilt[held] += np.float32(1000) * (np.arange(30) % 2 * 2 - 1)[:, None].astype(np.float32)
    clean, rough = (
        fit(embedded, {"size": column}, [tasks["size"]], validation=held).calibrations["size"][2]
        for column in (told, spoilt)
    )
    assert rough.scores[0].n == clean.scores[0].n == 170
    assert rough.scores[0].quantile(0.99) < 100


def test_the_gate_is_kept_where_the_leads_tell_which_expert_is_right(make_embedded, fit, quick):
    rng = np.random.default_rng(0)

    def made(n, seed):
        embedded = make_embedded(n, (6, 6), seed=seed)
        sign = np.where(rng.random(n) < 0.5, 1, -1)
        gate = next(name for name in embedded.embeddings if name.startswith("gate"))
        truth = rng.normal(size=n)
        e0, e1 = embedded.embeddings["e0"].copy(), embedded.embeddings["e1"].copy()
        e0[:, 0] = np.where(sign > 0, truth, rng.normal(size=n))
        e1[:, 0] = np.where(sign < 0, truth, rng.normal(size=n))
        wave = (sign[:, None] * np.ones((n, 100)) + 0.1 * rng.normal(size=(n, 100))).astype(np.float32)
        embedded = replace(embedded, embeddings={"e0": e0, "e1": e1, gate: wave})
        return embedded, (50 + 10 * truth[:, None]).astype(np.float32), sign

    embedded, told, _ = made(500, 1)
    settings = replace(quick, gate=replace(quick.gate, max_epochs=30, batch=32, learning_rate=1e-2))
    ensemble = fit(embedded, {"size": told}, [Task("size", "regression")], settings=settings)
    assert ensemble.notes["gate_epoch"] > 0
    there, truth, sign = made(400, 2)
    gated = ensemble.predict(there)["size"]
    prior = replace(ensemble, gate=replace(ensemble.gate, which={}, rows={})).predict(there)["size"]
    assert gated.weights[sign > 0, 0].mean() > 0.7
    assert gated.weights[sign < 0, 0].mean() < 0.3
    assert np.abs(gated.value - truth).mean() < 0.8 * np.abs(prior.value - truth).mean()
    assert 0.84 < np.mean((gated.low <= truth[:, 0]) & (truth[:, 0] <= gated.high)) < 0.97


def test_a_handful_of_subjects_is_fitted_and_says_how_little_it_knows(make_embedded, labels, fit, tasks):
    embedded = make_embedded(8, (10, 6))
    chosen = [tasks[name] for name in ("size", "flag")]
    told = labels(embedded)
    told["flag"] = (np.arange(8) % 2)[:, None].astype(np.float32)
    own = fit(embedded, told, chosen).predict(embedded)
    assert np.isfinite(own["size"].value).all()
    assert np.isinf(own["size"].high).all()  # seven scores bound nothing at 90 %
    assert (own["flag"].members == -1).all()


def test_a_task_labelled_on_few_recordings_is_fitted_beside_the_others(make_embedded, labels, fit, tasks):
    embedded = make_embedded(150, (10, 6))
    told = labels(embedded)
    told["size"][6:] = NAN
    for seed in range(2):
        ensemble = fit(embedded, {k: told[k] for k in ("size", "flag")}, [tasks["size"], tasks["flag"]], seed=seed)
        assert np.isfinite(ensemble.predict(embedded)["size"].value).all()


def test_constant_tiny_and_huge_embeddings_do_no_harm(make_embedded, labels, fit, tasks, fresh):
    embedded = make_embedded(200, (30, 20))
    told = {"size": labels(embedded)["size"]}
    spoilt = embedded.embeddings["e1"].copy()
    spoilt[:, :10], spoilt[:, 10], spoilt[3, 11:] = 3.7, 1e-30, 1e30
    there = replace(embedded, embeddings={**embedded.embeddings, "e1": spoilt})
    ensemble = fit(there, told, [tasks["size"]])
    found = accuracy({"size": ensemble.predict(fresh[0])["size"]}, fresh[1])
    assert found["size"] < 0.25
    constant = replace(embedded, embeddings={**embedded.embeddings, "e1": np.full_like(spoilt, 3.7)})
    assert np.isfinite(fit(constant, told, [tasks["size"]]).predict(constant)["size"].value).all()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_an_expert_may_give_very_few_numbers(make_embedded, fit, tasks, dim):
    embedded = make_embedded(150, (dim,))
    told = (50 + 10 * embedded.embeddings["e0"][:, :1]).astype(np.float32)
    own = fit(embedded, {"size": told}, [tasks["size"]]).predict(embedded)["size"]
    assert np.corrcoef(own.value[:, 0], told[:, 0])[0, 1] > 0.99


def test_an_expert_that_never_meets_a_tasks_labels_leaves_it_to_the_others(make_embedded, labels, fit, tasks, without):
    # Two cohorts: in one the expert cannot run, in the other nobody knows the label.
    embedded = without(make_embedded(240, (30, 20)), "e0", np.arange(240) >= 120)
    told = labels(make_embedded(240, (30, 20)))
    told = {name: told[name] for name in ("size", "flag")}
    told["flag"][:120] = NAN
    ensemble = fit(embedded, told, [tasks["size"], tasks["flag"]])
    own = ensemble.predict(make_embedded(50, (30, 20), seed=3))["flag"]
    assert np.isfinite(own.value).all()
    assert own.weights[:, 1].min() > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": 3}, "3 subjects; expected 4 at least"),
        ({"n": 5, "folds": 5}, "4 subjects are left to train on; expected 5 at least, one for each fold"),
        ({"n": 20, "folds": 1}, "n_folds 1; expected 2 at least"),
        ({"labelled": []}, "no recording has both a label and an expert"),
        ({"labelled": [40, 41, 42], "held": [0, 1]}, "task size: no validation recording has a label"),
        ({"same": True}, "task size: all .* labels are the same"),
        ({"absent": slice(None)}, "no recording has both a label and an expert that could take it"),
        ({"absent": slice(3, None)}, "expert e1 could take too few recordings"),
        ({"held": [0], "per_subject": 2}, "subject made:0 has recordings in training and validation"),
        ({"held": list(range(60))}, "0 subjects are left to train on"),
        ({"held": []}, "task size: no validation recording has a label"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_reason(make_embedded, fit, tasks, quick, without, change, message):
    n = change.get("n", 60)
    embedded = make_embedded(n, (6, 5), per_subject=change.get("per_subject", 1))
    told = np.arange(n, dtype=np.float32)[:, None]
    flag = (np.arange(n) % 2)[:, None].astype(np.float32)
    columns, chosen = {"size": told}, [tasks["size"]]
    if "labelled" in change:
        told[np.setdiff1d(np.arange(n), change["labelled"])] = NAN
        if change["labelled"]:
            columns, chosen = {"size": told, "flag": flag}, [tasks["size"], tasks["flag"]]
    if change.get("same"):
        told[:] = 5
    if "absent" in change:
        gone = np.zeros(n, bool)
        gone[change["absent"]] = True
        embedded = without(embedded, "e1", gone)
        if gone.all():
            embedded = without(embedded, "e0", gone)
    held = np.isin(np.arange(n), change["held"]) if "held" in change else None
    settings = replace(quick, n_folds=change.get("folds", 3))
    assert isinstance(settings, JointSettings)
    with pytest.raises(FitError, match=message):
        fit(embedded, columns, chosen, validation=held, settings=settings)


# -- experts that have learned from some of the subjects --------------------------------------------------------------


@pytest.fixture(scope="module")
def memorised(make_embedded):
    """Two experts and a flag: e0 tells it well, of everyone; e1 a little, but of whom it has seen it knows by heart.

    Returns a function of the rows that e1 has seen: embeddings and labels.
    """

    def make(seen):
        n = len(seen)
        embedded = make_embedded(n, (10, 10), seed=5)
        rng = np.random.default_rng(5)
        honest = embedded.embeddings["e0"][:, 0]
        flag = (honest + rng.normal(size=n) > 0).astype(np.float32)
        told = 2 * flag - 1
        embedded.embeddings["e1"][:, 0] = np.where(seen, told, 0.3 * told + rng.normal(size=n))
        return embedded, {"flag": flag[:, None]}

    return make


FLAG = Task("flag", "binary")


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_an_expert_that_knows_the_training_subjects_by_heart_counts_for_what_it_tells_of_others(memorised, fit, share):
    n = 900
    validation = np.zeros(n, dtype=bool)
    validation[600:] = True
    seen = ~validation & (np.random.default_rng(0).random(n) < share)
    embedded, told = memorised(seen)
    blind = fit(embedded, told, [FLAG], validation=validation)
    aware = fit(embedded, told, [FLAG], validation=validation, seen=seen)
    assert np.exp(blind.gate.prior["flag"])[1] > np.exp(aware.gate.prior["flag"])[1] + 0.15


def test_who_has_been_seen_by_nobody_calibrates(memorised, fit):
    n = 900
    validation = np.zeros(n, dtype=bool)
    validation[600:] = True
    embedded, told = memorised(~validation)
    new, truth = memorised(np.zeros(500, dtype=bool))
    blind = fit(embedded, told, [FLAG], validation=validation).predict(new)["flag"]
    aware = fit(embedded, told, [FLAG], validation=validation, seen=~validation).predict(new)["flag"]

    def loss(answers):
        p = np.clip(answers.value[:, 0], 1e-6, 1 - 1e-6)
        y = truth["flag"][:, 0]
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    assert loss(aware) < 0.69
    assert loss(blind) > 1.1 * loss(aware)


def test_that_no_one_is_left_to_say_how_good_the_experts_are_is_told(memorised, fit):
    embedded, told = memorised(np.ones(300, dtype=bool))
    with pytest.warns(SeenWarning, match="too optimistic"):
        fit(embedded, told, [FLAG], seen=np.ones(300, dtype=bool))


def test_nothing_changes_where_no_training_subject_was_seen(memorised, fit):
    embedded, told = memorised(np.zeros(300, dtype=bool))
    one, other = (fit(embedded, told, [FLAG], seen=seen) for seen in (None, np.zeros(300, dtype=bool)))
    assert same(one.predict(embedded), other.predict(embedded))


@pytest.mark.parametrize("n_held", [2, 3])
def test_too_few_whom_nobody_has_seen_are_told_of_and_not_parted(memorised, fit, n_held):
    n = 300
    held = np.arange(n) >= n - n_held
    embedded, told = memorised(~held)
    told["flag"][-2:, 0] = 0, 1
    with pytest.warns(SeenWarning, match="too optimistic"):
        fit(embedded, told, [FLAG], validation=held, seen=~held)
