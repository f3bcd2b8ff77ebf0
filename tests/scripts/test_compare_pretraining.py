"""The comparison of ways to pretrain, on networks and recordings that take a moment."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from enecg.cohorts import load_cohort
from enecg.experts import get_expert
from enecg.pretraining import Corpus, TrainSettings
from enecg.tasks import get_task

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def scripts():
    """The script, and the one that makes its table: as when they are run, files beside them can be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("compare_pretraining"), importlib.import_module("results_comparisons")


@pytest.fixture(scope="module")
def script(scripts):
    return scripts[0]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    cohort = load_cohort("simulated", n=48, seed=7, rate=100.0)
    tasks = [get_task(name) for name in ("superclass", "age", "sex")]
    room = str(tmp_path_factory.mktemp("room"))
    return Corpus.of(get_expert("s4d:tiny"), cohort, room, targets=cohort.targets, tasks=tasks, validation=0.4)


@pytest.fixture(scope="module")
def bench(script, corpus):
    settings = TrainSettings(steps=4, batch=6, learning_rate=1e-2)
    return script.Bench(get_expert("s4d:tiny"), corpus, settings)


@pytest.fixture
def kept(script, corpus, tmp_path):
    """Makes what a new process would find."""

    def make(**about):
        ids = [str(place) for place in range(len(corpus.validation))]
        people = corpus.people[corpus.owner[corpus.validation]]
        found = script.Kept(tmp_path / "comparisons.json", {"steps": 4} | about, ids, people)
        found.read()
        return found

    return make


def test_wrong_labels_are_those_of_other_training_recordings_and_validation_labels_stay_right(script, corpus):
    spoiled, changed = script.wrong_labels(corpus, seed=0)
    taught, looked = (np.unique(corpus.owner[windows]) for windows in (corpus.train, corpus.validation))
    for name, column in corpus.targets.items():
        other = spoiled.targets[name]
        assert np.array_equal(other[looked], column[looked])
        assert np.array_equal(np.sort(other[taught], axis=0), np.sort(column[taught], axis=0))
        differ = (other != column).any(axis=1)[taught].mean()
        assert changed[name] == pytest.approx(differ)
        assert 0 < differ <= script.WRONG + 1 / len(taught)
    assert not np.array_equal(script.wrong_labels(corpus, seed=1)[0].targets["age"], spoiled.targets["age"])


def test_a_loss_is_reached_between_two_looks_and_one_that_was_not_is_told_as_such(script):
    looks = [
        {"step": step, "seconds": 5 + step, "loss": loss} for step, loss in [(0, 1.0), (10, 1.2), (20, 0.8), (30, 0.7)]
    ]
    assert script.reached(looks, 1.0) == {"step": 15, "seconds": 20}
    assert script.reached(looks, 0.7) == {"step": 30, "seconds": 35}
    assert script.reached(looks, 0.6) is None


def test_every_way_is_run_and_told_of_in_the_table(scripts, script, bench, kept):
    there = kept()
    script.compare(bench, there, list(script.RUNS), [0])
    record = json.loads(there.path.read_text())
    rows = {row["run"]: row for row in record["rows"]}
    assert list(rows) == list(script.RUNS)
    for name, row in rows.items():
        run = script.RUNS[name]
        steps = [stage["steps"] for stage in row["stages"]]
        assert steps[-1] == round(4 * run.times) == row["looks"][-1]["step"]
        assert (len(steps) > 1) == bool(run.first or run.of > 1)
        assert row["seconds"] == pytest.approx(sum(stage["seconds"] for stage in row["stages"]), rel=1e-4)
        assert all(stage["seconds"] > 0 for stage in row["stages"])
    assert rows["uniform"]["reached"] is not None
    assert [(row["run"], row["against"]) for row in record["gains"]] == [
        (name, other) for name, run in script.RUNS.items() for other in run.against
    ]
    for row in record["gains"]:
        assert row["gain"] == pytest.approx(rows[row["against"]]["loss"] - rows[row["run"]]["loss"], abs=1e-4)
        assert row["low"] <= row["gain"] <= row["high"]
    read = {"taught": 1, "looked": 1, "validated": 1}
    record["about"] |= {
        "network": "s4d",
        "batch": 6,
        "of": 4,
        "wrong": 0.3,
        "recordings": read,
        "command": "a command",
    }
    for row in record["rows"]:
        row["statements"] = 0.5
    page = scripts[1].comparisons(record)
    assert all(f"\n| {name} |" in page for name in script.RUNS)
    verdict = page.partition("**What helped, and what did not.**")[2]
    assert all(f"{row['run']} ({row['gain']:+.4f})" in verdict for row in record["gains"])


def test_a_killed_comparison_goes_on_with_what_is_missing_and_ends_with_the_same_losses(script, bench, kept):
    told = []
    done = bench.do(script.RUNS["uniform"], 0, told.append)
    kept().add("uniform", 0, *done)
    again = kept()
    assert again.has("uniform", 0)
    assert not again.has("warm-start", 0)
    script.compare(bench, again, ["uniform", "warm-start"], [0])
    assert [row["run"] for row in kept().rows] == ["uniform", "warm-start"]
    np.testing.assert_allclose(kept().losses["uniform 0"], done[1], atol=1e-5)
    np.testing.assert_allclose(bench.do(script.RUNS["uniform"], 0, told.append)[1], done[1], rtol=0)


def test_results_of_other_settings_are_not_written_over(script, bench, kept):
    first = kept()
    first.add("uniform", 0, *bench.do(script.RUNS["uniform"], 0, lambda _: None))
    before = first.path.read_bytes()
    with pytest.raises(SystemExit, match=r"of other runs \(steps not the same\); remove it, or choose --to"):
        kept(steps=5)
    assert first.path.read_bytes() == before


def test_a_frozen_network_keeps_its_weights_and_its_heads_learn(script, bench):
    shown = {}
    training = bench.training

    def seen(network, objective, *rest):
        work = training(network, objective, *rest)
        shown["heads"] = {name: part.clone() for name, part in work.objective.state_dict().items()}
        shown["network"], shown["work"] = {name: part.clone() for name, part in network.state_dict().items()}, work
        return work

    other = replace(bench)
    other.training = seen
    other.do(script.RUNS["random-alone"], 0, lambda _: None)
    work = shown["work"]
    assert all(torch.equal(part, shown["network"][name]) for name, part in work.network.state_dict().items())
    assert not all(torch.equal(part, shown["heads"][name]) for name, part in work.objective.state_dict().items())
