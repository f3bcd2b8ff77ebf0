from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import read
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

UNIT = 0.0025
"""mV, of most files."""

ECG = np.round(simulate_one(5, seconds=4).recording.signal / UNIT).astype(int)  # [12, 2000]


# -- a file ----------------------------------------------------------------------------------------------------------


def sequence(code, value) -> str:
    return f'<component><sequence><code code="{code}"/><value>{value}</value></sequence></component>'


def samples(row, scale='<scale value="2.5" unit="uV"/>', origin='<origin value="0" unit="uV"/>') -> str:
    return f"{origin}{scale}<digits>{row if isinstance(row, str) else ' '.join(map(str, row))}</digits>"


def time(code="TIME_ABSOLUTE", head="20021122091000.000", increment="0.002", unit="s") -> str:
    return sequence(code, f'<head value="{head}"/><increment value="{increment}" unit="{unit}"/>')


def sequence_set(signal=ECG, leads=STANDARD_LEADS, *, axis=None, **more) -> str:
    rows = (
        sequence(f"MDC_ECG_LEAD_{lead.upper()}", samples(row, **more)) for lead, row in zip(leads, signal, strict=True)
    )
    return f"<component><sequenceSet>{time() if axis is None else axis}{''.join(rows)}</sequenceSet></component>"


def annotation(code, value="", unit="ms", inside="", kind="PQ", text="") -> str:
    told = f'<value xsi:type="{kind}" value="{value}" unit="{unit}">{text}</value>' if value or text else ""
    return f'<component><annotation><code code="{code}"/>{told}{inside}</annotation></component>'


def annotations(*inside) -> str:
    return f"<subjectOf><annotationSet>{''.join(inside)}</annotationSet></subjectOf>"


DEVICE = """<author><seriesAuthor><manufacturedSeriesDevice><manufacturerModelName>
 ELI250 </manufacturerModelName></manufacturedSeriesDevice>
 <manufacturerOrganization><name>Mortara</name></manufacturerOrganization></seriesAuthor></author>"""

BEAT = '<derivation><derivedSeries><code code="REPRESENTATIVE_BEAT"/>{}{}</derivedSeries></derivation>'
MEDIAN = BEAT.format(sequence_set(ECG[:, :300] // 2), annotations(annotation("MDC_ECG_HEART_RATE", 99, "bpm")))


def series(*inside, code="RHYTHM", when='<low value="20021122091001"/><high value="20021122091005"/>') -> str:
    told = f'<code code="{code}"/><effectiveTime>{when}</effectiveTime>'
    return f"<component><series>{told}{''.join(inside)}</series></component>"


def person(*, patient='<id root="1.2.3" extension="p1"/>', inside="") -> str:
    return (
        "<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject>"
        f"{patient}<subjectDemographicPerson><name>Säger</name>{inside}</subjectDemographicPerson></trialSubject>"
        "</subject></subjectAssignment></componentOf></timepointEvent></componentOf>"
    )


SEX = '<administrativeGenderCode code="{}"/>'
BIRTH = '<birthTime value="{}"/>'
REPORTED = (
    '<controlVariable><relatedObservation><code code="21612-7"/><value xsi:type="PQ" value="{}" unit="{}"/>'
    "</relatedObservation></controlVariable>"
)


def document(*body, encoding="utf-8") -> bytes:
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><!-- an ECG --><AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation">'
        '<id root="1"/><effectiveTime><center value="20021122091000"/></effectiveTime>'
        f"{''.join(body)}</AnnotatedECG>"
    )
    return text.encode(encoding)


@pytest.fixture
def written(tmp_path):
    """Writes a file with this body. Returns its path."""

    def write(*body, **more):
        path = tmp_path / "one.xml"
        path.write_bytes(document(*body, **more))
        return path

    return write


def digital(recording):
    return np.round(recording.signal / UNIT).astype(int)


# -- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_every_sample_of_twelve_leads_comes_back(written, encoding):
    found = read(written(person(), series(sequence_set()), encoding=encoding))
    assert (found.rate, found.leads) == (500, STANDARD_LEADS)
    np.testing.assert_array_equal(digital(found), ECG)
    assert found.source.format == "HL7 aECG"
    assert not found.notes


@settings(max_examples=60, deadline=None)
@given(
    row=st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=40),
    scale=st.tuples(st.sampled_from([0.9536, 2.5, 5, 1]), st.sampled_from([("uV", 1e-3), ("mV", 1), ("nV", 1e-6)])),
    origin=st.tuples(st.sampled_from([0, -3, 12.5]), st.sampled_from([("uV", 1e-3), ("mV", 1)])),
    rate=st.sampled_from(
        [("0.002", "s", 500), ("2", "ms", 500), ("0.0033333", "s", 300.003), ("1000", "us", 1000), ("0.01", "s", 100)]
    ),
)
def test_samples_come_back_in_millivolts_whatever_origin_scale_and_rate(tmp_path_factory, row, scale, origin, rate):
    path = tmp_path_factory.mktemp("aecg") / "one.xml"
    told = {
        "scale": f'<scale value="{scale[0]}" unit="{scale[1][0]}"/>',
        "origin": f'<origin value="{origin[0]}" unit="{origin[1][0]}"/>',
        "axis": time(increment=rate[0], unit=rate[1]),
    }
    path.write_text(f"<AnnotatedECG>{series(sequence_set([row], ['V1'], **told))}</AnnotatedECG>".replace("xsi:", ""))
    found = read(path)
    assert found.rate == rate[2]
    expected = origin[0] * origin[1][1] + np.multiply(row, scale[0] * scale[1][1])
    np.testing.assert_allclose(found.signal[0], expected, rtol=1e-6, atol=1e-6)


