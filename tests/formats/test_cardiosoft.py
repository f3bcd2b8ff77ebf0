from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import read
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

UNIT = 0.005
"""mV, of GE's devices."""

ECG = np.round(simulate_one(11, seconds=4).recording.signal / UNIT).astype(int)  # [12, 2000]

FACTS = """
<ObservationType>RestECG</ObservationType>
<ObservationDateTime><Hour>8</Hour><Minute>5</Minute><Second>59</Second><Day>9</Day><Month>3</Month><Year>2019</Year>
</ObservationDateTime>
<ClinicalInfo><DeviceInfo><Desc>CardioSoft</Desc></DeviceInfo></ClinicalInfo>
<PatientInfo><PID>p1</PID><Name><FamilyName>Säger</FamilyName></Name><Age units="Years">49</Age><Gender>MALE</Gender>
 <BirthDateTime><Day>10</Day><Month>3</Month><Year>1970</Year></BirthDateTime></PatientInfo>
<Interpretation><Diagnosis><DiagnosisText>Sinus bradycardia</DiagnosisText><DiagnosisText> </DiagnosisText></Diagnosis>
 <Conclusion><ConclusionText>Sinus bradycardia</ConclusionText><ConclusionText>Normal ECG</ConclusionText></Conclusion>
</Interpretation>
<RestingECGMeasurements><VentricularRate units="BPM">52</VentricularRate><PQInterval units="ms">160</PQInterval>
 <PDuration units="ms">0</PDuration><QRSDuration units="ms">94</QRSDuration><QTInterval units="ms">420</QTInterval>
 <QTCInterval units="ms">391</QTCInterval><RRInterval units="ms">1154</RRInterval><PAxis units="degrees">51</PAxis>
 <RAxis units="degrees">-3</RAxis><MedianSamples><NumberOfLeads>1</NumberOfLeads><SampleRate>1000</SampleRate>
 <Resolution units="uVperLsb">1</Resolution><WaveformData lead="I">9,9,9</WaveformData></MedianSamples>
</RestingECGMeasurements>"""


def strip(signal=ECG, leads=STANDARD_LEADS, *, between=",", rows=None, **more) -> str:
    """A strip; its elements as keywords, with attributes in the name's place, None leaves one out."""
    said = {
        "NumberOfLeads": f"<NumberOfLeads>{len(leads)}</NumberOfLeads>",
        "SampleRate": '<SampleRate units="Hz">500</SampleRate>',
        "ChannelSampleCountTotal": f"<ChannelSampleCountTotal>{np.shape(signal)[1]}</ChannelSampleCountTotal>",
        "Resolution": '<Resolution units="uVperLsb">5</Resolution>',
    } | more
    rows = [between.join(map(str, row)) for row in signal] if rows is None else rows
    data = "".join(
        f'<WaveformData lead="{lead}">\n{row}\n</WaveformData>' for lead, row in zip(leads, rows, strict=True)
    )
    return f"<StripData>{''.join(part or '' for part in said.values())}{data}</StripData>"


def document(*body, encoding="ISO-8859-1") -> bytes:
    text = f'<?xml version="1.0" encoding="{encoding}"?><CardiologyXML>{"".join(body)}</CardiologyXML>'
    return text.encode(encoding)


@pytest.fixture
def written(tmp_path):
    """Writes a file with this body. Returns its path."""

    def write(*body, **more):
        path = tmp_path / "one.xml"
        path.write_bytes(document(*body, **more))
        return path

    return write


# -- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [",", ", ", ",\n\t\t"])
@pytest.mark.parametrize("encoding", ["ISO-8859-1", "ISO8859-1", "UTF-8"])
def test_every_sample_of_twelve_leads_comes_back(written, between, encoding):
    found = read(written(FACTS, strip(between=between), encoding=encoding))
    assert (found.rate, found.leads) == (500, STANDARD_LEADS)
    np.testing.assert_array_equal(np.round(found.signal / UNIT).astype(int), ECG)
    assert found.source.format == "CardioSoft XML"


@settings(max_examples=40, deadline=None)
@given(
    samples=st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=40),
    unit=st.sampled_from([("uV", 1e-3), ("mV", 1), ("nV", 1e-6)]),
    scale=st.sampled_from([5, 4.88, 2.5]),
)
def test_samples_come_back_in_millivolts_whatever_the_scale(tmp_path_factory, samples, unit, scale):
    path = tmp_path_factory.mktemp("cardiosoft") / "one.xml"
    resolution = f'<Resolution units="{unit[0]}perLsb">{scale}</Resolution>'
    path.write_text(f"<CardiologyXML>{strip([samples], ['V1'], Resolution=resolution)}</CardiologyXML>")
    np.testing.assert_allclose(read(path).signal, [np.multiply(samples, scale * unit[1])], rtol=1e-6)


def test_the_strip_is_read_and_not_the_median_beat_wherever_they_stand(written):
    for body in ([FACTS, strip()], [strip(), FACTS], [FACTS, f"<Strip>{strip()}</Strip>"]):
        assert read(written(*body)).n_samples == 2000


def test_lead_order_is_that_of_the_file_and_missing_limb_leads_follow(written):
    found = read(written(strip(ECG[[6, 1, 0]], ("V1", "II", "I"))))
    assert found.leads == ("V1", "II", "I", "III", "aVR", "aVL", "aVF")
    np.testing.assert_allclose(found.lead("III"), (ECG[1] - ECG[0]) * UNIT, atol=1e-6)


