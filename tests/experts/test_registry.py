"""Experts by name."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from enecg.errors import ExpertError
from enecg.experts import Card, Expert, expert_names, get_expert, published_names, register_expert
from enecg.experts._registry import HOMES, NETWORKS, _experts, experts_for, is_registered, names_with_answers
from enecg.recording import STANDARD_LEADS, Recording
from enecg.weights import weights_folder

ALWAYS = ("dlinear", "measurements", "rocket", "rocket-small", "s4d", "timesnet")
"""Those that need no download."""


def test_the_experts_without_download_are_there():
    assert set(ALWAYS) <= set(expert_names())
    assert expert_names() == tuple(sorted(expert_names()))


def test_each_home_registers_its_experts_and_no_others():
    for name in (*HOMES, *NETWORKS):
        bare = name in ALWAYS
        assert get_expert(name if bare else f"{name}:tiny").card.name.split(":")[0] == name
    ours = {name for name, kind in _experts.items() if kind.__module__.startswith("enecg.experts.")}
    assert ours == {*HOMES, *NETWORKS}


@pytest.mark.parametrize(
    ("wrong", "meant"), [("rockett", "rocket"), ("measurement", "measurements"), ("TimesNet", "timesnet")]
)
def test_an_unknown_name_is_answered_with_near_ones(wrong, meant):
    with pytest.raises(ExpertError, match=f"unknown expert '{wrong}'. Did you mean .*{meant}"):
        get_expert(wrong)


def test_a_name_that_is_near_none_is_answered_with_all():
    with pytest.raises(ExpertError) as caught:
        get_expert("zzzzzz")
    assert all(name in str(caught.value) for name in ALWAYS)


def test_a_name_is_given_once():
    with pytest.raises(ExpertError, match="'rocket' is registered already"):
        register_expert(type("Other", (Expert,), {"card": get_expert("rocket").card}))


def test_a_registered_expert_is_found_and_made_anew_each_time(monkeypatch):
    card = Card(
        name="mine", summary="mine", dim=1, leads=("I",), rate=1, seconds=1, licence="x", citation="x", source="x"
    )
    body = {"card": card, "prepare": lambda self, recordings: None, "embed_windows": lambda self, windows: windows}
    monkeypatch.setattr("enecg.experts._registry._experts", dict(_experts))
    mine = register_expert(type("Mine", (Expert,), body))
    assert "mine" in expert_names()
    assert isinstance(get_expert("mine"), mine)
    assert get_expert("mine") is not get_expert("mine")


# -- which would do ------------------------------------------------------------------------------------------------


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """Nothing is pulled, and nothing that was known before is remembered."""
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "weights"))
    experts_for.cache_clear()
    yield
    experts_for.cache_clear()


def test_the_experts_that_would_do_are_those_that_take_the_leads(no_weights):
    for leads in (STANDARD_LEADS, ("I",), ("II", "V1"), ("I", "aVL"), ("X",)):
        here, to_pull = experts_for(leads)
        signal = np.ones((len(leads), 5000), np.float32)
        recording = Recording(signal=signal, rate=500, leads=leads)
        taken = [name for name in ALWAYS if get_expert(name).refusal(recording) is None]
        assert list(here) == taken
        pullable = [name for name in published_names() if get_expert(name).refusal(recording) is None]
        assert list(to_pull) == pullable
    assert "ecgfounder-1lead" in experts_for(("I",))[1]


def test_a_refusal_for_leads_names_the_others_and_says_which_have_to_be_pulled_first(no_weights):
    one = Recording(signal=np.ones((1, 5000), np.float32), rate=500, leads=("I",))
    said = get_expert("rocket").refusal(one)
    assert said.startswith("rocket needs lead II, III, ")
    assert "(found I); with these leads: measurements, s4d; after `enecg experts pull NAME` also " in said
    assert "ecgfounder-1lead" in said.rpartition("also")[2]
    frank = Recording(signal=np.ones((1, 5000), np.float32), rate=500, leads=("X",))
    assert get_expert("measurements").refusal(frank).endswith("(found X); with these leads: none that is here")


@pytest.mark.parametrize("damaged", [False, True])
def test_an_expert_whose_weights_are_here_is_named_among_those_that_are(no_weights, damaged):
    folder = weights_folder() / "ecgfounder-1lead"
    folder.mkdir(parents=True)
    note = dict.fromkeys(("sha256", "content", "source", "source_sha256", "accepted", "pulled", "by"), "x")
    (folder / "weights.json").write_text("{" if damaged else json.dumps(note | {"file": "weights"}))
    (folder / "weights").touch()
    here, to_pull = experts_for(("I",))
    assert ("ecgfounder-1lead" in here, "ecgfounder-1lead" in to_pull) == (not damaged, damaged)


def test_names_that_another_process_would_know():
    for name in ("rocket", "ecgfounder", "ecgfounder:random", "ecgfounder:tiny", "ecgfounder+mine"):
        assert is_registered(name)
    for name in ("nobody", "rocket:random", "rocket+mine", "nobody:tiny", ":tiny", ""):
        assert not is_registered(name)


def test_experts_with_answers_of_their_own_are_known_by_name():
    found = names_with_answers()
    assert {"ecgfounder", "ecgfounder-1lead"} <= set(found)
    assert not set(found) & set(ALWAYS)


# -- experts of other packages -------------------------------------------------------------------------------------

THEIRS = """
import numpy as np

