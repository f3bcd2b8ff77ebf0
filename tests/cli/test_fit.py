"""enecg fit, demo and evaluate: from a folder to a bundle, to a table, to a picture."""

import json
import shutil

import pytest

from enecg import EnECG
from enecg.formats import write
from enecg.simulation import simulate_one


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """Twenty simulated recordings of twenty people, a task of one's own and columns that cannot be learned."""
    folder = tmp_path_factory.mktemp("clinic")
    rows = ["id,subject,sex,weak,constant,empty"]
    for k in range(20):
        made = simulate_one(k, 31, rate=200.0, seconds=5.0)
        write(made.recording, folder / f"{made.recording.id}.hea")
        rows.append(f"{made.recording.id},{k},{made.truth.labels['sex']},{k % 2},1,")
    (folder / "targets.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_learned_from(enecg, clinic, tmp_path):
    broken = tmp_path / "clinic"
    shutil.copytree(clinic, broken)
    [victim] = broken.glob("*_000007.dat")
    victim.write_bytes(victim.read_bytes()[:100])
    options = ("--data", broken, "--tasks", "sex", "--experts", "measurements", "--json")
    code, out, err = enecg("fit", tmp_path / "bundle", *options)
    assert code == 1, err
    assert "simulated_31_000007" in err
    assert "cut short" in err
    assert json.loads(out)["n_recordings"] == 19
    assert json.loads(out)["tasks"]["sex"] == {"n_recordings": 19, "n_subjects": 19}


def test_fit_learns_from_two_data_sets_and_a_task_of_ones_own(enecg, clinic, data, cache, tmp_path):
    bundle = tmp_path / "new" / "bundle"
    code, out, err = enecg(
        *("fit", bundle, "--data", clinic, "--data", data / "ludb", "--tasks", "sex,weak:binary"),
        *("--experts", "measurements", "--store", cache, "--json"),
    )
    assert code == 0, err
    said = json.loads(out)
    assert said["n_recordings"] == 23
    assert said["tasks"]["weak"] == {"n_recordings": 20, "n_subjects": 20}
    assert said["tasks"]["sex"]["n_recordings"] == 23
    assert said["caveats"] == {}
    one = sorted(clinic.glob("*.hea"))[0]
    code, out, _ = enecg("predict", one, "--bundle", bundle, "--json")
    assert code == 0
    answers = json.loads(out)["answers"]
    assert set(answers) == {"sex", "weak"}
    assert set(answers["weak"]["probabilities"]) == {"no", "yes"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tasks", "empty:binary"), "empty"),
        (("--tasks", "constant:binary"), "constant"),
        (("--tasks", "age"), "no column age"),
        (("--tasks", "horoscope"), "unknown task 'horoscope'"),
        (("--experts", "nobody"), "unknown expert 'nobody'"),
    ],
    ids=["unlabelled", "one class", "no column", "unknown task", "unknown expert"],
)
def test_what_cannot_be_learned_is_refused_and_no_bundle_is_left(enecg, clinic, cache, tmp_path, options, said):
    bundle = tmp_path / "bundle"
    defaults = () if "--experts" in options else ("--experts", "measurements")
    code, out, err = enecg("fit", bundle, "--data", clinic, "--store", cache, *options, *defaults)
    assert (code, out) == (3, "")
    last = err.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert "fault of enecg" not in err
    assert not bundle.exists()


def test_a_bundle_that_cannot_be_written_is_told_before_the_fit(enecg, clinic, tmp_path):
    (tmp_path / "file").write_text("here")
    code, _, err = enecg("fit", tmp_path / "file" / "bundle", "--data", clinic)
    assert code == 3
    assert "where a folder is wanted" in err
    assert "embedding" not in err


def test_demo_on_a_folder_tests_saves_predicts_and_draws(enecg, clinic, tmp_path):
    out = tmp_path / "demo"
    options = ("--tasks", "sex", "--experts", "measurements", "--n", 18)
    code, shown, err = enecg("demo", "--data", clinic, "--out", out, *options)
    assert code == 0, err
    assert "18 of 20 recordings are taken" in err
    assert " recordings of subjects never seen" in shown
    assert "truth: sex " in shown
    assert (out / "prediction.png").read_bytes().startswith(b"\x89PNG")
    assert f"{out / 'report.html'}: " in shown
    page = (out / "report.html").read_text()
    assert 'class="paper"' in page
    assert "bundle of measurements" in page
    rows = json.loads((out / "results.json").read_text())["rows"]
    assert {"trivial", "ensemble", "measurements alone"} <= {row["system"] for row in rows}
    assert (out / "results.md").read_text()
    assert 13 <= EnECG.load(out / "bundle").training_["n_recordings"] <= 14  # a quarter was tested


def test_an_expert_with_random_weights_is_fitted_and_tested_by_name_and_always_marked(enecg, clinic, cache, tmp_path):
    options = ("--data", clinic, "--store", cache, "--experts", "ecgfounder:tiny,measurements")
    said = "ecgfounder:tiny: random weights: it knows nothing"
    code, out, err = enecg("embed", cache, "--data", clinic, "--experts", "ecgfounder:tiny")
    assert (code, "20 of 20 recordings" in out, "random weights" in out) == (0, True, True), err
    code, out, err = enecg("fit", tmp_path / "bundle", *options, "--tasks", "sex")
    assert code == 0, err
    assert said in out
    code, out, _ = enecg("predict", sorted(clinic.glob("*.hea"))[0], "--bundle", tmp_path / "bundle")
    assert code == 0
    assert said in out
    code, out, err = enecg("evaluate", "--bundle", tmp_path / "bundle", "--data", clinic, "--allow-seen")
    assert code == 0, err
    assert f"What has to be known: {said}." in out


@pytest.mark.parametrize("command", ["fit", "embed", "evaluate"])
def test_weights_that_are_not_here_are_told_with_how_to_get_them(enecg, clinic, tmp_path, command):
    target = () if command == "evaluate" else (tmp_path / "new",)
    tasks = () if command == "embed" else ("--tasks", "sex")
    code, out, err = enecg(command, *target, "--data", clinic, *tasks, "--experts", "measurements,ecgfounder")
    assert (code, out) == (3, "")
    assert "error: ecgfounder: its weights are not here; `enecg experts pull ecgfounder`" in err


def test_a_bundle_is_tested_on_data_that_it_has_not_seen(enecg, bundle, clinic, tmp_path):
    out = tmp_path / "results.json"
    code, shown, err = enecg("evaluate", "--bundle", bundle, "--data", clinic, "--out", out, "--json")
    assert code == 0, err
    assert json.loads(shown)["rows"]
    record = json.loads(out.read_text())
    assert {row["task"] for row in record["rows"] if row["task"]} == {"sex"}


def test_a_bundle_is_not_tested_on_what_trained_it(enecg, bundle):
    code, _, err = enecg("evaluate", "--bundle", bundle, "--n", "40", "--seed", "3")
    assert code == 3
    assert "trained this ensemble" in err


@pytest.mark.parametrize(
    "options",
    [
        ("--split-column", "fold"),
        ("--train", "1"),
        ("--subjects", "300"),
        ("--bundle", "x", "--tasks", "age"),
        ("--folds", "1"),
    ],
    ids=" ".join,
)
def test_options_of_evaluate_that_do_not_go_together_are_wrong_usage(enecg, options):
    assert enecg("evaluate", *options)[0] == 2
