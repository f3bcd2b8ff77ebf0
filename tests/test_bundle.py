"""Bundles: the same bits in a new process, whole or not there, and an error by name for whatever is not one."""

import contextlib
import copy
import hashlib
import json
import os
import pickletools
import random
import resource
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enecg import EnECG, Recording, get_expert
from enecg.bundle import BackendWarning, read_card
from enecg.errors import BundleError, EnECGError
from enecg.experts._registry import _experts
from enecg.weights import pull_weights


@pytest.fixture(scope="module")
def some(small_cohort) -> list[Recording]:
    return [item.read() for item in small_cohort[:4]]


@pytest.fixture(scope="module")
def saved(fitted, tmp_path_factory) -> Path:
    """A bundle that must not be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "saved"
    fitted.save(folder)
    return folder


@pytest.fixture
def bundle(saved, tmp_path) -> Path:
    """A bundle to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "bundle"))


def tensors_of(folder: Path) -> Path:
    (path,) = folder.glob("tensors-*.safetensors")
    return path


def rewrite(folder: Path, change: Callable[[dict], object]) -> None:
    """Change `bundle.json` and sign it again, as somebody would who wants it to be taken for whole."""
    card = json.loads((folder / "bundle.json").read_text())
    change(card)
    text = json.dumps({key: value for key, value in card.items() if key != "sha256"}, sort_keys=True)
    card["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(card))


# -- what it keeps -------------------------------------------------------------------------------------------------

PREDICT = """
import sys
import numpy as np
from enecg import EnECG

bundle, array, out = sys.argv[1:]
from enecg.recording import STANDARD_LEADS
found = EnECG.load(bundle).predict(np.load(array), rate=100, leads=STANDARD_LEADS, unit="mV")
found.write(out)
assert "torch" not in sys.modules, "answering should not load torch"
assert "peft" not in sys.modules
"""


def test_a_new_process_predicts_the_same_bits_without_torch(fitted, saved, some, tmp_path):
    signals = np.stack([recording.signal for recording in some])
    np.save(tmp_path / "signals.npy", signals)
    here = fitted.predict(signals, rate=100, leads=some[0].leads, unit="mV")
    arguments = [saved, tmp_path / "signals.npy", tmp_path / "answers.json"]
    subprocess.run([sys.executable, "-W", "error", "-c", PREDICT, *map(str, arguments)], check=True)
    assert json.loads((tmp_path / "answers.json").read_text()) == here.records()


def test_what_was_fitted_comes_back(fitted, saved, some):
    loaded = EnECG.load(saved)
    assert loaded.predict(some).records() == fitted.predict(some).records()
    assert loaded.predict(some, top_k=1).records() == fitted.predict(some, top_k=1).records()
    for name in ("simulated_tasks_", "training_", "results_", "seen_subjects_"):
        assert getattr(loaded, name) == getattr(fitted, name)
    for name in ("recipe", "gate_leads", "top_k", "coverage", "min_quality", "seed"):
        assert getattr(loaded, name) == getattr(fitted, name)
    assert loaded.expert_names() == fitted.expert_names()
    assert loaded.task_list() == fitted.task_list()


def test_saving_what_was_loaded_gives_the_same_bundle(saved, tmp_path):
    EnECG.load(saved).save(tmp_path / "again")
    for path in saved.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_numbers_of_numpy_among_the_parameters_are_kept(fitted, tmp_path):
    one = copy.copy(fitted).set_params(seed=np.int64(7), coverage=np.float32(0.5), top_k=np.int32(1))
    one.results_ = [{"task": "age", "value": np.float64(8.5)}]
    one.save(tmp_path / "b")
    loaded = EnECG.load(tmp_path / "b")
    assert (loaded.seed, loaded.coverage, loaded.top_k) == (7, 0.5, 1)
    assert loaded.results_ == [{"task": "age", "value": 8.5}]


def test_it_holds_plain_files_only_and_no_pickle(saved):
    from safetensors.numpy import load_file

    assert sorted(path.name for path in saved.iterdir()) == ["bundle.json", tensors_of(saved).name]
    json.loads((saved / "bundle.json").read_text())
    assert all(isinstance(part, np.ndarray) for part in load_file(tensors_of(saved)).values())
    for path in saved.iterdir():
        with pytest.raises(ValueError):
            list(pickletools.genops(path.read_bytes()))


def test_halves_are_smaller_and_answers_stay_close(fitted, saved, some, tmp_path):
    """Within 0.002 of each probability; within a hundredth of the interval's width, or a thousandth of the value.

    A single measurement answers RR within a millisecond, which is as far as 16 bits reach.
    """
    fitted.save(tmp_path / "half", halves=True)
    assert tensors_of(tmp_path / "half").stat().st_size < 0.6 * tensors_of(saved).stat().st_size
    half = EnECG.load(tmp_path / "half")
    for one, other in zip(fitted.predict(some), half.predict(some), strict=True):
        for name, answer in one.answers.items():
            if answer.task.kind == "regression":
                near = max(0.01 * (answer.high - answer.low), 0.001 * abs(answer.value))
                assert abs(answer.value - other.answers[name].value) <= near
            for label, chance in answer.probabilities.items():
                assert abs(chance - other.answers[name].probabilities[label]) <= 0.002
    half.save(tmp_path / "half of half", halves=True)
    assert EnECG.load(tmp_path / "half of half").predict(some).records() == half.predict(some).records()


# -- what is not one -----------------------------------------------------------------------------------------------


def test_a_folder_without_a_bundle_is_refused(tmp_path, saved):
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match=r"no bundle.*bundle\.json.*EnECG\.save"):
        EnECG.load(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"no bundle"):
        EnECG.load(tmp_path)
    for path in (tmp_path / "file", saved / "bundle.json"):
        with pytest.raises(BundleError, match=r"bundle"):
            EnECG.load(path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_one_changed_byte_of_the_card_is_refused(saved, tmp_path_factory, data):
    """Except between its words, where it may change nothing."""
    folder = Path(shutil.copytree(saved, tmp_path_factory.mktemp("b") / "b"))
    content = bytearray((saved / "bundle.json").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[place]))
    (folder / "bundle.json").write_bytes(content)
    try:
        same = json.loads(content.decode()) == json.loads((saved / "bundle.json").read_text())
    except ValueError:
        same = False
    if not same:
        with pytest.raises(BundleError, match=r"bundle\.json"):
            read_card(folder)
    shutil.rmtree(folder.parent)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_changed_or_cut_tensors_are_refused(saved, tmp_path_factory, data):
    folder = Path(shutil.copytree(saved, tmp_path_factory.mktemp("b") / "b"))
    content = bytearray(tensors_of(folder).read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    tensors_of(folder).write_bytes(content)
    with pytest.raises(BundleError, match=r"tensors-.*altered or cut short.*save the bundle again"):
        EnECG.load(folder)
    shutil.rmtree(folder.parent)


def test_missing_tensors_are_refused(bundle):
    tensors_of(bundle).unlink()
    with pytest.raises(BundleError, match=r"tensors-\w+\.safetensors: cannot be read"):
        EnECG.load(bundle)


@pytest.mark.parametrize("found", [2, 0, "1", None, [], {}, 1.5, True, 10**400])
def test_a_bundle_of_another_format_is_refused_and_says_to_update(bundle, found):
    rewrite(bundle, lambda card: card.update(format=found))
    with pytest.raises(BundleError, match=r"bundle of format .*reads 1\. Update enecg"):
        EnECG.load(bundle)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"5", b'"x"', b"{", b"\xff\xfe", b"{}", b"[" * 100_000, b"9" * 5000, b"NaN", b"\0" * 100],
)
def test_a_card_that_is_none_is_refused(bundle, content):
    (bundle / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        EnECG.load(bundle)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Where something stands in a card: paths of keys."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list) and value:
        found += places(value[0], (*path, 0))
    return found


ABSURD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([[], {}, "../../../etc/passwd", "/etc/passwd", [[1]], {"a": {}}, ["x"] * 3, -1, 1e308]),
)


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_absurd_values_signed_as_if_they_were_whole_are_refused_or_do_no_harm(saved, some, tmp_path_factory, data):
    """Whatever stands in the card: either a BundleError, or a bundle that answers or refuses in the usual way."""
    folder = tmp_path_factory.mktemp("b")
    os.link(tensors_of(saved), folder / tensors_of(saved).name)
    shutil.copy(saved / "bundle.json", folder)
    path = data.draw(st.sampled_from(places(json.loads((saved / "bundle.json").read_text()))))
    value, drop = data.draw(ABSURD), data.draw(st.booleans())

    def change(card: dict) -> None:
        for key in path[:-1]:
            card = card[key]
        if drop:
            del card[path[-1]]
        else:
            card[path[-1]] = value

    rewrite(folder, change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # Huge numbers overflow.
        # Some values are only wrong once an answer is asked for (a task's name, say), and are refused then.
        with contextlib.suppress(EnECGError):
            EnECG.load(folder).predict(some[:1]).records()
    shutil.rmtree(folder)


def test_tensors_that_do_not_fit_the_card_are_refused(bundle):
    from safetensors.numpy import load_file, save

    tensors = load_file(tensors_of(bundle))
    name = next(name for name in tensors if name.endswith(("linear.age.weight", "second.weight")))
    for changed in ({name: tensors[name][:-1]}, {name: tensors[name].T[:3].copy()}, {name: tensors[name] * np.nan}):
        data = save(tensors | changed)
        for path in bundle.glob("tensors-*"):
            path.unlink()
        digest = hashlib.sha256(data).hexdigest()
        (bundle / f"tensors-{digest[:16]}.safetensors").write_bytes(data)
        rewrite(bundle, lambda card, digest=digest: card.update(tensors_sha256=digest))
        with pytest.raises(BundleError, match=r"cannot be used \(\w+: .*install that version.*or fit again"):
            EnECG.load(bundle)


def test_no_file_outside_the_folder_is_read(bundle, tmp_path):
    outside = tmp_path / "outside.safetensors"
    tensors_of(bundle).rename(outside)
    for name in ("../outside", "../outside.safetensors", str(outside), "..", ""):
        rewrite(bundle, lambda card, name=name: card.update(tensors_sha256=name))
        with pytest.raises(BundleError, match=r"altered"):
            EnECG.load(bundle)


# -- other experts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["weights_sha256", "prepare_version"])
def test_an_expert_of_other_weights_or_preprocessing_is_refused(bundle, what):
    def change(card: dict) -> None:
        card["experts"]["measurements"] |= {what: 99, "fingerprint": "0" * 16}

    rewrite(bundle, change)
    with pytest.raises(BundleError, match=rf"expert measurements is not the one .*{what}.*fit again"):
        EnECG.load(bundle)


def test_an_expert_on_another_backend_is_a_warning_and_answers(bundle, some, fitted):
    rewrite(bundle, lambda card: card["experts"]["measurements"].update(backend="torch bf16", fingerprint="0" * 16))
    with pytest.warns(BackendWarning, match=r"measurements was fitted on backend torch bf16 and runs on numpy"):
        loaded = EnECG.load(bundle)
    assert loaded.predict(some).records() == fitted.predict(some).records()


def test_an_expert_that_is_not_installed_is_refused_by_name(bundle):
    rewrite(bundle, lambda card: card["experts"].update(theirs=card["experts"].pop("measurements")))
    with pytest.raises(BundleError, match=r"unknown expert 'theirs'.*install"):
        EnECG.load(bundle)


def test_an_expert_that_no_later_process_could_find_is_refused_when_saving(fitted, tmp_path):
    class Mine(type(get_expert("rocket-small"))):
        card = replace(get_expert("rocket-small").card, name="mine")

    one = copy.copy(fitted).set_params(experts=(Mine(), "measurements"))
    with pytest.raises(BundleError, match=r"expert mine is not registered.*register it"):
        one.save(tmp_path / "b")
    assert not (tmp_path / "b").exists()


class Founder(type(get_expert("ecgfounder"))):
    """A published expert small enough to be pulled in a test, with terms of use, on either of two backends."""

    size = type(get_expert("ecgfounder")).tiny
    card = replace(get_expert("ecgfounder").card, name="founder", dim=size.dim)
    origin = replace(type(get_expert("ecgfounder")).origin, terms="for research only (test licence)")
    backends = ("torch fp32", "torch bf16")


@pytest.fixture
def pulled(monkeypatch, tmp_path) -> Path:
    """The folder of the weights of `founder`, which is registered."""
    import torch

    monkeypatch.setitem(_experts, "founder", Founder)
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "weights"))
    torch.manual_seed(1)
    torch.save(Founder.network(Founder.size).state_dict(), tmp_path / "founder.pth")
    unused = Founder.unused
    pull_weights(
        "founder", Founder.origin, Founder.layout(), unused, file=tmp_path / "founder.pth", accept_licence=True
    )
    return tmp_path / "weights" / "founder"


