"""Probes of experts: the same figures as the evaluation's, whole patients, nobody tested whom an expert has met."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from enecg import load_cohort
from enecg.ensemble import subject_codes
from enecg.ensemble._linear import PENALTIES, Gram
from enecg.errors import LeakageError
from enecg.evaluation import Fold
from enecg.evaluation._metrics import auroc, bootstrap_weights
from enecg.experts import get_expert
from enecg.experts._variant import keep_variant
from enecg.inputs import subject_digest
from enecg.store import Store
from enecg.tasks import STATEMENTS, get_task

SCRIPTS = Path(__file__).parents[2] / "scripts"
LABELS = ("SR", "AFIB", "STACH", "NORM", "IMI")


def loaded(name):
    sys.path.insert(0, str(SCRIPTS))
    try:
        spec = importlib.util.spec_from_file_location(name.replace("/", "."), SCRIPTS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(SCRIPTS))
    return module


script, probe, measures, page = map(loaded, ("probe_experts", "probing/probe", "probing/measures", "make_results"))


@pytest.fixture(scope="module")
def cohort():
    """30 people, two recordings each, five people in each of six folds, with PTB-XL's questions about them."""
    made = load_cohort("simulated", n=60, seed=5, rate=100.0, recordings_per_subject=2)
    rng = np.random.default_rng(0)
    codes = subject_codes(made.subjects)
    said = [[name for name in LABELS if name == "NORM" or rng.random() < 0.4] for _ in codes]
    columns = {
        "fold": codes % 6 + 1,
        "superclass": [[name for name in ("MI", "HYP") if rng.random() < 0.5] for _ in codes],
        "statements": said,
        "rhythm_statements": [[name for name in one if name in STATEMENTS[-12:]] for one in said],
    }
    return type(made)(
        made.name,
        made.recordings,
        made.targets.with_columns(**{name: polars.Series(column) for name, column in columns.items()}),
        simulated=True,
    )


@pytest.fixture
def room(cohort, tmp_path, monkeypatch):
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "weights"))
    return script.Room.of(cohort, Store(tmp_path / "store"))


def kept(room, name, taught_by, tasks=("statements", "age")):
    """A variant of s4d with random weights, whose note says that these rows have taught it."""
    state = get_expert("s4d:random").fresh_network().state_dict()
    people = {subject_digest(room.cohort.subjects[row]) for row in np.flatnonzero(taught_by)}
    told = {"cohorts": (), "n_recordings": len(people), "refused": (), "anonymous": False, "before": 1.0, "after": 0.5}
    note = {"base": "", "tasks": tasks, "subjects": tuple(sorted(people)), "settings": {}, **told}
    keep_variant(name, {"weights.safetensors": save(state)}, note)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 3, 20, 39, 40]))
def test_areas_are_those_of_the_evaluation(seed, positives):
    rng = np.random.default_rng(seed)
    truth = np.zeros((40, 1), np.float32)
    truth[rng.permutation(40)[:positives]] = 1
    answer = rng.integers(0, 12, (40, 1)).astype(np.float32)  # with ties
    weights = bootstrap_weights(np.arange(40) // 2, 50, seed)
    found = measures.areas(answer, truth, weights.astype(np.float32))[:, 0]
    expected = auroc(answer[:, 0].astype(float), truth[:, 0] > 0.5, None)(weights.astype(float))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize(("rows", "dim"), [(50, 7), (12, 30)])
def test_ridge_is_that_of_the_ensembles_linear_path(rows, dim):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(rows, dim)).astype(np.float32), rng.normal(size=(rows, 3))
    theirs = dict(zip(PENALTIES, Gram(x).ridge(np.arange(rows), y), strict=True))
    ours = dict(zip(probe.STRENGTHS, probe.ridge(x, y), strict=True))
    both = theirs.keys() & ours.keys()
    assert len(both) > 3
    for strength in both:
        for mine, other in zip(ours[strength], theirs[strength], strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-5)


def test_a_probe_reads_what_an_embedding_holds_and_nothing_from_noise():
    rng = np.random.default_rng(2)
    task, side = get_task("sex"), np.arange(600) % 3
    fold = Fold(side == 0, side == 1, side == 2)
    truth = {"sex": rng.integers(0, 2, (600, 1)).astype(np.float32)}
    truth["sex"][::7] = np.nan
    noise = rng.normal(size=(600, 20)).astype(np.float32)
    holds = noise + np.nan_to_num(truth["sex"]) * np.eye(20, dtype=np.float32)[3] * 5
    jury = measures.Jury({"sex": truth["sex"][fold.test]}, np.arange(200))

    def found(embedding):
        made = probe.Probe.fit(embedding, [task], truth, fold)
        (row,) = jury.rows(task, "x", [made.answers(embedding[fold.test])["sex"]])
        return row

    assert found(holds)["value"] > 0.97
    row = found(noise)
    assert row["low"] < 0.5 < row["high"]
    assert row["n"] == (~np.isnan(truth["sex"][fold.test])).sum()


def test_strengths_are_chosen_by_all_who_can_tell():
    task, truth = get_task("sex"), np.array([[0], [1], [np.nan]], np.float32)
    right, wrong = (np.array([[a], [b], [9]], np.float32) for a, b in ((0, 1), (1, 0)))
    assert probe.loss(task, right, truth) < probe.loss(task, wrong, truth) < np.inf
    age = np.array([[40], [60], [np.nan]], np.float32)
    assert probe.loss(get_task("age"), age + 3, age) == pytest.approx(3)