def test_lead_order_is_that_of_the_file_and_missing_limb_leads_follow(written):
    found = read(written(series(sequence_set(ECG[[7, 0, 1]], ("V2", "I", "II")))))
    assert found.leads == ("V2", "I", "II", "III", "aVR", "aVL", "aVF")
    np.testing.assert_allclose(found.lead("III"), (ECG[1] - ECG[0]) * UNIT, atol=1e-6)


def test_the_rhythm_is_read_and_the_representative_beat_where_it_is_asked_for(written):
    path = written(series(sequence_set(), MEDIAN))
    np.testing.assert_array_equal(digital(read(path)), ECG)
    found = read(path, item="representative_beat")
    np.testing.assert_array_equal(digital(found), ECG[:, :300] // 2)
    assert found.measurements == {"heart_rate_bpm": 99}


def test_of_several_rhythms_one_has_to_be_chosen(written):
    path = written(series(sequence_set()), series(sequence_set(ECG[:, ::-1])), series(sequence_set(), code="OTHER"))
    with pytest.raises(ReadError, match="2 rhythm series; say which with item=1 to item=2"):
        read(path)
    np.testing.assert_array_equal(digital(read(path, item=1)), ECG)
    np.testing.assert_array_equal(digital(read(path, item=2)), ECG[:, ::-1])
    for item, message in ((0, "expected 1 to 2"), (3, "expected 1 to 2"), ("x", "found RHYTHM, RHYTHM, OTHER")):
        with pytest.raises(ReadError, match=message):
            read(path, item=item)


@pytest.mark.parametrize(
    "axes",
    [
        [time(head="20021122091000"), time(head="20021122091001.5")],
        [time("TIME_RELATIVE", head="7"), time("TIME_RELATIVE", head="8.5")],
    ],
)
def test_sets_of_leads_are_put_where_they_belong_in_time(written, axes):
    sets = [
        sequence_set(ECG[:2, :500], ("V1", "V2"), axis=axes[0]),
        sequence_set(ECG[2:4, :500], ("V2", "V3"), axis=axes[1]),
    ]
    found = read(written(series(*sets)))
    assert found.leads == ("V1", "V2", "V3")
    assert found.n_samples == 1250
    expected = np.full((3, 1250), np.nan)
    expected[:2, :500] = ECG[:2, :500]
    expected[1:, 750:] = ECG[2:4, :500]
    np.testing.assert_allclose(found.signal, expected * UNIT, atol=1e-6)


def test_a_part_is_cut_out(written):
    found = read(written(series(sequence_set())), start=1, seconds=2)
    np.testing.assert_array_equal(digital(found), ECG[:, 500:1500])


def test_what_is_no_lead_or_holds_nothing_is_left_out_and_it_is_said(written):
    sets = sequence_set([*ECG[:3], []], ("I", "II", "PACE", "V1"))
    found = read(written(series(sets)))
    assert found.leads == ("I", "II", "III", "aVR", "aVL", "aVF")
    assert "MDC_ECG_LEAD_PACE is no lead that is known; left out" in found.notes
    assert "lead V1 holds no samples; left out" in found.notes


def test_a_calibration_pulse_is_told_where_it_is_part_of_what_is_read(written):
    tail = np.concatenate([np.zeros(100), np.full(100, 400), np.zeros(50)]).astype(int)
    path = written(series(sequence_set(np.concatenate([ECG, np.tile(tail, (12, 1))], axis=1))))
    assert read(path).n_samples == 2250
    assert any("from 4.00 s on" in note and "calibration pulse" in note for note in read(path).notes)
    assert not read(path, seconds=4).notes


# -- facts -----------------------------------------------------------------------------------------------------------


def test_patient_and_device_are_told(written):
    inside = SEX.format("F") + BIRTH.format("19530508")
    found = read(written(person(inside=inside), series(DEVICE, sequence_set())))
    assert (found.subject, found.age, found.sex, found.device) == ("file:p1", 49, "female", "Mortara ELI250")
    assert found.acquired == datetime(2002, 11, 22, 9, 10, 1)  # of the series, not of the document


@pytest.mark.parametrize(
    ("when", "acquired"),
    [
        ('<low value="20080102030405.678"/>', datetime(2008, 1, 2, 3, 4, 5, 678000)),
        ('<low value="20080102030405.1234567+0100"/>', datetime(2008, 1, 2, 3, 4, 5, 123456)),
        ('<center value="20080102030405-0500"/>', datetime(2008, 1, 2, 3, 4, 5)),
        ('<low value="200801020304"/>', datetime(2002, 11, 22, 9, 10)),
        ('<low value="20081302030405"/>', datetime(2002, 11, 22, 9, 10)),
        ("", datetime(2002, 11, 22, 9, 10)),
    ],
)
def test_the_time_is_the_series_own_else_the_documents(written, when, acquired):
    assert read(written(series(sequence_set(), when=when))).acquired == acquired


@pytest.mark.parametrize(
    ("reported", "birth", "age", "noted"),
    [
        (REPORTED.format(46, "a"), "19530508", 46, True),
        (REPORTED.format(48, "a"), "19530508", 48, False),
        (REPORTED.format(6, "mo"), "", 0.5, False),
        (REPORTED.format("", "a"), "19530508", 49, False),
        (REPORTED.format(46, "cm"), "19530508", 49, False),
        (REPORTED.format(400, "a"), "", None, False),
        ("", "", None, False),
        ("", "1953", None, False),
        ("", "20300101", None, False),
    ],
)
def test_the_reported_age_counts_and_one_that_the_birth_contradicts_is_noted(written, reported, birth, age, noted):
    found = read(written(person(inside=BIRTH.format(birth)), reported, series(sequence_set())))
    assert found.age == age
    assert any("as reported" in note for note in found.notes) is noted


@pytest.mark.parametrize(
    ("patient", "inside", "subject"),
    [
        ('<id root="1.2.3" extension="p1"/>', "<PatientID>h1</PatientID>", "file:h1"),
        ('<id root="1.2.3" extension="trialSubject"/>', "<PatientID/>", None),
        ('<id root="1.2.3"/>', "", "file:1.2.3"),
        ("<id/>", "", None),
        ("", "", None),
    ],
)
def test_the_patient_is_known_by_the_hospitals_number_or_the_trials(written, patient, inside, subject):
    assert read(written(person(patient=patient, inside=inside), series(sequence_set()))).subject == subject


def test_findings_of_the_whole_ecg_are_told(written):
    boundary = '<component><boundary><code code="MDC_ECG_LEAD_V1"/></boundary></component>'
    region = f"<support><supportingROI>{boundary}</supportingROI></support>"
    found = read(
        written(
            series(
                sequence_set(),
                MEDIAN,
                annotations(
                    annotation("MDC_ECG_HEART_RATE", 57, "/min"),
                    annotation("MDC_ECG_TIME_PD_PR", "0.192", "s"),
                    annotation("MDC_ECG_TIME_PD_QTc", 0),
                    annotation("MDC_ECG_BEAT", inside=annotation("MDC_ECG_TIME_PD_QRS", 88)),
                    annotation("MDC_ECG_BEAT", inside=annotation("MDC_ECG_TIME_PD_QRS", 88)),
                    annotation("MDC_ECG_BEAT", inside=annotation("MDC_ECG_TIME_PD_QT", 400)),
                    annotation("MDC_ECG_BEAT", inside=annotation("MDC_ECG_TIME_PD_QT", 410)),
                    annotation("MDC_ECG_TIME_PD_P", 110, inside=region),
                    annotation("MINDRAY_ECG_T_AXIS", -11, "deg"),
                    annotation(
                        "MDC_ECG_INTERPRETATION",
                        inside=annotation("MDC_ECG_INTERPRETATION_STATEMENT", text=" Rythme sinusal à 57 ", kind="ST")
                        + annotation("MDC_ECG_INTERPRETATION_SUMMARY", text="ECG normal", kind="ST"),
                    ),
                ),
            )
        )
    )
    assert found.measurements == {"heart_rate_bpm": 57, "pr_ms": 192, "qrs_ms": 88, "t_axis_deg": -11}
    assert found.statements == ("Rythme sinusal à 57", "ECG normal")
    assert found.notes == ("qt_ms: several values in the file; none taken",)


def test_a_file_without_facts_has_none(written):
    found = read(written(series(sequence_set())))
    assert (found.subject, found.age, found.sex, found.device) == (None,) * 4
    assert not found.measurements
    assert not found.statements


# -- what is missing or damaged ----------------------------------------------------------------------------------------


def test_what_the_file_does_not_say_is_asked_for(written):
    path = written(series(sequence_set(scale='<scale value="2.5"/>')))
    with pytest.raises(UnitError, match=r"lead I: does not say the unit.*unit="):
        read(path)
    np.testing.assert_array_equal(digital(read(path, unit="uV")), ECG)
    path = written(series(sequence_set(axis=sequence("TIME_ABSOLUTE", '<head value="20021122091000"/>'))))
    with pytest.raises(ReadError, match="rate="):
        read(path)
    assert read(path, rate=250).rate == 250


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        ("", ReadError, "no rhythm series .found none"),
        (series(sequence_set(), code="OTHER"), ReadError, "no rhythm series .found OTHER"),
        (series(), ReadError, "without sequences"),
        (series(sequence_set([], ())), LeadError, "no lead in a set"),
        (series(sequence_set([[]], ("I",))), LeadError, "no lead in a set"),
        (series(sequence_set([[1, 2, 3], [1, 2]], ("I", "V1"))), LeadError, "lead V1 has 2 samples, I 3"),
        (series(sequence_set(ECG[:2], ("V1", "V1"))), LeadError, "lead V1 is there more than once"),
        (series(sequence_set(["1 2 x"], ("V1",))), ReadError, "lead V1: not all of its 3 samples"),
        (series(sequence_set(scale="")), ReadError, "lead I: no scale"),
        (series(sequence_set(scale='<scale value="2.5" unit="bananas"/>')), UnitError, "lead I: unknown unit"),
        (series(sequence_set(origin='<origin value="1" unit="kg"/>')), UnitError, "lead I: unknown unit"),
        (series(sequence_set(scale='<scale value="1e300" unit="V"/>')), EnECGError, "beyond measure"),
        (series(sequence_set(axis=time(increment="0"))), ReadError, "increment of time 0 s"),
        (series(sequence_set(axis=time(increment="-0.002"))), ReadError, "increment of time -0.002 s"),
        (series(sequence_set(axis=time(increment="1", unit="furlong"))), ReadError, "increment of time 1 furlong"),
        (series(sequence_set(axis=time(increment="1e-300"))), ReadError, "rate of"),
        (series(sequence_set(), sequence_set(axis=time(increment="0.004"))), ReadError, "leads of different rates"),
        (series(sequence_set(), sequence_set()), LeadError, "lead I is there more than once"),
        (
            series(sequence_set(), sequence_set(axis=time("TIME_RELATIVE", head="1"))),
            ReadError,
            "without a common time axis",
        ),
        (
            series(sequence_set(), sequence_set(axis=time(head="20991122091000"))),
            ReadError,
            "samples from the first to the last",
        ),
    ],
)
def test_what_the_file_says_wrong_is_an_error_that_names_it(written, body, error, message):
    path = written(body)
    with pytest.raises(error, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value)
