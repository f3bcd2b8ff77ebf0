import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg import Recording
from enecg.errors import LeadError, RecordingError, UnitError
from enecg.recording import OTHER_LEADS, STANDARD_LEADS, standard_lead


def recording(**changes) -> Recording:
    facts = {"rate": 100.0, "leads": ("I", "II"), "unit": "mV"} | changes
    return Recording.from_array(np.arange(20).reshape(2, 10) / 10, **facts)


@given(st.sampled_from(STANDARD_LEADS + OTHER_LEADS), st.sampled_from([str.upper, str.lower, str.title]))
def test_every_spelling_of_a_lead_is_the_standard_one(name, spelling):
    assert standard_lead(f" Lead {spelling(name)} ") == name


def test_an_unknown_lead_is_refused_with_those_known():
    with pytest.raises(LeadError, match=r"unknown lead name 'PLETH'.*aVR"):
        standard_lead("PLETH")


@pytest.mark.parametrize(("unit", "factor"), [("mV", 1), ("uV", 1e-3), ("µV", 1e-3), ("V", 1e3), ("nV", 1e-6)])
def test_units_become_millivolts(unit, factor):
    assert np.allclose(recording(unit=unit).signal, np.arange(20).reshape(2, 10) / 10 * factor, rtol=1e-6)


def test_an_unknown_unit_is_refused_and_says_what_to_do():
    with pytest.raises(UnitError, match=r"'bananas'.*unit="):
        recording(unit="bananas")


def test_a_recording_cannot_be_changed():
    one = recording()
    with pytest.raises(ValueError, match="read-only"):
        one.signal[0, 0] = 1
    with pytest.raises(AttributeError):
        one.rate = 5


def test_the_callers_array_is_copied():
    array = np.zeros((2, 10), dtype=np.float32)
    one = Recording(signal=array, rate=100.0, leads=("I", "II"))
    array[:] = 7
    assert one.signal.max() == 0


def test_digest_follows_samples_leads_and_rate_only():
    base = recording(id="a", age=50.0)
    assert base.digest == recording(id="b", age=60.0).digest
    assert base.digest != recording(rate=200.0).digest
    assert base.digest != recording(leads=("I", "III")).digest
    changed = np.array(base.signal)
    changed[1, 9] += 1e-6
    assert base.digest != Recording(signal=changed, rate=100.0, leads=("I", "II")).digest


def test_one_digest_whatever_the_bits_of_the_missing_sample():
    odd = np.zeros((1, 4), dtype=np.float32)
    odd.view(np.uint32)[0, 2] = 0xFFC00001
    plain = np.array([[0, 0, np.nan, 0]], dtype=np.float32)
    digests = {Recording(signal=array, rate=100.0, leads=("I",)).digest for array in (odd, plain)}
    assert len(digests) == 1


def test_select_orders_and_spells():
    assert np.array_equal(recording().select(["ii"]).signal[0], recording().lead("II"))
    with pytest.raises(LeadError, match=r"no lead V1 \(found I, II\)"):
        recording().lead("V1")


@pytest.mark.parametrize(
    ("array", "changes", "message"),
    [
        (np.zeros((2, 0)), {}, "expected \\[lead, sample\\]"),
        (np.zeros(5), {}, "expected \\[lead, sample\\]"),
        (np.zeros((10, 2)), {}, "transposed"),
        (np.zeros((2, 10)), {"leads": ("I", "avR", "V1")}, "3 lead names for 2 rows"),
        (np.zeros((2, 10)), {"leads": ("I", "i")}, "more than once"),
        (np.zeros((2, 10)), {"rate": 0.0}, "positive"),
        (np.zeros((2, 10)), {"rate": np.nan}, "positive"),
        (np.full((2, 10), np.inf), {}, "infinite"),
        (np.zeros((2, 10)), {"sex": "F"}, "'male', 'female'"),
    ],
)
def test_what_cannot_be_an_ecg_is_refused_by_name(array, changes, message):
    facts = {"rate": 100.0, "leads": ("I", "II"), "unit": "mV", "id": "r1"} | changes
    with pytest.raises(RecordingError, match=message) as caught:
        Recording.from_array(array, **facts)
    assert "r1" in str(caught.value)
