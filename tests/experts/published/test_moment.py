"""MOMENT computes what the published code computes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import linear

from enecg.experts import get_expert
from enecg.experts.published.moment import Size, bucket, normalised, stretched
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one

POOLED, ELSE = {"atol": 3e-6, "rtol": 0}, {"atol": 2e-5, "rtol": 0}
"""Tolerances of the reference's README: of pooled embeddings, and of everything else."""


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "moment"


@pytest.fixture(scope="module")
def cases(folder):
    return load_file(folder / "cases.safetensors")


@pytest.fixture(scope="module")
def heads(folder):
    return load_file(folder / "weights-heads.safetensors")


@pytest.fixture(scope="module")
def network(folder, load_golden):
    config = json.loads((folder / "config.json").read_text())["tiny"]["t5_config"]
    size = Size(**{name: value for name, value in config.items() if name in Size.__dataclass_fields__})
    return load_golden(type(get_expert("moment-small")).network(size), folder / "weights.safetensors")


def head(heads, name, features):
    return linear(features, heads[f"{name}.head.linear.weight"], heads[f"{name}.head.linear.bias"])


def close(found, expected, tolerance):
    torch.testing.assert_close(found, expected, equal_nan=False, **tolerance)


@pytest.mark.parametrize("case", ["embed_b1_c12", "embed_b2_len1003", "embed_b1_len5000", "embed_nan_flat"])
def test_the_embedding_is_the_reference_s(network, cases, case):
    close(network(cases[f"{case}.x"]), cases[f"{case}.y"], POOLED)


def test_what_is_not_observed_is_hidden(network, cases):
    x, observed = cases["embed_b3_mask.x"], cases["embed_b3_mask.input_mask"] > 0
    assert not observed.all()
    close(network(x, observed), cases["embed_b3_mask.y"], POOLED)
    # Nobody looks at it, whatever it is.
    junk = x.where(observed[:, None], 1e6)
    close(network(junk, observed), cases["embed_b3_mask.y"], POOLED)


def test_all_observed_is_the_same_as_no_mask(network, cases):
    x = cases["embed_b1_c12.x"]
    close(network(x, torch.ones(1, 512, dtype=torch.bool)), network(x), POOLED)


def test_a_window_of_which_nothing_is_observed_has_no_embedding(network, cases):
    assert network(cases["embed_b1_c12.x"], torch.zeros(1, 512, dtype=torch.bool)).isnan().all()


@pytest.mark.parametrize("case", ["embed_b1_c12", "embed_b3_mask"])
def test_every_step_is_the_reference_s(network, cases, case):
    observed = cases[f"{case}.input_mask"] > 0 if f"{case}.input_mask" in cases else None
    found = {"after_norm": normalised(cases[f"{case}.x"], observed)[0]}

    def keep(name):
        return lambda _, __, output: found.update({name: output})

    handles = [
        network.patch_embedding.register_forward_hook(keep("after_embedding")),
        network.encoder.block[0].register_forward_hook(keep("after_block0")),
        network.encoder.final_layer_norm.register_forward_hook(keep("after_final_norm")),
    ]
    network(cases[f"{case}.x"], observed)
    for handle in handles:
        handle.remove()
    steps = [name for name in found if f"{case}.{name}" in cases]
    assert len(steps) == 3
    for name in steps:
        expected = cases[f"{case}.{name}"]
        close(found[name].reshape(expected.shape), expected, ELSE)


def test_the_relative_bias_is_t5_s(network, cases):
    assert torch.equal(bucket(torch.arange(-200, 201)), cases["relative_bucket_-200_200.y"])
    close(network.encoder.relative_bias(64), cases["relative_bias_64.y"], ELSE)


def test_the_patches_of_each_lead_are_the_reference_s(network, cases):
    x = cases["embed_none_b2_c3.x"]
    close(network.encode(normalised(x)[0]), cases["embed_none_b2_c3.y"], ELSE)


def test_hidden_patches_are_filled_in(network, cases):
    masks = (cases[f"reconstruct_b2_c2.{name}"] > 0 for name in ("input_mask", "mask"))
    close(network.reconstruct(cases["reconstruct_b2_c2.x"], *masks), cases["reconstruct_b2_c2.y"], ELSE)


@pytest.mark.parametrize("case", ["classify_concat_b3_c12", "classify_concat_b2_c12_mask"])
def test_the_reference_s_classifiers_read_what_is_encoded(network, cases, heads, case):
    observed = cases[f"{case}.input_mask"] > 0 if f"{case}.input_mask" in cases else None
    encoded = network.encode(normalised(cases[f"{case}.x"], observed)[0], observed)
    features = encoded.mean(2).transpose(1, 2).flatten(1)
    if observed is None:
        close(features, cases[f"{case}.embeddings_patch_mean"], ELSE)
        means = head(heads, "classification_mean", encoded.mean((1, 2)))
        close(means, cases["classify_mean_b3_c12.logits"], ELSE)
    close(head(heads, "classification_concat", features), cases[f"{case}.logits"], ELSE)


def test_the_reference_s_forecaster_reads_what_is_encoded(network, cases, heads):
    scaled, mean, deviation = normalised(cases["forecast_b2_c3.x"])
    found = head(heads, "forecasting_16", network.encode(scaled).flatten(2)) * deviation + mean
    close(found, cases["forecast_b2_c3.y"], ELSE)


@pytest.mark.parametrize("size", ["small", "base", "large"])
def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder, size):
    expected = json.loads((folder / f"full_keys-{size}.json").read_text())
    found = type(get_expert(f"moment-{size}")).layout()
    assert {name: [kind, list(shape)] for name, (shape, kind) in found.items()} == expected["tensors"]
    assert sum(int(np.prod(shape)) for shape, _ in found.values()) == expected["n_values"]


def test_positions_are_those_of_the_file(folder):
    """As far as ten seconds go; the reference's lose digits in float32, the farther the more."""
    weights = load_file(folder / "weights.safetensors")
    name = "patch_embedding.position_embedding.pe"
    made = type(get_expert("moment-small")).network(Size(24, 40, 8, 2, 3, 32)).state_dict()[name]
    close(made[:, :64], weights[name][:, :64], {"atol": 5e-6, "rtol": 0})


def test_a_recording_is_stretched_and_scaled_as_in_the_tutorial(cases):
    raw, expected = cases["tutorial_preprocess.raw"].numpy(), cases["tutorial_preprocess.y"].numpy()
    np.testing.assert_allclose(stretched(raw), expected, atol=1e-6)
    recording = Recording(signal=np.tile(raw, (4, 1)), rate=100, leads=STANDARD_LEADS)
    found = get_expert("moment-small:tiny").prepare([recording]).windows
    np.testing.assert_allclose(found[0], np.tile(expected, (4, 1)), atol=1e-6)


def test_a_short_stretch_is_longer_afterwards():
    line = np.arange(3, dtype=np.float32)[None]
    found = stretched(line)[0]
    np.testing.assert_allclose(np.diff(found), np.diff(found).mean(), rtol=1e-4)
    assert found.shape == (512,)


def test_gaps_are_bridged_before_they_are_stretched():
    recording = simulate_one(0, seed=1).recording
    signal = recording.signal.copy()
    signal[2, 100:200] = np.nan
    signal[5] = np.nan
    windows = (
        get_expert("moment-small:tiny").prepare([Recording(signal=signal, rate=500, leads=recording.leads)]).windows[0]
    )
    assert np.isfinite(windows).all()
    assert not windows[5].any()
