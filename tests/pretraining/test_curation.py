"""Which windows are chosen, and that choosing keeps all promises of a training."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from enecg.cohorts import load_cohort
from enecg.ensemble import TargetSpace
from enecg.errors import FitError
from enecg.experts import get_expert
from enecg.pretraining import Learnability, Objective, Stage, Training, TrainSettings, find_objective, pretrain
from enecg.pretraining._pretrain import checkpoints
from enecg.pretraining.curation import reference_losses
from enecg.tasks import get_task

QUICK = TrainSettings(steps=8, batch=6, check_every=4, learning_rate=1e-2)


@pytest.fixture
def begun(corpus, network):
    """A training that has not begun."""

    def begin(checkpoint=None, corpus=corpus, of=3, objective="supervised", **changed):
        learner = network()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            kind = find_objective(objective) if isinstance(objective, str) else objective
            taught = kind(learner, corpus)
        return Training(learner, taught, corpus, replace(QUICK, **changed), checkpoint=checkpoint, of=of)

    return begin


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def weights(training):
    return {name: part.clone() for name, part in training.network.state_dict().items()}


class Numbered(Objective):
    """Each window's loss is the number of its place in the corpus."""

    name = "numbered"
    summary = "for tests"

    def __init__(self, network, corpus):
        super().__init__(network, corpus)
        self.modes = []

    def forward(self, network, batch):
        self.modes.append((self.training, network.training, torch.is_grad_enabled()))
        return batch.windows.float() + 0 * network(batch.x).sum(dim=1)


def test_the_windows_with_the_largest_difference_of_losses_are_chosen_and_no_others(begun, corpus):
    training = begun(objective=Numbered)
    rng = np.random.default_rng(0)
    reference = torch.from_numpy(rng.normal(0, 30, len(corpus.owner)).astype(np.float32))
    reference[corpus.train[0]] = torch.nan
    batch = corpus.batch(rng.permutation(corpus.train)[:18], torch.Generator())
    places = Learnability(reference, 6)(training.objective, training.network, batch)
    score = (batch.windows - reference[batch.windows]).nan_to_num(-torch.inf)
    rest = np.setdiff1d(np.arange(18), places)
    assert places.tolist() == sorted(set(places.tolist()))
    assert len(places) == 6
    assert score[places].min() > score[rest].max()
    assert torch.equal(places, Learnability(reference, 6)(training.objective, training.network, batch))


def test_scoring_is_as_validation_is_and_leaves_the_training_as_it_was(begun, corpus):
    training = begun(objective=Numbered)
    training.network.train()
    training.objective.eval()
    batch = corpus.batch(corpus.train[:12], torch.Generator())
    before = torch.get_rng_state()
    Learnability(torch.zeros(len(corpus.owner)), 4)(training.objective, training.network, batch)
    assert training.objective.modes == [(False, False, False)]
    assert training.network.training
    assert not training.objective.training
    assert torch.equal(before, torch.get_rng_state())


def test_nobody_is_judged_by_a_reference_that_has_met_them(begun, corpus, monkeypatch):
    met, judged = [], []
    learn, batch_of = Training._learn, type(corpus).batch

    def learning(training):
        met.append((training, set(corpus.people[corpus.owner[training._windows()]].tolist())))
        return learn(training)

    def shown(own, windows, *rest):
        judged.append(windows)
        return batch_of(own, windows, *rest)

    monkeypatch.setattr(Training, "_learn", learning)
    monkeypatch.setattr(type(corpus), "batch", shown)
    training = begun(steps=64)
    before = weights(training)
    found = reference_losses(training)
    assert same(weights(training), before)
    references = list(dict.fromkeys(work for work, _ in met))
    assert len(references) == 2
    known = [set().union(*(people for work, people in met if work is own)) for own in references]
    everybody = set(corpus.people[corpus.owner[corpus.train]].tolist())
    assert not known[0] & known[1]
    assert known[0] | known[1] == everybody
    for own, people in zip(references, known, strict=True):
        assert set(corpus.people[corpus.owner[own.corpus.train]].tolist()) == people
    assert torch.isnan(found[corpus.validation]).all()
    labelled = np.logical_or.reduce([~np.isnan(column).any(1) for column in corpus.targets.values()])[corpus.owner]
    assert (torch.isfinite(found).numpy() == labelled & np.isin(np.arange(len(found)), corpus.train)).all()


def test_choosing_from_no_more_than_is_needed_changes_nothing(begun):
    plain, curated = begun(of=1), begun(of=1)
    curated.choose = Learnability.of(curated)
    for training in (plain, curated):
        training.run()
    assert same(weights(plain), weights(curated))
    assert plain.history == curated.history


def test_choosing_makes_another_training_and_a_stopped_one_ends_with_the_same_weights(begun, tmp_path):
    def curated(checkpoint=None):
        training = begun(checkpoint)
        training.choose = Learnability.of(training)
        return training

    whole = curated()
    whole.run()
    checkpoint = tmp_path / "checkpoint-0.pt"
    curated(checkpoint).run(until=4)
    last = curated(checkpoint)
    assert last.resume()
    assert last.step == 4
    last.run()
    assert same(weights(last), weights(whole))
    plain = begun(of=1)
    plain.run()
    assert not same(weights(plain), weights(whole))


