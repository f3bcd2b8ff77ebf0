import json
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import find, read
from enecg.simulation import simulate_one

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF")
DIGITAL = np.rint(simulate_one(3, seconds=2, rate=300).recording.select(LEADS).signal * 2000).astype(int)  # 500 nV
TABLE = ("leadI", "leadII", "leadIII", "AVR", "AVL", "AVF")
EXAMPLE = ("lead_I", "lead_II", "lead_III", "lead_AVR", "lead_AVL", "lead_AVF")


def block(keys=TABLE, digital=DIGITAL, **more):
    samples = dict(zip(keys, digital.tolist(), strict=True))
    return {"frequency": 300, "mainsFrequency": 50, "amplitudeResolution": 500, "samples": samples} | more


def document(raw=None, **more):
    said = {"id": "r1", "patientID": "p1", "heartRate": 61, "recordedAt": "2021-04-16T15:19:09+05:30"}
    return said | {"algorithmDetermination": "afib", "data": {"raw": raw or block()}} | more


@pytest.fixture
def kardia(tmp_path):
    def write(content):
        path = tmp_path / "one.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.mark.parametrize("keys", [TABLE, EXAMPLE])
@pytest.mark.parametrize("n", [1, 6])
def test_both_spellings_of_the_documentation_are_read(kardia, keys, n):
    path = kardia(document(block(keys[:n], DIGITAL[:n])))
    one = read(path)
    assert (one.rate, one.leads) == (300, LEADS[:n])
    np.testing.assert_allclose(one.signal, DIGITAL[:n] / 2000, rtol=1e-6)
    assert find(path.parent) == [path]


def test_what_the_file_says_besides_is_kept(kardia):
    intervals = {"qt": {"Value": 354}, "rr": {"Value": 666.7}, "qtcf": {"Value": None}}
    device = {"hardwareType": "kardia_6l", "serialNumber": "1"}
    one = read(kardia(document(deviceInfo=device, qtMeasurement=intervals)))
    assert one.acquired == datetime(2021, 4, 16, 15, 19, 9, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert (one.id, one.subject, one.device, one.statements) == ("one", "file:p1", "AliveCor kardia_6l", ("afib",))
    assert dict(one.measurements) == {"heart_rate_bpm": 61, "qt_ms": 354, "rr_ms": 666.7}


def test_the_unfiltered_signal_is_taken_and_the_filtered_one_only_where_it_is_alone(kardia):
    enhanced = block(digital=DIGITAL + 1)
    both = read(kardia(document(data={"enhanced": enhanced, "raw": block()})))
    np.testing.assert_allclose(both.signal, DIGITAL / 2000, rtol=1e-6)
    assert both.notes == ("the unfiltered signal is read; the file also holds it as AliveCor filters it",)
    alone = read(kardia(document(data={"enhanced": enhanced})))
    np.testing.assert_allclose(alone.signal, (DIGITAL + 1) / 2000, rtol=1e-6)
    assert "only the signal as AliveCor filters it" in alone.notes[0]


def test_null_is_a_missing_sample_and_a_part_is_the_same_part_of_the_whole(kardia):
    raw = block()
    raw["samples"]["leadII"][7] = None
    path = kardia(document(raw))
    whole = read(path)
    assert np.argwhere(np.isnan(whole.signal)).tolist() == [[1, 7]]
    np.testing.assert_array_equal(read(path, start=0.5, seconds=1).signal, whole.signal[:, 150:450])


def test_a_resolution_or_rate_that_is_not_there_is_asked_for(kardia):
    raw = block()
    del raw["amplitudeResolution"]
    with pytest.raises(UnitError, match=r"one\.json: .*pass unit="):
        read(kardia(document(raw)))
    np.testing.assert_allclose(read(kardia(document(raw)), unit="uV").signal, DIGITAL / 1000, rtol=1e-6)
    del raw["frequency"]
    with pytest.raises(ReadError, match=r"one\.json: .*pass rate="):
        read(kardia(document(raw)), unit="uV")


@pytest.mark.parametrize(
    ("raw", "error", "told"),
    [
        (block(numLeads=12), LeadError, r"6 leads \(I, II, .*; 12 are announced"),
        (block(frequency="fast"), ReadError, "frequency is 'fast'; expected a number"),
        (block(amplitudeResolution=-1), ReadError, "amplitudeResolution is -1"),
        (block(samples={"leadI": [1, 2], "leadII": [1]}), ReadError, r"samples in its leads: \{'I': 2, 'II': 1\}"),
        (block(samples={"leadI": [1, "2"]}), ReadError, "samples of leadI are not all numbers"),
        (block(samples={"leadI": [1, 10**400]}), ReadError, "amplitudes beyond measure"),
        (block(samples={"leadI": [1, 2], "leadQ": [1, 2]}), LeadError, "unknown lead name 'Q'"),
    ],
)
def test_what_cannot_be_a_recording_is_refused(kardia, raw, error, told):
    with pytest.raises(error, match=rf"one\.json: .*{told}"):
        read(kardia(document(raw)))


def test_other_json_is_none_and_a_cut_file_is_told(kardia, tmp_path):
    for content in ("{}", "[]", '{"data": {"raw": {"samples": {}}}}', '{"rate": 500, "unit": "mV"}'):
        kardia(content)
        assert find(tmp_path) == []
    whole = json.dumps(document())
    with pytest.raises(ReadError, match=r"one\.json: no JSON .* cut short or damaged"):
        read(kardia(whole[:-20]))


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_whatever_is_damaged_is_read_or_refused_by_name(tmp_path_factory, data):
    content = bytearray(json.dumps(document(block(digital=DIGITAL[:, :20]))).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("k") / "one.json"
    path.write_bytes(content)
    try:
        read(path)
    except EnECGError as error:
        assert "one.json" in str(error)  # noqa: PT017