def test_a_part_is_cut_out(written):
    found = read(written(strip()), start=1, seconds=2)
    np.testing.assert_array_equal(np.round(found.signal / UNIT).astype(int), ECG[:, 500:1500])


# -- facts -----------------------------------------------------------------------------------------------------------


def test_patient_device_and_findings_are_told(written):
    found = read(written(FACTS, strip()))
    assert found.acquired == datetime(2019, 3, 9, 8, 5, 59)
    assert (found.subject, found.age, found.sex, found.device) == ("file:p1", 49, "male", "CardioSoft")
    assert found.measurements == {
        "heart_rate_bpm": 52,
        "rr_ms": 1154,
        "pr_ms": 160,
        "qrs_ms": 94,
        "qt_ms": 420,
        "qtc_ms": 391,
        "p_axis_deg": 51,
        "qrs_axis_deg": -3,
    }
    assert found.statements == ("Sinus bradycardia", "Normal ECG")


def test_an_age_that_is_not_told_follows_from_the_birth(written):
    facts = FACTS.replace('<Age units="Years">49</Age>', "")
    assert read(written(facts, strip())).age == 48  # the birthday is a day later


@pytest.mark.parametrize(
    ("told", "instead", "acquired"),
    [
        ("<Hour>8</Hour>", "", None),
        ("<Month>3</Month>", "<Month>13</Month>", None),
        ("<Year>2019</Year>", "<Year>1e300</Year>", None),
        ("<Second>59</Second>", "", datetime(2019, 3, 9, 8, 5)),
    ],
)
def test_a_time_that_is_none_is_unknown(written, told, instead, acquired):
    assert read(written(FACTS.replace(told, instead, 1), strip())).acquired == acquired


def test_a_file_without_facts_has_none(written):
    found = read(written(strip()))
    assert (found.subject, found.age, found.sex, found.acquired, found.device) == (None,) * 5
    assert not found.measurements
    assert not found.statements
    assert not found.notes


def test_of_several_strips_the_first_is_read_and_it_is_said(written):
    found = read(written("<StripData/>", strip(), strip(ECG[:, :700])))
    assert found.n_samples == 2000
    assert found.notes == ("2 strips; the first is read",)


# -- what is missing or damaged ----------------------------------------------------------------------------------------


def test_an_exercise_test_of_unknown_order_is_refused_and_not_guessed(written):
    disclosure = (
        "<FullDisclosure><NumberOfChannels>3</NumberOfChannels><LeadOrder>I,II,III</LeadOrder>"
        "<FullDisclosureData>1,2,3,1,2,3</FullDisclosureData></FullDisclosure>"
    )
    with pytest.raises(ReadError, match="order of samples is not published"):
        read(written("<StripData>1,2,3</StripData>", disclosure))


def test_what_the_file_does_not_say_is_asked_for(written):
    path = written(strip(Resolution="<Resolution>5</Resolution>"))
    with pytest.raises(UnitError, match="unit="):
        read(path)
    np.testing.assert_array_equal(np.round(read(path, unit="uV").signal / UNIT).astype(int), ECG)
    path = written(strip(SampleRate=None))
    with pytest.raises(ReadError, match="rate="):
        read(path)
    assert read(path, rate=250).rate == 250


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("", ReadError, "no StripData"),
        (FACTS, ReadError, "no StripData"),
        (strip(leads=(), rows=[]), ReadError, "no StripData"),
        (strip(NumberOfLeads="<NumberOfLeads>8</NumberOfLeads>"), LeadError, "12 leads, announced 8"),
        (
            strip(ChannelSampleCountTotal="<ChannelSampleCountTotal>5000</ChannelSampleCountTotal>"),
            LeadError,
            "lead I: 2,000 samples, expected 5,000",
        ),
        (
            strip(leads=("I", "V1"), rows=["1,2,3", "1,2"], ChannelSampleCountTotal=None),
            LeadError,
            "lead V1: 2 samples, expected 3",
        ),
        (strip(leads=("I",), rows=["1,,3"]), ReadError, "lead I: not all of its 3 samples are numbers"),
        (strip(leads=("I",), rows=["1,2x,3"]), ReadError, "lead I: not all of its 3 samples are numbers"),
        (strip(leads=("I",), rows=[""], ChannelSampleCountTotal=None), ReadError, "start at 0 s|no samples"),
        (strip(leads=("Pleth",), rows=["1,2"]), LeadError, "unknown lead name 'Pleth'"),
        (strip(ECG[:2], ("V1", "V1")), EnECGError, "V1 is there more than once"),
        (strip(Resolution=None), ReadError, "no Resolution"),
        (strip(Resolution='<Resolution units="bananas">5</Resolution>'), UnitError, "unknown unit"),
        (strip(SampleRate="<SampleRate>-500</SampleRate>"), ReadError, "rate of -500"),
        (strip(SampleRate="<SampleRate>1e308</SampleRate>"), ReadError, "rate of 1e\\+308"),
    ],
)
def test_what_the_file_says_wrong_is_an_error_that_names_it(written, body, error, message):
    path = written(body)
    with pytest.raises(error, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value)
