"""Recordings become windows: leads in order, one rate, no gap, one length."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import LeadError
from enecg.experts._windows import windows_of
from enecg.recording import Recording

LEADS = ("II", "V1")


def recording(n, rate, leads=("V1", "I", "II")):
    rows = np.arange(len(leads))[:, None] + np.linspace(0, 0.5, n)
    return Recording(signal=rows, rate=rate, leads=leads)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 700), max_size=4),
    rate=st.sampled_from([50.0, 100.0, 257.0]),
    seconds=st.sampled_from([0.5, 2.0]),
)
def test_windows_have_one_shape_and_know_their_recording(lengths, rate, seconds):
    found = windows_of([recording(n, rate) for n in lengths], LEADS, 50, seconds)
    n = round(50 * seconds)
    assert found.windows.shape == (len(found.owner), 2, n)
    assert found.windows.dtype == np.float32
    assert found.n_recordings == len(lengths)
    counts = np.bincount(found.owner, minlength=len(lengths))
    for count, length in zip(counts, lengths, strict=True):
        assert count == max(1, -(-max(1, round(length * 50 / rate)) // n))
    assert np.isfinite(found.windows).all()


def test_leads_come_in_the_order_wanted():
    found = windows_of([recording(100, 50)], LEADS, 50, 2).windows
    assert found[0, 0, 0] == 2  # lead II is the third row of the recording
    assert found[0, 1, 0] == 0


def test_a_gap_is_bridged_and_a_lead_without_samples_is_zero():
    signal = np.linspace(0, 1, 100) * np.ones((2, 1))
    signal[0, 20:40] = np.nan
    signal[1] = np.nan
    found = windows_of([Recording(signal=signal, rate=50, leads=LEADS)], LEADS, 50, 2).windows[0]
    np.testing.assert_allclose(found[0], np.linspace(0, 1, 100), atol=1e-6)
    assert not found[1].any()


def test_a_lead_that_is_not_there_is_an_error():
    with pytest.raises(LeadError, match="no lead V1"):
        windows_of([recording(100, 50, ("I", "II"))], LEADS, 50, 2)


@pytest.mark.parametrize(("pad", "last"), [("repeat", 1.0), ("zero", 0.0), ("edge", 2.0)])
def test_a_short_recording_is_padded_as_asked(pad, last):
    short = Recording(signal=[[1, 2], [1, 2]], rate=50, leads=LEADS)
    assert windows_of([short], LEADS, 50, 0.1, pad).windows[0, 0].tolist() == [
        1,
        2,
        last,
        2 if pad != "zero" else 0,
        last,
    ]
