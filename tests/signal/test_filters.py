import numpy as np
import pytest
from scipy.signal import butter, iirnotch, sosfiltfilt, tf2sos

from enecg.errors import RecordingError
from enecg.signal.filters import bandpass, highpass, lowpass, notch

RATE = 500.0
T = np.arange(5000) / RATE


def gain(filtered: np.ndarray, signal: np.ndarray) -> float:
    middle = slice(1000, 4000)
    return float(np.std(filtered[..., middle]) / np.std(signal[..., middle]))


@pytest.mark.parametrize(("hz", "low", "high"), [(0.1, 0.0, 0.05), (10.0, 0.98, 1.02), (120.0, 0.0, 0.05)])
def test_band_pass_keeps_its_band_only(hz, low, high):
    signal = np.sin(2 * np.pi * hz * T).astype(np.float32)[None]
    assert low <= gain(bandpass(signal, RATE, 0.5, 40.0), signal) <= high


def test_filters_are_scipys_zero_phase_filters_bit_for_bit():
    noise = np.random.default_rng(0).normal(size=(3, 2, 2000)).astype(np.float32)
    expected = sosfiltfilt(butter(3, (0.5, 40.0), "bandpass", fs=RATE, output="sos"), noise)
    assert np.array_equal(bandpass(noise, RATE, 0.5, 40.0), expected.astype(np.float32))
    expected = sosfiltfilt(tf2sos(*iirnotch(50.0, 30.0, fs=RATE)), noise)
    assert np.array_equal(notch(noise, RATE, 50.0), expected.astype(np.float32))
    expected = sosfiltfilt(butter(4, 20.0, fs=RATE, output="sos"), noise[:, :, :20], padlen=15)
    assert np.array_equal(lowpass(noise[:, :, :20], RATE, 20.0), expected.astype(np.float32))


def test_no_phase_is_added():
    pulse = np.exp(-0.5 * ((T - 5) / 0.02) ** 2).astype(np.float32)[None]
    assert abs(int(np.argmax(lowpass(pulse, RATE, 40.0))) - 2500) <= 1
    assert abs(int(np.argmax(highpass(pulse, RATE, 0.5))) - 2500) <= 1


def test_notch_takes_mains_and_little_else():
    mains, beat = np.sin(2 * np.pi * 50 * T), np.sin(2 * np.pi * 10 * T)
    out = notch((mains + beat).astype(np.float32)[None], RATE, 50.0)
    assert np.abs(out[0, 1000:4000] - beat[1000:4000]).max() < 0.02
    slow = np.ones((1, 100), dtype=np.float32)
    assert notch(slow, 100.0, 50.0) is slow


def test_missing_samples_do_not_spread():
    signal = np.sin(2 * np.pi * 5 * T).astype(np.float32)[None].copy()
    signal[0, 2000:2100] = np.nan
    out = bandpass(signal, RATE, 0.5, 40.0)
    assert np.array_equal(np.isnan(out), np.isnan(signal))


def test_a_signal_shorter_than_the_filter_still_passes():
    assert np.isfinite(bandpass(np.ones((1, 5), dtype=np.float32), RATE, 0.5, 40.0)).all()


def test_a_cutoff_above_half_the_rate_is_refused():
    with pytest.raises(RecordingError, match="expected 0 to 50 Hz"):
        lowpass(np.ones((1, 100), dtype=np.float32), 100.0, 60.0)
