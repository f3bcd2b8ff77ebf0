"""HuBERT-ECG computes what the published code computes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cosine_similarity, linear

from enecg.errors import WeightsError
from enecg.experts import get_expert
from enecg.experts.published.hubert_ecg import RATE, HubertECGBase, Size, filtered, joined, scaled
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.resample import resample_fourier
from enecg.weights import fit_state, layout_of, pull_weights

KINDS = pytest.mark.parametrize("kind", ["small", "base", "large"])


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "hubert_ecg"


@pytest.fixture(scope="module")
def size(folder):
    tiny = json.loads((folder / "config.json").read_text())["tiny"]
    named = {key: part for key, part in tiny.items() if key in Size.__dataclass_fields__}
    return Size(**{key: tuple(part) if isinstance(part, list) else part for key, part in named.items()})


@pytest.fixture(scope="module")
def network(folder, size, load_golden):
    return load_golden(HubertECGBase.network(size), folder / "weights.safetensors")


@pytest.fixture(scope="module")
def cases(folder):
    return load_file(folder / "cases.safetensors")


@pytest.fixture(scope="module")
def arrays(folder):
    return {name: part.numpy() for name, part in load_file(folder / "preprocessing.safetensors").items()}


def given(cases, case):
    """A case's windows, and which of their samples are there."""
    return cases[f"{case}.input_values"], cases.get(f"{case}.attention_mask")


def near(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", ["b1_6000", "b3", "odd", "padded", "lead_tiled_mask"])
def test_the_tokens_are_those_of_the_reference(network, cases, case):
    near(network.tokens(*given(cases, case)), cases[f"{case}.last_hidden_state"])


@pytest.mark.parametrize("case", ["b3", "padded"])
def test_every_stage_is_that_of_the_reference(network, cases, case):
    kept = {}

    def keep(name):
        # Cloned, because the padded tokens are emptied in place.
        def hook(_module, _inputs, output):
            kept[name] = output.clone()

        return hook

    encoder = network.encoder
    places = {
        "feature_extractor": network.feature_extractor,
        "feature_projection": network.feature_projection,
        "pos_conv_embed": encoder.pos_conv_embed,
        "hidden_states_0": encoder.layer_norm,
        "hidden_states_1": encoder.layers[0],
        "hidden_states_2": encoder.layers[1],
    }
    hooks = [module.register_forward_hook(keep(name)) for name, module in places.items()]
    network.tokens(*given(cases, case))
    for hook in hooks:
        hook.remove()
    for name in places:
        near(kept[name], cases[f"{case}.{name}"])


def codebook_logits(network, tokens, member):
    entries = network.label_embedding[member].weight
    return cosine_similarity(network.final_proj[member](tokens)[:, :, None], entries, -1) / 0.1


@pytest.mark.parametrize("case", ["b3", "padded"])
@pytest.mark.parametrize("member", [0, 1])
def test_the_code_books_of_the_pre_training_fit_the_tokens(network, cases, case, member):
    found = codebook_logits(network, network.tokens(*given(cases, case)), member)
    near(found, cases[f"{case}.codebook_logits_{member}"])


def test_masked_tokens_are_those_of_the_pre_training(network, cases):
    x = network.feature_projection(network.feature_extractor(cases["time_masked.input_values"]).mT)
    x[cases["time_masked.mask_time_indices"]] = network.masked_spec_embed
    kept = []
    hook = network.encoder.layer_norm.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    tokens = network.encoder(x).last_hidden_state
    hook.remove()
    near(kept[0], cases["time_masked.hidden_states_0"])
    near(tokens, cases["time_masked.last_hidden_state"])
    near(codebook_logits(network, tokens, 0), cases["time_masked.codebook_logits_0"])


@pytest.mark.parametrize("case", ["b3", "padded", "lead_tiled_mask"])
@pytest.mark.parametrize("head", ["linear", "mlp", "embedding"])
def test_the_published_heads_read_the_embedding(folder, network, cases, case, head):
    weights = load_file(folder / f"weights_head_{head}.safetensors")
    x = network(*given(cases, case))
    if head == "linear":
        found = linear(x, weights["classifier.weight"], weights["classifier.bias"])
    elif head == "mlp":
        hidden = linear(x, weights["classifier.0.weight"], weights["classifier.0.bias"]).tanh()
        found = linear(hidden, weights["classifier.2.weight"], weights["classifier.2.bias"])
    else:
        found = cosine_similarity(x[:, None], weights["label_embedding.weight"], -1)
    near(found, cases[f"classification_{head}.{case}.logits"])


def test_a_mask_without_padding_changes_nothing(network, cases):
    windows, _ = given(cases, "b3")
    near(network(windows, torch.ones_like(windows)), network(windows))
    near(network(windows), cases["b3.last_hidden_state"].mean(1))


@KINDS
def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder, kind):
    expected = json.loads((folder / f"full_keys_{kind}.json").read_text())
    found = type(get_expert(f"hubert-ecg-{kind}")).layout()
    assert {name: {"shape": list(shape), "dtype": dtype} for name, (shape, dtype) in found.items()} == expected["keys"]


