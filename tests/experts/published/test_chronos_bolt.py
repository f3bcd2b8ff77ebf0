"""Chronos-Bolt computes what its authors' package computes. There are no golden numbers: weights here are random."""

import re
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from chronos import ChronosBoltPipeline
from chronos.chronos_bolt import ChronosBoltModelForForecasting
from transformers import T5Config

from enecg.errors import ExpertError, MissingPackageError, WeightsError
from enecg.experts import get_expert
from enecg.experts.published.chronos_bolt import SETTINGS, Size
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one
from enecg.weights import find_kept, pull_weights

NAMES = ("chronos-bolt-tiny", "chronos-bolt-mini", "chronos-bolt-small", "chronos-bolt-base")


def publish(folder, size):
    """A model as the package saves it: config.json and model.safetensors of random weights. Returns the latter."""
    config = T5Config(**asdict(size), **SETTINGS)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        ChronosBoltModelForForecasting(config).save_pretrained(folder)
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def recording():
    """As long and as fine as the model reads it, so that nothing but the network is between it and the embedding."""
    return simulate_one(2, seed=4, rate=200.0, seconds=10).recording


@pytest.fixture(scope="module")
def pulled(tmp_path_factory):
    """The smallest expert with weights that were taken from a file in the published layout, and the package's own."""
    folder = tmp_path_factory.mktemp("published")
    expert = get_expert("chronos-bolt-tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENECG_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        file = publish(folder, expert.size)
        pull_weights("chronos-bolt-tiny", expert.origin, expert.layout(), expert.unused, file=file)
        yield expert, ChronosBoltPipeline.from_pretrained(folder)


def of_the_package(pipeline, signal):
    """Mean of the patches that the package's `embed` gives for each lead; its last token is no patch."""
    found, _ = pipeline.embed(torch.tensor(signal))
    return found[:, :-1].mean(dim=(0, 1)).numpy()


def test_it_gives_what_the_package_gives(pulled, recording):
    expert, pipeline = pulled
    found = expert.embed(expert.prepare([recording]))[0]
    np.testing.assert_allclose(found, of_the_package(pipeline, recording.signal), rtol=1e-4, atol=1e-6)
    assert np.abs(found).max() > 0.01


def test_a_missing_lead_or_patch_counts_for_nothing(pulled, recording):
    expert, pipeline = pulled
    lacking = recording.signal.copy()
    lacking[4] = np.nan
    found = expert.embed(expert.prepare([replace(recording, signal=lacking)]))[0]
    others = np.delete(recording.signal, 4, axis=0)
    np.testing.assert_allclose(found, of_the_package(pipeline, others), rtol=1e-4, atol=1e-6)
    lacking = recording.signal.copy()
    lacking[:, 320:480] = np.nan
    found = expert.embed(expert.prepare([replace(recording, signal=lacking)]))[0]
    tokens, _ = pipeline.embed(torch.from_numpy(lacking))
    kept = np.delete(tokens[:, :-1].numpy(), range(20, 30), axis=1)
    np.testing.assert_allclose(found, kept.mean(axis=(0, 1)), rtol=1e-4, atol=1e-6)


def test_neither_gain_nor_offset_matters_because_the_model_scales_each_lead(pulled, recording):
    expert, _ = pulled
    moved = replace(recording, signal=(recording.signal * 4 + 1).astype(np.float32))
    found = expert.embed(expert.prepare([recording, moved]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


def test_what_is_not_read_is_not_kept(pulled):
    expert, _ = pulled
    network = expert._network
    on_meta = {name for name, part in network.named_parameters() if part.is_meta}
    assert on_meta
    assert all(name.startswith(("decoder.", "output_patch_embedding.", "encoder.embed_tokens.")) for name in on_meta)
    assert find_kept("chronos-bolt-tiny").content == expert.weights_digest


def test_lora_goes_into_the_attention_of_the_encoder_only():
    network = get_expert("chronos-bolt-tiny:tiny").network(Size(16, 32, 8, 2, 3))
    linear = {name for name, part in network.named_modules() if isinstance(part, torch.nn.Linear)}
    found = {name for name in linear if re.fullmatch(get_expert("chronos-bolt-tiny").attention, name)}
    assert len(found) == 4 * 3
    assert found == {name for name in linear if "encoder" in name and "SelfAttention" in name}


def test_the_weights_of_another_size_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "weights"))
    expert = get_expert("chronos-bolt-tiny")
    file = publish(tmp_path, expert.tiny)
    with pytest.raises(WeightsError, match=r"of another shape.*\[16"):
        pull_weights("chronos-bolt-tiny", expert.origin, expert.layout(), expert.unused, file=file)
    assert find_kept("chronos-bolt-tiny") is None


@pytest.mark.parametrize(
    ("name", "millions", "size"),
    [
        # Parameters as the hub counts them; sizes of t5-efficient-*, whose config.json is published.
        ("chronos-bolt-tiny", 8.65, Size(256, 1024, 64, 4, 4)),
        ("chronos-bolt-mini", 21.2, Size(384, 1536, 64, 8, 4)),
        ("chronos-bolt-small", 47.7, Size(512, 2048, 64, 8, 6)),
        ("chronos-bolt-base", 205, Size(768, 3072, 64, 12, 12)),
    ],
)
def test_the_sizes_are_the_published_ones(name, millions, size):
    expert = type(get_expert(name))
    assert expert.size == size
    assert expert.card.dim == size.d_model
    assert f"{expert.card.parameters / 1e6:.3g}" == str(millions)


def test_the_layout_has_the_names_that_the_package_saves(tmp_path):
    from safetensors import safe_open

    expert = get_expert("chronos-bolt-mini:tiny")
    with safe_open(publish(tmp_path, expert.size), "np") as file:
        saved = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    layout = {name: shape for name, (shape, _) in expert.layout().items()}
    assert saved.items() <= layout.items()
    # The table of special tokens is shared, and saved once.
    assert layout.keys() - saved.keys() == {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}


def test_a_recording_is_brought_to_the_rate_and_keeps_its_gaps():
    signal = np.tile(np.sin(2 * np.pi * 5 * np.arange(5000) / 500), (12, 1)).astype(np.float32)
    signal[3, 1000:2000] = np.nan
    windows = (
        get_expert("chronos-bolt-small").prepare([Recording(signal=signal, rate=500, leads=STANDARD_LEADS)]).windows
    )
    assert windows.shape == (1, 12, 2000)
    missing = np.isnan(windows[0])
    assert missing[3, 400:800].all()
    assert missing.sum() <= 410
    np.testing.assert_allclose(windows[0, 0, 50:-50], np.sin(2 * np.pi * 5 * np.arange(2000) / 200)[50:-50], atol=0.01)


def test_without_the_package_the_card_is_there_and_the_error_says_what_to_install(monkeypatch, recording):
    for name in ("chronos", "chronos.chronos_bolt"):
        monkeypatch.setitem(sys.modules, name, None)
    expert = get_expert("chronos-bolt-base:tiny")
    assert "no golden numbers" in expert.card.summary
    inputs = expert.prepare([recording])
    with pytest.raises(MissingPackageError, match=r"chronos-forecasting.*pip install 'enecg\[chronos\]'"):
        expert.embed(inputs)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_no_answers_of_its_own(name, recording):
    expert = get_expert(f"{name}:tiny")
    with pytest.raises(ExpertError, match="no answers of its own"):
        expert.embed_and_answer(expert.prepare([recording]))
