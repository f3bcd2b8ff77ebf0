import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import ReadError
from enecg.formats._ask import Ask


@given(st.floats(0, 1e6), st.floats(0.001, 1e9) | st.none(), st.integers(1, 10**9), st.floats(1, 1e6))
def test_a_span_is_within_the_recording_and_holds_a_sample(start, seconds, n_samples, rate):
    ask = Ask(start=start, seconds=seconds)
    try:
        first, last = ask.span(n_samples, rate, "one.bin")
    except ReadError:
        assert round(start * rate) >= n_samples
    else:
        assert round(start * rate) == first < last <= n_samples
        assert seconds is None or last - first <= max(1, round(seconds * rate))


@pytest.mark.parametrize("rate", [0, -500, 0.001, 1e300, math.inf, math.nan])
def test_a_rate_that_no_recording_has_is_refused_before_anything_is_counted_by_it(rate):
    with pytest.raises(ReadError, match=r"one\.bin: rate of .* Hz; expected 1 to 1,000,000"):
        Ask(start=1.0, seconds=1.0).span(1000, rate, "one.bin")
