"""A student of an ensemble: what it is taught by, how near it comes, and whom it has then seen."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enecg import EnECG
from enecg.cohorts import load_cohort
from enecg.ensemble import TargetSpace
from enecg.errors import FitError, LeakageError
from enecg.evaluation import evaluate
from enecg.experts import get_expert
from enecg.inputs import encode_targets, subject_digest
from enecg.pretraining import (
    Corpus,
    Stage,
    Taught,
    Training,
    TrainSettings,
    find_objective,
    held_out_answers,
    pretrain,
    teacher_answers,
)
from enecg.pretraining.objectives.distil import divergence
from enecg.recording import Recording
from enecg.tasks import Task, get_task

KINDS = (
    Task("number", "regression", unit="ms"),
    Task("either", "binary"),
    Task("one", "multiclass", ("a", "b", "c")),
    Task("any", "multilabel", ("a", "b", "c")),
)
TASKS = (get_task("rr_interval"), get_task("sex"))


def space_of(task):
    """As if every answer were as likely as any other."""
    n = task.n_outputs
    return TargetSpace(task, np.zeros(n, np.float32), 1.0, 1.0)


@pytest.fixture(scope="module")
def corpus_of(cohort, tmp_path_factory):
    """Makes the windows of the simulated people with a teacher's answers beside them."""

    def make(answers, tasks=TASKS, **options):
        room = str(tmp_path_factory.mktemp("room"))
        given = {"targets": cohort.targets, "tasks": tasks, "validation": 0.2} | options
        return Corpus.of(get_expert("s4d:tiny"), cohort, room, taught=answers, **given)

    return make


@pytest.fixture(scope="module")
def knowing(cohort):
    """Answers of one who is nearly always right, though never sure."""
    rate = encode_targets(TASKS[0], cohort.targets, len(cohort))
    mean = np.nanmean(rate)
    sex = encode_targets(TASKS[1], cohort.targets, len(cohort))
    return {
        "rr_interval": np.where(np.isnan(rate), mean, rate).astype(np.float32),
        "sex": np.where(np.isnan(sex), 0.5, 0.1 + 0.8 * sex).astype(np.float32),
    }


@pytest.fixture
def distil(corpus_of, network):
    """Makes the objective for these answers, its network and its corpus."""

    def make(answers, **options):
        corpus, learner = corpus_of(answers, **options), network().eval()
        torch.manual_seed(0)
        return find_objective("distil")(learner, corpus).eval(), learner, corpus

    return make


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.kind)
@given(numbers=st.lists(st.floats(-6, 6, width=32), min_size=6, max_size=6))
def test_answers_are_no_way_apart_from_themselves_and_some_way_from_all_others(task, numbers):
    outputs = torch.tensor(numbers).reshape(2, 3)[:, : task.n_outputs]
    space = space_of(task)
    taught = torch.from_numpy(space.targets(space.values(outputs.numpy())))
    torch.testing.assert_close(divergence(task, outputs, taught), torch.zeros(2), atol=1e-5, rtol=0)
    assert (divergence(task, outputs + torch.tensor([1.0, 0.0, 0.0])[: task.n_outputs], taught) > 0).all()
    certain = torch.zeros_like(taught)
    certain[:, 0] = 1.0
    assert torch.isfinite(divergence(task, outputs, certain)).all()


def test_the_answer_that_knows_no_recording_is_one_away_from_the_teacher_on_average(distil, knowing):
    objective, network, corpus = distil(knowing)
    batch = corpus.batch(corpus.train, torch.Generator())
    with torch.no_grad():
        for name, head in objective.heads.items():
            head.weight.zero_()
            head.bias.copy_(torch.from_numpy(corpus.spaces[name].start))
        by_both = objective(network, batch)
        by_labels = objective.loss(objective.answers(network, batch), batch.targets).nan_to_num(0.0)
    assert float((by_both - by_labels).mean()) == pytest.approx(1.0, abs=1e-5)


def test_recordings_that_the_teacher_refused_are_taught_by_their_labels_alone(distil, knowing):
    refused = {name: column.copy() for name, column in knowing.items()}
    for column in refused.values():
        column[::2] = np.nan
    objective, network, corpus = distil(refused)
    batch = corpus.batch(corpus.train, torch.Generator())
    silent = torch.from_numpy(corpus.owner[corpus.train] % 2 == 0)
    found, labels = objective(network, batch), objective.loss(objective.answers(network, batch), batch.targets)
    torch.testing.assert_close(found[silent], labels[silent], equal_nan=True)
    assert torch.isfinite(found[~silent]).all()
    assert (found[~silent] > labels[~silent].nan_to_num(0.0)).all()
    alone = torch.isnan(labels) & ~silent
    assert alone.any()
    loss = found[torch.isfinite(found)].mean()
    loss.backward()
    assert all(torch.isfinite(part.grad).all() for part in objective.parameters())


