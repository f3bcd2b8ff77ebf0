"""The whole of an evaluation on a small simulated cohort."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from enecg import evaluate, get_expert, load_cohort
from enecg.ensemble import SeenWarning
from enecg.errors import CohortError, LeakageError, WeightsError
from enecg.evaluation import (
    Fold,
    cross_validation,
    curves_of,
    evaluate_fitted,
    markdown,
    metric_names,
    shuffled,
)
from enecg.experts import Card, Expert, Inputs, published_names
from enecg.inputs import subject_digest
from enecg.tasks import get_task

DATA = Path(__file__).parents[1] / "data"


def rows_of(found, **wanted):
    return [row for row in found.rows if all(row.get(key) == value for key, value in wanted.items())]


def value(found, **wanted):
    rows = [row for row in rows_of(found, **wanted) if "group" not in row]
    assert len(rows) == 1
    return rows[0]["value"]


@pytest.fixture(scope="module")
def found(people, model):
    fold = cross_validation(people, ["rr_interval", "sex"], 3)[0]
    peer = {"sex": np.full((len(people), 1), 0.5, np.float32)}
    return evaluate(model, people, rounds=[[fold]], paper=True, peer=[peer])


def test_every_system_is_in_the_table_of_every_task(found):
    systems = {
        "trivial",
        "rocket-small alone",
        "measurements alone",
        "uniform average",
        "without gate",
        "ensemble, top 1",
        "ensemble",
        "best expert",
        "paper recipe",
    }
    for task, metric, more in (("rr_interval", "mae", set()), ("sex", "auroc", {"peer"})):
        assert {
            row["system"] for row in rows_of(found, task=task, metric=metric) if "group" not in row
        } == systems | more


def test_the_ensemble_reads_rr_from_the_beats_and_its_figures_have_intervals(found):
    row = rows_of(found, task="rr_interval", system="ensemble", metric="mae")[0]
    assert row["low"] <= row["value"] <= row["high"]
    assert row["value"] < 25
    assert value(found, task="rr_interval", system="ensemble", metric="coverage") > 0.7


def test_a_peer_that_knows_nothing_is_beaten_by_nothing(found):
    assert value(found, task="sex", system="peer", metric="auroc") == 0.5
    gain = rows_of(found, task="sex", system="ensemble - peer", metric="auroc gain")[0]
    ours = value(found, task="sex", system="ensemble", metric="auroc")
    assert gain["value"] == pytest.approx(ours - 0.5)
    assert gain["low"] < gain["value"] < gain["high"]


@pytest.mark.parametrize("change", ["fewer recordings", "another task's outputs", "another round"])
def test_a_peers_answers_to_something_else_are_refused(people, model, change):
    fold = cross_validation(people, ["rr_interval", "sex"], 3)[0]
    shapes = {"fewer recordings": (len(people) - 1, 1), "another task's outputs": (len(people), 2)}
    peer = {"sex": np.zeros(shapes.get(change, (len(people), 1)), np.float32)}
    peers = [peer, peer] if change == "another round" else [peer]
    with pytest.raises(CohortError, match=r"a peer's answers (of 2 rounds for 1|to sex are \(\d+, \d\), expected)"):
        evaluate(model, people, rounds=[[fold]], peer=peers)


def test_costs_are_there_for_all_that_was_trained(found):
    for figure in ("seconds to fit", "trained parameters", "all parameters", "peak MiB"):
        systems = {row["system"] for row in rows_of(found, task="", metric=figure)}
        assert {"ensemble", "rocket-small alone", "measurements alone", "paper recipe"} <= systems
    whole = value(found, task="", system="ensemble", metric="trained parameters")
    parts = [
        value(found, task="", system=f"{name} alone", metric="trained parameters")
        for name in ("rocket-small", "measurements")
    ]
    assert max(parts) < sum(parts) <= whole
    peaks = {row["system"]: row["value"] for row in rows_of(found, task="", metric="peak MiB")}
    assert peaks["ensemble"] >= max(peaks["rocket-small alone"], peaks["measurements alone"])
    # The paper's base stays as it was drawn, so that only a part of its numbers is trained.
    paper = [value(found, task="", system="paper recipe", metric=f"{which} parameters") for which in ("trained", "all")]
    assert paper[0] < 0.2 * paper[1]


def test_every_metric_of_a_task_has_a_known_name(found, people):
    names = {row["metric"] for row in found.rows if row["task"] and not row["metric"].endswith(" gain")}
    assert names == set(metric_names(get_task(row["task"]) for row in found.rows if row["task"]))


def test_groups_by_sex_and_age_stand_beside_the_whole(found):
    groups = {row["group"] for row in found.rows if "group" in row}
    assert groups & {"female", "male"}


def test_the_table_names_what_the_record_holds(found):
    text = markdown(found.record())
    for word in (
        "recordings of simulated tested",
        "All of them are simulated.",
        "| rr_interval |",
        "| sex |",
        "ensemble, top 1",
        "gain of the ensemble over",
        "| cost |",
    ):
        assert word in text


def test_roles_say_who_was_used_for_what(found, people):
    assert set(found.roles.values()) == {"t", "v", "e"}
    assert list(found.roles) == [item.id for item in people]


def test_who_was_used_for_what_is_counted(found, people):
    [used] = found.about["used"]
    for side, letter in (("trained", "t"), ("validated", "v"), ("tested", "e")):
        own = [name for name, letters in found.roles.items() if letters == letter]
        subjects = {item.subject for item in people if item.id in own}
        assert used[side] == {"recordings": len(own), "subjects": len(subjects)}


def test_what_is_held_for_curves_are_the_answers_that_the_figures_are_of(found, people):
    held = found.held["sex"]
    tested = np.array([found.roles[item.id] == "e" for item in people])
    assert held.answers.shape == (1, len(people), 1)
    assert np.isfinite(held.answers[0, :, 0]).tolist() == tested.tolist()
    assert (held.fold[0] >= 0).tolist() == tested.tolist()
    assert held.truth[:, 0].tolist() == [float(name == "female") for name in people.targets["sex"]]
    [curves], few = curves_of(held)
    assert not few
    assert curves.auroc.value == pytest.approx(value(found, task="sex", system="ensemble", metric="auroc"))
    assert curves.points[0].sensitivity.value == pytest.approx(
        (held.answers[0, tested, 0] >= 0.5)[held.truth[tested, 0] == 1].mean()
    )


def test_the_same_evaluation_gives_the_same_figures(people, model):
    fold = cross_validation(people, ["rr_interval", "sex"], 3)[1]
    runs = [evaluate(model, people, rounds=[[fold]]) for _ in range(2)]
    assert [row for row in runs[0].rows if row["task"]] == [row for row in runs[1].rows if row["task"]]


def test_shuffled_labels_teach_nothing(people, model):
    mixed = shuffled(people, ["rr_interval", "sex"])
    fold = cross_validation(mixed, ["rr_interval", "sex"], 2)[0]
    found = evaluate(model, mixed, rounds=[[fold]])
    assert 0.3 < value(found, task="sex", system="ensemble", metric="auroc") < 0.7
    labels = mixed.targets["rr_interval"].to_numpy()
    constant = np.abs(labels - labels.mean()).mean()
    assert value(found, task="rr_interval", system="ensemble", metric="mae") > 0.85 * constant


def test_a_subject_on_two_sides_is_refused(people, model):
    n = len(people)
    train = np.arange(n) % 2 == 0  # Recordings of one subject stand side by side.
    validation = np.zeros(n, dtype=bool)
    with pytest.raises(LeakageError, match=r"subject simulated:11-0 is in training and test"):
        evaluate(model, people, rounds=[[Fold(train, validation, ~train)]])


def test_a_finished_model_is_tested_elsewhere_but_not_on_its_own_subjects(people, model):
    model = model.clone().fit(people.take(np.arange(160)))
    elsewhere = load_cohort("simulated", n=60, seed=99, rate=100.0)
    found = evaluate_fitted(model, elsewhere)
    assert value(found, task="rr_interval", system="ensemble", metric="mae") < 40
    assert found.about["trained"] == 160
    assert found.about["used"] == [{"tested": {"recordings": 60, "subjects": 60}}]
    with pytest.raises(LeakageError, match=r"10 of 30 subjects of cohort simulated trained this ensemble"):
        evaluate_fitted(model, people.take(np.arange(140, 200)))
    flagged = evaluate_fitted(model, people.take(np.arange(140, 200)), allow_seen=True)
    assert all(row["seen_by"] == ["the ensemble"] for row in flagged.rows)


def test_random_weights_are_named_beside_the_figures(half_random):
    elsewhere = load_cohort("simulated", n=40, seed=99, rate=100.0)
    found = evaluate_fitted(half_random, elsewhere)
    assert found.about["caveats"] == {"ecgfounder:tiny": "random weights: it knows nothing"}
    said = markdown(found.record())
    assert said.count("random weights") == 1
    assert "| ecgfounder:tiny alone |" in said


@pytest.mark.parametrize("name", published_names())
def test_a_published_expert_is_not_tested_on_what_it_has_seen_or_may_have_seen(model, name):
    """Told before its weights are asked for; random weights have seen nothing."""
    cohort = load_cohort("challenge2021", DATA / "challenge2021")
    seen = set(get_expert(name).card.seen)
    met = "unknown" in seen or bool(seen & {"challenge2021", "cpsc_2018", "georgia", "ningbo"})
    named = model.clone().set_params(experts=(name,), tasks=("sex",))
    with pytest.raises(LeakageError if met else WeightsError, match=name):
        evaluate(named, cohort)
    if met:
        with pytest.raises(WeightsError, match=f"`enecg experts pull {name}`"):
            evaluate(named, cohort, allow_seen=True)
    assert not get_expert(f"{name}:random").card.seen


class Travelled(Expert):
    """An expert that was trained on a public cohort."""

    card = Card(
        name="travelled",
        summary="for a test",
        dim=2,
        leads=("I",),
        rate=0,
        seconds=0,
        licence="Apache-2.0",
        citation="",
        source="here",
        seen=("hospital",),
    )

    def prepare(self, recordings):
        windows = np.array([[one.signal.mean(), one.signal.std()] for one in recordings], np.float32)
        return Inputs(windows, np.arange(len(recordings)), len(recordings))

    def embed_windows(self, windows):
        return windows


@pytest.mark.parametrize("seen", [("hospital",), ("unknown",)])
def test_an_expert_that_has_seen_the_cohort_is_refused_or_flagged(people, model, seen, monkeypatch):
    monkeypatch.setattr(Travelled, "card", replace(Travelled.card, seen=seen))
    some = people.take(np.arange(80))
    real = replace(some, name="hospital", simulated=False)
    model = model.clone().set_params(experts=(Travelled(), "measurements"), tasks=("sex",))
    fold = cross_validation(real, ["sex"], 2)[0]
    with pytest.raises(LeakageError, match=r"travelled was trained on subjects of cohort hospital \(or does not say\)"):
        evaluate(model, real, rounds=[[fold]])
    found = evaluate(model, real, rounds=[[fold]], allow_seen=True)
    assert all(row["seen_by"] == ["travelled"] for row in found.rows)


@pytest.mark.parametrize("side", ["train", "validation", "test"])
def test_only_whom_an_expert_has_met_among_the_tested_is_a_leak(people, model, side, monkeypatch):
    some = people.take(np.arange(80))
    fold = cross_validation(some, ["sex"], 2)[0]
    met = {subject_digest(some.subjects[row]) for row in np.flatnonzero(getattr(fold, side))}
    monkeypatch.setattr(Travelled, "card", replace(Travelled.card, seen=(), seen_subjects=frozenset(met)))
    model = model.clone().set_params(experts=(Travelled(), "measurements"), tasks=("sex",))
    if side == "test":
        with pytest.raises(LeakageError, match="travelled was trained on subjects"):
            evaluate(model, some, rounds=[[fold]])
    else:
        # Too few people are left to say how much an expert counts that knows those who teach.
        told = pytest.warns(SeenWarning) if side == "train" else nullcontext()
        with told:
            assert evaluate(model, some, rounds=[[fold]]).rows
