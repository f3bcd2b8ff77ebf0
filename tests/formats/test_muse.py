import base64
import zlib
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import read
from enecg.recording import STANDARD_LEADS
from enecg.signal.leads import derive, einthoven_residual
from enecg.simulation import simulate_one

BIT = 0.00488
"""mV, of GE's devices."""

STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
ECG = np.round(simulate_one(3, seconds=4).recording.select(STORED).signal / BIT).astype(int)  # [8, 2000]
MEDIAN = ECG[:, 300:900] // 2

FACTS = """
<PatientDemographics><PatientID>p1</PatientID><PatientAge>60</PatientAge><AgeUnits>YEARS</AgeUnits>
 <Gender>FEMALE</Gender><PatientLastName>Säger</PatientLastName></PatientDemographics>
<TestDemographics><AcquisitionDevice>MAC55</AcquisitionDevice><AcquisitionTime>13:15:18</AcquisitionTime>
 <AcquisitionDate>05-10-2021</AcquisitionDate></TestDemographics>
<RestingECGMeasurements><VentricularRate>60</VentricularRate><PRInterval>0</PRInterval><QRSDuration>78</QRSDuration>
 <QTInterval>364</QTInterval><QTCorrected>364</QTCorrected><RAxis>-54</RAxis><TAxis>0</TAxis><QRSCount>10</QRSCount>
 <QTcFrederica>363</QTcFrederica></RestingECGMeasurements>
<OriginalRestingECGMeasurements><PAxis>77</PAxis></OriginalRestingECGMeasurements>
<Diagnosis><Modality>RESTING</Modality>
 <DiagnosisStatement><StmtText>Sinus rhythm</StmtText></DiagnosisStatement>
 <DiagnosisStatement><StmtFlag>ENDSLINE</StmtFlag><StmtText>with short PR</StmtText></DiagnosisStatement>
 <DiagnosisStatement><StmtFlag>USERINSERT</StmtFlag><StmtFlag>ENDSLINE</StmtFlag><StmtText>Borderline</StmtText>
 </DiagnosisStatement></Diagnosis>
<OriginalDiagnosis><DiagnosisStatement><StmtText>Overruled</StmtText></DiagnosisStatement></OriginalDiagnosis>
<QRSTimesTypes><GlobalRR>1000</GlobalRR></QRSTimesTypes>"""


def tags(values) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in values.items() if value is not None)


def lead_data(name, samples, **more) -> str:
    content = more.pop("content", np.asarray(samples).astype("<i2").tobytes())
    said = {
        "LeadByteCountTotal": len(content),
        "LeadTimeOffset": 0,
        "LeadSampleCountTotal": len(content) // 2,
        "LeadAmplitudeUnitsPerBit": 4.88,
        "LeadAmplitudeUnits": "MICROVOLTS",
        "LeadID": name,
        "LeadOffsetFirstSample": 0,
        "FirstSampleBaseline": 0,
        "LeadSampleSize": 2,
        "LeadOff": "FALSE",
        "LeadDataCRC32": zlib.crc32(content),
        "WaveFormData": "\n" + base64.encodebytes(content).decode(),
    }
    return f"<LeadData>{tags(said | more)}</LeadData>"


def waveform(kind="Rhythm", signal=ECG, leads=STORED, *, changes=None, **more) -> str:
    """`changes`: what its lead says otherwise, by lead."""
    said = {"WaveformType": kind, "SampleType": "CONTINUOUS_SAMPLES", "SampleBase": 500, "SampleExponent": 0} | more
    data = (lead_data(lead, row, **(changes or {}).get(lead, {})) for lead, row in zip(leads, signal, strict=True))
    return f"<Waveform>{tags(said)}{''.join(data)}</Waveform>"


def document(*waveforms, facts=FACTS, encoding="ISO-8859-1") -> bytes:
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<!DOCTYPE RestingECG SYSTEM "restecg.dtd">\n'
        f"<RestingECG>{facts}{''.join(waveforms)}</RestingECG>"
    )
    return text.encode(encoding)


@pytest.fixture
def written(tmp_path):
    """Writes a file with these waveforms. Returns its path."""

    def write(*waveforms, **more):
        path = tmp_path / "one.xml"
        path.write_bytes(document(*waveforms, **more))
        return path

    return write


def digital(recording):
    return np.round(recording.signal / BIT).astype(int)