def test_a_student_comes_nearer_to_its_teacher_than_one_who_answers_the_same_of_everyone(corpus_of, network, knowing):
    """The teacher says the contrary of the labels, so it is not from them that the student has it."""
    contrary = {"sex": 1 - knowing["sex"]}
    corpus, learner = corpus_of(contrary, tasks=TASKS[1:]), network()
    high = corpus.targets["sex"][corpus.owner, 0] > 0.5
    data = np.random.default_rng(0).normal(size=(len(high), 12, 80)) * np.where(high, 2.0, 0.5)[:, None, None]
    corpus = replace(corpus, prepared=replace(corpus.prepared, data=data.astype(np.float32)))
    objective = find_objective("distil")(learner, corpus)
    objective.weights = dict.fromkeys(objective.weights, 0.1)
    settings = TrainSettings(steps=40, batch=16, check_every=10, learning_rate=1e-2)
    training = Training(learner, objective, corpus, settings)
    training.run()
    batch = corpus.batch(corpus.validation, torch.Generator())
    objective.eval()
    with torch.no_grad():
        answer = torch.sigmoid(objective.heads["sex"](learner(batch.x)))
    taught = batch.taught["sex"]
    sure = (taught - 0.5).abs() > 0.1
    assert (answer - taught)[sure].abs().mean() < 0.5 * (taught[sure] - taught.mean()).abs().mean()


def test_what_is_taught_is_part_of_what_a_checkpoint_belongs_to(corpus_of, knowing):
    other = knowing | {"sex": 1 - knowing["sex"]}
    assert corpus_of(knowing).digest == corpus_of(knowing).digest
    assert len({corpus_of(answers).digest for answers in (None, knowing, other)}) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda answers: None, "needs a teacher's answers to its tasks"),
        (lambda answers: {"age": answers["rr_interval"]}, "needs a teacher's answers to its tasks"),
        (lambda answers: {"sex": np.full_like(answers["sex"], np.nan)}, "the teacher says nothing of sex"),
        (lambda answers: {"sex": answers["sex"][:5]}, r"answers to sex are \(5, 1\); expected \(64, 1\)"),
    ],
)
def test_a_teacher_who_has_nothing_to_say_is_refused(distil, knowing, change, said):
    with pytest.raises(FitError, match=said):
        distil(change(knowing))


@pytest.fixture(scope="module")
def people():
    return load_cohort("simulated", n=32, seed=5, rate=100.0)


@pytest.fixture(scope="module")
def teacher(people, small_settings, small_store):
    return EnECG(("measurements",), ("rr_interval", "sex"), settings=small_settings, store=small_store).fit(people)


def test_a_teacher_answers_as_it_does_for_everyone_and_refuses_what_it_cannot_take(teacher, people, tmp_path):
    short = Recording.from_array(np.zeros((12, 50)), rate=100.0, leads=people[0].read().leads, unit="mV")
    asked = [*people[:3], short]
    found = teacher_answers(teacher, asked)
    said = teacher.predict(asked, abstain=False)
    for row in range(3):
        assert found.answers["rr_interval"][row, 0] == pytest.approx(said[row].answers["rr_interval"].value)
        chance = said[row].answers["sex"].probabilities
        assert found.answers["sex"][row, 0] == pytest.approx(chance[get_task("sex").classes[1]])
    assert all(np.isnan(column[3]).all() for column in found.answers.values())
    teacher.save(tmp_path / "bundle")
    again = teacher_answers(tmp_path / "bundle", asked)
    assert again.subjects == found.subjects == {subject_digest(person) for person in people.subjects}
    for name, column in found.answers.items():
        np.testing.assert_array_equal(again.answers[name], column)


def test_held_out_answers_do_not_depend_on_a_persons_own_label(teacher, people):
    """Of two columns of labels that differ for one person, the answers to that person are the same."""
    labels = {name: list(people.targets[name]) for name in ("rr_interval", "sex")}
    changed = labels | {"rr_interval": [2000.0, *labels["rr_interval"][1:]]}
    first, second = (
        held_out_answers(teacher, people, own, folds=2).answers["rr_interval"] for own in (labels, changed)
    )
    assert np.isfinite(first).all()
    assert first[0] == second[0]
    assert not np.array_equal(first, second)
    with pytest.raises(FitError, match="expected 2 at least"):
        held_out_answers(teacher, people, labels, folds=1)


def test_a_student_is_an_expert_that_has_seen_whom_its_teacher_has(teacher, shelf, small_settings):
    others = load_cohort("simulated", n=24, seed=7, rate=100.0)
    quick = TrainSettings(steps=4, batch=8, check_every=2)
    taught = teacher_answers(teacher, others)
    note = pretrain("s4d:tiny", "student", others, [Stage("distil", quick, of=2)], tasks=["sex"], taught=taught)
    card = get_expert("s4d:tiny+student").card
    met = {subject_digest(person) for person in others.subjects} | teacher.seen_subjects_
    assert card.seen_subjects == met
    assert note.seen == ()
    model = EnECG(["s4d:tiny+student"], ["sex"], settings=small_settings)
    with pytest.raises(LeakageError, match=r"s4d:tiny\+student was trained on"):
        evaluate(model, load_cohort("simulated", n=32, seed=5, rate=100.0), folds=2)
    fresh = load_cohort("simulated", n=24, seed=99, rate=100.0)
    assert model.fit(fresh).predict(fresh[:1])[0].refused is None
    more = replace(taught, seen=frozenset({"ptbxl", "unknown"}))
    pretrain("s4d:tiny", "second", others, [Stage("distil", quick)], tasks=["sex"], taught=more)
    assert get_expert("s4d:tiny+second").card.seen == ("ptbxl", "unknown")
    pretrain("s4d:tiny", "third", others, [Stage("masked", quick)], start="s4d:tiny+second")
    assert get_expert("s4d:tiny+third").card.seen == ("ptbxl", "unknown")


