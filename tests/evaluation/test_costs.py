"""Multiply-adds of experts, against what can be reckoned by hand."""

import numpy as np
import pytest

from enecg.evaluation import multiply_adds
from enecg.experts import get_expert
from enecg.experts.learned.vit import ViTExpert
from enecg.experts.rocket import DILATIONS, SMALL_DILATIONS
from enecg.recording import STANDARD_LEADS, Recording


def recording(seconds=10.0):
    signal = np.random.default_rng(0).normal(size=(12, round(100 * seconds)))
    return Recording.from_array(signal, rate=100.0, leads=STANDARD_LEADS, unit="mV")


def test_a_transformers_count_is_that_of_its_layers_attention_included():
    size = ViTExpert.tiny
    tokens = 12 * size.most
    first, second = 25, 13  # samples after each convolution of a patch of 50
    patch = first * size.channels[0] * 9 + second * size.channels[0] * size.channels[1] * 5
    project = size.channels[1] * second * size.width
    block = 4 * size.width**2 + 2 * size.width * size.hidden + 2 * tokens * size.width
    assert multiply_adds(get_expert("vit:tiny"), recording()) == tokens * (patch + project + size.layers * block)


@pytest.mark.parametrize(("name", "dilations"), [("rocket", DILATIONS), ("rocket-small", SMALL_DILATIONS)])
def test_random_convolutions_are_matrices_of_leads_and_taps(name, dilations):
    assert multiply_adds(get_expert(name), recording()) == len(dilations) * 84 * (12 * 9) * 500


@pytest.mark.parametrize("name", ["s4d:tiny", "rocket-small", "vit:tiny"])
def test_a_recording_of_two_windows_takes_twice_as_much(name):
    one, two = (multiply_adds(get_expert(name), recording(seconds)) for seconds in (10.0, 20.0))
    assert two == 2 * one > 0


def test_the_same_network_takes_as_much_on_any_backend():
    assert multiply_adds(get_expert("s4d:tiny"), recording()) == multiply_adds(
        get_expert("s4d:tiny", backend="compile bf16"), recording()
    )


def test_the_network_for_students_takes_about_an_eighth_of_what_its_larger_one_does():
    small, large = (multiply_adds(get_expert(f"{name}:random"), recording()) for name in ("s4d-small", "s4d"))
    assert 0.12 < small / large < 0.14


@pytest.mark.parametrize("name", ["measurements", "dlinear"])
def test_what_is_neither_convolution_nor_product_of_matrices_has_no_count(name):
    assert multiply_adds(get_expert(name), recording()) is None