@pytest.fixture
def with_founder(pulled, unfitted, small_cohort, tmp_path) -> EnECG:
    """Fitted on the backend that is not the default, and saved as `founded`."""
    experts = (get_expert("founder", backend="torch bf16"), "measurements")
    model = unfitted.clone().set_params(experts=experts, tasks=("rr_interval", "sex")).fit(small_cohort[:48])
    model.save(tmp_path / "founded")
    return model


def test_a_published_expert_comes_back_on_the_backend_that_it_was_fitted_on(with_founder, some, tmp_path, monkeypatch):
    loaded = EnECG.load(tmp_path / "founded")
    assert [expert.backend for expert in loaded.fitted_experts()] == ["torch bf16", "numpy"]
    assert loaded.predict(some).records() == with_founder.predict(some).records()
    assert loaded.clone().fitted_experts()[0].backend == "torch bf16"
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "bundle.json").read_bytes() == (tmp_path / "founded" / "bundle.json").read_bytes()
    monkeypatch.setattr(Founder, "backends", ("torch fp32",))
    with pytest.warns(BackendWarning, match="founder was fitted on backend torch bf16 and runs on torch fp32"):
        elsewhere = EnECG.load(tmp_path / "founded")
    found, expected = (
        [one.answers["rr_interval"].by_expert["founder"] for one in model.predict(some)]
        for model in (elsewhere, with_founder)
    )
    assert found == pytest.approx(expected, rel=0.05)
    assert found != expected


