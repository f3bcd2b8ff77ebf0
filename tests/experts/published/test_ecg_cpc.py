"""ECG-CPC computes what the published code computes."""

import json
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from enecg.errors import WeightsError
from enecg.experts import get_expert
from enecg.experts.published.ecg_cpc import CPC, Size
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one
from enecg.weights import pull_weights

TOKENS = {"atol": 2e-5, "rtol": 0}
KERNEL = {"atol": 2e-6, "rtol": 0}


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "ecg_cpc"


@pytest.fixture(scope="module")
def cases(folder):
    return load_file(folder / "cases.safetensors")


def size_of(settings):
    return Size(
        channels=settings["channels"],
        features=settings["features"],
        kernel_sizes=tuple(settings["kernel_sizes"]),
        strides=tuple(settings["strides"]),
        layers=settings["layers"],
        state_dim=settings["state_dim"],
        l_max=settings["l_max"],
    )


@pytest.fixture
def network(folder, load_golden):
    settings = json.loads((folder / "config.json").read_text())["tiny"]
    return load_golden(CPC(size_of(settings)), folder / "weights.safetensors", prefix="ts_encoder.")


@pytest.mark.parametrize("case", ["b1", "b3", "short", "odd", "longer_than_l_max"])
def test_it_matches_the_reference(network, cases, case):
    x = cases[f"{case}.seq_input"]
    torch.testing.assert_close(network.tokens(x), cases[f"{case}.seq"], **TOKENS)
    torch.testing.assert_close(network(x), cases[f"{case}.pooled"], **TOKENS)


def test_each_stage_matches_the_reference(network, cases):
    x = cases["b3.seq_input"]
    layers, predictor = network.encoder["layers"], network.predictor["predictor"]
    torch.testing.assert_close(layers[0](x), cases["b3.encoder_conv0"], **TOKENS)
    x = layers(x).transpose(1, 2)
    torch.testing.assert_close(x, cases["b3.encoder_seq"], **TOKENS)
    found = predictor.s4_layers[0](x)
    torch.testing.assert_close(found, cases["b3.layer0_s4_out"], **TOKENS)
    torch.testing.assert_close(predictor.norms[0](x + found), cases["b3.layer0_out"], **TOKENS)
    foretold = network.head_ssl["proj"](cases["b3.seq"])
    torch.testing.assert_close(foretold, cases["b3.ssl_prediction"], **TOKENS)


@pytest.mark.parametrize("case", ["b3", "short", "longer_than_l_max"])
def test_the_kernel_is_the_reference_s_whatever_its_length(network, cases, case):
    expected = cases[f"{case}.layer0_kernel"][0]
    kernel = network.predictor["predictor"].s4_layers[0].kernel["kernel"]
    torch.testing.assert_close(kernel(expected.shape[1]), expected, **KERNEL)


def test_the_kernel_is_computed_once_and_again_for_other_weights(network):
    kernel = network.predictor["predictor"].s4_layers[0].kernel["kernel"]
    first = kernel(50)
    assert kernel(50).data_ptr() == kernel(20).data_ptr() == first.data_ptr()
    # Of other lengths it is the same, to rounding.
    torch.testing.assert_close(kernel(130)[:, :50], first, atol=1e-7, rtol=0)
    network.load_state_dict(network.state_dict() | {"predictor.predictor.s4_layers.0.kernel.kernel.C": kernel.C * 2})
    torch.testing.assert_close(kernel(50), 2 * first, **KERNEL)


def test_a_token_knows_nothing_of_what_comes_after_it(network, cases):
    x = cases["b1.seq_input"]
    changed = x.clone()
    changed[..., 120:] += 1
    before, after = network.tokens(x)[0], network.tokens(changed)[0]
    torch.testing.assert_close(before[:59], after[:59], atol=1e-5, rtol=0)
    assert (before[61:] - after[61:]).abs().max() > 0.1


def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder):
    expected = json.loads((folder / "full_keys.json").read_text())
    found = type(get_expert("ecg-cpc")).layout()
    assert {
        f"ts_encoder.{key}": {"shape": list(shape), "dtype": dtype} for key, (shape, dtype) in found.items()
    } == expected["keys"]
    assert size_of(json.loads((folder / "config.json").read_text())["full"]) == Size()


def test_a_recording_is_cut_and_resampled_as_published(folder):
    arrays = {key: part.numpy() for key, part in load_file(folder / "preprocessing.safetensors").items()}
    raw = arrays["raw_500hz"]
    recording = Recording(signal=np.concatenate([raw, raw[:, ::-1]], axis=1), rate=500, leads=STANDARD_LEADS)
    windows = get_expert("ecg-cpc:tiny").prepare([recording]).windows
    assert windows.shape == (2, 12, 600)
    np.testing.assert_allclose(windows[0], arrays["model_input_240hz"], atol=2e-6)


def test_what_is_missing_is_zero_after_resampling_and_nothing_is_larger_than_an_ecg_can_be():
    signal = np.ones((12, 1250), dtype=np.float32)
    signal[3, 600] = np.nan
    signal[5] = np.nan
    signal[7] = 1e30
    window = get_expert("ecg-cpc:tiny").prepare([Recording(signal=signal, rate=500, leads=STANDARD_LEADS)]).windows[0]
    # The sinc reaches 50 samples to either side, in which nothing can be known.
    assert not window[3, 240:336].any()
    assert window[3, [230, 346]] == pytest.approx(1, abs=1e-3)
    assert not window[5].any()
    assert window[7, 300] == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("rate", [100.0, 257.0, 333.3, 360.0, 977.0, 1000.0])
def test_windows_of_any_rate_have_600_samples(rate):
    recording = simulate_one(0, rate=rate, seconds=10).recording
    assert get_expert("ecg-cpc:tiny").prepare([recording]).windows.shape[1:] == (12, 600)


class Settings:
    """What the published file holds besides, of a package that is not here."""


def test_a_file_in_the_published_layout_is_pulled_and_gives_the_numbers_that_it_was_made_from(tmp_path, monkeypatch):
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "weights"))
    expert = type(get_expert("ecg-cpc"))
    state = get_expert("ecg-cpc:random").fresh_network().state_dict()
    with monkeypatch.context() as during:
        during.setitem(sys.modules, "clinical_ts", package := ModuleType("clinical_ts"))
        during.setattr(Settings, "__module__", "clinical_ts")
        package.Settings = Settings
        named = {f"ts_encoder.{key}": part for key, part in state.items()} | {"criterion.weight": torch.ones(3)}
        beside = {"optimizer_states": [{"state": {0: torch.zeros(5)}}], "hyper_parameters": {"ts": Settings()}}
        torch.save({"state_dict": named, "epoch": 1, **beside}, tmp_path / "last.ckpt")
    pull_weights("ecg-cpc", expert.origin, expert.layout(), expert.unused, file=tmp_path / "last.ckpt")
    recordings = [simulate_one(number, seconds=4).recording for number in range(2)]
    pulled, made = get_expert("ecg-cpc"), get_expert("ecg-cpc:random")
    assert pulled.embed(pulled.prepare(recordings)).tolist() == made.embed(made.prepare(recordings)).tolist()


def test_no_program_pulls_it_and_the_error_says_what_to_open(tmp_path, monkeypatch):
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path))
    expert = type(get_expert("ecg-cpc"))
    with pytest.raises(WeightsError, match=r"figshare\.com.*30192604.*last_11597276\.ckpt.*--from FILE"):
        pull_weights("ecg-cpc", expert.origin, expert.layout(), expert.unused)
