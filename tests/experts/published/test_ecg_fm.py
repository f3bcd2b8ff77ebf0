"""ECG-FM computes what the published code computes."""

import csv
import json
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file

from enecg.errors import WeightsError
from enecg.experts import get_expert
from enecg.experts.published._wav2vec import Size, padded_tokens
from enecg.experts.published.ecg_fm import ClassifierSize, segments, stretched
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one
from enecg.weights import fit_state, layout_of, read_state

MIMIC_ORDER = ("I", "II", "III", "aVR", "aVF", "aVL", *STANDARD_LEADS[6:])
EXPERTS = {
    "ecg-fm": "pretrained",
    "ecg-fm-physionet": "physionet_finetuned",
    "ecg-fm-mimic": "mimic_iv_ecg_finetuned",
}
NEAR = {"atol": 1e-5, "rtol": 0}
OLD, NEW = ("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")


@pytest.fixture
def folder(golden):
    return golden / "ecg_fm"


@pytest.fixture
def load(folder, load_golden):
    """The golden network of a kind; of another file where one is given."""
    config = json.loads((folder / "config.json").read_text())

    def loaded(kind, path=None, inside=()):
        named = config[f"tiny_{kind}"]
        sizes = Size if kind == "pretrain" else ClassifierSize
        settings = {key: named[key] for key in sizes.__dataclass_fields__ if key in named}
        channels = int(re.match(r"\[\((\d+), 2, 2\)\] \* 4", named["conv_feature_layers"])[1])
        expert = type(get_expert("ecg-fm" if kind == "pretrain" else "ecg-fm-mimic"))
        network = expert.network(sizes(conv_dim=channels, **settings))
        return load_golden(network, path or folder / f"weights_{kind}.safetensors", expert.unused, inside)

    return loaded


@pytest.fixture
def cases(folder):
    found = {}
    for kind in ("classifier", "pretrain"):
        found[kind] = load_tensors(folder / f"cases_{kind}.safetensors")
    return found


def watched(network, **parts):
    """What each named part of a network gives, filled in when the network runs."""
    seen = {}
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, given, name=name: seen.__setitem__(name, given))
    return seen


@pytest.mark.parametrize("case", ["b1", "b3", "odd", "padded", "missing_leads"])
def test_the_fine_tuned_network_matches_the_reference(load, cases, case):
    network = load("classifier")
    encoder, extractor = network.encoder, network.encoder.feature_extractor
    seen = watched(
        network,
        conv0=extractor.conv_layers[0],
        feature_extractor=extractor,
        features_layer_norm=encoder.layer_norm,
        conv_pos=encoder.conv_pos,
        layer0=encoder.encoder.layers[0],
        encoder_out=encoder.encoder,
    )
    given = {key.removeprefix(f"{case}."): part for key, part in cases["classifier"].items() if key.startswith(case)}
    padding = given.get("padding_mask")
    embedding = network(given["source"], padding)
    if padding is not None:
        padded = padded_tokens(padding, seen["encoder_out"].shape[1])
        assert torch.equal(padded, given["token_padding_mask"])
        # The reference's encoder gives what its classifier has set to zero already.
        seen["encoder_out"] = seen["encoder_out"].masked_fill(padded[..., None], 0.0)
    for name in seen.keys() & given.keys():
        torch.testing.assert_close(seen[name], given[name], **NEAR)
    torch.testing.assert_close(embedding, given["pooled"], **NEAR)
    torch.testing.assert_close(network.answer(embedding), given["logits"], **NEAR)


def test_a_window_alone_gives_what_it_gives_among_others(load, cases):
    network, given = load("classifier"), cases["classifier"]
    for row, source in enumerate(given["b3.source"]):
        torch.testing.assert_close(network(source[None])[0], given["b3.pooled"][row], **NEAR)


def test_a_padding_mask_counts_where_it_masks_and_has_any_published_shape(load, cases):
    network, given = load("classifier"), cases["classifier"]
    source, padding = given["padded.source"], given["padded.padding_mask"]
    with_mask = network(source, padding)
    assert torch.equal(with_mask, network(source, padding[:, 0]))
    assert torch.equal(network(source), network(source, torch.zeros_like(padding)))
    apart = (network.answer(network(source)) - network.answer(with_mask)).abs().amax(dim=1)
    assert apart[0] < 1e-5  # nothing of it is padding
    assert apart.max() > 1.0
    # What the signal's end hides has no say, but for the group norm, which runs over all samples.
    assert (network(source[2:, :, :97]) - with_mask[2:]).abs().max() > 1e-3


@pytest.mark.parametrize("length", [16, 31, 32, 97, 250, 352])
def test_as_many_tokens_are_left_as_the_convolutions_make_of_the_signal(load, length):
    network = load("pretrain")
    padding = torch.arange(352)[None] >= length
    padded = padded_tokens(padding, 22)
    n_tokens = network.feature_extractor(torch.zeros(1, 12, length)).shape[-1]
    assert (22 if padded is None else (~padded).sum()) == n_tokens