def test_terms_of_use_are_in_the_bundle_and_beside_every_answer(with_founder, some, tmp_path):
    terms = "for research only (test licence)"
    assert read_card(tmp_path / "founded")["experts"]["founder"]["caveats"] == [terms]
    assert read_card(tmp_path / "founded")["experts"]["measurements"]["caveats"] == []
    assert with_founder.predict(some[:1])[0].notes == (f"founder: {terms}",)


def test_a_bundle_whose_experts_weights_are_not_here_says_how_to_get_them(with_founder, pulled, tmp_path):
    pulled.rename(pulled.with_name("elsewhere"))
    missing = (
        r"founded: an expert of this bundle cannot run here: founder: its weights are not here; `enecg experts pull"
    )
    with pytest.raises(BundleError, match=missing):
        EnECG.load(tmp_path / "founded")


def test_a_bundle_fitted_with_other_weights_is_refused(with_founder, tmp_path):
    import torch

    torch.save(Founder.network(Founder.size).state_dict(), tmp_path / "founder.pth")
    options = {"file": tmp_path / "founder.pth", "accept_licence": True, "again": True}
    pull_weights("founder", Founder.origin, Founder.layout(), Founder.unused, **options)
    with pytest.raises(BundleError, match=r"expert founder is not the one .*weights_sha256 differ"):
        EnECG.load(tmp_path / "founded")


