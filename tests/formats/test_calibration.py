import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.formats._calibration import ecg_ends
from enecg.simulation import simulate_one

RATE = 500
ECG = simulate_one(2, seconds=3).recording.signal.astype(np.float64)


@given(
    end=st.integers(1, ECG.shape[1]),
    before=st.integers(1, 300),
    pulse=st.integers(50, 200),
    after=st.integers(1, 100),
    off=st.floats(0, 0.01),
    seed=st.integers(0, 9),
)
def test_the_end_of_the_ecg_is_found_however_long_zeros_and_pulse_are(end, before, pulse, after, off, seed):
    tail = np.concatenate([np.zeros(before), np.ones(pulse), np.zeros(after)])
    noise = np.random.default_rng(seed).uniform(-off, off, (12, len(tail)))
    # What an ECG leaves at zero just there cannot be told from the zeros behind it.
    ecg = ECG[:, :end].copy()
    ecg[0, -1] = 0.5
    signal = np.concatenate([ecg, tail + noise], axis=1)
    assert ecg_ends(signal, RATE, 0.0125) == end
    assert ecg_ends(signal[:, : end + before + pulse], RATE, 0.0125) is None


@given(seed=st.integers(0, 30), flat=st.integers(0, 500))
def test_an_ecg_has_no_such_end_though_it_be_flat_there(seed, flat):
    ecg = simulate_one(seed, seconds=2).recording.signal.astype(np.float64)
    assert ecg_ends(ecg, RATE, 0.0125) is None
    assert ecg_ends(np.pad(ecg, ((0, 0), (0, flat))), RATE, 0.0125) is None


@pytest.mark.parametrize("fill", [0.0, 1.0, np.nan])
def test_a_recording_of_nothing_has_none(fill):
    assert ecg_ends(np.full((12, 1000), fill), RATE, 0.0125) is None


def test_two_pulses_are_none():
    tail = np.concatenate([np.zeros(50), np.ones(100), np.zeros(50), np.ones(100), np.zeros(50)])
    assert ecg_ends(np.concatenate([ECG, np.tile(tail, (12, 1))], axis=1), RATE, 0.001) is None