def test_the_pretrained_network_matches_the_reference(load, cases):
    network, given = load("pretrain"), cases["pretrain"]
    seen = watched(network, features=network.layer_norm, x=network.encoder)
    embedding = network(given["source"])
    torch.testing.assert_close(seen["features"], given["extract.features"], **NEAR)
    torch.testing.assert_close(seen["x"], given["extract.x"], **NEAR)
    torch.testing.assert_close(embedding, given["extract.x"].mean(1), **NEAR)


@pytest.mark.parametrize("kind", ["pretrain", "classifier"])
def test_both_spellings_of_the_weight_norm_are_the_same_weights(folder, tmp_path, load, cases, kind):
    published = load_tensors(folder / f"weights_{kind}.safetensors")
    source = cases["pretrain"]["source"]
    for spelling, other in ((OLD, NEW), (NEW, OLD)):
        state = {}
        for name, part in published.items():
            for one, two in zip(other, spelling, strict=True):
                name = name.replace(f"pos_conv.0.{one}", f"pos_conv.0.{two}")
            state[name] = part
        assert sum(name.endswith(spelling) for name in state) == 2
        save_file(state, tmp_path / "weights.safetensors")
        assert torch.equal(load(kind, tmp_path / "weights.safetensors")(source), load(kind)(source))


def test_what_is_not_kept_of_the_pretrained_network_is_never_read(folder, load, cases):
    whole, unused = load("pretrain"), get_expert("ecg-fm").unused
    path = folder / "weights_pretrain.safetensors"
    kept = fit_state(read_state(path), layout_of(whole.state_dict()), unused, "here")
    assert not [name for name in kept if name.startswith(("quantizer", "project_q", "final_proj", "mask_emb"))]
    with torch.device("meta"):
        network = type(whole)(get_expert("ecg-fm").tiny)  # of the same size
    network.load_state_dict(kept, strict=False, assign=True)
    source = cases["pretrain"]["source"]
    assert torch.equal(network.eval()(source), whole(source))


@pytest.mark.parametrize(("name", "file"), EXPERTS.items())
def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder, name, file):
    expected = json.loads((folder / f"full_keys_{file}.json").read_text())
    found = type(get_expert(name)).layout()
    assert {key: {"shape": list(shape), "dtype": dtype} for key, (shape, dtype) in found.items()} == expected["keys"]
    assert get_expert(name).card.parameters == expected["n_parameters"]
    assert get_expert(name).origin.file == expected["file"]


def checkpoint(state, **more):
    """What a training of fairseq-signals writes: its Trainer.state_dict, at the commit that the golden README names."""
    moments = {"exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3), "step": 5}
    return {
        "args": None,
        "cfg": {
            "_name": None,
            "common": {"seed": 1, "fp16": True, "log_format": "csv", "wandb_project": None},
            "model": {"_name": "ecg_transformer_classifier", "conv_feature_layers": "[(256, 2, 2)] * 4", "in_d": 12},
            "criterion": {"pos_weight": [36.8, 0.23], "report_auc": True},
            "optimization": {"lr": [1e-06], "update_freq": [2]},
        },
        "model": OrderedDict(state),
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "BinaryCrossEntropyWithLogitsCriterion",
                "optimizer_name": "FusedAdam",
                "lr_scheduler_state": {"best": np.float64(0.5)},
                "num_updates": 5,
            }
        ],
        "task_state": {},
        "extra_state": {
            "metrics": OrderedDict(
                train=[(20, "loss", "AverageMeter", {"val": np.float32(0.5), "sum": torch.tensor(1.0), "count": 2})]
            ),
            "previous_training_time": 60.5,
            "train_iterator": {"epoch": 2, "iterations_in_epoch": 0, "shuffle": True, "len": 5},
            "val_loss": np.float64(0.5),
        },
        "last_optimizer_state": {"state": {0: moments}, "param_groups": [{"lr": 1e-6, "betas": (0.9, 0.98)}]},
        **more,
    }


@pytest.mark.parametrize("kind", ["pretrain", "classifier"])
def test_a_file_of_a_training_is_read_for_its_weights(folder, tmp_path, load, cases, kind):
    path, published = tmp_path / "published.pt", load_tensors(folder / f"weights_{kind}.safetensors")
    torch.save(checkpoint(published), path)
    source = cases["pretrain"]["source"]
    origin = get_expert("ecg-fm").origin
    assert torch.equal(load(kind, path, origin.inside)(source), load(kind)(source))


class Settings:
    """Of a package that is not here."""


def test_a_file_that_holds_anything_else_is_refused_by_name(folder, tmp_path):
    path, published = tmp_path / "published.pt", load_tensors(folder / "weights_classifier.safetensors")
    torch.save(checkpoint(published, cfg={"model": Settings()}), path)
    with pytest.raises(WeightsError, match=r"refused.*Settings"):
        read_state(path, ("model",))
    torch.save({"model_state": published, "epoch": 1}, path)
    with pytest.raises(WeightsError, match="nothing under 'model', where the weights should be"):
        read_state(path, ("model",))