def test_random_weights_are_kept_by_name_and_said_in_the_bundle(half_random, some, tmp_path):
    half_random.save(tmp_path / "b")
    assert read_card(tmp_path / "b")["experts"]["ecgfounder:tiny"]["caveats"] == ["random weights: it knows nothing"]
    loaded = EnECG.load(tmp_path / "b")
    assert loaded.expert_names() == ["ecgfounder:tiny", "measurements"]
    assert loaded.predict(some).records() == half_random.predict(some).records()


def test_a_bundle_from_before_caveats_were_kept_still_predicts(bundle, fitted, some):
    def drop(card: dict) -> None:
        for identity in card["experts"].values():
            del identity["caveats"]

    rewrite(bundle, drop)
    assert EnECG.load(bundle).predict(some).records() == fitted.predict(some).records()


# -- where it is written -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(unfitted, small_cohort) -> EnECG:
    """Another, smaller ensemble."""
    return unfitted.clone().set_params(experts=("rocket-small",), tasks=("age",)).fit(small_cohort[:48])


def test_a_bundle_takes_the_place_of_an_older_one_and_of_nothing_else(bundle, other, some):
    (bundle / "notes.txt").write_text("mine")
    other.save(bundle)
    assert EnECG.load(bundle).predict(some).records() == other.predict(some).records()
    assert sorted(path.name for path in bundle.iterdir()) == ["bundle.json", "notes.txt", tensors_of(bundle).name]


