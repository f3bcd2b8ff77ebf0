"""TEMPO computes what the published code computes, in its own variant and in EnECG's."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from enecg.errors import MissingPackageError, WeightsError
from enecg.experts import get_expert
from enecg.experts.published.tempo import PROMPTS, Size, TempoExpert
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one
from enecg.weights import fit_state, layout_of

ONLY_ENECG = "time_attn.weight"
BATCHES = pytest.mark.parametrize("batch", ["b1", "b3"])


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "tempo"


@pytest.fixture(scope="module")
def config(folder):
    return json.loads((folder / "config.json").read_text())


@pytest.fixture(scope="module")
def state(folder):
    """The published tensors; EnECG's variant has one more, for a map that it does not use."""
    return {name: part for name, part in load_file(folder / "weights.safetensors").items() if name != ONLY_ENECG}


@pytest.fixture(scope="module")
def size(config):
    named = {key: part for key, part in config["tiny"].items() if key in Size.__dataclass_fields__}
    gpt2 = {key: config["tiny_gpt2"][key] for key in ("n_head", "vocab_size", "n_positions")}
    prompts = tuple(map(tuple, config["prompt_token_ids_tiny"].values()))
    return Size(**named, **gpt2, lora_rank=config["lora"]["r"], prompts=prompts)


@pytest.fixture(scope="module")
def network(size, state, load_golden, tmp_path_factory):
    path = tmp_path_factory.mktemp("tempo") / "weights.safetensors"
    save_file(state, path)
    return load_golden(TempoExpert.network(size), path)


@pytest.fixture
def cases(folder):
    return load_file(folder / "cases.safetensors")


def series(cases, batch):
    """The series [window, sample], and its parts [window, part, sample]."""
    parts = [cases[f"{batch}.{part}"][..., 0] for part in ("trend", "season", "resid")]
    return cases[f"{batch}.x"][..., 0], torch.stack(parts, 1)


def near(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@BATCHES
def test_enecgs_variant_matches_the_reference_at_every_stage(network, folder, cases, batch):
    x, parts = series(cases, batch)
    gpt2, kept = network.gpt2_trend.get_submodule("base_model.model"), {}

    def keep(name):
        return lambda _module, _inputs, output: kept.update({name: output})

    places = {"c_attn_block0": gpt2.h[0].attn.c_attn, "after_block0": gpt2.h[0], "after_final_norm": gpt2.ln_f}
    hooks = [module.register_forward_hook(keep(name)) for name, module in places.items()]
    features = network.features(parts)
    for hook in hooks:
        hook.remove()
    near(network.tokens(parts), cases[f"{batch}.enecg.tokens"])
    for name in places:
        near(kept[name], cases[f"{batch}.enecg.{name}"])
    near(network.forecast(x, parts), cases[f"{batch}.enecg.y"][..., 0])
    scores = kept["after_final_norm"] @ load_file(folder / "weights.safetensors")[ONLY_ENECG][0]
    near(scores.softmax(-1), cases[f"{batch}.enecg.attn_map"])
    # Nine prompt tokens and six patches for each part.
    patches = cases[f"{batch}.enecg.after_final_norm"].unflatten(1, (3, 15))[:, :, 9:]
    near(features, patches)
    near(network(parts), patches.mean(2).flatten(1))


@BATCHES
def test_the_original_variant_matches_the_reference(network, cases, batch):
    x, parts = series(cases, batch)
    near(network.forecast(x), cases[f"{batch}.original.y"][..., 0])
    local = network.decompose(network.normalise(x)[0])
    near(local[:, 0], cases[f"{batch}.original.trend_local"])
    near(local[:, 1], cases[f"{batch}.original.season_local"])
    spread = torch.sqrt(parts.var(-1, keepdim=True, correction=0) + 1e-5)
    scaled = (parts - parts.mean(-1, keepdim=True)) / spread
    near(((local - scaled) ** 2).mean((0, 2)).sum(), cases[f"{batch}.original.loss_local"][0])


@pytest.mark.parametrize("case", ["L48_P20", "L30_P12", "L20_P12", "L60_P12"])
def test_the_published_predictions_follow_from_the_forecast(network, cases, case):
    """`predict` normalises twice, and undoes the second normalisation twice."""
    x, y = cases[f"original.predict_{case}.x"], cases[f"original.predict_{case}.y"]
    context = network.normalise(x[None])[0]
    if len(x) == 30:
        context = context.repeat(1, 2)
    context = torch.nn.functional.pad(context, (max(0, 48 - context.shape[1]), 0))
    context = context[:, :48] if len(x) == 30 else context[:, -48:]
    steps = []
    while 12 * len(steps) < len(y):
        _, undo = network.normalise(context)
        steps.append(undo(network.forecast(context)))
        context = torch.cat([context, steps[-1]], 1)[:, -48:]
    near(torch.cat(steps, 1)[0, : len(y)], y)


def test_a_near_miss_is_noticed(network, cases):
    """What the tolerance must tell apart: LoRA left out, and the other GELU."""
    x, parts = series(cases, "b3")
    expected = cases["b3.enecg.y"][..., 0]
    block = network.gpt2_trend.get_submodule("base_model.model.h.0")
    lora = block.attn.c_attn.lora_B["default"].weight
    kept = lora.clone()
    lora.zero_()
    assert (network.forecast(x, parts) - expected).abs().max() > 0.1
    lora.copy_(kept)
    act = block.mlp.act
    block.mlp.act = torch.nn.GELU()
    assert (network.forecast(x, parts) - expected).abs().max() > 2e-5
    block.mlp.act = act
    near(network.forecast(x, parts), expected)


def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder):
    expected = json.loads((folder / "full_keys.json").read_text())["tensors"]
    found = TempoExpert.layout()
    assert {name: [kind, list(shape)] for name, (shape, kind) in found.items()} == expected