# -- samples ---------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    samples=st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=40),
    unit=st.sampled_from([("MICROVOLTS", 1e-3), ("MILLIVOLTS", 1), ("NANOVOLTS", 1e-6)]),
    per_bit=st.sampled_from([4.88, 2.5, 1, 0.5]),
    rate=st.sampled_from([(500, 0, 500), (250, 0, 250), (25, 1, 250), (4, 3, 4000), (12800, -2, 128)]),
)
def test_samples_come_back_in_millivolts_whatever_scale_and_rate(tmp_path_factory, samples, unit, per_bit, rate):
    changes = {"V1": {"LeadAmplitudeUnits": unit[0], "LeadAmplitudeUnitsPerBit": per_bit}}
    path = tmp_path_factory.mktemp("muse") / "one.xml"
    text = waveform(signal=[samples], leads=["V1"], changes=changes, SampleBase=rate[0], SampleExponent=rate[1])
    path.write_text(f"<RestingECG>{text}</RestingECG>")
    found = read(path)
    assert (found.rate, found.leads) == (rate[2], ("V1",))
    np.testing.assert_allclose(found.signal, [np.multiply(samples, per_bit * unit[1])], rtol=1e-6)


def test_the_rhythm_is_read_and_not_the_median_beat_before_it(written):
    found = read(written(waveform("Median", MEDIAN), waveform("Rhythm")))
    assert found.n_samples == 2000
    np.testing.assert_array_equal(digital(found.select(STORED)), ECG)


@pytest.mark.parametrize("order", [("Median", "Rhythm"), ("Rhythm", "Median")])
def test_the_median_beat_is_read_where_it_is_asked_for(written, order):
    path = written(*(waveform(kind, {"Median": MEDIAN, "Rhythm": ECG}[kind]) for kind in order))
    np.testing.assert_array_equal(digital(read(path, item="median").select(STORED)), MEDIAN)


def test_the_other_limb_leads_follow_from_i_and_ii(written):
    found = read(written(waveform()))
    assert found.leads == (*STORED, "III", "aVR", "aVL", "aVF")
    assert set(found.leads) == set(STANDARD_LEADS)
    expected, _, _ = derive((ECG * BIT).astype(np.float32), STORED)
    np.testing.assert_allclose(found.signal, expected, atol=1e-6)
    assert einthoven_residual(found.signal, found.leads) < 1e-5
    assert found.notes == ("derived from the other limb leads: III, aVR, aVL, aVF",)


def test_a_lead_that_begins_later_has_no_samples_before(written):
    changes = {"V2": {"LeadTimeOffset": 100}}
    found = read(written(waveform(signal=[ECG[0], ECG[1][:1950]], leads=["V1", "V2"], changes=changes)))
    assert np.isnan(found.lead("V2")[:50]).all()
    np.testing.assert_allclose(found.lead("V2")[50:], ECG[1][:1950] * BIT, rtol=1e-6)
    np.testing.assert_allclose(found.lead("V1"), ECG[0] * BIT, rtol=1e-6)


def test_a_part_is_cut_out(written):
    found = read(written(waveform()), start=1, seconds=2)
    np.testing.assert_array_equal(digital(found.select(STORED)), ECG[:, 500:1500])


# -- facts -----------------------------------------------------------------------------------------------------------


def test_patient_device_and_findings_are_told(written):
    found = read(written(waveform()))
    assert found.acquired == datetime(2021, 5, 10, 13, 15, 18)  # month first
    assert (found.subject, found.age, found.sex, found.device) == ("file:p1", 60, "female", "MAC55")
    assert found.measurements == {
        "heart_rate_bpm": 60,
        "rr_ms": 1000,
        "qrs_ms": 78,
        "qt_ms": 364,
        "qtc_ms": 364,
        "qtc_fridericia_ms": 363,
        "qrs_axis_deg": -54,
        "t_axis_deg": 0,
        "qrs_count": 10,
    }
    assert found.statements == ("Sinus rhythm with short PR", "Borderline")


def test_a_file_without_facts_has_none(written):
    found = read(written(waveform(), facts=""))
    assert (found.subject, found.age, found.sex, found.acquired, found.device) == (None,) * 5
    assert not found.measurements
    assert not found.statements


@pytest.mark.parametrize(
    ("told", "age"),
    [
        ("<PatientAge>6</PatientAge><AgeUnits>MONTHS</AgeUnits>", 0.5),
        ("<PatientAge>60</PatientAge>", None),
        ("<PatientAge>200</PatientAge><AgeUnits>YEARS</AgeUnits>", None),
        ("<DateofBirth>05-11-1961</DateofBirth>", 59),
        ("<DateofBirth>05-10-1961</DateofBirth>", 60),
        ("<DateofBirth>1961</DateofBirth>", None),
    ],
)
def test_an_age_is_told_by_its_unit_or_by_the_birth(written, told, age):
    facts = FACTS.replace("<PatientAge>60</PatientAge><AgeUnits>YEARS</AgeUnits>", told)
    assert read(written(waveform(), facts=facts)).age == age


def test_the_machines_own_diagnosis_counts_where_no_one_confirmed_one(written):
    facts = FACTS.replace("<Diagnosis>", "<Preliminary>").replace("</Diagnosis>", "</Preliminary>")
    assert read(written(waveform(), facts=facts)).statements == ("Overruled",)