from enecg.experts import Card, Expert, Inputs, register_expert


@register_expert
class Loudness(Expert):
    card = Card(name="loudness", summary="how large the samples of lead II are", dim=2, leads=("II",), rate=0,
                seconds=10.0, licence="MIT", citation="none", source="computed", batch=1)

    def prepare(self, recordings):
        rows = [[np.nanmean(one.lead("II")), np.nanstd(one.lead("II"))] for one in recordings]
        return Inputs(np.array(rows, np.float32), np.arange(len(rows)), len(rows))

    def embed_windows(self, windows):
        return windows
"""

USE = """
import sys

from enecg import EnECG, get_expert, load_cohort
from enecg.ensemble import JointSettings
from enecg.ensemble._lora import AdapterSettings
from enecg.ensemble._train_gate import GateSettings
from enecg.ensemble._train_head import HeadSettings
from enecg.ensemble._trunk import TrunkSettings
from enecg.experts import expert_names

cohort = load_cohort("simulated", n=24, seed=1, rate=100.0)
if sys.argv[1] == "fit":
    assert "loudness" in expert_names()
    one, trunk = AdapterSettings(max_epochs=1, patience=1), TrunkSettings(width=8, max_epochs=1, min_steps=1)
    head = HeadSettings(trunk=trunk, adapters=one, new_task=one)
    quick = JointSettings(n_folds=2, head=head, gate=GateSettings(max_epochs=1))
    EnECG(("loudness",), ("sex",), settings=quick).fit(cohort).save(sys.argv[2])
print(get_expert("loudness").fingerprint, EnECG.load(sys.argv[2]).predict(cohort[:2]).records())
"""


@pytest.fixture
def with_package(tmp_path):
    """Run Python where a package is installed that names this module in the entry-point group `enecg.experts`."""

    def run(module, *arguments):
        (tmp_path / "theirs.py").write_text(module)
        about = tmp_path / "theirs-1.0.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[enecg.experts]\ntheirs = theirs\n")
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120
        )

    return run


def test_an_expert_of_another_package_is_found_fitted_and_found_again_by_its_bundle(with_package, tmp_path):
    fitted = with_package(THEIRS, "-W", "error", "-c", USE, "fit", str(tmp_path / "bundle"))
    assert fitted.returncode == 0, fitted.stderr
    again = with_package(THEIRS, "-W", "error", "-c", USE, "load", str(tmp_path / "bundle"))
    assert again.stdout == fitted.stdout, again.stderr


def test_another_package_that_is_broken_costs_no_other_expert_and_is_named(with_package):
    found = with_package("import nowhere", "-c", "from enecg.experts import expert_names; print(expert_names())")
    assert found.returncode == 0, found.stderr
    assert "'rocket'" in found.stdout
    assert "the experts of theirs cannot be loaded (ModuleNotFoundError: No module named 'nowhere')" in found.stderr


def test_another_package_cannot_take_a_name_that_is_ours(with_package):
    names = "from enecg.experts import expert_names, get_expert; expert_names(); print(get_expert('rocket'))"
    found = with_package(THEIRS.replace('"loudness"', '"rocket"'), "-c", names)
    assert "enecg.experts.rocket.Rocket" in found.stdout
    assert "an expert named 'rocket' is registered already" in found.stderr
