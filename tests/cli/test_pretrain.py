"""enecg pretrain: from a folder, with labels or without, to an expert that the other commands take."""

import json
import re

import pytest

from enecg.experts import get_expert
from enecg.formats import write
from enecg.pretraining import TrainSettings, objective_names
from enecg.simulation import simulate_one

TINY = ("pretrain", "s4d:tiny", "--as", "mine", "--batch", 4)


@pytest.fixture(autouse=True)
def weights(monkeypatch, tmp_path):
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """Ten recordings and nothing else."""
    folder = tmp_path_factory.mktemp("unlabelled")
    for index in range(10):
        recording = simulate_one(index, 31, rate=100.0, seconds=5.0).recording
        write(recording, folder / f"{recording.id}.hea")
    return folder


def test_a_folder_without_labels_teaches_an_expert_that_other_commands_take(enecg, unlabelled, weights, tmp_path):
    code, out, err = enecg(
        *TINY, "--objective", "masked:3", "--data", unlabelled, "--plot", tmp_path / "new/curves.png"
    )
    assert code == 0, err
    first, kept, use = out.splitlines()
    assert re.fullmatch(
        r"s4d:tiny\+mine: learned by masked from 10 recordings; validation loss of masked [\d.]+ before, [\d.]+ after",
        first,
    )
    assert kept == f"kept in {weights / 's4d:tiny+mine'}"
    assert use == "use it: enecg fit bundle --experts s4d:tiny+mine,rocket,measurements --data FOLDER"
    assert (tmp_path / "new/curves.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = enecg("embed", tmp_path / "store", "--data", unlabelled, "--experts", "s4d:tiny+mine", "--json")
    assert code == 0, err
    assert json.loads(out)[0]["expert"] == "s4d:tiny+mine"
    for command in (("experts",), ("experts", "s4d:tiny+mine")):
        assert f"trained here: {weights / 's4d:tiny+mine'}" in " ".join(enecg(*command)[1].split())


@pytest.mark.parametrize(
    ("name", "state"), [("vit", "none ship: enecg pretrain vit makes some"), ("s4d:tiny", "random weights")]
)
def test_a_network_that_nobody_has_taught_says_so(enecg, name, state):
    code, out, _ = enecg("experts", name, "--json")
    assert code == 0
    assert json.loads(out)[0]["weights"]["state"] == state


def test_it_goes_on_from_another_and_says_so_to_a_machine(enecg, unlabelled):
    said = ("--objective", "masked:2", "--data", unlabelled, "--json")
    code, out, _ = enecg(*TINY, *said)
    first = json.loads(out)
    assert code == 0
    assert (first["expert"], first["base"], first["n_recordings"]) == ("s4d:tiny+mine", "", 10)
    more = ("pretrain", "s4d:tiny", "--as", "more", "--batch", 4, "--continue", "s4d:tiny+mine")
    code, out, _ = enecg(*more, *said)
    assert code == 0
    second = json.loads(out)
    assert second["base"] == first["sha256"]
    assert second["folder"].endswith("s4d:tiny+more")
    assert [row["step"] for row in second["settings"]["curves"]] == [1, 2]


def test_stages_steps_and_settings_are_those_that_were_said(enecg):
    options = ("--learning-rate", 0.01, "--precision", "bf16", "--warm-start", "--seed", 3, "--threads", 1)
    said = ("--objective", "masked,supervised:3", "--steps", 20, "--n", 12, "--tasks", "sex,age", "--device", "cpu")
    code, out, err = enecg(*TINY, *said, *options, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["tasks"] == ["sex", "age"]
    assert found["settings"]["seed"] == 3
    stages = [(one["objective"], one["settings"]) for one in found["settings"]["stages"]]
    assert [(name, settings["steps"], settings["check_every"]) for name, settings in stages] == [
        ("reorder", 2, 2),
        ("masked", 20, 2),
        ("supervised", 3, 1),
    ]
    assert all((one["batch"], one["learning_rate"], one["precision"]) == (4, 0.01, "bf16") for _, one in stages)


def test_files_that_cannot_be_read_are_named_and_the_others_are_learned_from(enecg, unlabelled, copy_of):
    folder = copy_of(unlabelled)
    next(folder.glob("*_000003.dat")).write_bytes(b"short")
    code, out, err = enecg(*TINY, "--objective", "masked:1", "--data", folder)
    assert code == 1
    assert "from 9 recordings" in out
    assert re.search(r"not used: .*_000003", err)


def test_a_loss_that_did_not_fall_is_told(enecg):
    code, _, err = enecg(*TINY, "--objective", "masked:1", "--n", 8, "--learning-rate", 1e-30)
    assert code == 0
    assert "The loss did not fall" in err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--objective", "magic"), 3, f"unknown objective 'magic'; expected one of {', '.join(objective_names())}"),
        (("--objective", "masked:none"), 2, "expected NAME or NAME:STEPS, such as masked:2000"),
        (("--objective", "masked:0"), 2, "expected NAME or NAME:STEPS"),
        (("--objective", ","), 2, "--objective is empty"),
        ((), 2, "Missing option '--objective'"),
        (("--objective", "masked:1", "--tasks", "sex"), 2, "masked:1 learns without labels"),
        (("--objective", "masked:1", "--plot", "curves.txt"), 2, "end its name with .png, .svg, .pdf"),
        (("--objective", "masked:1", "--continue", "vit:tiny"), 3, "vit:tiny is no s4d:tiny"),
        (("--objective", "masked:1", "--n", 3), 3, "3 subjects; expected 4 at least"),
        (("--objective", "masked:1", "--learning-rate", 0), 2, "--learning-rate"),
        (("--objective", "supervised:1", "--tasks", "lvef"), 3, "unknown task 'lvef'"),
        (("--objective", "masked:1", "--device", "cuda"), 2, "torch finds none here"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason_and_leaves_nothing(
    enecg, weights, monkeypatch, options, code, said
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found, out, err = enecg(*TINY, "--n", 8, *options)
    assert (found, out) == (code, "")
    assert said in " ".join(err.split())
    assert not list(weights.glob("*"))


def test_a_folder_without_labels_cannot_teach_what_needs_them(enecg, unlabelled):
    code, _, err = enecg(*TINY, "--objective", "masked:1,supervised:1", "--data", unlabelled)
    assert code == 3
    assert "no targets.csv in it" in err


@pytest.mark.parametrize("name", ["ecgfounder", "measurements", "nothing"])
def test_a_network_that_is_not_ours_is_refused_with_the_names_of_those_that_are(enecg, name):
    code, _, err = enecg("pretrain", name, "--as", "mine", "--objective", "masked:1", "--n", 8)
    assert code == 3
    assert f"{name} is no network of our own (expected one of s4d, s4d-small, vit)" in err


def test_a_name_that_is_taken_is_refused_before_anything_is_read(enecg, unlabelled):
    command = (*TINY, "--objective", "masked:1", "--data", unlabelled)
    assert enecg(*command)[0] == 0
    before = get_expert("s4d:tiny+mine").weights_digest
    code, _, err = enecg(*command)
    assert code == 3
    assert "s4d:tiny+mine is there already" in err
    assert get_expert("s4d:tiny+mine").weights_digest == before


def test_the_help_tells_the_defaults_that_are_used_and_that_a_killed_run_goes_on(enecg):
    code, out, _ = enecg("pretrain", "--help")
    said = " ".join(out.split())
    usual = TrainSettings()
    assert code == 0
    for option, value in (("--steps", usual.steps), ("--batch", usual.batch), ("--learning-rate", usual.learning_rate)):
        assert re.search(rf"{option} [^-]*\[default: {value}\]", said)
    assert f"--precision [fp32|bf16] [default: {usual.precision}]" in said
    assert "goes on from its last checkpoint when the same command is given again" in said
    assert "enecg fit bundle --experts s4d+mine,rocket,measurements --data my-other-ecgs" in said


def test_a_bundle_teaches_a_student_from_a_choice_of_windows(enecg, tmp_path, weights):
    data = ("--n", 24)
    code, _, err = enecg(
        *("fit", tmp_path / "bundle", *data, "--seed", 5, "--experts", "dlinear", "--tasks", "age", "--recipe", "paper")
    )
    assert code == 0, err
    student = (*TINY, "--objective", "distil:2", "--tasks", "age", *data)
    code, out, err = enecg(*student, "--teacher", tmp_path / "bundle", "--of", 2, "--json")
    assert code == 0, err
    assert [stage["of"] for stage in json.loads(out)["settings"]["stages"]] == [2]
    for wrong in (student, (*TINY, "--objective", "masked:2", *data, "--teacher", tmp_path / "bundle")):
        code, _, err = enecg(*wrong)
        assert code == 2
        assert "objective distil and --teacher BUNDLE go together" in err