def test_what_the_file_says_against_its_leads_is_noted(written):
    changes = {"V1": {"LeadOff": "TRUE"}, "V2": {"FirstSampleBaseline": 7}, "V3": {"LeadOffsetFirstSample": 9}}
    notes = " ".join(read(written(waveform(changes=changes))).notes)
    assert "lead V1: an electrode was off" in notes
    assert "lead V2: FirstSampleBaseline 7 was not applied" in notes
    assert "lead V3: LeadOffsetFirstSample 9 was not applied" in notes
    assert "V4" not in notes


def test_of_several_rhythms_the_first_is_read_and_it_is_said(written):
    found = read(written(waveform(), waveform(signal=ECG[:, :700])))
    assert found.n_samples == 2000
    assert "2 waveforms of type Rhythm; the first is read" in found.notes


# -- what is missing or damaged ----------------------------------------------------------------------------------------


def test_a_changed_sample_is_found_by_its_checksum_and_the_lead_named(written):
    for lead, position in (("I", 0), ("V6", 1999)):
        row = ECG[STORED.index(lead)].astype("<i2").tobytes()
        damaged = bytearray(row)
        damaged[2 * position] ^= 1
        changes = {lead: {"content": bytes(damaged), "LeadDataCRC32": zlib.crc32(row)}}
        with pytest.raises(ReadError, match=f"lead {lead}: checksum"):
            read(written(waveform(changes=changes)))


def test_a_damaged_median_beat_costs_nothing_while_it_is_not_read(written):
    path = written(waveform("Median", MEDIAN, changes={"V1": {"LeadDataCRC32": 1}}), waveform())
    assert read(path).n_samples == 2000
    with pytest.raises(ReadError, match="lead V1: checksum"):
        read(path, item="Median")


def test_a_checksum_may_be_written_with_a_sign_or_be_missing(written):
    crcs = {lead: zlib.crc32(row.astype("<i2").tobytes()) for lead, row in zip(STORED, ECG, strict=True)}
    assert max(crcs.values()) >= 2**31
    signed = {lead: {"LeadDataCRC32": crc - 2**32 if crc >= 2**31 else crc} for lead, crc in crcs.items()}
    for changes in (signed, {lead: {"LeadDataCRC32": None} for lead in STORED}):
        np.testing.assert_array_equal(digital(read(written(waveform(changes=changes))).select(STORED)), ECG)


def test_what_the_file_does_not_say_is_asked_for(written):
    path = written(waveform(changes={lead: {"LeadAmplitudeUnits": None} for lead in STORED}))
    with pytest.raises(UnitError, match=r"lead I: does not say the unit.*unit="):
        read(path)
    np.testing.assert_array_equal(digital(read(path, unit="uV").select(STORED)), ECG)
    path = written(waveform(SampleBase=None))
    with pytest.raises(ReadError, match="rate="):
        read(path)
    assert read(path, rate=500).rate == 500


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"LeadByteCountTotal": 3998}, ReadError, "LeadByteCountTotal is 3998, found 4000"),
        ({"LeadSampleCountTotal": 2001}, ReadError, "LeadSampleCountTotal is 2001, found 2000"),
        ({"LeadSampleSize": 4}, ReadError, "samples of 4 bytes"),
        ({"LeadAmplitudeUnits": "AMPERES"}, UnitError, "lead V1: unknown unit"),
        ({"LeadAmplitudeUnitsPerBit": "x"}, ReadError, "no LeadAmplitudeUnitsPerBit"),
        ({"LeadAmplitudeUnitsPerBit": 1e300}, EnECGError, "amplitudes beyond measure|infinite"),
        ({"LeadID": "Pleth"}, LeadError, "unknown lead name 'Pleth'"),
        ({"LeadID": None}, LeadError, "unknown lead name ''"),
        ({"LeadID": "V2"}, LeadError, "lead V2 is there more than once"),
        ({"LeadTimeOffset": -100}, ReadError, "begins 50 samples before"),
        ({"LeadTimeOffset": 1e12}, ReadError, "samples from the first to the last"),
        ({"LeadTimeOffset": 1e300}, ReadError, "one.xml"),
        ({"WaveFormData": "AB*D"}, ReadError, "lead V1: not Base64"),
        ({"content": b"123", "LeadSampleCountTotal": None}, ReadError, "3 bytes; expected two for each"),
    ],
)
def test_what_the_file_says_wrong_is_an_error_that_names_file_and_lead(written, changed, error, message):
    path = written(waveform(changes={"V1": changed}))
    with pytest.raises(error, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("waveforms", "message"),
    [
        ([], "no waveform of type Rhythm .found none"),
        ([waveform("Median", MEDIAN)], "no waveform of type Rhythm .found Median"),
        ([waveform(None)], "found one without a type"),
        ([waveform(signal=ECG[:0], leads=())], "holds no samples"),
        ([waveform(SampleBase=0)], "rate="),
        ([waveform(SampleExponent=400)], "SampleExponent 400"),
    ],
)
def test_a_file_without_a_rhythm_is_refused(written, waveforms, message):
    path = written(*waveforms)
    with pytest.raises(ReadError, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value)
