"""From recordings to an expert with a note, and the same expert whether or not its making was killed."""

import json
import random
import signal
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch

from enecg import EnECG
from enecg.cli import main
from enecg.cohorts import load_cohort
from enecg.errors import ExpertError, FitError, LeakageError, TaskError, WeightsError
from enecg.evaluation import evaluate
from enecg.experts import get_expert, variant_names
from enecg.inputs import seen_rows, subject_digest
from enecg.pretraining import Corpus, Stage, Training, TrainSettings, find_objective, plot_curves, pretrain
from enecg.pretraining._objective import _objectives
from enecg.pretraining._pretrain import checkpoints

QUICK = TrainSettings(steps=6, batch=8, check_every=2, learning_rate=1e-2)
MASKED, SUPERVISED = Stage("masked", QUICK), Stage("supervised", QUICK)
TASKS = ("rr_interval", "sex")


@pytest.fixture(scope="module")
def some():
    return load_cohort("simulated", n=24, seed=7, rate=100.0)


@pytest.fixture(scope="module")
def made(some, tmp_path_factory):
    """A folder of weights with one expert in it, and its note."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENECG_WEIGHTS", str(folder))
        return folder, pretrain("s4d:tiny", "mine", some, [MASKED, SUPERVISED], tasks=TASKS)


@pytest.fixture
def folder(made, monkeypatch):
    monkeypatch.setenv("ENECG_WEIGHTS", str(made[0]))
    return made[0]


def weights_of(name):
    return get_expert(name).fresh_network().state_dict()


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_an_expert_is_kept_with_a_note_of_how_it_was_made(made, folder, some):
    note = made[1]
    assert variant_names() == ("s4d:tiny+mine",)
    assert note.tasks == TASKS
    assert note.n_recordings == 24
    assert note.cohorts == ("simulated",)
    assert (note.base, note.refused, note.anonymous) == ("", (), False)
    assert [stage["objective"] for stage in note.settings["stages"]] == ["masked", "supervised"]
    curves = note.settings["curves"]
    assert [(row["objective"], row["step"]) for row in curves] == [
        (name, step) for name in ("masked", "supervised") for step in (2, 4, 6)
    ]
    assert note.after == min(row["validation"] for row in curves[3:])
    assert note.before != note.after
    assert {path.name for path in (folder / "s4d:tiny+mine").iterdir()} == {"variant.json", "weights.safetensors"}


def test_it_is_an_expert_like_any_other_with_an_embedding_of_its_own(folder, some, small_settings):
    mine, untaught = get_expert("s4d:tiny+mine"), get_expert("s4d:tiny")
    inputs = mine.prepare([item.read() for item in some[:3]])
    found = mine.embed(inputs)
    assert found.shape == (3, mine.card.dim)
    assert not np.allclose(found, untaught.embed(inputs))
    assert mine.fingerprint != untaught.fingerprint
    assert mine.card.caveats == ()
    model = EnECG(["s4d:tiny+mine", "measurements"], ["sex"], settings=small_settings)
    others = load_cohort("simulated", n=24, seed=99, rate=100.0)
    assert model.fit(others).predict(some[:2])[0].refused is None


def test_whom_it_has_seen_it_is_not_tested_on(folder, some, small_settings):
    assert get_expert("s4d:tiny+mine").card.seen_subjects == {subject_digest(subject) for subject in some.subjects}
    model = EnECG(["s4d:tiny+mine"], ["sex"], settings=small_settings)
    with pytest.raises(LeakageError, match=r"s4d:tiny\+mine was trained on"):
        evaluate(model, some, folds=2)
    assert evaluate(model, load_cohort("simulated", n=16, seed=99, rate=100.0), folds=2).rows


def test_who_only_chose_among_its_weights_may_say_how_much_it_counts_and_not_how_good_it_is(folder, some):
    card = get_expert("s4d:tiny+mine").card
    assert 0 < len(card.chosen_by) < len(card.seen_subjects)
    assert card.chosen_by < card.seen_subjects
    taught = seen_rows(some.subjects, [card])
    chose = np.array([subject_digest(subject) in card.chosen_by for subject in some.subjects])
    assert (taught == ~chose).all()
    assert not seen_rows([None, "simulated:elsewhere"], [card]).any()


def test_a_training_goes_on_from_the_weights_of_another_and_has_seen_whom_that_has(made, folder, some):
    others = load_cohort("simulated", n=12, seed=8, rate=100.0)
    still = replace(QUICK, learning_rate=1e-12)
    note = pretrain("s4d:tiny", "next", others, [Stage("masked", still)], start="s4d:tiny+mine")
    try:
        assert note.base == made[1].sha256
        for name, part in weights_of("s4d:tiny+next").items():
            torch.testing.assert_close(part, weights_of("s4d:tiny+mine")[name], atol=1e-6, rtol=0)
        both = {subject_digest(subject) for subject in (*some.subjects, *others.subjects)}
        assert get_expert("s4d:tiny+next").card.seen_subjects == both
    finally:
        for path in (folder / "s4d:tiny+next").iterdir():
            path.unlink()
        (folder / "s4d:tiny+next").rmdir()


def test_the_same_call_makes_the_same_weights_and_another_seed_others(made, shelf, some):
    assert pretrain("s4d:tiny", "again", some, [MASKED, SUPERVISED], tasks=TASKS).sha256 == made[1].sha256
    assert pretrain("s4d:tiny", "other", some, [MASKED, SUPERVISED], tasks=TASKS, seed=1).sha256 != made[1].sha256


def test_random_weights_differ_from_seed_to_seed(shelf, some):
    still = Stage("masked", replace(QUICK, steps=1, learning_rate=1e-12))
    for seed in (1, 2):
        pretrain("vit:tiny", f"seed{seed}", some, [still], seed=seed)
    assert not torch.equal(
        weights_of("vit:tiny+seed1")["project.weight"], weights_of("vit:tiny+seed2")["project.weight"]
    )


def test_a_training_that_was_killed_ends_with_the_same_file_when_the_command_is_given_again(
    shelf, killed_at, capsys, monkeypatch
):
    def command(name):
        said = f"pretrain s4d:tiny --as {name} --objective masked:3,supervised:20 --n 16 --tasks sex --batch 4 --json"
        return [*said.split(), "--warm-start"]

    killed = killed_at("supervised", 13, "from enecg.cli import main; main(sys.argv[1:])", *command("killed"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert variant_names() == ()
    assert len(checkpoints("s4d:tiny+killed")) == 3
    begun = []
    run = Training.run

    def watched(training, *given):
        begun.append((training.objective.name, training.step))
        return run(training, *given)

    monkeypatch.setattr(Training, "run", watched)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    files = []
    for name in ("killed", "undisturbed"):
        with pytest.raises(SystemExit) as ended:
            main(command(name))
        assert not ended.value.code, capsys.readouterr().err
        files.append({path.name: path.read_bytes() for path in (shelf / f"s4d:tiny+{name}").iterdir()})
    assert begun[:3] == [("reorder", 1), ("masked", 3), ("supervised", 12)]
    assert begun[3:] == [("reorder", 0), ("masked", 0), ("supervised", 0)]
    assert files[0] == files[1]
    assert set(files[0]) == {"variant.json", "weights.safetensors"}


def test_a_warm_start_comes_first_and_sees_only_the_windows_of_the_training(shelf, some, monkeypatch):
    shown, corpora = [], []
    batch, of = Corpus.batch, Corpus.of.__func__

    def seen(corpus, windows, *rest):
        shown.append((corpus, windows))
        return batch(corpus, windows, *rest)

    def opened(kind, *given, **options):
        corpora.append(of(kind, *given, **options))
        return corpora[-1]

    monkeypatch.setattr(Corpus, "batch", seen)
    monkeypatch.setattr(Corpus, "of", classmethod(opened))
    stage = Stage("supervised", replace(QUICK, steps=30, check_every=10))
    note = pretrain("s4d:tiny", "warm", some, [stage], tasks=TASKS, warm_start=True)
    assert [(one["objective"], one["settings"]["steps"]) for one in note.settings["stages"]] == [
        ("reorder", 3),
        ("supervised", 30),
    ]
    [corpus] = corpora
    assert all(one is corpus for one, _ in shown)
    looks = [set(windows.tolist()) <= set(corpus.validation.tolist()) for _, windows in shown]
    learned = {row for (_, windows), look in zip(shown, looks, strict=True) if not look for row in windows.tolist()}
    assert learned == set(corpus.train.tolist())


def test_validation_subjects_may_be_said(shelf, some):
    mask = np.zeros(len(some), bool)
    mask[:5] = True
    note = pretrain("s4d:tiny", "said", some, [MASKED], validation=mask)
    assert note.n_recordings == 24


def test_recordings_without_subjects_make_an_expert_that_may_have_seen_anyone(shelf, some):
    recordings = [replace(item.read(), subject=None) for item in some]
    note = pretrain("s4d:tiny", "nameless", recordings, [MASKED])
    assert note.anonymous
    assert note.subjects == ()
    assert get_expert("s4d:tiny+nameless").card.seen == ("unknown",)


def test_recordings_that_cannot_be_used_are_in_the_note(shelf, some, tmp_path):
    note = pretrain("s4d:tiny", "some", [*(item.read() for item in some), tmp_path / "none.hea"], [MASKED])
    assert note.n_recordings == 24
    assert len(note.refused) == 1
    assert "none.hea" in note.refused[0]


@pytest.mark.parametrize(
    ("network", "options", "error", "said"),
    [
        (
            "ecgfounder",
            {},
            ExpertError,
            r"no network of our own \(expected one of s4d, s4d-small, vit\); `enecg experts adapt`",
        ),
        ("rocket", {}, ExpertError, "no network of our own"),
        ("nothing", {}, ExpertError, "no network of our own"),
        ("s4d:tiny", {"start": "vit:tiny"}, ExpertError, "vit:tiny is no s4d:tiny"),
        ("s4d", {"start": "s4d:tiny"}, ExpertError, "s4d:tiny is no s4d"),
        ("vit", {"start": "vit", "recordings": []}, WeightsError, "no weights of it ship"),
        ("s4d:tiny", {"start": "s4d:tiny+none"}, WeightsError, "no such expert"),
        ("s4d:tiny", {"name": "../up"}, ExpertError, "expected letters, digits"),
        ("s4d:tiny", {"stages": [Stage("magic")]}, FitError, "unknown objective 'magic'; expected one of .*supervised"),
        ("s4d:tiny", {"stages": []}, FitError, "no stage"),
        ("s4d:tiny", {"stages": [SUPERVISED]}, FitError, "objective 'supervised' needs tasks"),
        ("s4d:tiny", {"tasks": ["superclass"], "targets": {}}, TaskError, "no column superclass"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_reason_and_leaves_nothing(
    shelf, some, network, options, error, said
):
    given = {"name": "mine", "recordings": some, "stages": [MASKED]} | options
    with pytest.raises(error, match=said):
        pretrain(network, **given)
    assert not list(shelf.glob("*"))


def test_a_name_that_is_taken_is_refused_and_what_is_there_stays(made, folder, some):
    before = (folder / "s4d:tiny+mine/weights.safetensors").read_bytes()
    with pytest.raises(ExpertError, match=r"s4d:tiny\+mine is there already"):
        pretrain("s4d:tiny", "mine", some, [MASKED])
    assert (folder / "s4d:tiny+mine/weights.safetensors").read_bytes() == before


def test_altered_weights_are_refused(made, tmp_path, monkeypatch, some):
    import shutil

    shutil.copytree(made[0], tmp_path / "copy")
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "copy"))
    path = tmp_path / "copy/s4d:tiny+mine/weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="altered since it was written"):
        get_expert("s4d:tiny+mine").fresh_network()


def test_the_note_is_json_that_every_reader_reads(made, folder):
    text = (folder / "s4d:tiny+mine/variant.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["after"] == made[1].after


def test_looks_before_which_nothing_could_be_learned_are_told_as_such(shelf, some, monkeypatch):
    class Silent(find_objective("masked")):
        def forward(self, network, batch):
            found = super().forward(network, batch)
            return torch.full_like(found, torch.nan) if self.training else found

    monkeypatch.setitem(_objectives, "silent", Silent)
    note = pretrain("s4d:tiny", "silent", some, [Stage("silent", QUICK)])
    assert [row["train"] for row in note.settings["curves"]] == [None] * 3
    assert note.after == note.before
    text = (shelf / "s4d:tiny+silent/variant.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["settings"]["curves"] == note.settings["curves"]
    assert plot_curves(note.settings["curves"]).axes


def test_randomness_elsewhere_in_the_process_is_untouched(shelf, some):
    def states():
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002  what others use is looked at
        return torch.get_rng_state().tolist(), (kind, keys.tolist(), *rest), random.getstate()

    before = states()
    pretrain("vit:tiny", "quiet", some, [MASKED, SUPERVISED], tasks=TASKS)
    assert states() == before