def test_both_spellings_of_weight_norm_are_read(folder, size):
    state, layout = load_file(folder / "weights.safetensors"), layout_of(HubertECGBase.network(size).state_dict())
    older = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): part
        for name, part in state.items()
    }
    assert older.keys() != state.keys()
    found = fit_state(older, layout, HubertECGBase.unused, "older")
    assert all(torch.equal(part, state[name]) for name, part in found.items())
    assert "encoder.pos_conv_embed.conv.parametrizations.weight.original0" in found


def test_the_embedding_needs_none_of_the_unused_tensors(folder, size, network, cases):
    state = load_file(folder / "weights.safetensors")
    needed = fit_state(state, layout_of(network.state_dict()), HubertECGBase.unused, "golden")
    assert len(needed) < len(state)
    with torch.device("meta"):
        bare = HubertECGBase.network(size)
    bare.load_state_dict(needed, strict=False, assign=True)
    windows = cases["b1_6000.input_values"]
    with torch.inference_mode():
        assert torch.equal(bare.eval()(windows), network(windows))


def test_the_preprocessing_is_the_published_one_at_every_step(arrays):
    signal = filtered(arrays["raw_400hz"], 400.0)
    np.testing.assert_allclose(signal[1], arrays["filtered_lead_II"], atol=1e-9, rtol=0)
    whole = scaled(resample_fourier(signal, 2500))
    np.testing.assert_allclose(whole, arrays["preprocessed_500hz"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(joined(whole[None])[0], arrays["model_input"], atol=1e-6, rtol=0)


def test_the_filter_is_the_published_one_both_ways(arrays):
    impulse = np.zeros((1, 4001))
    impulse[0, 2000] = 1.0
    taps = arrays["fir_taps"]
    found = filtered(impulse, 400.0)[0, 2001 - len(taps) : 2000 + len(taps)]
    np.testing.assert_allclose(found, np.convolve(taps, taps[::-1]), atol=1e-12)


def test_leads_are_joined_before_they_are_decimated(arrays):
    apart = np.stack([joined(lead[None, None])[0] for lead in arrays["preprocessed_500hz"]]).ravel()
    assert (np.abs(apart - arrays["model_input"]) > 0.01).sum() > 50


@KINDS
def test_the_expert_prepares_a_recording_as_published(arrays, kind):
    recording = Recording(signal=arrays["raw_400hz"], rate=400, leads=STANDARD_LEADS)
    turned = recording.select(STANDARD_LEADS[::-1])
    for one in (recording, turned):
        found = get_expert(f"hubert-ecg-{kind}:tiny").prepare([one]).windows
        np.testing.assert_allclose(found, arrays["model_input"][None], atol=1e-6, rtol=0)


def test_missing_samples_become_the_mean_of_the_others_of_their_window():
    windows = np.random.default_rng(0).uniform(-1, 1, (2, 12, 2500)).astype(np.float32)
    holed = windows.copy()
    holed[1, 3] = np.nan
    filled = windows.copy()
    filled[1, 3] = np.delete(windows[1], 3, axis=0).mean()
    np.testing.assert_allclose(joined(holed), joined(filled), atol=1e-6)
    assert not joined(np.full((1, 12, 2500), np.nan, dtype=np.float32)).any()


def test_a_gap_costs_a_lead_no_more_than_the_gap(arrays):
    signal = arrays["raw_400hz"].copy()
    signal[2, 900:910] = np.nan
    expert = get_expert("hubert-ecg-small:tiny")
    holed = expert.prepare([Recording(signal=signal, rate=400, leads=STANDARD_LEADS)]).windows[0]
    assert (np.abs(holed - arrays["model_input"]) < 0.01).mean() > 0.99


@pytest.mark.parametrize("rate", [50.0, 93.0, 94.0, 95.0, 100.0])
def test_rates_that_cannot_hold_the_band_keep_all_they_have(rate):
    t = np.arange(round(5 * rate)) / rate
    tone = np.sin(2 * np.pi * 8 * t)[None]
    middle = slice(round(rate), round(4 * rate))
    assert np.abs(filtered(tone, rate) - tone)[0, middle].max() < 0.1


def test_a_longer_recording_is_scaled_as_a_whole_and_cut():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(12, 6000)).astype(np.float32)
    signal[:, 3000:] *= 4
    windows = (
        get_expert("hubert-ecg-small:tiny").prepare([Recording(signal=signal, rate=RATE, leads=STANDARD_LEADS)]).windows
    )
    assert windows.shape == (3, 6000)
    assert np.abs(windows[0]).max() < 0.6 < np.abs(windows[1]).max()


def test_the_licence_is_asked_for_in_plain_words(tmp_path, monkeypatch):
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"non-commercial use only.*--accept-licence"):
        pull_weights("hubert-ecg-small", HubertECGBase.origin, {}, file=tmp_path / "model.safetensors")
