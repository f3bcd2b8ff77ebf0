"""What other programs find in the files: the packages that people read each format with."""

from dataclasses import replace
from datetime import datetime
from xml.etree import ElementTree

import edfio
import numpy as np
import polars
import pydicom
import pytest
import wfdb

from enecg.deidentify import deidentify
from enecg.errors import MissingPackageError, WriteError
from enecg.formats import read, write
from enecg.formats.writing import WRITERS
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one

ECG = replace(
    simulate_one(4, seconds=10).recording,
    id="one",
    subject="file:MRN-7",
    age=51.0,
    sex="female",
    acquired=datetime(2021, 3, 4, 5, 6, 7, 890_000),
    device="ELI 250",
    measurements={"qt_ms": 401.0, "heart_rate_bpm": 61.0},
    statements=("Sinus rhythm", "Größe <b>"),
    notes=(),
)


def plain(n_leads=1, n_samples=100, rate=500.0) -> Recording:
    rows = np.random.default_rng(0).normal(size=(n_leads, n_samples))
    leads = (*STANDARD_LEADS, "X", "Y", "Z", "V7", "V8", "V9", "MLI", "MLII", "V", "V3R", "V4R", "V5R", "ES", "A")
    return Recording(signal=rows, rate=rate, leads=leads[:n_leads], id="one")