def test_the_weights_of_one_variant_are_refused_for_another(folder, load):
    with pytest.raises(WeightsError, match="45 missing: feature_extractor"):
        load("pretrain", folder / "weights_classifier.safetensors")


def test_preprocessing_is_the_published_one(folder):
    arrays = load_file(folder / "preprocessing.safetensors")
    raw = arrays["raw_400hz"][[MIMIC_ORDER.index(lead) for lead in STANDARD_LEADS]]
    resampled = stretched(raw, 400.0, 500.0)
    np.testing.assert_allclose(resampled[0], arrays["pipeline.resampled_lead_I"], atol=1e-12)
    for route in ("pipeline", "quickstart"):
        np.testing.assert_allclose(segments(raw, 400.0, 500), arrays[f"{route}.segments"], atol=1e-6)


def test_a_recording_is_scaled_as_a_whole_and_its_rest_dropped(folder):
    raw = load_file(folder / "preprocessing.safetensors")["raw_400hz"]
    recording = Recording(signal=np.tile(raw, (1, 6)), rate=400, leads=MIMIC_ORDER)  # 12.6 s
    inputs = get_expert("ecg-fm:tiny").prepare([recording])
    assert inputs.windows.shape == (2, 12, 2500)
    assert inputs.owner.tolist() == [0, 0]
    whole = stretched(recording.select(STANDARD_LEADS).signal.astype(float), 400.0, 500.0)
    assert whole.shape == (12, 6300)
    deviation = whole.std(axis=1, keepdims=True)
    expected = (whole - whole.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    np.testing.assert_allclose(np.concatenate(list(inputs.windows), axis=1), expected[:, :5000], atol=1e-5)


@pytest.mark.parametrize("rate", [100.0, 121.0, 250.0, 257.0, 400.0, 500.0, 1000.0])
def test_both_ends_of_a_recording_stay_and_its_seconds_too(rate):
    signal = np.random.default_rng(0).normal(size=(2, 3, round(5 * rate)))
    found = stretched(signal, rate, 500.0)
    assert found.shape == (2, 3, 2500)
    assert np.array_equal(found[..., [0, -1]], signal[..., [0, -1]])
    line = np.linspace(-1, 1, signal.shape[-1])
    np.testing.assert_allclose(stretched(line, rate, 500.0), np.linspace(-1, 1, found.shape[-1]), atol=1e-12)


@pytest.mark.parametrize("value", [0.1, -2.5, 1e-30, 1e30, np.nan])
def test_a_constant_lead_is_zero_whatever_its_value(value):
    signal = simulate_one(0, seed=3, rate=360.0, seconds=7).recording.signal.copy()
    signal[3] = value
    recording = Recording(signal=signal, rate=360, leads=STANDARD_LEADS)
    windows = get_expert("ecg-fm:tiny").prepare([recording]).windows
    assert np.abs(windows[:, 3]).max() < 1e-4
    assert windows[:, [2, 4]].std(axis=-1).min() > 0.5


@pytest.mark.parametrize(
    ("name", "file", "column"),
    [
        ("ecg-fm-mimic", "labels_mimic_iv_ecg_17.csv", "name"),
        ("ecg-fm-physionet", "labels_physionet2021_26.csv", "description"),
    ],
)
def test_its_own_answers_have_the_published_names_and_are_pooled_as_published(folder, name, file, column):
    expert = get_expert(f"{name}:tiny")
    with (folder / file).open() as rows:
        assert list(expert.labels.names) == [row[column].replace("|", " or ") for row in csv.DictReader(rows)]
    assert expert.labels.sporadic <= set(expert.labels.names)
    recordings = [simulate_one(row, seed=3, seconds=seconds).recording for row, seconds in enumerate((16, 5, 10))]
    inputs = expert.prepare(recordings)
    assert inputs.owner.tolist() == [0, 0, 0, 1, 2, 2]
    embedding, answers = expert.embed_and_answer(inputs)
    assert np.array_equal(embedding, expert.embed(inputs))
    logits = expert._network.answer(torch.from_numpy(expert.window_embeddings(inputs)))
    windows = torch.sigmoid(logits).numpy()
    for row in range(3):
        own = windows[inputs.owner == row]
        for label, found in zip(expert.labels.names, answers[row], strict=True):
            of_label = own[:, expert.labels.names.index(label)]
            expected = of_label.max() if label in expert.labels.sporadic else of_label.mean()
            assert found == pytest.approx(expected, rel=1e-5)


def test_what_one_segment_may_show_alone_is_answered_by_the_largest_segment():
    assert get_expert("ecg-fm-mimic:tiny").labels.sporadic == {
        "Poor data quality",
        "Premature ventricular contraction",
        "Ventricular tachycardia",
        "Supraventricular tachycardia with aberrancy",
        "Electronic pacemaker",
    }
