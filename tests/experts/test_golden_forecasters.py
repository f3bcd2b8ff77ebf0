"""DLinear and TimesNet compute what the published code computes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from enecg.experts._timesnet_network import PUBLISHED, Size, TimesNet
from enecg.experts.dlinear import decompose, forecast

GOLDEN = Path(__file__).parents[1] / "golden"
DLINEAR, TIMESNET = GOLDEN / "dlinear_enecg", GOLDEN / "timesnet_enecg"


@pytest.mark.parametrize(
    ("case", "weights", "kernel"),
    [
        ("b1_c1", "", 1001),
        ("b3_c1", "", 1001),
        ("b3_c12", "", 1001),
        ("small_b1", "-small", 9),
        ("small_b3", "-small", 9),
    ],
)
def test_dlinear_matches_the_reference(case, weights, kernel):
    cases, state = load_file(DLINEAR / "cases.safetensors"), load_file(DLINEAR / f"weights{weights}.safetensors")
    x = cases[f"{case}.x"].transpose(0, 2, 1)
    trend, seasonal = decompose(x, kernel)
    np.testing.assert_allclose(trend.transpose(0, 2, 1), cases[f"{case}.trend"], atol=1e-5)
    np.testing.assert_allclose(seasonal.transpose(0, 2, 1), cases[f"{case}.seasonal"], atol=1e-5)
    y = sum(forecast(x, state, kernel)).transpose(0, 2, 1)
    np.testing.assert_allclose(y, cases[f"{case}.y"], atol=1e-5)


def test_dlinear_of_a_constant_is_the_sum_of_its_weights():
    state = load_file(DLINEAR / "weights.safetensors")
    y = sum(forecast(np.ones((1, 500), np.float32), state, 1001))
    expected = state["Linear_Trend.weight"].sum() + state["Linear_Trend.bias"] + state["Linear_Seasonal.bias"]
    np.testing.assert_allclose(y[0], expected, atol=1e-5)


def timesnet(weights: str) -> TimesNet:
    config = json.loads((TIMESNET / "config.json").read_text())[weights]
    network = TimesNet(Size(**{key: config[key] for key in Size.__dataclass_fields__ if key in config}))
    state = load_file(TIMESNET / f"weights{'' if weights == 'tiny' else '-tiny_mv'}.safetensors")
    network.load_state_dict({name: torch.from_numpy(part) for name, part in state.items()}, strict=True)
    return network.eval()


@pytest.mark.parametrize(
    ("case", "weights"),
    [(case, "tiny") for case in ("b1", "b1_marks", "b1_of_b3", "b3")]
    + [("mv_b1", "tiny_mv"), ("mv_b3_marks", "tiny_mv")],
)
def test_timesnet_matches_the_reference(case, weights):
    cases = {name: torch.from_numpy(part) for name, part in load_file(TIMESNET / "cases.safetensors").items()}
    network = timesnet(weights)
    x, marks = cases[f"{case}.x"], cases.get(f"{case}.x_mark")
    with torch.no_grad():
        torch.testing.assert_close(network(x, marks), cases[f"{case}.y"], atol=1e-5, rtol=0)
        features = network.features(x, marks)
        torch.testing.assert_close(features, cases[f"{case}.after_last_norm"], atol=1e-4, rtol=0)
        torch.testing.assert_close(network.projection(features), cases[f"{case}.after_projection"], atol=1e-5, rtol=0)
        h = network.predict_linear(cases[f"{case}.after_embedding"].transpose(1, 2)).transpose(1, 2)
        for number, block in enumerate(network.model):
            assert block.periods(h)[0] == cases[f"{case}.periods"][number].tolist()
            h = network.layer_norm(block(h))


def test_the_published_timesnet_has_the_names_and_shapes_of_the_reference():
    expected = json.loads((TIMESNET / "full_keys.json").read_text())["tensors"]
    with torch.device("meta"):
        state = TimesNet(PUBLISHED).state_dict()
    assert {
        name: [str(part.dtype).removeprefix("torch."), list(part.shape)] for name, part in state.items()
    } == expected
