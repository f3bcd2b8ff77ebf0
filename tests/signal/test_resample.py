import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from enecg.errors import RecordingError
from enecg.signal.resample import resample, resample_fourier, resample_sinc
from enecg.signal.windows import extend


def tone(rate: float, hz: float, seconds: float = 10.0, drift: float = 0.0) -> np.ndarray:
    t = np.arange(round(rate * seconds)) / rate
    return (np.sin(2 * np.pi * hz * t) + drift * t).astype(np.float32)[None]


@pytest.mark.parametrize("rate", [250.0, 257.0, 360.0, 400.0, 500.0, 1000.0])
def test_a_tone_on_a_drift_keeps_its_values_to_the_very_edges(rate):
    got = resample(tone(rate, 5.0, drift=0.2), rate, 100.0)
    assert got.shape == (1, 1000)
    assert np.abs(got - tone(100.0, 5.0, drift=0.2)).max() < 0.02


@given(
    st.integers(2, 700),
    st.sampled_from([(1, 2), (1, 3), (1, 5), (1, 77), (2, 1), (5, 1), (5, 2), (2, 5), (8, 5), (25, 18), (100, 257)]),
    st.integers(0, 9),
)
def test_the_samples_are_those_of_scipy_on_the_lengthened_signal(n, ratio, seed):
    up, down = ratio
    signal = np.random.default_rng(seed).normal(size=(2, n)).astype(np.float32)
    edge = down * max(1, round(50 / down))
    expected = resample_poly(extend(signal, edge), up, down, axis=-1)[:, edge * up // down :]
    found = resample(signal, 100.0, 100.0 * up / down)
    np.testing.assert_allclose(found, expected[:, : found.shape[1]], atol=3e-6)


def test_a_rate_that_is_next_to_the_new_one_changes_no_sample():
    signal = tone(249.9999, 5.0)
    np.testing.assert_array_equal(resample(signal, 249.9999, 250.0), signal)


def test_what_lies_above_half_the_new_rate_is_gone():
    assert np.abs(resample(tone(500.0, 80.0), 500.0, 100.0)[0, 10:-10]).max() < 0.01


def test_up_and_down_again_is_the_same_signal():
    signal = tone(100.0, 7.0)
    assert np.abs(resample(resample(signal, 100.0, 500.0), 500.0, 100.0) - signal).max() < 5e-3


def test_missing_samples_stay_missing_and_do_not_spread():
    signal = tone(500.0, 1.0)
    signal[0, 1000:1500] = np.nan
    got = resample(signal, 500.0, 100.0)
    assert np.isnan(got[0, 200:300]).all()
    assert np.isfinite(np.delete(got, slice(199, 301))).all()


@given(st.integers(1, 400), st.sampled_from([90.0, 128.0, 500.0, 977.0]), st.sampled_from([100.0, 250.0]))
def test_any_length_gives_the_length_promised(n, rate, to):
    got = resample(np.ones((2, n), dtype=np.float32), rate, to)
    assert got.shape == (2, max(1, round(n * to / rate)))
    assert np.allclose(got, 1.0, atol=1e-2)


def test_leading_axes_are_treated_alike():
    batch = np.random.default_rng(0).normal(size=(3, 2, 500)).astype(np.float32)
    one_by_one = np.stack([resample(item, 500.0, 100.0) for item in batch])
    assert np.array_equal(resample(batch, 500.0, 100.0), one_by_one)


def test_a_rate_of_zero_is_refused():
    with pytest.raises(RecordingError, match="positive"):
        resample(np.ones((1, 10), dtype=np.float32), 0.0, 100.0)


def test_fourier_resampling_keeps_what_repeats_in_the_stretch_to_the_last_digits():
    for n in (84, 336, 500, 1003, 5000):
        found = resample_fourier(tone(400.0, 3.0).repeat(2, axis=0), n)
        assert found.shape == (2, n)
        expected = np.sin(2 * np.pi * 3.0 * np.arange(n) * 10.0 / n)
        assert np.abs(found - expected).max() < 1e-6


def test_fourier_resampling_drops_what_the_new_rate_cannot_hold():
    assert np.abs(resample_fourier(tone(500.0, 80.0), 1000)).max() < 1e-6


def test_fourier_resampling_to_the_same_length_changes_nothing_but_rounding():
    noise = np.random.default_rng(0).normal(size=(3, 777))
    assert np.abs(resample_fourier(noise, 777) - noise).max() < 1e-12


def test_a_missing_sample_makes_its_row_and_no_other_missing():
    signal = tone(100.0, 2.0).repeat(2, axis=0)
    signal[0, 5] = np.nan
    found = resample_fourier(signal, 336)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_no_samples_at_all_are_refused():
    with pytest.raises(RecordingError, match="expected 1 at least"):
        resample_fourier(np.ones((1, 10)), 0)


@pytest.mark.parametrize(
    ("rate", "to", "expected"),
    [
        (100, 240, [0.9794808, 4.665542, 1.57501, 1.41869, 0.0323282, 1.904162]),
        (360, 128, [0.8715399, 4.435681, 2.16201, 1.435483, 1.723852, 5.021598]),
        (257, 240, [0.9648234, 4.382835, 1.834149, 1.287565, -0.1577862, 4.621091]),
        (977, 240, [0.888587, 4.470985, 5.56334, 1.367763, 1.795852, 4.88879]),
    ],
)
def test_sinc_resampling_is_that_of_resampy(rate, to, expected):
    """Six of the samples that resampy 0.4.3 gives, `resampy.resample(signal, rate, to)`, from the first to the last."""
    signal = np.cumsum(np.cos(np.arange(300.0) ** 2 / 40))
    found = resample_sinc(signal, rate, to)
    assert len(found) == 300 * to // rate
    assert np.abs(found[np.linspace(0, len(found) - 1, 6).astype(int)] - expected).max() < 1e-6


@given(st.integers(10, 400), st.sampled_from([90.0, 128.0, 240.0, 500.0, 977.0]), st.sampled_from([100.0, 240.0]))
def test_sinc_resampling_gives_the_length_promised_and_is_linear(n, rate, to):
    rng = np.random.default_rng(n)
    one, other = rng.normal(size=(2, 3, n))
    found = resample_sinc(one + 3 * other, rate, to)
    assert found.shape == (3, n * int(to) // int(rate))
    np.testing.assert_allclose(found, resample_sinc(one, rate, to) + 3 * resample_sinc(other, rate, to), atol=1e-5)


def test_sinc_resampling_keeps_a_tone_away_from_the_ends_and_drops_what_the_new_rate_cannot_hold():
    for rate in (360.0, 500.0, 1000.0):
        inner = slice(200, -200)
        assert np.abs(resample_sinc(tone(rate, 20.0), rate, 240.0) - tone(240.0, 20.0))[0, inner].max() < 2e-3
        assert np.abs(resample_sinc(tone(rate, 130.0), rate, 240.0))[0, inner].max() < 1e-3


def test_a_missing_sample_is_missing_as_far_as_the_sinc_reaches():
    signal = tone(500.0, 2.0).repeat(2, axis=0)
    signal[0, 2500] = np.nan
    found = resample_sinc(signal, 500.0, 240.0)
    reach = 50 + 1
    assert np.isnan(found[0, 1200 - reach + 2 : 1200 + reach - 2]).all()
    assert np.isfinite(np.delete(found[0], slice(1200 - reach, 1200 + reach + 1))).all()
    assert np.isfinite(found[1]).all()


def test_sinc_resampling_refuses_a_rate_of_zero_and_what_leaves_no_sample():
    with pytest.raises(RecordingError, match="positive"):
        resample_sinc(np.ones((1, 10)), 100.0, 0.0)
    with pytest.raises(RecordingError, match="leaves none"):
        resample_sinc(np.ones((1, 4)), 500.0, 100.0)
