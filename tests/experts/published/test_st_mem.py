"""ST-MEM computes what the published code computes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from enecg.experts import get_expert
from enecg.experts.published.st_mem import Size, crops_of
from enecg.recording import STANDARD_LEADS, Recording

NEAR = {"atol": 2e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "st_mem"


@pytest.fixture(scope="module")
def cases(folder):
    with np.load(folder / "cases.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def size(folder):
    config = json.loads((folder / "config.json").read_text())["golden"]
    return Size(**{key: value for key, value in config.items() if key in Size.__dataclass_fields__})


@pytest.fixture
def network(folder, load_golden, size):
    return load_golden(type(get_expert("st-mem")).network(size), folder / "weights.safetensors")


@pytest.fixture(scope="module")
def raw(folder):
    """A recording with a dead lead, and the published crops of it."""
    with np.load(folder / "preprocessing.npz") as file:
        signal, expected = file["raw_500hz.uV"] / 1000, file["raw_500hz.ncrop_input"]
    return Recording(signal=signal.astype(np.float32), rate=500, leads=STANDARD_LEADS), expected


@pytest.mark.parametrize("case", ["b1", "b3"])
def test_it_matches_the_reference(network, cases, case):
    torch.testing.assert_close(network.encode(cases[f"{case}.input"]), cases[f"{case}.output"], **NEAR)


def test_fewer_patches_match_the_reference(network, cases):
    torch.testing.assert_close(network.encode(cases["b3.input"][:2, :, :1500]), cases["short.output"], **NEAR)


def test_a_signal_next_to_nothing_matches_the_reference(network, cases):
    torch.testing.assert_close(network.encode(cases["b1.input"] / 256), cases["quiet.output"], **NEAR)


def test_what_a_published_head_reads_is_the_embedding(folder, network, cases):
    head = load_file(folder / "weights_head.safetensors")
    found = network.encode(cases["b3.input"]) @ head["head.weight"].T + head["head.bias"]
    torch.testing.assert_close(found, cases["classifier.logits"], **NEAR)


def test_each_stage_matches_the_reference(network, cases):
    seen = {}
    for name in ("to_patch_embedding", "block0"):
        hook = seen.setdefault(name, [])
        network.get_submodule(name).register_forward_hook(lambda _, given, made, hook=hook: hook.append((*given, made)))
    network.encode(cases["b1.input"])
    torch.testing.assert_close(seen["to_patch_embedding"][0][1], cases["b1.patch_embedding"], **NEAR)
    torch.testing.assert_close(seen["block0"][0][0], cases["b1.tokens_in"], **NEAR)
    torch.testing.assert_close(seen["block0"][0][1], cases["b1.block0"], **NEAR)


def test_hidden_patches_leave_the_tokens_of_the_masked_autoencoder(network, cases):
    kept = cases["mae.noise"].argsort(dim=2)[:, :, :7]
    assert not cases["mae.mask"].gather(2, kept).any()
    x = network.to_patch_embedding(cases["b3.input"][:2]) + network.pos_embedding[:, 1:-1]
    tokens = network.tokens(x.gather(2, kept[..., None].expand(-1, -1, -1, x.shape[-1])))
    torch.testing.assert_close(network.norm(tokens).flatten(1, 2), cases["mae.latent"], **NEAR)


@pytest.mark.parametrize("n_samples", [2249, 2251, 74])
def test_a_length_that_is_not_whole_patches_is_refused(network, n_samples):
    with pytest.raises(RuntimeError):
        network.encode(torch.zeros(1, 12, n_samples))


def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder):
    expected = json.loads((folder / "full_keys.json").read_text())["state_dict"]
    found = type(get_expert("st-mem")).layout()
    assert {key: {"shape": list(shape), "dtype": dtype} for key, (shape, dtype) in found.items()} == expected


def test_the_file_with_the_decoder_is_as_good(folder, load_golden, size, cases):
    expert = type(get_expert("st-mem"))
    network = load_golden(expert.network(size), folder / "weights_pretrain.safetensors", prefix=expert.origin.prefix)
    torch.testing.assert_close(network.encode(cases["b1.input"]), cases["b1.output"], **NEAR)
    listed = json.loads((folder / "full_keys_pretrain.json").read_text())["state_dict"]
    encoder = {key.removeprefix("encoder."): part for key, part in listed.items() if key.startswith("encoder.")}
    found = {key: {"shape": list(shape), "dtype": dtype} for key, (shape, dtype) in expert.layout().items()}
    assert found == encoder


def test_a_recording_is_cropped_filtered_and_scaled_as_published(raw):
    recording, expected = raw
    found = get_expert("st-mem:tiny").prepare([recording]).windows
    assert found.shape == (1, 3, 12, 2250)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    assert np.ptp(found[0, :, STANDARD_LEADS.index("V4")], axis=-1).max() < 1e-6


def test_an_embedding_is_the_mean_of_three_crops(raw):
    recording, expected = raw
    expert = get_expert("st-mem:tiny")
    found = expert.embed(expert.prepare([recording]))[0]
    alone = expert.fresh_network().encode(torch.from_numpy(expected)).mean(0).detach().numpy()
    np.testing.assert_allclose(found, alone, atol=2e-5)


def test_a_signal_without_any_variation_is_scaled_to_finite_numbers():
    assert not crops_of(np.zeros((12, 2500))).any()
    assert np.isfinite(crops_of(np.full((12, 2500), 1e36))).all()


def test_nobody_uses_it_without_knowing_that_it_is_for_non_commercial_use_only():
    expert = get_expert("st-mem")
    [caveat] = expert.card.caveats
    for text in (expert.origin.terms, expert.card.licence, caveat):
        assert "non-commercial" in text