def test_a_damaged_bundle_can_be_saved_again(bundle, fitted, some):
    (bundle / "bundle.json").write_bytes(b"half a")
    fitted.save(bundle)
    tensors_of(bundle).unlink()
    fitted.save(bundle)
    assert EnECG.load(bundle).predict(some).records() == fitted.predict(some).records()


@pytest.mark.parametrize("name", ["thesis.tex", "bundle.json"])
def test_a_folder_that_holds_other_things_is_left_alone(fitted, tmp_path, name):
    (tmp_path / name).write_text('{"name": "of another program"}')
    with pytest.raises(BundleError, match=r"holds other files than a bundle; give the name of a new folder"):
        fitted.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_it_is_written_into_empty_new_deep_and_linked_folders(fitted, some, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("empty", "new", "some/where/deep", "link"):
        fitted.save(tmp_path / name)
        assert EnECG.load(tmp_path / name).predict(some[:1]).records() == fitted.predict(some[:1]).records()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["file", "file/below", "dangling"])
def test_a_place_where_no_folder_can_be_is_refused(fitted, tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "file")
    with pytest.raises(BundleError, match=rf"{tmp_path / name}: the bundle cannot be written"):
        fitted.save(tmp_path / name)


def test_a_full_disk_is_an_error_and_the_older_bundle_still_answers(bundle, fitted, other, some):
    before = EnECG.load(bundle).predict(some).records()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))
    try:
        with pytest.raises(BundleError, match=r"cannot be written.*was here before is intact.*make room"):
            other.save(bundle)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert EnECG.load(bundle).predict(some).records() == before
    assert len(list(bundle.iterdir())) == 2


SAVE = """
import sys
from enecg import EnECG

one, other, target = sys.argv[1:]
bundles = [EnECG.load(one), EnECG.load(other)]
while True:
    for bundle in bundles:
        bundle.save(target)
        print("saved", flush=True)
"""


def test_killed_while_saving_leaves_the_old_bundle_or_the_new_one(fitted, other, saved, tmp_path, some):
    other.save(tmp_path / "other")
    one, two = fitted.predict(some[:1]).records(), other.predict(some[:1]).records()
    target, rng = tmp_path / "target", random.Random(5)
    for _ in range(3):
        arguments = [str(saved), str(tmp_path / "other"), str(target)]
        with subprocess.Popen([sys.executable, "-c", SAVE, *arguments], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "saved\n"
            time.sleep(rng.random() * 0.1)
            process.kill()
        assert EnECG.load(target).predict(some[:1]).records() in (one, two)
    fitted.save(target)
    assert EnECG.load(target).predict(some[:1]).records() == one
    assert len(list(target.glob("tensors-*"))) == 1


def test_the_fingerprints_of_the_experts_are_in_it(saved):
    card = read_card(saved)
    for name, identity in card["experts"].items():
        assert identity["fingerprint"] == get_expert(name).fingerprint
        assert identity["prepare_version"] == get_expert(name).card.prepare_version
