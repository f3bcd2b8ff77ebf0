"""What disturbs a recording has the size, the frequency and the leads it should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import periodogram

from enecg.simulation._noise import draw_noise


def drawn(n, rate=500.0, samples=5000, level=1.0):
    return np.array([draw_noise(np.random.default_rng([3, i]), 8, samples, rate, level) for i in range(n)])


def band(noise, rate, low, high):
    """Root mean square between two frequencies, [recording, lead]."""
    hertz, power = periodogram(noise, rate, axis=-1)
    inside = (hertz >= low) & (hertz < high)
    return np.sqrt(power[..., inside].sum(axis=-1) * hertz[1])


def test_no_noise_is_silence():
    assert not draw_noise(np.random.default_rng(0), 8, 500, 100.0, 0.0).any()


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 4000), rate=st.sampled_from([50.0, 128.0, 333.3, 1000.0]))
def test_noise_of_any_length_and_rate_is_finite(seed, n, rate):
    noise = draw_noise(np.random.default_rng(seed), 8, n, rate, 1.0)
    assert noise.shape == (8, n)
    assert noise.dtype == np.float32
    assert np.isfinite(noise).all()


def test_noise_grows_with_its_level():
    one, two = (np.abs(drawn(20, level=level)).mean() for level in (1.0, 2.0))
    assert two == pytest.approx(2 * one, rel=1e-3)


def test_muscle_noise_is_some_microvolts_and_now_and_then_much_more():
    fast = band(drawn(300, samples=2500), 500, 70, 240).mean(axis=1)
    assert 0.002 < np.median(fast) < 0.012
    assert 0.03 < np.mean(fast > 2.5 * np.median(fast)) < 0.25


def test_leads_are_disturbed_by_themselves():
    noise = drawn(20)
    fast = np.diff(noise, n=2, axis=-1)
    between = [np.corrcoef(one)[np.triu_indices(8, 1)] for one in fast]
    assert np.abs(np.median(between)) < 0.1
    sizes = fast.std(axis=-1)
    assert np.median(sizes.max(axis=1) / sizes.min(axis=1)) > 1.5


def test_the_baseline_wanders_slowly():
    noise = drawn(100)
    slow = band(noise, 500, 0, 1).mean(axis=1)
    assert 0.01 < np.median(slow) < 0.2
    # Respiration and drift end below 2 Hz: between there and 40 Hz there is muscle alone.
    assert np.median(band(noise, 500, 2, 5).mean(axis=1)) < 0.2 * np.median(slow)


def test_the_wander_has_no_steps():
    quiet = draw_noise(np.random.default_rng([3, 4]), 8, 5000, 500.0, 1.0)
    hum = np.abs(np.diff(quiet - np.array([np.convolve(row, np.ones(50) / 50, "same") for row in quiet]), axis=1))
    assert hum[:, 50:-50].max() < 0.2


def test_mains_hum_is_in_some_recordings_at_50_or_60_hz():
    noise = drawn(400, samples=2500)
    floor = band(noise, 500, 70, 80).mean(axis=1) / np.sqrt(10)
    shares = [np.mean(band(noise, 500, hz - 0.5, hz + 0.5).mean(axis=1) > 5 * floor) for hz in (50, 60)]
    for share in shares:
        assert 0.02 < share < 0.15
    assert np.mean(band(noise, 500, 89.5, 90.5).mean(axis=1) > 5 * floor) == 0


def test_mains_above_half_the_rate_is_left_out():
    noise = drawn(100, rate=90.0, samples=900)
    hertz, power = periodogram(noise, 90.0, axis=-1)
    fast = power.mean(axis=1)[:, hertz > 10]
    # No line stands out: sampled, 50 Hz would be seen at 40 Hz.
    assert (fast.max(axis=1) / np.median(fast, axis=1)).max() < 12


def test_electrodes_jump_in_few_recordings_and_in_one_lead():
    steps = np.abs(np.diff(drawn(400, samples=2500), axis=-1)).max(axis=-1)
    usual = np.median(steps, axis=1, keepdims=True)
    jumps = steps > 8 * usual
    assert 0.01 < jumps.any(axis=1).mean() < 0.08
    assert jumps.sum(axis=1).max() == 1
