"""MELP's encoder computes what the published code computes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from enecg.errors import WeightsError
from enecg.experts import get_expert
from enecg.experts.published import _wav2vec
from enecg.experts.published._wav2vec import padded_tokens
from enecg.experts.published.melp import Encoder, Size
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one
from enecg.weights import fit_state, layout_of, read_state

NEAR = {"atol": 3e-5, "rtol": 1e-5}
ORIGIN = get_expert("melp").origin


@pytest.fixture
def folder(golden):
    return golden / "melp"


@pytest.fixture
def size(folder):
    golden = json.loads((folder / "config.json").read_text())["golden"]
    ecg, pool = golden["ecg"], golden["pool"]
    settings = {
        name: ecg[name] for name in ("final_dim", "latent_vars", "latent_groups", "conv_pos", "conv_pos_groups")
    }
    below = _wav2vec.Size(
        conv_dim=16,
        encoder_embed_dim=ecg["embed_dim"],
        encoder_ffn_embed_dim=ecg["ffn"],
        encoder_attention_heads=ecg["heads"],
        encoder_layers=ecg["layers"],
        **settings,
    )
    return Size(below, **pool)


@pytest.fixture
def network(folder, size, load_golden):
    return load_golden(Encoder(size), folder / "weights.safetensors", (), ORIGIN.inside, ORIGIN.prefix)


@pytest.fixture
def cases(folder):
    found = {name: torch.from_numpy(part) for name, part in np.load(folder / "cases.npz").items()}
    return found | {"input": found["b3.input_q256"].to(torch.float32) / 256}


def test_the_parts_of_the_network_match_the_reference(network, cases):
    below, seen = network.ecg_encoder, {}
    parts = {
        "conv_features.first128": below.feature_extractor,
        "conv_pos": below.conv_pos,
        "layer0": below.encoder.layers[0],
        "encoder_x": below.encoder,
    }
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, given, name=name: seen.__setitem__(name, given))
    network(cases["input"][:1])
    seen["conv_features.first128"] = seen["conv_features.first128"][..., :128]
    for name, found in seen.items():
        torch.testing.assert_close(found, cases[f"b1.{name}"], **NEAR)


@pytest.mark.parametrize(("case", "rows", "samples"), [("b1", 1, 5000), ("b3", 3, 5000), ("odd", 1, 1237)])
def test_the_embedding_matches_the_reference(network, cases, case, rows, samples):
    found = network(cases["input"][:rows, :, :samples])
    torch.testing.assert_close(found, cases[f"{case}.ext_ecg_emb"], **NEAR)


def test_what_text_is_compared_with_matches_the_reference(network, cases):
    def projected(windows):
        beats = network.ln_contrast(network.attn_pool_contrast(network.ecg_encoder.tokens(windows)))
        return beats @ network.proj_contrast

    one = cases["input"][:1]
    torch.testing.assert_close(projected(one), cases["b1.beat_tokens"], **NEAR)
    torch.testing.assert_close(projected(one).mean(1), cases["b1.pooled_projected"], **NEAR)
    caption = network.ln_caption(network.attn_pool_caption(network.ecg_encoder.tokens(one)))
    torch.testing.assert_close(caption, cases["b1.caption_tokens"], **NEAR)
    pooled = projected(cases["input"]).mean(1)
    expected = cases["b3.encode_ecg_normalized"]
    torch.testing.assert_close(torch.nn.functional.normalize(pooled, dim=-1), expected, **NEAR)


def test_the_padding_mask_matches_the_reference(network, cases):
    padding = torch.arange(5000) >= cases["pad.valid_samples"][:, None]
    assert torch.equal(padded_tokens(padding, 312), cases["pad.padding_mask_out"])
    found = network.ecg_encoder.tokens(cases["input"][:2], padding)
    torch.testing.assert_close(found, cases["pad.encoder_x"], **NEAR)


def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder):
    expected = json.loads((folder / "full_keys_encoder.json").read_text())
    expert = type(get_expert("melp"))
    with torch.device("meta"):
        state = expert.network(expert.size).state_dict()
    found = {key: {"shape": list(shape), "dtype": dtype} for key, (shape, dtype) in layout_of(state).items()}
    assert found == expected["state_dict"]
    assert sum(part.numel() for part in state.values()) == expected["n_values"]


def test_a_checkpoint_of_the_training_is_as_good(folder, tmp_path, size, network, cases):
    state = load_file(folder / "weights.safetensors")
    saved = {"epoch": 3, "global_step": 9, "state_dict": state, "hyper_parameters": {"n_queries_contrast": 5}}
    torch.save(saved, tmp_path / "epoch=3.ckpt")
    unused, layout = type(get_expert("melp")).unused, layout_of(network.state_dict())
    kept = fit_state(read_state(tmp_path / "epoch=3.ckpt", ORIGIN.inside, ORIGIN.prefix), layout, unused, "here")
    with torch.device("meta"):
        other = Encoder(size)
    other.load_state_dict(kept, strict=False, assign=True)
    one = cases["input"][:1]
    assert torch.equal(other.eval()(one), network(one))


def test_the_file_may_have_any_number_of_queries_but_no_other_shape(folder, tmp_path, size):
    """The published defaults differ, and nobody here has opened the file."""
    expert = type(get_expert("melp"))
    name, width = "attn_pool_contrast.query", size.shared_emb_dim
    layout = layout_of(Encoder(size).state_dict()) | {name: ((-1, width), "float32")}
    assert expert.layout()[name] == ((-1, 256), "float32")
    state = load_file(folder / "weights.safetensors")
    for n_queries in (1, 14):
        query = torch.randn(n_queries, width, generator=torch.Generator().manual_seed(0))
        save_file(state | {f"ecg_encoder.{name}": query}, tmp_path / "weights.safetensors")
        found = read_state(tmp_path / "weights.safetensors", ORIGIN.inside, ORIGIN.prefix)
        kept = fit_state(found, layout, expert.unused, "here")
        with torch.device("meta"):
            network = Encoder(size)
        network.load_state_dict(kept, strict=False, assign=True)
        assert torch.equal(network.attn_pool_contrast.query, query)
        tokens = network.attn_pool_contrast(torch.ones(1, 20, size.ecg.dim))
        assert tokens.shape == (1, n_queries, width)
    for wrong in (torch.zeros(5, width + 1), torch.zeros(5, width, 1)):
        with pytest.raises(WeightsError, match=r"1 of another shape: attn_pool_contrast.query .* for \['any', 16\]"):
            fit_state(found | {name: wrong}, layout, expert.unused, "here")


def test_preprocessing_is_the_published_one(folder):
    arrays = np.load(folder / "preprocessing.npz")
    recording = Recording(signal=arrays["raw.uV"].astype(np.float32) / 1000, rate=500, leads=STANDARD_LEADS)
    found = get_expert("melp:tiny").prepare([recording])
    np.testing.assert_allclose(found.windows[0], arrays["ptbxl.input"], atol=1e-6)


def test_a_short_recording_ends_in_zeros_before_it_is_scaled():
    """As published of CPSC 2018: the zeros are then in the middle of the scale, where the signal's zero is."""
    recording = simulate_one(3, seed=6, seconds=4).recording
    window = get_expert("melp:tiny").prepare([recording]).windows[0]
    low, high = min(recording.signal.min(), 0), max(recording.signal.max(), 0)
    assert window.min() == 0.0
    assert window.max() == pytest.approx(1.0, abs=1e-6)
    assert np.ptp(window[:, 2000:]) == 0.0
    assert window[0, -1] == pytest.approx(-low / (high - low), abs=1e-6)
    assert 0.1 < window[0, -1] < 0.9