def test_a_share_is_whole_patients_of_the_same_sides_and_part_of_a_larger_share(room):
    codes = subject_codes(room.cohort.subjects)
    larger, smaller = (probe.share_of(room.cohort, room.fold, share, 3) for share in (0.5, 0.2))
    for name in ("train", "validation"):
        whole, large, small = (getattr(one, name) for one in (room.fold, larger, smaller))
        assert not (small & ~large).any()
        assert not (large & ~whole).any()
        assert len(np.unique(codes[large])) == len(np.unique(codes[whole])) // 2
        assert not np.isin(codes[~large], codes[large]).any()
    assert (larger.test == room.fold.test).all()
    assert (probe.share_of(room.cohort, room.fold, 0.5, 4).train != larger.train).any()


def test_a_recording_with_some_leads_has_no_others_and_another_key(cohort):
    whole = cohort.recordings[0]
    some = script.SomeLeads(whole, ("II", "V5"))
    assert some.read().leads == ("II", "V5")
    assert some.key != whole.key
    assert (some.id, some.subject) == (whole.id, whole.subject)


def test_how_often_the_bootstrap_drops_a_class_is_counted():
    task, truth = get_task("superclass"), np.zeros((40, 5), np.float32)
    truth[:20, 0] = 1
    truth[:5, 1] = 1
    jury = measures.Jury({"superclass": truth}, np.arange(40))
    told = jury.dropped(task)["macro_auroc"]
    lacking = (jury.weights[1:, :5].sum(axis=1) == 0).mean()
    assert told["classes"] == 2
    assert told["draws without one"] == pytest.approx(lacking)
    assert 0 < lacking < 0.02


def test_who_was_taught_the_statements_was_taught_what_follows_from_them(room):
    kept(room, "s4d+judged-0", room.fold.train)
    kept(room, "s4d+masked", room.fold.train, tasks=())
    assert script.taught(["s4d+judged-0"]) == ["superclass", "statements", "rhythm_statements", "rhythm", "age"]
    assert script.taught(["s4d+masked"]) == script.taught(["s4d:random"]) == script.taught(["rocket"]) == []
    assert script.members("s4d+judged", [0, 1]) == ["s4d+judged-0"]
    assert script.members("s4d+masked", [0, 1]) == ["s4d+masked"]
    assert script.untaught("s4d+masked") == "s4d:random"
    assert script.untaught("s4d:random") is script.untaught("rocket") is None


def test_an_expert_that_has_met_who_is_tested_is_refused(room):
    one = np.zeros(len(room.cohort), bool)
    one[np.flatnonzero(room.fold.test)[0]] = True
    kept(room, "s4d+judged-0", room.fold.train | one)
    with pytest.raises(LeakageError, match="has met 2 of the 10"):
        script.rows_of(room, "s4d+judged", ["s4d+judged-0"])


def test_every_table_is_made_and_the_page_shows_what_was_taught(room, tmp_path, monkeypatch):
    kept(room, "s4d+judged-0", room.fold.train)
    monkeypatch.setattr(script, "LEADS", {"I and II": ("I", "II")})
    monkeypatch.setattr(script, "load_cohort", lambda *given: room.cohort)
    target = tmp_path / "probes.json"
    command = ["probe", "--data", "", "--store", str(tmp_path / "store"), "--to", str(target), "measurements"]
    monkeypatch.setattr(sys, "argv", [*command, "s4d+judged"])
    script.main()
    record = page.json.loads(target.read_text())
    of = {row["table"]: row for row in record["rows"] if row["of"] == "s4d+judged"}
    assert set(of) == {"probe", "seeds", "gain", "labels", "leads"}
    gains = {row["task"]: row["value"] for row in record["rows"] if row["table"] == "gain"}
    # This one has the random weights themselves.
    assert gains == pytest.approx(dict.fromkeys(gains, 0.0), abs=1e-6)
    leads = [row for row in record["rows"] if row["table"] == "leads" and row["metric"] == "mae"]
    assert len(leads) == 2 * len(script.LEADS)
    text = page.probes(record, page.table)
    assert "| s4d+judged † |" in text
    assert "| measurements † |" not in text
    assert "| I and II, learned on 12 leads |" in text
    assert target.with_suffix(".csv").read_text().count("\n") == len(room.cohort) + 1
    # One system anew leaves the rows of the others.
    monkeypatch.setattr(sys, "argv", command)
    script.main()
    assert {row["of"] for row in page.json.loads(target.read_text())["rows"]} == {"measurements", "s4d+judged"}


def test_a_run_goes_on_with_what_is_not_there_yet(room, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "load_cohort", lambda *given: room.cohort)
    monkeypatch.setattr(script, "SYSTEMS", ("measurements", "s4d+judged"))
    target = tmp_path / "probes.json"
    command = ["probe", "--data", "", "--store", str(tmp_path / "store"), "--to", str(target)]
    monkeypatch.setattr(sys, "argv", command)
    script.main()
    before = target.read_bytes()
    assert "s4d+judged: none of seeds [0, 1, 2] is kept" in capsys.readouterr().out
    script.main()
    assert "measurements: there already" in capsys.readouterr().out
    assert target.read_bytes() == before