def test_the_prompts_are_the_published_ones(config):
    assert list(map(list, PROMPTS)) == list(config["prompt_token_ids_published"].values())
    assert TempoExpert.size == Size()
    assert (Size().n_patches, Size().dim) == (config["patch_count"]["published"], TempoExpert.card.dim)


def test_both_spellings_of_the_layers_beside_lora_are_read(size, state):
    layout = layout_of(TempoExpert.network(size).state_dict())
    older = {name.replace(".base_layer.", "."): part for name, part in state.items()}
    assert older.keys() != state.keys()
    found = fit_state(older, layout, TempoExpert.unused, "older")
    assert found.keys() == fit_state(state, layout, TempoExpert.unused, "newer").keys()
    assert all(torch.equal(part, state[name]) for name, part in found.items())
    name = "gpt2_trend.base_model.model.h.0.attn.c_attn.weight"
    del older[name]
    with pytest.raises(WeightsError, match=r"1 missing: .*c_attn\.base_layer\.weight"):
        fit_state(older, layout, TempoExpert.unused, "older")


def test_the_embedding_needs_none_of_the_unused_tensors(size, state, network, cases):
    needed = fit_state(state, layout_of(network.state_dict()), TempoExpert.unused, "golden")
    assert len(needed) < len(state)
    with torch.device("meta"):
        bare = TempoExpert.network(size)
    bare.load_state_dict(needed, strict=False, assign=True)
    _, parts = series(cases, "b3")
    with torch.inference_mode():
        assert torch.equal(bare.eval()(parts), network(parts))


def test_the_scale_is_that_of_all_standard_leads_and_no_other():
    expert = get_expert("tempo-80m:tiny")
    full = simulate_one(0, seed=1).recording
    base = expert.prepare([full]).windows
    louder = np.where(np.arange(12)[:, None] > 5, full.signal * 3, full.signal)
    loud = Recording(signal=louder, rate=500, leads=STANDARD_LEADS)
    assert np.ptp(expert.prepare([loud]).windows.sum(1)) < np.ptp(base.sum(1))
    eight = full.select(("I", "II", *STANDARD_LEADS[6:]))
    np.testing.assert_allclose(expert.prepare([eight]).windows, base, atol=1e-4)
    # By itself lead II has unit deviation, but for what 336 samples cannot hold.
    alone = expert.prepare([full.select(("II",))]).windows.sum(1)
    assert 0.9 < alone.std() < 1


def test_without_statsmodels_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.tsa.seasonal", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'enecg\[tempo\]'"):
        get_expert("tempo-80m:tiny").prepare([simulate_one(0, seed=1).recording])
