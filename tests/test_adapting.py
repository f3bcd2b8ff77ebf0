"""LoRA inside an expert's attention makes another expert, which knows whom it has seen."""

import json
from dataclasses import dataclass, replace

import numpy as np
import polars
import pytest
import torch
from torch import nn

from enecg import EnECG
from enecg.adapting import AdaptSettings, adapt_expert
from enecg.cli import main
from enecg.cohorts import load_cohort
from enecg.errors import ExpertError, FitError, LeakageError, WeightsError
from enecg.evaluation import evaluate
from enecg.experts import Card, Published, get_expert
from enecg.experts._layers import attend, patches
from enecg.experts._registry import _experts
from enecg.experts._windows import windows_of
from enecg.tasks import Task
from enecg.weights import Origin


@dataclass(frozen=True)
class Size:
    dim: int = 32


class Network(nn.Module):
    """One block of attention over patches of lead II, of which it sees the mean: LoRA has something to add."""

    def __init__(self, size):
        super().__init__()
        self.embed = nn.Linear(20, size.dim)
        self.qkv = nn.Linear(size.dim, 3 * size.dim)
        self.out = nn.Linear(size.dim, size.dim)

    def forward(self, x):
        tokens = self.embed(patches(x[:, 0], 20))
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        return torch.tanh(self.out(attend(query, key, value, heads=4))).mean(dim=1)


class Attentive(Published):
    origin = Origin(file="none", page="nowhere")
    size = tiny = Size()
    attention = r".*(qkv|out)"
    card = Card(
        name="attentive",
        summary="attention over patches",
        dim=32,
        leads=("II",),
        rate=100.0,
        seconds=5.0,
        min_seconds=1.0,
        licence="none",
        citation="none",
        source="here",
        batch=1,
        seen=("unknown",),
    )

    @staticmethod
    def network(size):
        return Network(size)

    def prepare(self, recordings):
        return windows_of(recordings, ("II",), 100.0, 5.0)


QUICK = AdaptSettings(max_epochs=20, patience=20, batch=16, learning_rate=1e-2, validation=0.3, head_steps=100)


@pytest.fixture(scope="module")
def registered():
    _experts["attentive"] = Attentive
    yield
    del _experts["attentive"]


@pytest.fixture(scope="module")
def cohort():
    return load_cohort("simulated", n=120, seed=3)