def test_more_to_choose_from_than_there_is_is_refused(begun, corpus):
    with pytest.raises(FitError, match=rf"{len(corpus.train)} windows to learn from, and 6 x 20 to choose from"):
        Learnability.of(begun(of=20))


def test_wrong_labels_are_chosen_less_often_than_right_ones_once_the_references_know(begun, corpus):
    """Whether waves are high or low is soon learned; three in ten labels say the contrary."""
    n, rng = 160, np.random.default_rng(0)
    high, wrong = rng.random(n) < 0.5, rng.random(n) < 0.3
    labels = (high != wrong).astype(np.float32)[:, None]
    noise = rng.normal(size=(n, 12, 80)) * np.where(high, 2.0, 0.5)[:, None, None]
    spoiled = replace(
        corpus,
        prepared=replace(corpus.prepared, data=noise.astype(np.float32)),
        owner=np.arange(n),
        people=np.arange(n),
        targets={"sex": labels},
        spaces={"sex": TargetSpace.of(get_task("sex"), labels)},
        train=np.arange(n - 20),
        validation=np.arange(n - 20, n),
    )
    training = begun(corpus=spoiled, steps=240, batch=40, of=3, check_every=30)
    choose = Learnability.of(training)
    chosen = np.zeros(n, bool)
    chosen[choose(training.objective, training.network, spoiled.batch(spoiled.train, torch.Generator()))] = True
    learned = np.arange(n) < n - 20
    assert chosen[wrong & learned].mean() < 0.2 * chosen[~wrong & learned].mean()


def test_a_stage_that_chooses_is_killed_and_gone_on_with_and_says_in_its_note_that_it_chose(shelf, monkeypatch):
    some = load_cohort("simulated", n=24, seed=7, rate=100.0)
    stages = [Stage("masked", QUICK), Stage("supervised", replace(QUICK, batch=4, steps=16), of=2)]
    whole = pretrain("s4d:tiny", "whole", some, stages, tasks=["sex"])
    assert [stage["of"] for stage in whole.settings["stages"]] == [1, 2]
    assert checkpoints("s4d:tiny+whole") == []
    learn = Training._learn

    def dying(training):
        if (training.objective.name, training.of, training.step) == ("supervised", 2, 6):
            raise KeyboardInterrupt
        return learn(training)

    monkeypatch.setattr(Training, "_learn", dying)
    with pytest.raises(KeyboardInterrupt):
        pretrain("s4d:tiny", "killed", some, stages, tasks=["sex"])
    assert len(checkpoints("s4d:tiny+killed")) == 4
    monkeypatch.setattr(Training, "_learn", learn)
    killed = pretrain("s4d:tiny", "killed", some, stages, tasks=["sex"])
    assert killed.sha256 == whole.sha256
    plain = pretrain("s4d:tiny", "plain", some, [stages[0], replace(stages[1], of=1)], tasks=["sex"])
    assert plain.sha256 != whole.sha256
    assert get_expert("s4d:tiny+whole").card.seen_subjects


def test_a_teachers_answers_are_a_reference_that_costs_no_training(begun, corpus, monkeypatch):
    spaces = corpus.spaces
    rng = np.random.default_rng(0)
    taught = {
        "rr_interval": rng.normal(size=(len(corpus.people), 1)).astype(np.float32),
        "sex": rng.uniform(0.1, 0.9, (len(corpus.people), 1)).astype(np.float32),
    }
    taught["sex"][::3] = np.nan
    training = begun(corpus=replace(corpus, taught=taught))
    monkeypatch.setattr(Training, "run", None)
    found = reference_losses(training).numpy()
    targets = {name: column[corpus.owner] for name, column in corpus.targets.items()}
    said = {name: column[corpus.owner] for name, column in taught.items()}
    labelled = {name: ~np.isnan(column[:, 0]) for name, column in targets.items()}
    expected = np.zeros(len(corpus.owner))
    outputs = {"rr_interval": said["rr_interval"], "sex": np.log(said["sex"] / (1 - said["sex"]))}
    for name, space in spaces.items():
        loss = space.loss(outputs[name], targets[name]) * training.objective.weights[name] / space.trivial
        expected[labelled[name]] += loss[labelled[name]]
    expected[~np.logical_or(*labelled.values())] = np.nan
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.isnan(found).sum() > (~np.logical_or(*labelled.values())).sum()


def test_a_teacher_who_does_not_answer_all_tasks_cannot_choose(begun, corpus):
    taught = {"sex": np.full((len(corpus.people), 1), 0.3, np.float32)}
    with pytest.raises(FitError, match="the teacher says nothing of rr_interval"):
        Learnability.of(begun(corpus=replace(corpus, taught=taught)))