def test_who_makes_the_choices_for_a_teacher_gets_no_answer_and_has_only_chosen(teacher, people, shelf):
    choosing = np.arange(len(people)) % 4 == 0
    found = held_out_answers(teacher, people, validation=choosing, folds=2)
    for column in found.answers.values():
        assert (np.isnan(column).all(axis=1) == choosing).all()
    digests = np.array([subject_digest(person) for person in people.subjects])
    assert found.chosen_by == set(digests[choosing])
    assert found.subjects == set(digests)
    quick = TrainSettings(steps=1, batch=4)
    others = load_cohort("simulated", n=12, seed=8, rate=100.0)
    taught = replace(found, answers={"sex": found.answers["sex"][~choosing][:12]})
    pretrain("s4d:tiny", "apart", others, [Stage("distil", quick)], tasks=["sex"], taught=taught)
    card = get_expert("s4d:tiny+apart").card
    assert set(digests[choosing]) < card.chosen_by
    assert not set(digests[~choosing]) & card.chosen_by
    assert set(digests) < card.seen_subjects
    swapped = replace(found, answers={"sex": np.nan_to_num(found.answers["sex"], nan=0.5)})
    pretrain("s4d:tiny", "with", people, [Stage("distil", quick)], tasks=["sex"], taught=swapped, validation=~choosing)
    # Who chose for the teacher teaches the student itself now; the others have taught the teacher.
    assert not get_expert("s4d:tiny+with").card.chosen_by


ELSEWHERE = """
import json, sys
from enecg import EnECG, load_cohort
from enecg.experts import variant_names

recordings = load_cohort("simulated", n=24, seed=99, rate=100.0)[:3]
model = EnECG.load(sys.argv[1])
chances = [one.answers["sex"].probabilities for one in model.predict(recordings, abstain=False)]
print(json.dumps([variant_names(), model.expert_names(), chances]))
"""


def test_a_student_goes_elsewhere_with_its_folder_alone(teacher, shelf, small_settings, tmp_path):
    """Another process has the student's folder and a bundle of it: no teacher, no store, no recordings of theirs."""
    others = load_cohort("simulated", n=24, seed=7, rate=100.0)
    quick = TrainSettings(steps=4, batch=8, check_every=2)
    taught = teacher_answers(teacher, others)
    pretrain("s4d:tiny", "student", others, [Stage("distil", quick)], tasks=["sex"], taught=taught)
    fresh = load_cohort("simulated", n=24, seed=99, rate=100.0)
    model = EnECG(["s4d:tiny+student"], ["sex"], settings=small_settings).fit(fresh)
    model.save(tmp_path / "bundle")
    expected = [one.answers["sex"].probabilities for one in model.predict(fresh[:3], abstain=False)]
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    (shelf / "s4d:tiny+student").rename(alone / "s4d:tiny+student")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ENECG_WEIGHTS": str(alone)}
    ended = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, tmp_path / "bundle"], env=environment, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    kept, experts, found = json.loads(ended.stdout)
    assert kept == experts == ["s4d:tiny+student"]
    assert [list(one) for one in found] == [list(one) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert list(one.values()) == pytest.approx(list(other.values()), abs=1e-6)


def test_whom_an_expert_that_ships_has_seen_the_student_of_its_ensemble_has_too(shelf, people, monkeypatch, knowing):
    kind = type(get_expert("s4d:tiny"))
    ships = replace(kind.card, seen=("ptbxl",), seen_subjects=frozenset({"0" * 16}))
    monkeypatch.setattr(kind, "card", ships)
    taught = Taught({"sex": knowing["sex"][:32]}, ships.seen_subjects, frozenset(ships.seen))
    quick = TrainSettings(steps=1, batch=4)
    pretrain("s4d:tiny", "student", people, [Stage("distil", quick)], tasks=["sex"], taught=taught)
    card = get_expert("s4d:tiny+student").card
    assert card.seen == ("ptbxl",)
    assert "0" * 16 in card.seen_subjects


def test_without_a_teacher_there_is_no_distillation(shelf, people):
    with pytest.raises(FitError, match="needs a teacher's answers"):
        pretrain("s4d:tiny", "orphan", people, [Stage("distil")], tasks=["sex"])
    nothing = Taught({}, frozenset(), frozenset())
    with pytest.raises(FitError, match="needs a teacher's answers"):
        pretrain("s4d:tiny", "orphan", people, [Stage("distil")], tasks=["sex"], taught=nothing)
