import base64
import struct
import time
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import read
from enecg.recording import STANDARD_LEADS
from enecg.signal.leads import einthoven_residual
from enecg.simulation import simulate_one

UNIT = 0.005
"""mV, of Philips' devices."""

ECG = np.round(simulate_one(7, seconds=4).recording.signal / UNIT).astype(int)  # [12, 2000]


# -- Philips' compression, the other way round -----------------------------------------------------------------------


def lzw(content: bytes) -> list[int]:
    words = {bytes([letter]): letter for letter in range(256)}
    codes, word = [], b""
    for letter in content:
        longer = word + bytes([letter])
        if longer in words:
            word = longer
            continue
        codes.append(words[word])
        if len(words) <= 1022:
            words[longer] = len(words)
        word = bytes([letter])
    return [*codes, words[word], 1023]


def packed(codes: list[int]) -> bytes:
    bits = "".join(f"{code:010b}" for code in codes)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def block(samples) -> bytes:
    """One lead: header, and in LZW the first two samples and how far each next one falls short of a straight line."""
    one = [int(sample) for sample in samples]
    short = [2 * one[i - 1] - one[i - 2] - one[i] for i in range(2, len(one))]
    stored = [*one[:2], *(64 + value for value in short[1:]), 64][: len(one)]
    both = [value.to_bytes(2, "big", signed=True) for value in stored]
    body = packed(lzw(bytes(high for high, _ in both) + bytes(low for _, low in both)))
    return struct.pack("<ihh", len(body), 1, short[0] if short else 0) + body


def xli(signal, leads=STANDARD_LEADS) -> bytes:
    """All leads: of those that follow from I and II only what rounding leaves."""
    row = {lead: np.asarray(samples, dtype=int) for lead, samples in zip(leads, signal, strict=True)}
    kept = dict(row)
    if "III" in row:
        one, two, three = row["I"], row["II"], row["III"]
        kept["III"] = two - one - three
        kept["aVR"] = -((one + two) // 2) - row["aVR"]
        kept["aVL"] = (one - three) // 2 - row["aVL"]
        kept["aVF"] = (two + three) // 2 - row["aVF"]
    return b"".join(block(samples) for samples in kept.values())


# -- a file ----------------------------------------------------------------------------------------------------------

FACTS_1_04 = """
<dataacquisition date="2010-01-19" time="15:19:22">
 <machine detaildescription="Philips Medical Products:860315:A.01">PageWriter Touch</machine>
 <signalcharacteristics><acquisitiontype>10-WIRE</acquisitiontype></signalcharacteristics></dataacquisition>
<patient><generalpatientdata><patientid>p1</patientid><name><lastname>Säger</lastname></name>
 <age defaultage="50"><dateofbirth>1950-01-20</dateofbirth></age><sex>Male</sex></generalpatientdata></patient>
<internalmeasurements><crossleadmeasurements><numberofcomplexes>13</numberofcomplexes></crossleadmeasurements>
</internalmeasurements>
<interpretations><interpretation><globalmeasurements><heartrate>84</heartrate><rrint>714</rrint><print>144</print>
 <qrsdur>84</qrsdur><qtint>352</qtint><qtcb>417</qtcb><qtcf>394</qtcf><pfrontaxis>Failed</pfrontaxis>
 <qrsfrontaxis>-12</qrsfrontaxis><tfrontaxis/></globalmeasurements>
 <statement><leftstatement>SINUS RHYTHM</leftstatement><rightstatement>V-rate 60-99</rightstatement></statement>
 <statement><leftstatement> </leftstatement><rightstatement/></statement>
 <statement><leftstatement>NORMAL ECG</leftstatement></statement></interpretation></interpretations>"""

FACTS_1_03 = """
<dataacquisition date="2011-12-01" time="07:27:34"><machine detaildescription="">HeartstartMRx</machine>
 <signalcharacteristics><samplingrate>500</samplingrate><signalresolution>5</signalresolution>
 <acquisitiontype>STD-12</acquisitiontype><numberchannelsvalid>12</numberchannelsvalid></signalcharacteristics>
</dataacquisition>
<patient><generalpatientdata><patientid>XXXX</patientid><age><years>50</years></age><sex>Unknown</sex>
</generalpatientdata></patient>
<measurements><globalmeasurements><numberofcomplexes>6</numberofcomplexes></globalmeasurements></measurements>
<interpretations><interpretation><interpretationmeasurements><heartrate>41</heartrate><meanprint>151</meanprint>
 <meanqrsdur>135</meanqrsdur><meanqtint>476</meanqtint><meanqtc>393</meanqtc><pfrontaxis>66</pfrontaxis>
</interpretationmeasurements></interpretation></interpretations>"""


def document(signal=ECG, *, leads=STANDARD_LEADS, content=None, version="1.04", kind="PhilipsECG", **more) -> bytes:
    """Of version 1.04, or 1.03; attributes of the samples' element as keywords, None leaves one out."""
    n_samples = np.shape(signal)[1]
    encoding = more.pop("encoding", "utf-8")
    facts = more.pop("facts", FACTS_1_04 if version > "1.03" else FACTS_1_03)
    attributes = {"dataencoding": "Base64", "durationperchannel": n_samples * 2}
    if version > "1.03":
        attributes |= {"compression": "XLI", "numberofleads": len(leads), "leadlabels": " ".join(leads)}
        attributes |= {"samplespersecond": 500, "resolution": 5, "signaloffset": 0, "bitspersample": 16}
    else:
        attributes |= {"compressflag": "True", "compressmethod": "XLI", "nbitspersample": 16}
    said = " ".join(f'{name}="{value}"' for name, value in (attributes | more).items() if value is not None)
    samples = base64.encodebytes(xli(signal, leads) if content is None else content).decode()
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><restingecgdata xmlns="http://www3.medical.philips.com">'
        f"<documentinfo><documenttype>{kind}</documenttype><documentversion>{version}</documentversion></documentinfo>"
        f"{facts}<waveforms><parsedwaveforms {said}>{samples}</parsedwaveforms></waveforms></restingecgdata>"
    )
    return text.encode(encoding)


