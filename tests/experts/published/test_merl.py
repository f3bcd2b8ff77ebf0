"""MERL's encoders compute what the published code computes."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import linear

from enecg.experts import get_expert
from enecg.experts.published.merl import ResNet, ResNetSize, ViT, ViTSize
from enecg.recording import STANDARD_LEADS, Recording
from enecg.weights import fit_state, read_state

NEAR = {"atol": 2e-5, "rtol": 1e-5}
BOTH = pytest.mark.parametrize(("name", "kind"), [("merl-resnet18", "resnet18"), ("merl-vit", "vit_tiny")])


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "merl"


@pytest.fixture(scope="module")
def cases(folder):
    with np.load(folder / "cases.npz") as file:
        return {name: torch.from_numpy(file[name].astype(np.float32)) for name in file.files}


@pytest.fixture(scope="module")
def x(cases):
    return cases["b3.input_q256"] / 256


@pytest.fixture(scope="module")
def config(folder):
    return json.loads((folder / "config.json").read_text())


def resnet_size(settings):
    return ResNetSize(tuple(settings["widths"]), tuple(settings["blocks"]))


def vit_size(settings):
    return ViTSize(**{key: value for key, value in settings.items() if key in ViTSize.__dataclass_fields__})


@pytest.fixture(scope="module")
def resnet(folder, config, load_golden):
    size = resnet_size(config["golden"]["resnet18"])
    return load_golden(ResNet(size), folder / "weights_resnet18.safetensors", prefix="ecg_encoder.")


@pytest.fixture(scope="module")
def vit(folder, config, load_golden):
    size = vit_size(config["golden"]["vit_tiny"])
    return load_golden(ViT(size), folder / "weights_vit_tiny.safetensors", prefix="ecg_encoder.")


def test_the_residual_network_matches_the_reference_stage_by_stage(resnet, cases, x):
    stem = resnet.bn1(resnet.conv1(x[:1]))
    torch.testing.assert_close(stem[..., :64], cases["resnet18.b1.stem_bn.first64"], **NEAR)
    first = resnet.layer1[0](stem.relu())
    torch.testing.assert_close(first[..., :64], cases["resnet18.b1.layer1_0.first64"], **NEAR)
    torch.testing.assert_close(resnet.feature_map(x[:1]), cases["resnet18.b1.encoder"], **NEAR)
    torch.testing.assert_close(resnet(x[:1]), cases["resnet18.b1.encoder"].mean(-1), **NEAR)


@pytest.mark.parametrize(("n", "case"), [(2500, "b1.encoder.len2500"), (1237, "odd.encoder")])
def test_the_residual_network_takes_any_length(resnet, cases, x, n, case):
    torch.testing.assert_close(resnet.feature_map(x[:1, :, :n]), cases[f"resnet18.{case}"], **NEAR)


def test_a_batch_of_the_residual_network_matches_what_follows_it(resnet, cases, x, folder):
    torch.testing.assert_close(resnet.linear(resnet(x)), cases["resnet18.classifier.pooled_linear"], **NEAR)
    heads = load_file(folder / "weights_resnet18.safetensors")
    # A convolution of one sample and the mean over time may change places.
    narrow = linear(resnet(x), heads["downconv.weight"][..., 0], heads["downconv.bias"])
    for number in (1, 2):
        found = linear(narrow, heads[f"linear{number}.weight"])
        torch.testing.assert_close(found, cases[f"resnet18.b3.ecg_emb{number}"], **NEAR)


def test_the_transformer_matches_the_reference_stage_by_stage(vit, cases, x):
    patches = vit.to_patch_embedding(x[:1])
    torch.testing.assert_close(patches, cases["vit_tiny.b1.patch"], **NEAR)
    first = vit.block0(patches.transpose(1, 2) + vit.pos_embedding)
    torch.testing.assert_close(first, cases["vit_tiny.b1.block0"], **NEAR)
    torch.testing.assert_close(vit(x[:1]), cases["vit_tiny.b1.encoder"], **NEAR)


def test_a_batch_of_the_transformer_matches_what_follows_it(vit, cases, x, folder):
    heads = load_file(folder / "weights_vit_tiny.safetensors")
    hidden, width = heads["proj_e.0.weight"].shape
    out = len(heads["proj_e.3.weight"])
    project = nn.Sequential(
        nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out), nn.BatchNorm1d(out)
    )
    prefix = "proj_e."
    project.load_state_dict({key[len(prefix) :]: part for key, part in heads.items() if key.startswith(prefix)})
    torch.testing.assert_close(project.eval()(vit(x)), cases["vit_tiny.b3.ext_ecg_emb"], **NEAR)
    for number in (1, 2):
        found = linear(vit(x), heads[f"linear{number}.weight"])
        torch.testing.assert_close(found, cases[f"vit_tiny.b3.ecg_emb{number}"], **NEAR)


@BOTH
def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder, config, name, kind):
    expected = json.loads((folder / f"full_keys_{kind}_encoder.json").read_text())["state_dict"]
    expert = type(get_expert(name))
    found = expert.layout()
    assert {key: {"shape": list(shape), "dtype": dtype} for key, (shape, dtype) in found.items()} == expected
    published = config["published"][kind]
    assert expert.size == (resnet_size(published) if kind == "resnet18" else vit_size(published))


@BOTH
def test_the_encoder_is_taken_from_its_own_file_and_from_the_one_with_the_heads(folder, tmp_path, name, kind):
    expert = type(get_expert(name))
    layout = json.loads((folder / f"full_keys_{kind}_ckpt.json").read_text())["state_dict"]
    whole = {
        key: torch.arange(int(np.prod(facts["shape"])), dtype=getattr(torch, facts["dtype"])).reshape(facts["shape"])
        for key, facts in layout.items()
    }
    prefix = "ecg_encoder."
    torch.save(whole, tmp_path / "ckpt.pth")
    save_file({key[len(prefix) :]: part for key, part in whole.items() if key.startswith(prefix)}, tmp_path / "encoder")
    kept = []
    for file in ("ckpt.pth", "encoder"):
        state = read_state(tmp_path / file, expert.origin.inside, expert.origin.prefix)
        kept.append(fit_state(state, expert.layout(), expert.unused, file))
    assert kept[0].keys() == kept[1].keys() == expert.layout().keys() - {"linear.weight", "linear.bias"}
    assert all(torch.equal(part, kept[1][key]) for key, part in kept[0].items())


@BOTH
def test_a_recording_is_scaled_as_published(folder, name, kind):
    with np.load(folder / "preprocessing.npz") as file:
        arrays = {key: file[key] for key in file.files}
    signal = (arrays["raw.uV"] / 1000).astype(np.float32)
    windows = get_expert(f"{name}:tiny").prepare([Recording(signal=signal, rate=500, leads=STANDARD_LEADS)]).windows
    np.testing.assert_allclose(windows[0, :, :600], arrays["ptbxl.input.first600"], atol=1e-6)
    np.testing.assert_allclose(windows[0].sum(1, dtype=float), arrays["ptbxl.input.sum_per_lead"], atol=1e-3)


@BOTH
def test_a_short_recording_ends_in_zeros_before_it_is_scaled_as_published(folder, name, kind):
    with np.load(folder / "preprocessing.npz") as file:
        arrays = {key: file[key] for key in file.files}
    signal = (arrays["icbeb_raw.uV"][:, :2500] / 1000).astype(np.float32)
    window = get_expert(f"{name}:tiny").prepare([Recording(signal=signal, rate=500, leads=STANDARD_LEADS)]).windows[0]
    np.testing.assert_allclose(window[:, :600], arrays["icbeb_input.first600"], atol=1e-6)
    np.testing.assert_allclose(window[:, 2400:2600], arrays["icbeb_input.2400_2600"], atol=1e-6)
    np.testing.assert_allclose(window[:, -1], arrays["icbeb.pad_value"], atol=1e-6)
