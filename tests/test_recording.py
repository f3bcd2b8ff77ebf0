import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

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


@pytest.mark.parametrize("name", ["-aVR", "Lead -aVR"])
def test_a_lead_turned_over_is_not_the_lead(name):
    with pytest.raises(LeadError, match="unknown lead name"):
        standard_lead(name)


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("mV", 1), ("uV", 1e-3), ("µV", 1e-3), ("V", 1e3), ("nV", 1e-6), ("0.1 mV", 0.1), ("5uV", 5e-3)],
)
def test_units_become_millivolts(unit, factor):
    assert np.allclose(recording(unit=unit).signal, np.arange(20).reshape(2, 10) / 10 * factor, rtol=1e-6)


@pytest.mark.parametrize("unit", ["bananas", "5", "0 mV", ""])
def test_an_unknown_unit_is_refused_and_says_what_to_do(unit):
    with pytest.raises(UnitError, match=rf"'{unit}'.*unit="):
        recording(unit=unit)


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


# -- what people hand over -------------------------------------------------------------------------------------------


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)), st.floats(1, 5000))
def test_a_signal_is_kept_bit_for_bit_or_refused(array, rate):
    leads = STANDARD_LEADS[: len(array)]
    if np.isinf(array).any():
        with pytest.raises(RecordingError, match="infinite samples"):
            Recording(signal=array, rate=rate, leads=leads)
        return
    one = Recording(signal=array, rate=rate, leads=leads)
    np.testing.assert_array_equal(one.signal, array)
    assert (one.n_leads, one.n_samples, one.rate) == (*array.shape, rate)
    assert one.seconds == array.shape[1] / rate
    assert one.digest == Recording(signal=array.astype(np.float64), rate=rate, leads=leads).digest
    assert one.digest == Recording(signal=np.asfortranarray(array), rate=rate, leads=leads).digest
    assert (
        one.digest == Recording(signal=array.byteswap().view(array.dtype.newbyteorder()), rate=rate, leads=leads).digest
    )


def test_equal_samples_have_one_digest_whatever_the_sign_of_zero():
    signals = np.array([[0.0, 1.0]]), np.array([[-0.0, 1.0]])
    assert len({Recording(signal=signal, rate=100.0, leads=("I",)).digest for signal in signals}) == 1


def test_a_masked_sample_is_missing():
    array = np.ma.masked_array([[1.0, 99.0, 3.0]], mask=[[False, True, False]])
    one = Recording.from_array(array, rate=100.0, leads=["I"], unit="mV")
    np.testing.assert_array_equal(one.signal, [[1, np.nan, 3]])
    whole = Recording.from_array(
        np.ma.masked_array([[1, 99, 3]], mask=[[False, True, False]]), rate=100.0, leads=["I"], unit="mV"
    )
    np.testing.assert_array_equal(whole.signal, [[1, np.nan, 3]])


@pytest.mark.parametrize("array", [[[1, 2, 3]], np.array([[1, 2, 3]], dtype=np.int16), ((1.0, 2.0, 3.0),)])
def test_lists_and_whole_numbers_are_arrays(array):
    one = Recording.from_array(array, rate=100, leads=["I"], unit="uV")
    np.testing.assert_allclose(one.signal, [[0.001, 0.002, 0.003]])


@pytest.mark.parametrize(
    ("array", "told"),
    [
        ([["a", "b"]], "expected numbers"),
        ([[1, 2], [3]], "expected numbers"),
        ([[None, object()]], "expected numbers"),
        (np.array([[1 + 2j, 3]]), "expected numbers"),
        ([[1e39, 0.0]], "infinite samples"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(array, told):
    with pytest.raises(RecordingError, match=told):
        Recording.from_array(array, rate=100.0, leads=["I"], unit="mV", id="r1")
    with pytest.raises(RecordingError, match=told):
        Recording(signal=array, rate=100.0, leads=("I",), id="r1")


@pytest.mark.parametrize("rate", ["fast", None, [500], "500"])
def test_a_rate_that_is_no_number_is_refused(rate):
    with pytest.raises(RecordingError, match="expected a positive number"):
        recording(rate=rate)


def test_one_name_where_names_are_expected_is_not_taken_letter_by_letter():
    for make in (
        lambda: Recording.from_array(np.zeros((1, 10)), rate=100.0, leads="II", unit="mV"),
        lambda: Recording(signal=np.zeros((1, 10)), rate=100.0, leads="II"),
        lambda: recording().select("II"),
    ):
        with pytest.raises(LeadError, match=r"leads 'II'; expected a list of names, such as \['II'\]"):
            make()


@pytest.mark.parametrize("again", [lambda one: pickle.loads(pickle.dumps(one)), copy.deepcopy, copy.copy])
def test_a_copy_in_another_process_is_the_same_and_as_safe(again):
    one = recording(id="a", subject="s:1", age=50.0, measurements={"qt_ms": 400.0}, notes=("x",))
    other = again(one)
    assert (other.id, other.subject, other.age, other.notes) == ("a", "s:1", 50.0, ("x",))
    assert dict(other.measurements) == {"qt_ms": 400.0}
    assert other.digest == one.digest
    with pytest.raises(ValueError, match="read-only"):
        other.signal[0, 0] = 1
    with pytest.raises(TypeError):
        other.measurements["qt_ms"] = 1


def test_it_shows_what_it_is():
    assert repr(recording(id="a")) == "Recording(id='a', leads=I II, rate=100 Hz, 0.1 s)"