@pytest.fixture
def written(tmp_path):
    """Writes a file as `document` makes it. Returns its path."""

    def write(*signal, **more):
        path = tmp_path / "one.xml"
        path.write_bytes(document(*signal, **more))
        return path

    return write


def digital(recording):
    return np.round(recording.signal / UNIT).astype(int)


# -- samples ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "kind"), [("1.03", "SierraECG"), ("1.04", "PhilipsECG"), ("1.04.01", "PhilipsECG")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_every_sample_of_twelve_leads_comes_back(written, version, kind, encoding):
    found = read(written(version=version, kind=kind, encoding=encoding))
    assert (found.rate, found.leads) == (500, STANDARD_LEADS)
    np.testing.assert_array_equal(digital(found), ECG)
    assert found.source.format == "Philips Sierra XML"
    assert not found.notes


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 60).flatmap(
        lambda n: st.lists(st.lists(st.integers(-4000, 4000), min_size=n, max_size=n), min_size=1, max_size=3)
    )
)
def test_any_samples_come_back_from_the_compression(tmp_path_factory, signal):
    from enecg.formats.philips import _integrated, _unpacked, _words

    for samples in signal:
        lead = block(samples)
        size, _, first = struct.unpack("<ihh", lead[:8])
        assert size == len(lead) - 8
        stored = _unpacked(_words(lead[8:], 2 * len(samples), "here"))
        np.testing.assert_array_equal(_integrated(stored, first, "here"), samples)


def test_limb_leads_obey_einthoven_to_the_rounding(written):
    found = read(written())
    assert einthoven_residual(found.signal, found.leads) < 0.05
    one, two = (digital(found)[STANDARD_LEADS.index(lead)] for lead in ("I", "II"))
    for lead, foretold in (
        ("III", two - one),
        ("aVR", -(one + two) / 2),
        ("aVL", one - two / 2),
        ("aVF", two - one / 2),
    ):
        assert np.abs(digital(found)[STANDARD_LEADS.index(lead)] - foretold).max() <= 2


def test_leads_without_limb_leads_are_read_as_they_are(written):
    found = read(written(ECG[6:9], leads=("V1", "V2", "V3")))
    assert found.leads == ("V1", "V2", "V3")
    np.testing.assert_array_equal(digital(found), ECG[6:9])


def test_blocks_that_belong_to_no_lead_are_left_alone(written):
    surplus = struct.pack("<ihh", 40, 1, 0) + bytes([255, 0]) * 20
    found = read(written(content=xli(ECG) + surplus * 4 + b"\x01"))
    np.testing.assert_array_equal(digital(found), ECG)