# -- any format ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", WRITERS)
def test_a_disk_that_refuses_leaves_nothing_and_is_told(format_, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteError, match=r"one\..*cannot be written \(No space left on device\)"):
        write(ECG, tmp_path / f"one{WRITERS[format_].ENDING}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["one.doc", "one", "one.dat"])
def test_an_ending_that_tells_no_format_is_refused_and_all_are_named(name, tmp_path):
    with pytest.raises(WriteError, match=rf"{name}: the ending .* wfdb \(\.hea\), edf \(\.edf\), dicom \(\.dcm\)"):
        write(ECG, tmp_path / name)
    with pytest.raises(WriteError, match="format 'scp' is of no format"):
        write(ECG, tmp_path / "one.edf", "scp")


@pytest.mark.parametrize("format_", ["edf", "dicom", "aecg", "parquet"])
def test_a_format_that_is_named_may_have_any_ending(format_, tmp_path):
    assert read(write(ECG, tmp_path / "one.bin", format_)).statements == ECG.statements


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    for name in ("a\0.edf", "nowhere/one.edf"):
        with pytest.raises(WriteError, match="cannot be written"):
            write(ECG, tmp_path / name)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'enecg\[dicom\]'"):
        write(ECG, tmp_path / "one.dcm")


@pytest.mark.parametrize("format_", WRITERS)
def test_the_same_recording_makes_the_same_bytes(format_, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(ECG, tmp_path / folder / f"one{WRITERS[format_].ENDING}")
    made = [{file.name: file.read_bytes() for file in (tmp_path / folder).iterdir()} for folder in ("a", "b")]
    assert made[0] == made[1]


# -- WFDB ------------------------------------------------------------------------------------------------------------


def test_the_package_wfdb_reads_the_same_samples_and_their_checksums(tmp_path):
    signal = ECG.signal.copy()
    signal[3, 7:9] = np.nan
    write(replace(ECG, signal=signal), tmp_path / "one.hea")
    record = wfdb.rdrecord(str(tmp_path / "one"))
    np.testing.assert_allclose(record.p_signal.T, signal, atol=1.01e-4)
    assert record.sig_name == list(ECG.leads)
    assert (record.fs, record.base_date, record.comments[:2]) == (500, ECG.acquired.date(), ["Age: 51", "Sex: female"])
    stored = wfdb.rdrecord(str(tmp_path / "one"), physical=False)
    assert (np.subtract(stored.calc_checksum(), stored.checksum) % 2**16 == 0).all()


@pytest.mark.parametrize("name", ["two words.hea", "a.b.hea", "Größe.hea", "one.dat", ".hea"])
def test_a_name_that_no_wfdb_record_can_have_is_refused(name, tmp_path):
    with pytest.raises(WriteError, match=r"expected letters, digits, - and _ before \.hea"):
        write(ECG, tmp_path / name, "wfdb")
    assert list(tmp_path.iterdir()) == []


def test_signals_never_lie_beside_a_header_of_others(tmp_path, monkeypatch):
    write(plain(2), tmp_path / "one.hea")
    written = []

    def killed(path, data):
        written.append(path.name)
        assert not (tmp_path / "one.hea").exists()
        raise OSError(5, "killed here")

    monkeypatch.setattr("enecg.formats.writing.wfdb.write_whole", killed)
    with pytest.raises(WriteError):
        write(ECG, tmp_path / "one.hea")
    assert written == ["one.dat"]


# -- EDF -------------------------------------------------------------------------------------------------------------


def test_the_package_edfio_reads_the_same(tmp_path):
    write(ECG, tmp_path / "one.edf")
    edf = edfio.read_edf(tmp_path / "one.edf")
    assert [signal.label for signal in edf.signals] == [f"ECG {lead}" for lead in ECG.leads]
    for signal, row in zip(edf.signals, ECG.signal, strict=True):
        np.testing.assert_allclose(signal.data, row * 1000, atol=0.101)
    assert (edf.patient.code, edf.patient.sex, edf.recording.equipment_code) == ("MRN-7", "F", "ELI_250")
    assert (edf.startdate, edf.starttime) == (ECG.acquired.date(), ECG.acquired.time())
    assert edf.is_continuous
    assert {*ECG.statements} < {one.text for one in edf.annotations}
    assert all(one.onset == 0 for one in edf.annotations)


@pytest.mark.parametrize(
    ("n_samples", "rate", "n_leads"),
    [(650_000, 360.0, 2), (5_000, 500.0, 12), (4_999, 500.0, 12), (3_607, 360.0, 1), (99_991, 250.0, 3)],
)
def test_data_records_are_no_longer_than_edf_recommends_where_the_number_of_samples_allows(
    n_samples, rate, n_leads, tmp_path
):
    again = read(write(plain(n_leads, n_samples, rate), tmp_path / "one.edf"))
    assert (again.rate, again.n_samples) == (rate, n_samples)
    edf = edfio.read_edf(tmp_path / "one.edf")
    samples = edf.signals[0].samples_per_data_record
    assert 2 * samples * n_leads <= 61_440 or samples == n_samples
    assert edf.data_record_duration >= 0.1


def test_a_recording_of_before_1985_keeps_its_date(tmp_path):
    old = replace(ECG, acquired=datetime(1969, 7, 20, 20, 17, 40))
    assert read(write(old, tmp_path / "one.edf")).acquired == old.acquired
    assert edfio.read_edf(tmp_path / "one.edf").recording.startdate == old.acquired.date()


def test_a_rate_that_edf_cannot_tell_is_refused(tmp_path):
    with pytest.raises(WriteError, match=r"3 samples at 700001\.0 Hz: EDF tells the rate by the length"):
        write(plain(1, 3, 700_001.0), tmp_path / "one.edf")


# -- DICOM -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "kind"),
    [
        (plain(12), "12-lead ECG Waveform Storage"),
        (plain(13), "12-lead ECG Waveform Storage"),
        (plain(12, 17_000), "General ECG Waveform Storage"),
        (plain(3), "General ECG Waveform Storage"),
        (plain(12, rate=100.0), "Ambulatory ECG Waveform Storage"),
        (plain(13, rate=100.0), "General 32-bit ECG Waveform Storage"),
        (plain(12, rate=2000.0), "General 32-bit ECG Waveform Storage"),
    ],
)
def test_the_kind_of_object_is_one_that_may_hold_the_recording(recording, kind, tmp_path):
    again = read(write(recording, tmp_path / "one.dcm"))
    assert pydicom.dcmread(tmp_path / "one.dcm").SOPClassUID.name == kind
    np.testing.assert_allclose(again.select(recording.leads).signal, recording.signal, atol=1.01e-4)


def test_more_leads_than_dicom_holds_are_refused(tmp_path):
    with pytest.raises(WriteError, match="25 leads; DICOM holds 24 at most"):
        write(plain(25), tmp_path / "one.dcm")


def test_pydicom_reads_the_same_in_microvolts(tmp_path):
    write(ECG, tmp_path / "one.dcm")
    dataset = pydicom.dcmread(tmp_path / "one.dcm")
    np.testing.assert_allclose(dataset.waveform_array(0).T, ECG.signal * 1000, atol=0.101)
    [group] = dataset.WaveformSequence
    codes = [channel.ChannelSourceSequence[0].CodeValue for channel in group.ChannelDefinitionSequence]
    assert codes[:6] == ["2:1", "2:2", "2:61", "2:62", "2:63", "2:64"]
    assert (dataset.PatientID, dataset.PatientAge, dataset.PatientName) == ("MRN-7", "051Y", "")
    said = {one.get("UnformattedTextValue") or one.NumericValue for one in dataset.WaveformAnnotationSequence}
    assert said == {*ECG.statements, 401, 61}
    assert "PatientIdentityRemoved" not in dataset


def test_a_deidentified_object_says_so(tmp_path):
    write(deidentify(ECG, bytes(16)), tmp_path / "one.dcm")
    assert pydicom.dcmread(tmp_path / "one.dcm").PatientIdentityRemoved == "YES"


@pytest.mark.parametrize(("age", "told"), [(0.5, "006M"), (0.0, "000Y"), (33.0, "033Y"), (7 / 365.25, "001W")])
def test_ages_of_children_are_told_in_months_or_weeks(age, told, tmp_path):
    assert read(write(replace(ECG, age=age), tmp_path / "one.dcm")).age == age
    assert pydicom.dcmread(tmp_path / "one.dcm").PatientAge == told


# -- aECG ------------------------------------------------------------------------------------------------------------

HL7 = {"h": "urn:hl7-org:v3"}


def test_an_aecg_is_plain_xml_of_its_namespace(tmp_path):
    write(ECG, tmp_path / "one.xml")
    root = ElementTree.parse(tmp_path / "one.xml").getroot()
    codes = [found.get("code") for found in root.iterfind(".//h:sequence/h:code", HL7)]
    assert codes == ["TIME_ABSOLUTE", *(f"MDC_ECG_LEAD_{lead.upper()}" for lead in ECG.leads)]
    statements = [found.text for found in root.iterfind(".//h:value", HL7) if found.text]
    assert statements[-2:] == list(ECG.statements)
    assert root.find(".//h:trialSubject/h:id", HL7).attrib == {"extension": "MRN-7"}


def test_what_is_not_known_is_said_to_be_unknown(tmp_path):
    write(plain(), tmp_path / "one.xml")
    root = ElementTree.parse(tmp_path / "one.xml").getroot()
    for place in ("h:effectiveTime", ".//h:trialSubject/h:id", ".//h:clinicalTrial/h:id"):
        assert root.find(place, HL7).attrib == {"nullFlavor": "UNK"}
    assert root.find(".//h:subjectDemographicPerson", HL7) is None


@pytest.mark.parametrize("n_samples", [30_000, 60_000])  # too long as XML; with nothing but its digits
def test_a_recording_that_would_be_too_long_to_be_read_is_refused(n_samples, tmp_path, monkeypatch):
    monkeypatch.setattr("enecg.formats.writing.aecg.LARGEST", 2**20)
    with pytest.raises(WriteError, match=r"one\.xml: 1 MiB of XML or more; 1 MiB are read at most"):
        write(plain(12, n_samples), tmp_path / "one.xml")


# -- Parquet ---------------------------------------------------------------------------------------------------------


def test_a_parquet_file_explains_itself(tmp_path):
    write(ECG, tmp_path / "one.parquet")
    table = polars.read_parquet(tmp_path / "one.parquet")
    assert table.columns == list(ECG.leads)
    np.testing.assert_array_equal(table.to_numpy().T, ECG.signal)
    said = polars.read_parquet_metadata(tmp_path / "one.parquet")
    assert (said["rate"], said["unit"], said["subject"], said["age"]) == ("500.0", "mV", "file:MRN-7", "51.0")
