"""ECGFounder computes what the published code computes."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from enecg.experts import get_expert
from enecg.experts.published.ecgfounder import Size, filtered
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.scale import PER_RECORDING, zscore

LEADS = pytest.mark.parametrize(("kind", "name"), [("12lead", "ecgfounder"), ("1lead", "ecgfounder-1lead")])


@pytest.fixture
def folder(golden):
    return golden / "ecgfounder"


@LEADS
@pytest.mark.parametrize("case", ["b1", "b3", "odd"])
def test_it_matches_the_reference(folder, load_golden, kind, name, case):
    expert = type(get_expert(name))
    config = json.loads((folder / "config.json").read_text())
    named = {key: value for key, value in config["tiny"].items() if key in Size.__dataclass_fields__}
    size = Size(**named | {"in_channels": config["in_channels"][kind]})
    network = load_golden(expert.network(size), folder / f"weights_{kind}.safetensors", expert.unused)
    cases = {key: torch.from_numpy(part) for key, part in load_file(folder / f"cases_{kind}.safetensors").items()}
    with torch.no_grad():
        features = network(cases[f"{case}.input"])
        torch.testing.assert_close(features, cases[f"{case}.features"], atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(network.answer(features), cases[f"{case}.logits"], atol=1e-5, rtol=0)


@LEADS
def test_the_published_size_has_the_names_and_shapes_of_the_reference(folder, kind, name):
    expected = json.loads((folder / f"full_keys_{kind}.json").read_text())["keys"]
    found = type(get_expert(name)).layout()
    assert {key: {"shape": list(shape), "dtype": dtype} for key, (shape, dtype) in found.items()} == expected


def test_the_filters_are_the_published_ones(folder):
    arrays = load_file(folder / "preprocessing.safetensors")
    # The reference's raw array is in the order of MIMIC-IV-ECG.
    order = [("I", "II", "III", "aVR", "aVF", "aVL", *STANDARD_LEADS[6:]).index(lead) for lead in STANDARD_LEADS]
    raw = np.nan_to_num(arrays["mimic12.raw"].astype(np.float64))[order]
    found = filtered(raw, 500.0)
    np.testing.assert_allclose(found, arrays["mimic12.filtered"], atol=1e-9)
    np.testing.assert_allclose(zscore(found, PER_RECORDING, 1e-8), arrays["mimic12.output"], atol=1e-5)
    lead = filtered(raw[:1], 500.0)
    np.testing.assert_allclose(zscore(lead, PER_RECORDING, 1e-8), arrays["lead1.output"], atol=1e-5)


@LEADS
def test_a_recording_is_filtered_and_scaled_as_published(folder, kind, name):
    arrays = load_file(folder / "preprocessing.safetensors")
    raw = arrays["mimic12.raw"]
    leads = ("I", "II", "III", "aVR", "aVF", "aVL", *STANDARD_LEADS[6:])
    recording = Recording(signal=np.tile(raw, (1, 4))[:, :5000], rate=500, leads=leads)
    expert = get_expert(f"{name}:tiny")
    rows = [leads.index(lead) for lead in expert.card.leads]
    whole = np.nan_to_num(recording.signal[rows].astype(np.float64))
    expected = filtered(whole, 500.0)
    expected = (expected - expected.mean()) / (expected.std() + 1e-8)
    np.testing.assert_allclose(expert.prepare([recording]).windows[0], expected, atol=1e-5)


def test_its_own_answers_have_the_published_names(small_cohort):
    expert = get_expert("ecgfounder:tiny")
    assert len(expert.labels.names) == 150
    assert expert.labels.names[0] == "ABNORMAL ECG"
    recordings = [item.read() for item in small_cohort[:2]]
    inputs = expert.prepare(recordings)
    embedding, answers = expert.embed_and_answer(inputs)
    assert np.array_equal(embedding, expert.embed(inputs))
    assert answers.shape == (2, 150)
    assert ((answers > 0) & (answers < 1)).all()
