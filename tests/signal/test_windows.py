import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import RecordingError
from enecg.signal.windows import cut, fill_gaps, fit_length


def test_gaps_are_bridged_and_ends_held():
    nan = np.nan
    signal = np.array([[nan, 1, nan, nan, 4, nan], [nan] * 6], dtype=np.float32)
    assert np.array_equal(fill_gaps(signal), [[1, 1, 2, 3, 4, 4], [0] * 6])
    assert np.isnan(signal[0, 0])  # the caller's array is left alone


def test_nothing_missing_costs_no_copy():
    signal = np.ones((2, 3), dtype=np.float32)
    assert fill_gaps(signal) is signal


@given(st.integers(1, 60), st.integers(1, 40))
def test_windows_cover_every_sample_and_end_at_the_end(length, n):
    signal = np.arange(length, dtype=np.float32)[None]
    windows = cut(signal, n)
    assert windows.shape[1:] == (1, n)
    assert set(windows.ravel()) == set(range(length))
    if length >= n:
        assert windows[-1, 0, -1] == length - 1
        assert len(windows) == -(-length // n)


@pytest.mark.parametrize(("pad", "tail"), [("repeat", [0, 1]), ("zero", [0, 0]), ("edge", [2, 2])])
def test_a_short_signal_is_padded_as_asked(pad, tail):
    assert fit_length(np.array([[0, 1, 2]], dtype=np.float32), 5, pad)[0].tolist() == [0, 1, 2, *tail]


def test_empty_windows_are_refused():
    with pytest.raises(RecordingError, match="expected 1"):
        cut(np.ones((1, 4), dtype=np.float32), 0)
