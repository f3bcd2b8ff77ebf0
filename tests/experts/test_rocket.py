"""Random convolutions are those of their formula, and their biases come from simulated recordings."""

import hashlib
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.data import tensors
from enecg.experts import get_expert
from enecg.experts.rocket import DILATIONS, FILE, KERNELS, RATE, SHA256, SMALL_DILATIONS, STRIDE, TAPS, convolve
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.filters import highpass
from enecg.simulation import simulate


def test_kernels_are_all_choices_of_three_taps_of_nine():
    assert KERNELS.shape == (84, 9)
    assert len(np.unique(KERNELS, axis=0)) == 84
    assert set(np.unique(KERNELS)) == {-1.0, 2.0}
    assert (KERNELS.sum(axis=1) == 0).all()
    assert ((KERNELS == 2).sum(axis=1) == 3).all()


def direct(window, dilation, leads):
    """The same by a loop over kernels, leads, samples and taps; outside the window is zero."""
    n = window.shape[1]
    out = np.zeros((len(KERNELS), len(range(0, n, STRIDE))))
    for kernel, (weights, chosen) in enumerate(zip(KERNELS, leads, strict=True)):
        summed = window[chosen > 0].sum(axis=0)
        for place, sample in enumerate(range(0, n, STRIDE)):
            for tap, weight in enumerate(weights):
                at = sample + (tap - TAPS // 2) * dilation
                if 0 <= at < n:
                    out[kernel, place] += weight * summed[at]
    return out


@settings(max_examples=6, deadline=None)
@given(n=st.integers(1, 70), dilation=st.sampled_from([1, 2, 7, 30]), seed=st.integers(0, 99))
def test_a_convolution_is_the_direct_sum(n, dilation, seed):
    rng = np.random.default_rng(seed)
    window = rng.normal(size=(12, n)).astype(np.float32)
    leads = (rng.random((84, 12)) < 0.2).astype(np.float32)
    np.testing.assert_allclose(convolve(window, dilation, leads), direct(window, dilation, leads), atol=1e-4)


def test_a_constant_gives_nothing_inside():
    """Weights sum to zero, so kernels do not see an offset but at the window's ends."""
    found = convolve(np.full((12, 400), 3.0, np.float32), 7, np.ones((84, 12), np.float32))
    assert np.abs(found[:, 14:-14]).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "key", "dilations"), [("rocket", "full", DILATIONS), ("rocket-small", "small", SMALL_DILATIONS)]
)
def test_a_feature_is_the_share_of_outputs_above_a_bias(name, key, dilations):
    expert, found = get_expert(name), tensors(FILE, SHA256)
    recording = simulate(1, seed=2, rate=RATE)[0].recording
    inputs = expert.prepare([recording])
    features = expert.embed(inputs)[0].reshape(len(dilations), 84, -1)
    assert ((features >= 0) & (features <= 1)).all()
    for number in (0, len(dilations) - 1):
        outputs = convolve(inputs.windows[0], dilations[number], found[f"{key}.leads"][number].astype(np.float32))
        for kernel in (0, 41, 83):
            expected = [(outputs[kernel] > bias).mean() for bias in found[f"{key}.biases"][number, kernel]]
            np.testing.assert_allclose(features[number, kernel], expected, atol=1e-6)


def test_the_input_is_ten_seconds_of_millivolts_without_baseline():
    recording = simulate(1, seed=2, rate=RATE)[0].recording
    windows = get_expert("rocket").prepare([recording]).windows
    assert windows.shape == (1, 12, 1000)
    np.testing.assert_array_equal(windows[0], highpass(recording.signal, RATE, 0.5))
    raised = Recording(signal=recording.signal + 5, rate=RATE, leads=STANDARD_LEADS)
    np.testing.assert_allclose(get_expert("rocket").prepare([raised]).windows, windows, atol=1e-3)


@pytest.mark.parametrize(("key", "dilations"), [("full", DILATIONS), ("small", SMALL_DILATIONS)])
def test_each_kernel_reads_one_to_four_leads_and_has_rising_biases(key, dilations):
    found = tensors(FILE, SHA256)
    leads, biases = found[f"{key}.leads"], found[f"{key}.biases"]
    assert leads.shape == (len(dilations), 84, 12)
    assert set(np.unique(leads)) == {0, 1}
    assert set(leads.sum(axis=2).ravel()) == {1, 2, 3, 4}
    assert (np.diff(biases, axis=2) > 0).all()
    # Every lead is read about as often.
    assert leads.sum(axis=(0, 1)).min() > 0.6 * leads.sum(axis=(0, 1)).mean()


def test_biases_are_quantiles_of_the_outputs_on_simulated_recordings():
    """As scripts/make_rocket.py chose them; on other recordings, and of a later simulator, shares are nearly so."""
    expert = get_expert("rocket-small")
    recordings = [made.recording for made in simulate(60, seed=77, rate=RATE)]
    share = expert.embed(expert.prepare(recordings)).mean(axis=0).reshape(len(SMALL_DILATIONS), 84, 4)
    # Bias k of 4 is the quantile 0.03 + 0.94 (k + u) / 4 with u random: so much lies below it.
    middle = 1 - (0.03 + 0.94 * (np.arange(4) + 0.5) / 4)
    np.testing.assert_allclose(share.mean(axis=(0, 1)), middle, atol=0.1)
    below = 1 - share
    for k in range(4):
        inside = (below[..., k] > 0.03 + 0.94 * k / 4 - 0.1) & (below[..., k] < 0.03 + 0.94 * (k + 1) / 4 + 0.1)
        assert inside.mean() > 0.95


def test_the_shipped_file_is_the_one_that_the_card_names():
    from importlib.resources import files

    data = (files("enecg.data") / FILE).read_bytes()
    assert hashlib.sha256(data).hexdigest() == SHA256 == get_expert("rocket").card.weights_sha256
    assert len(data) < 200_000


def test_both_sizes_share_the_input_and_nothing_else():
    full, small = get_expert("rocket"), get_expert("rocket-small")
    assert (full.card.dim, small.card.dim) == (9828, 2016)
    recording = simulate(1, seed=2, rate=500)[0].recording
    np.testing.assert_array_equal(full.prepare([recording]).windows, small.prepare([recording]).windows)
    assert full.fingerprint != small.fingerprint


def test_the_kernels_are_in_the_order_of_their_taps():
    for row, chosen in zip(KERNELS, combinations(range(9), 3), strict=True):
        assert tuple(np.flatnonzero(row == 2)) == chosen