def test_a_part_is_cut_out(written):
    whole, part = digital(read(written())), digital(read(written(), start=1, seconds=2))
    np.testing.assert_array_equal(part, whole[:, 500:1500])
    with pytest.raises(ReadError, match="start at 4 s"):
        read(written(), start=4)


# -- the calibration pulse -------------------------------------------------------------------------------------------


def calibrated(signal, pulse=200, after=50, before=50, level=200):
    """Zeros, a pulse of 1 mV and zeros behind a signal, on all leads."""
    tail = np.concatenate([np.zeros(before), np.full(pulse, level), np.zeros(after)]).astype(int)
    return np.concatenate([signal, np.tile(tail, (len(signal), 1))], axis=1)


@pytest.mark.parametrize("end", [1500, 1777, 2000])
def test_the_pulse_at_the_end_is_cut_off_wherever_the_ecg_ends(written, end):
    found = read(written(calibrated(ECG[:, :end])))
    np.testing.assert_array_equal(digital(found), ECG[:, :end])
    (note,) = found.notes
    assert "calibration pulse" in note
    assert "0.60 s" in note


@pytest.mark.parametrize(
    "signal",
    [
        calibrated(ECG, level=0),
        calibrated(ECG, pulse=20),
        calibrated(ECG, level=150),
        calibrated(ECG, before=0),
        calibrated(ECG, after=0),
        np.concatenate([calibrated(ECG), ECG], axis=1),
        np.concatenate([calibrated(ECG)[:6], np.concatenate([ECG, ECG[:, :300]], axis=1)[6:]]),
    ],
    ids=["zeros", "too short", "not 1 mV", "nothing before", "nothing after", "not at the end", "not on all leads"],
)
def test_what_is_no_such_pulse_is_kept(written, signal):
    found = read(written(signal))
    np.testing.assert_array_equal(digital(found), signal)
    assert not [note for note in found.notes if "calibration" in note]


def test_a_part_is_a_part_of_what_the_pulse_leaves(written):
    path = written(calibrated(ECG))
    assert read(path, start=3).n_samples == 500
    with pytest.raises(ReadError, match="start at 4 s of a recording of 4 s"):
        read(path, start=4)


def test_a_pulse_without_ecg_is_no_recording(written):
    with pytest.raises(ReadError, match="calibration pulse and no ECG"):
        read(written(calibrated(ECG[:, :0])))


# -- facts -----------------------------------------------------------------------------------------------------------


def test_version_1_04_tells_of_patient_device_and_findings(written):
    found = read(written(encoding="utf-16"))
    assert found.acquired == datetime(2010, 1, 19, 15, 19, 22)
    assert (found.subject, found.age, found.sex, found.device) == (
        "file:p1",
        59,
        "male",
        "Philips Medical Products PageWriter Touch",
    )
    assert found.measurements == {
        "heart_rate_bpm": 84,
        "rr_ms": 714,
        "pr_ms": 144,
        "qrs_ms": 84,
        "qt_ms": 352,
        "qtc_bazett_ms": 417,
        "qtc_fridericia_ms": 394,
        "qrs_axis_deg": -12,
        "qrs_count": 13,
    }
    assert found.statements == ("SINUS RHYTHM | V-rate 60-99", "NORMAL ECG")


def test_version_1_03_tells_of_them_in_other_words(written):
    found = read(written(version="1.03", kind="SierraECG"))
    assert found.acquired == datetime(2011, 12, 1, 7, 27, 34)
    assert (found.subject, found.age, found.sex, found.device) == (None, 50, None, "HeartstartMRx")
    expected = {
        "heart_rate_bpm": 41,
        "pr_ms": 151,
        "qrs_ms": 135,
        "qt_ms": 476,
        "qtc_ms": 393,
        "p_axis_deg": 66,
        "qrs_count": 6,
    }
    assert found.measurements == expected


def test_a_file_without_facts_has_none(written):
    found = read(written(facts=""))
    assert (found.subject, found.age, found.sex, found.acquired, found.device) == (None,) * 5
    assert not found.measurements
    assert not found.statements


# -- what is missing or damaged ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "version"), [("MortaraECG", "1.03"), ("SierraECG", "1.05"), ("", "")])
def test_other_documents_are_refused_by_type_and_version(written, kind, version):
    with pytest.raises(ReadError, match="a document of type"):
        read(written(kind=kind, version=version))


