"""ECG-JEPA computes what the published code computes."""

import json

import numpy as np
import pytest
import torch

from enecg.experts import get_expert
from enecg.experts._layers import patches
from enecg.experts.published.ecg_jepa import PATCH, Size, position_table, same_lead_or_patch
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.resample import resample_fourier

NEAR = {"atol": 2e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "ecg_jepa"


@pytest.fixture(scope="module")
def cases(folder):
    with np.load(folder / "cases.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def network(folder, load_golden):
    config = json.loads((folder / "config.json").read_text())["golden"]
    size = Size(config["encoder_embed_dim"], config["encoder_depth"], config["encoder_num_heads"])
    return load_golden(type(get_expert("ecg-jepa")).network(size), folder / "weights.safetensors")


@pytest.fixture
def raw(folder):
    """A raw recording in mV, and what the published loader makes of it."""

    def load(name, rate):
        with np.load(folder / "preprocessing.npz") as file:
            signal, expected = file[f"{name}.uV"] / 1000, file[f"{name}.input"]
        return Recording(signal=signal.astype(np.float32), rate=rate, leads=STANDARD_LEADS), expected

    return load


@pytest.mark.parametrize("case", ["b1", "b3"])
def test_it_matches_the_reference(network, cases, case):
    torch.testing.assert_close(network(cases[f"{case}.input"]), cases[f"{case}.representation"], **NEAR)


def test_each_stage_matches_the_reference(network, cases):
    x = patches(cases["b1.input"], PATCH)
    embedded = network.W_P(x).flatten(1, 2)
    torch.testing.assert_close(embedded, cases["b1.patch_embedding"], **NEAR)
    first = network.encoder_blocks.blocks[0](embedded + network.pos_embed, same_lead_or_patch(8, 50))
    torch.testing.assert_close(first, cases["b1.block0"], **NEAR)
    tokens = network.tokens(patches(cases["b3.input"][:1], PATCH), network.positions)
    torch.testing.assert_close(tokens, cases["b3_first.tokens"], **NEAR)


@pytest.mark.parametrize("leads", [[0, 1, 4], [1]])
def test_it_reads_some_of_the_leads_as_the_reference_does(network, cases, leads):
    tokens = network.tokens(patches(cases["b1.input"][:, leads], PATCH), network.positions[leads])
    expected = cases[f"leads_{'_'.join(map(str, leads))}.representation"]
    torch.testing.assert_close(tokens.mean(1), expected, **NEAR)


def test_it_reads_some_of_the_patches_as_the_reference_does(network, cases):
    seen = ~cases["masked.mask"]
    tokens = network.tokens(patches(cases["b3.input"][:2], PATCH)[:, :, seen], network.positions[:, seen])
    torch.testing.assert_close(tokens, cases["masked.context_tokens"], **NEAR)


def test_a_token_sees_its_lead_and_its_time_only(network, cases):
    mask = same_lead_or_patch(8, 50)
    assert mask.sum(1).eq(50 + 7).all()
    # Through one block, a change of lead 3 at patch 7 reaches lead 3, patch 7, and no other token.
    x = cases["b1.patch_embedding"]
    changed = x.clone()
    changed[0, 3 * 50 + 7] *= -1
    block = network.encoder_blocks.blocks[0]
    differs = (block(changed, mask) != block(x, mask))[0].any(-1).unflatten(0, (8, 50))
    assert differs[3].all()
    assert differs[:, 7].all()
    differs[3], differs[:, 7] = False, False
    assert not differs.any()


def test_the_positions_are_the_published_ones_where_weights_are_random(cases):
    table = position_table(768)
    torch.testing.assert_close(table[cases["sincos768.rows"]], cases["sincos768.values"], atol=1e-6, rtol=0)
    expert = get_expert("ecg-jepa:tiny")
    assert torch.equal(expert.fresh_network().pos_embed, position_table(expert.card.dim))


def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder):
    expected = json.loads((folder / "full_keys.json").read_text())["state_dict"]
    found = type(get_expert("ecg-jepa")).layout()
    assert {key: {"shape": list(shape), "dtype": dtype} for key, (shape, dtype) in found.items()} == expected


@pytest.mark.parametrize(("name", "rate"), [("raw_500hz", 500), ("raw_257hz", 257)])
def test_a_recording_is_resampled_as_published(raw, name, rate):
    recording, expected = raw(name, rate)
    windows = get_expert("ecg-jepa:tiny").prepare([recording]).windows
    assert len(windows) == -(-recording.n_samples // (10 * rate))
    np.testing.assert_allclose(windows[0], expected, atol=1e-5)


def test_code15_was_published_resampled_by_number_of_samples(raw):
    recording, expected = raw("raw_code15", 400)
    found = resample_fourier(recording.select(get_expert("ecg-jepa:tiny").card.leads).signal, 2500)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_recording_at_250_hz_is_what_the_published_way_over_500_hz_gives(raw):
    _, expected = raw("raw_500hz", 500)
    expert = get_expert("ecg-jepa:tiny")
    recording = Recording(signal=expected, rate=250, leads=expert.card.leads)
    found = expert.prepare([recording]).windows[0]
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found, resample_fourier(resample_fourier(expected, 5000), 2500), atol=1e-5)


def test_millivolts_stay_as_they_are_up_to_what_no_heart_reaches(raw):
    recording, expected = raw("raw_500hz", 500)
    expert = get_expert("ecg-jepa:tiny")

    def prepared(gain):
        return expert.prepare([Recording(signal=recording.signal * gain, rate=500, leads=recording.leads)]).windows[0]

    largest = np.abs(recording.signal).max()
    np.testing.assert_allclose(prepared(99 / largest), expected * (99 / largest), rtol=1e-5, atol=1e-3)
    assert np.abs(prepared(1e30)).max() < 200
