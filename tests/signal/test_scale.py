import numpy as np

from enecg.signal.scale import PER_LEAD, PER_RECORDING, unit_range, zscore

SIGNAL = np.random.default_rng(0).normal(2.0, 3.0, size=(4, 2, 300)).astype(np.float32)


def test_zscore_of_each_lead_and_of_the_whole_recording():
    each = zscore(SIGNAL, PER_LEAD)
    assert np.allclose(each.mean(-1), 0, atol=1e-5)
    assert np.allclose(each.std(-1), 1, atol=1e-5)
    whole = zscore(SIGNAL, PER_RECORDING)
    assert np.allclose(whole.std((-2, -1)), 1, atol=1e-5)
    assert not np.allclose(whole.std(-1), 1, atol=1e-3)


def test_missing_samples_are_left_out_and_stay_missing():
    signal = SIGNAL.copy()
    signal[0, 0, :100] = np.nan
    expected = (SIGNAL[0, 0, 100:] - SIGNAL[0, 0, 100:].mean()) / SIGNAL[0, 0, 100:].std()
    got = zscore(signal)[0, 0]
    assert np.isnan(got[:100]).all()
    assert np.allclose(got[100:], expected, atol=1e-5)
    assert np.isnan(zscore(np.full((1, 5), np.nan, dtype=np.float32))).all()


def test_a_flat_lead_becomes_zero():
    assert np.array_equal(zscore(np.full((1, 9), 3.0, dtype=np.float32)), np.zeros((1, 9)))
    assert np.array_equal(unit_range(np.full((1, 9), 3.0, dtype=np.float32)), np.zeros((1, 9)))


def test_unit_range_touches_both_ends():
    got = unit_range(SIGNAL)
    assert np.allclose(got.min(-1), -1)
    assert np.allclose(got.max(-1), 1)