def test_what_the_file_does_not_say_is_asked_for(written):
    with pytest.raises(UnitError, match="unit="):
        read(written(resolution=None))
    np.testing.assert_allclose(read(written(resolution=None), unit="uV").signal, ECG / 1000, atol=1e-6)
    with pytest.raises(ReadError, match="rate="):
        read(written(samplespersecond=None))
    assert read(written(samplespersecond=None), rate=500).rate == 500
    unnamed = written(leadlabels=None, numberofleads=2, content=xli(ECG))
    with pytest.raises(LeadError, match="leads= with 2 names"):
        read(unnamed)
    assert read(unnamed, leads=("V1", "V2")).leads == ("V1", "V2")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"compression": "ZIP"}, "compression is ZIP; expected XLI"),
        ({"compression": None}, "compression is None; expected XLI"),
        ({"dataencoding": "Hex"}, "dataencoding is Hex"),
        ({"bitspersample": 12}, "bits to a sample is 12"),
        ({"signaloffset": 7}, "signaloffset is 7"),
        ({"durationperchannel": None}, "expected 2 to"),
        ({"durationperchannel": "1e300"}, "expected 2 to"),
        ({"durationperchannel": -4000}, "expected 2 to"),
        ({"durationperchannel": 3998}, "expected 3,998"),
        ({"durationperchannel": 4002}, "expected 4,002"),
        ({"numberofleads": 13}, "announces 13 leads and names 12"),
        ({"numberofleads": 0}, "announces 0"),
        ({"numberofleads": None, "leadlabels": None}, "announces 0 leads"),
        ({"leadlabels": "I II III aVR aVL aVF V1 V2 V3 V4 V5 Pleth"}, "unknown lead name 'Pleth'"),
        ({"leadlabels": "I I III aVR aVL aVF V1 V2 V3 V4 V5 V6"}, "follow from I, II and III"),
        ({"leadlabels": "I II III aVR aVL aVF V1 V1 V3 V4 V5 V6"}, "V1 is there more than once"),
        ({"resolution": -5}, "resolution of -5 uV"),
        ({"samplespersecond": 0}, "rate="),
    ],
)
def test_what_the_file_says_wrong_is_an_error_that_says_it(written, changed, message):
    path = written(**changed)
    with pytest.raises(EnECGError, match=message) as refused:
        read(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (xli(ECG)[:-1], "lead V6.*bytes announced"),
        (xli(ECG[:7], STANDARD_LEADS[:7]), "lead V2.*0 bytes announced"),
        (b"", "lead I, in its block at byte 0: 0 bytes announced"),
        (struct.pack("<ihh", -5, 1, 0) + bytes(100), "lead I.*-5 bytes announced"),
        (struct.pack("<ihh", 2**31 - 1, 1, 0) + bytes(100), "lead I.*2147483647 bytes announced"),
        (struct.pack("<ihh", 5, 1, 0) + packed([7, 300, 7, 7]), "lead I.*a code that was not made yet"),
        (struct.pack("<ihh", 5, 1, 0) + packed([256, 7, 7, 7]), "lead I.*a code that was not made yet"),
        (struct.pack("<ihh", 3, 1, 0) + packed([7, 1023]), "lead I.*expected 4,000"),
        (struct.pack("<ihh", len(packed([255] * 4000)), 1, 0) + packed([255] * 4000), "lead I.*beyond 16 bits"),
    ],
)
def test_damaged_blocks_are_an_error_that_names_lead_and_place(written, content, message):
    with pytest.raises(ReadError, match=message):
        read(written(content=content))


def test_a_block_that_would_expand_without_end_is_refused_at_once(written):
    zeros = packed([0, *range(256, 1023), *[1022] * 300_000])
    path = written(content=struct.pack("<ihh", len(zeros), 1, 0) + zeros)
    started = time.process_time()
    with pytest.raises(ReadError, match="expected 4,000"):
        read(path)
    assert time.process_time() - started < 1


def test_a_file_without_samples_or_with_letters_that_are_none_is_refused(written):
    path = written()
    text = path.read_text()
    path.write_text(text.replace("parsedwaveforms", "otherwaveforms"))
    with pytest.raises(ReadError, match="no parsedwaveforms"):
        read(path)
    path.write_text(text.replace("</parsedwaveforms>", "*</parsedwaveforms>"))
    with pytest.raises(ReadError, match="parsedwaveforms: not Base64"):
        read(path)