@pytest.fixture(scope="module")
def adapted(registered, cohort, tmp_path_factory):
    """The folder of weights, with one adapted expert in it."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENECG_WEIGHTS", str(folder))
        note = adapt_expert("attentive:tiny", "mine", cohort, taught(cohort), (TAUGHT,), settings=QUICK)
    return folder, note


@pytest.fixture(autouse=True)
def folder(adapted, monkeypatch):
    monkeypatch.setenv("ENECG_WEIGHTS", str(adapted[0]))
    return adapted[0]


TAUGHT = Task("taught", "regression")


def taught(cohort):
    """What a network answers that looks elsewhere than the expert does: LoRA can find it, a head alone cannot."""
    expert = get_expert("attentive:tiny")
    teacher, draw = expert.fresh_network(), torch.Generator().manual_seed(1)
    windows = torch.from_numpy(expert.prepare([item.read() for item in cohort]).windows)
    with torch.no_grad():
        before = teacher(windows)
        left, right = torch.randn(2, 32, generator=draw)
        teacher.qkv.weight[:32] += 0.2 * left[:, None] * right
        found = (teacher(windows) - before) @ left
    return {"taught": found.reshape(len(cohort), -1).mean(dim=1).numpy()}


def test_it_serves_subjects_that_it_did_not_learn_from_better_than_the_head_alone(adapted):
    note = adapted[1]
    assert note.after < note.before
    assert note.tasks == ("taught",)
    assert note.n_recordings == 120
    assert note.cohorts == ("simulated",)
    assert len(note.subjects) == 120


def test_it_is_an_expert_of_its_own_with_its_own_place_in_a_store(cohort):
    base, mine = get_expert("attentive:tiny"), get_expert("attentive:tiny+mine")
    assert mine.card.name == "attentive:tiny+mine"
    assert "taught" in mine.card.summary
    assert mine.fingerprint != base.fingerprint
    recording = cohort[0].read()
    one, other = (expert.embed(expert.prepare([recording])) for expert in (base, mine))
    assert not np.allclose(one, other)
    again = get_expert("attentive:tiny+mine")
    assert np.array_equal(again.embed(again.prepare([recording])), other)


def test_peft_reads_the_adapter_and_computes_the_same(cohort, folder):
    from peft import PeftModel

    base, mine = get_expert("attentive:tiny"), get_expert("attentive:tiny+mine")
    model = PeftModel.from_pretrained(base.fresh_network(), str(folder / "attentive:tiny+mine")).eval()
    windows = mine.prepare([cohort[0].read()]).windows
    with torch.no_grad():
        expected = model(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(mine.window_embeddings(mine.prepare([cohort[0].read()])), expected, atol=1e-6)


def test_whom_it_learned_from_it_is_not_tested_on(cohort, small_settings):
    model = EnECG(["attentive:tiny+mine"], ["rr_interval"], settings=small_settings)
    with pytest.raises(LeakageError, match=r"attentive:tiny\+mine was trained on subjects of cohort simulated"):
        evaluate(model, cohort, folds=2)
    others = load_cohort("simulated", n=12, seed=99)
    assert evaluate(model, others, folds=2, allow_seen=False).rows


def test_an_altered_adapter_or_other_weights_below_it_are_refused(folder, cohort, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "copy"))
    where = tmp_path / "copy" / "attentive:tiny+mine"
    note = json.loads((where / "variant.json").read_text())
    (where / "variant.json").write_text(json.dumps(note | {"base": "other"}))
    mine = get_expert("attentive:tiny+mine")
    with pytest.raises(WeightsError, match="made for other weights"):
        mine.embed(mine.prepare([cohort[0].read()]))
    (where / "variant.json").write_text(json.dumps(note))
    data = bytearray((where / "adapter_model.safetensors").read_bytes())
    data[-1] ^= 1
    (where / "adapter_model.safetensors").write_bytes(data)
    mine, inputs = get_expert("attentive:tiny+mine"), mine.prepare([cohort[0].read()])
    with pytest.raises(WeightsError, match="altered since it was written"):
        mine.embed(inputs)


def test_labels_without_meaning_leave_nothing_behind(cohort, folder):
    column = np.random.default_rng(0).normal(size=len(cohort)) * 100 + 800
    with pytest.raises(FitError, match=r"LoRA did not help on .* Nothing was kept"):
        adapt_expert(
            "attentive:tiny",
            "noise",
            cohort,
            {"rr_interval": column},
            ("rr_interval",),
            settings=replace(QUICK, max_epochs=1, learning_rate=3e-2),
        )
    assert not (folder / "attentive:tiny+noise").exists()


def test_what_cannot_be_adapted_is_refused_with_the_reason(cohort):
    with pytest.raises(ExpertError, match="ecgfounder:tiny has no attention to adapt"):
        adapt_expert("ecgfounder:tiny", "mine", cohort)
    with pytest.raises(ExpertError, match=r"attentive:tiny\+mine is there already"):
        adapt_expert("attentive:tiny", "mine", cohort)
    with pytest.raises(ExpertError, match="expected letters, digits"):
        adapt_expert("attentive:tiny", "../mine", cohort)
    with pytest.raises(WeightsError, match="no such expert"):
        get_expert("attentive:tiny+other")
    with pytest.raises(FitError, match="adapting needs targets"):
        adapt_expert("attentive:tiny", "other", [cohort[0].read()])


def test_recordings_that_cannot_be_used_cost_the_others_nothing(cohort):
    recordings = [item.read() for item in cohort]
    recordings[3] = recordings[3].select(("V1",))
    note = adapt_expert("attentive:tiny", "some", recordings, taught(cohort), (TAUGHT,), settings=QUICK)
    assert note.n_recordings == 119
    assert len(note.refused) == 1
    assert "needs lead II" in note.refused[0]


def test_the_command_line_makes_one_and_lists_it(cohort, folder, tmp_path, capsys):
    def run(command):
        with pytest.raises(SystemExit) as ended:
            main(command.split())
        assert ended.value.code == 0, capsys.readouterr().err
        return capsys.readouterr().out

    run(f"simulate {tmp_path}/hearts --n 120 --seed 3 --rate 100")
    truth = polars.read_csv(tmp_path / "hearts/targets.csv")
    truth.with_columns(polars.Series("taught", taught(cohort)["taught"])).write_csv(tmp_path / "targets.csv")
    data = f"--data {tmp_path}/hearts --table {tmp_path}/targets.csv --tasks taught:regression"
    said = run(f"experts adapt attentive:tiny --as shell {data} --epochs 30")
    assert "attentive:tiny+shell: learned taught from 120 recordings" in said
    assert "adapted to taught on simulated" in run("experts attentive:tiny+shell")
    assert "attentive:tiny+shell" in run("experts")
