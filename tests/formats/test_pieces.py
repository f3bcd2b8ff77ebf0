from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import LeadError, ReadError
from enecg.formats._pieces import joined

PATH = Path("one.xml")


@given(
    st.lists(
        st.tuples(st.sampled_from(["I", "II", "V1"]), st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=6
    ).filter(lambda pieces: any(length for _, _, length in pieces))
)
def test_each_piece_is_where_it_begins_or_two_of_a_lead_overlap(pieces):
    values = [(lead, begin, np.arange(length) + 10.0 * at) for at, (lead, begin, length) in enumerate(pieces)]
    times = [(lead, begin + at) for lead, begin, length in pieces for at in range(length)]
    if len(set(times)) < len(times):
        with pytest.raises(LeadError, match=r"one\.xml: lead \w+ is there more than once"):
            joined(PATH, values)
        return
    signal, leads = joined(PATH, values)
    assert leads == tuple(dict.fromkeys(lead for lead, _, _ in pieces))
    for lead, begin, samples in values:
        np.testing.assert_array_equal(signal[leads.index(lead), begin : begin + len(samples)], samples)
    assert np.isfinite(signal).sum() == len(times)


@pytest.mark.parametrize("pieces", [[], [("I", 0, np.empty(0))]])
def test_nothing_is_no_recording(pieces):
    with pytest.raises(ReadError, match=r"one\.xml: holds no samples"):
        joined(PATH, pieces)


def test_a_pause_that_would_take_all_memory_is_refused():
    with pytest.raises(ReadError, match="samples from the first to the last"):
        joined(PATH, [("I", 0, np.ones(5)), ("I", 10**12, np.ones(5))])
