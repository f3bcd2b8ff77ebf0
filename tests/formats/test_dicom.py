import sys
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    AmbulatoryECGWaveformStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    GeneralECGWaveformStorage,
    HemodynamicWaveformStorage,
    ImplicitVRLittleEndian,
    TwelveLeadECGWaveformStorage,
)

from enecg.errors import EnECGError, LeadError, MissingPackageError, ReadError, UnitError
from enecg.formats import find, read
from enecg.recording import MILLIVOLTS, STANDARD_LEADS
from enecg.simulation import simulate_one

CODES = dict(zip(STANDARD_LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True)) | {"X": 16, "V8R": 68}
INTERPRETATIONS = {"i1": "SB", "u1": "UB", "i2": "SS", "u2": "US", "i4": "SL", "u4": "UL", "i8": "SV", "u8": "UV"}


def code(value, scheme="MDC", meaning="") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def channel(
    lead="II", *, source="", label="", meaning="", unit="uV", sensitivity=1.0, correction=1.0, baseline=0.0, **more
):
    """A channel's definition; `source` is its code, by default the lead's in the scheme MDC."""
    item = Dataset()
    item.ChannelSourceSequence = [code(source or f"2:{CODES[lead]}", meaning=meaning)]
    if label:
        item.ChannelLabel = label
    if sensitivity is not None:
        item.ChannelSensitivity = sensitivity
        item.ChannelSensitivityCorrectionFactor = correction
        item.ChannelBaseline = baseline
        if unit:
            item.ChannelSensitivityUnitsSequence = [code(unit, "UCUM", unit)]
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def group(samples, channels, *, rate=500.0, dtype="i2", label="RHYTHM", padding=None, order="<", **more) -> Dataset:
    """A multiplex group. samples : int [channel, sample]."""
    samples = np.asarray(samples)
    item = Dataset()
    item.WaveformOriginality = more.pop("originality", "ORIGINAL")
    item.MultiplexGroupTimeOffset = more.pop("offset", 0)
    item.NumberOfWaveformChannels, item.NumberOfWaveformSamples = samples.shape
    item.SamplingFrequency = rate
    if label:
        item.MultiplexGroupLabel = label
    item.ChannelDefinitionSequence = channels
    item.WaveformBitsAllocated = 8 * np.dtype(dtype).itemsize
    item.WaveformSampleInterpretation = INTERPRETATIONS[dtype]
    vr = "OB" if dtype in ("i1", "u1") else "OW"
    if padding is not None:
        item.add_new("WaveformPaddingValue", vr, np.array(padding, dtype=order + dtype).tobytes())
    item.add_new("WaveformData", vr, samples.T.astype(order + dtype).tobytes())
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def said(value, *, name="", meaning="", unit="ms", **more) -> Dataset:
    """An annotation: a text, or a number with the code and meaning of what it is."""
    item = Dataset()
    item.ReferencedWaveformChannels = [1, 0]
    if isinstance(value, str):
        item.UnformattedTextValue = value
    else:
        item.ConceptNameCodeSequence = [code(name, meaning=meaning)]
        item.NumericValue = value
        item.MeasurementUnitsCodeSequence = [code(unit, "UCUM")]
    for keyword, worth in more.items():
        setattr(item, keyword, worth)
    return item


@pytest.fixture
def write(tmp_path):
    """Writes a waveform object with pydicom, keywords of its elements as arguments. Returns its path."""

    def written(*groups, name="one.dcm", annotations=(), **elements):
        return saved(tmp_path / name, groups, annotations, **elements)

    return written


def saved(
    path, groups, annotations=(), *, kind=TwelveLeadECGWaveformStorage, syntax=ExplicitVRLittleEndian, **elements
):
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, pydicom.uid.generate_uid(entropy_srcs=["one"])
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    if annotations:
        dataset.WaveformAnnotationSequence = list(annotations)
    if groups:
        dataset.WaveformSequence = list(groups)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


COUNTING = np.arange(1, 101)[None]


# -- amplitudes ------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(sorted(INTERPRETATIONS)),
    leads=st.lists(st.sampled_from(("II", "V1", "V4", "X", "V8R")), min_size=1, max_size=4, unique=True),
    units=st.lists(st.sampled_from(("V", "mV", "uV", "nV")), min_size=4, max_size=4),
    scales=st.lists(st.tuples(*[st.sampled_from((0.5, 1.0, 2.5, -1.25))] * 2), min_size=4, max_size=4),
    baselines=st.lists(st.sampled_from((0.0, -100.0, 1000.0)), min_size=4, max_size=4),
    syntax=st.sampled_from(
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
    ),
    seed=st.integers(0, 99),
)
def test_a_value_is_stored_times_sensitivity_times_correction_plus_baseline(
    dtype, leads, units, scales, baselines, syntax, seed
):
    low = 0 if dtype.startswith("u") else -100
    stored = np.random.default_rng(seed).integers(low, 100, size=(len(leads), 30))
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    channels = [
        channel(lead, unit=unit, sensitivity=scale[0], correction=scale[1], baseline=baseline)
        for lead, unit, scale, baseline in zip(leads, units, scales, baselines, strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = saved(Path(folder, "one.dcm"), [group(stored, channels, dtype=dtype, order=order)], syntax=syntax)
        found = read(path)
    assert (found.leads, found.rate, found.source.format, found.notes) == (tuple(leads), 500.0, "DICOM", ())
    for lead, row, unit, scale, baseline in zip(leads, stored, units, scales, baselines, strict=False):
        expected = (row * scale[0] * scale[1] + baseline) * MILLIVOLTS[unit.lower()]
        np.testing.assert_allclose(found.lead(lead), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [
        TwelveLeadECGWaveformStorage,
        GeneralECGWaveformStorage,
        AmbulatoryECGWaveformStorage,
        HemodynamicWaveformStorage,
    ],
)
def test_a_twelve_lead_recording_comes_back_within_one_step_from_any_kind_of_object(write, kind):
    truth = simulate_one(3, rate=500, seconds=10).recording
    channels = [channel(lead, sensitivity=2.5) for lead in STANDARD_LEADS]
    found = read(write(group(np.round(truth.signal * 400), channels), kind=kind))
    assert (found.leads, found.rate, found.n_samples, found.notes) == (STANDARD_LEADS, 500.0, 5000, ())
    np.testing.assert_allclose(found.signal, truth.signal, atol=0.00126)


def test_a_unit_or_rate_that_is_not_said_is_the_callers_to_say(write):
    path = write(group(COUNTING, [channel(unit="")]))
    with pytest.raises(UnitError, match=r"one\.dcm: multiplex group 1: lead II: .*unit="):
        read(path)
    np.testing.assert_allclose(read(path, unit="mV").signal, COUNTING)
    path = write(group(COUNTING, [channel(sensitivity=None)]))
    with pytest.raises(UnitError, match="unit="):
        read(path)
    np.testing.assert_allclose(read(path, unit="uV").signal, COUNTING / 1000)
    path = write(group(COUNTING, [channel()], rate=0))
    with pytest.raises(ReadError, match=r"one\.dcm: .*rate="):
        read(path)
    assert read(path, rate=250).rate == 250.0


def test_a_part_is_what_the_whole_has_there(write):
    path = write(group(COUNTING, [channel()], rate=100))
    np.testing.assert_array_equal(read(path, start=0.25, seconds=0.5).signal, read(path).signal[:, 25:75])
    with pytest.raises(ReadError, match=r"one\.dcm: start at 1 s of a recording of 1 s"):
        read(path, start=1)


# -- padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "padding", "more"),
    [
        ("i2", -(2**15), {}),
        ("i2", 2**15 - 1, {}),
        ("i2", -(2**15) + 1, {"sensitivity": 0.1}),
        ("i4", -(2**31), {}),
        ("i1", -128, {}),
        ("u2", 2**16 - 1, {"sensitivity": 0.1}),
        ("u2", 0, {"baseline": -32768.0}),
        ("i2", -9999, {"sensitivity": 1.25}),
        ("i2", -2048, {"WaveformBitsStored": 12}),
    ],
)
def test_what_is_called_padding_and_no_heart_gives_is_missing(write, dtype, padding, more):
    stored = [[1, 2, padding, 4], [padding, 2, 3, 4]]
    found = read(write(group(stored, [channel("II", **more), channel("V1", **more)], dtype=dtype, padding=padding)))
    np.testing.assert_array_equal(np.isnan(found.signal), np.equal(stored, padding))
    assert found.notes == ()


@pytest.mark.parametrize("padding", [0, 37, -100])
def test_what_is_called_padding_and_may_be_measured_is_kept_with_a_note(write, padding):
    stored = np.array([[padding, 2, padding, 4], [5, 5, 5, 5]])
    found = read(write(group(stored, [channel("II"), channel("V1")], padding=padding)))
    np.testing.assert_allclose(found.signal, stored / 1000, rtol=1e-6)
    assert found.notes == (f"II: what is called padding, {padding}, may be measured; kept",)


def test_the_lowest_number_at_the_end_of_all_channels_is_missing_though_nobody_says_so(write):
    low = -(2**15)
    channels = [channel("II"), channel("V1")]
    path = write(group([[low, 2, 3, low, low], [1, low, low, low, low]], channels, rate=100))
    found = read(path)
    np.testing.assert_array_equal(np.isnan(found.signal), [[0, 0, 0, 1, 1]] * 2)
    assert found.notes == ("group 1 (RHYTHM): from sample 4 on all channels hold the lowest number; taken as missing",)
    assert np.isnan(read(path, start=0.04).signal).all()
    assert read(path, seconds=0.03).notes == ()


# -- leads -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["2:{}", "5.6.3-9-{}"])
def test_leads_are_known_by_both_systems_of_codes(write, scheme):
    channels = [channel(source=scheme.format(number), meaning="anything") for number in CODES.values()]
    found = read(write(group(np.arange(14 * 9).reshape(14, 9), channels), kind=GeneralECGWaveformStorage))
    assert found.leads == tuple(CODES)


@pytest.mark.parametrize(
    ("told", "lead"),
    [
        ({"source": "5.6.3-9-1", "meaning": "Lead I (Einthoven)"}, "I"),
        ({"source": "2:2", "label": "MLII", "meaning": "Lead MLII"}, "MLII"),
        ({"source": "2:18", "label": "VZ"}, "Z"),
        ({"source": "2:131"}, "ES"),
        ({"source": "MDC_ECG_LEAD_aVR"}, "aVR"),
        ({"source": "99", "label": "aVF"}, "aVF"),
        ({"source": "2:0", "meaning": "Lead V3"}, "V3"),
    ],
)
def test_a_lead_is_known_by_its_code_or_else_its_names(write, told, lead):
    found = read(write(group(COUNTING, [channel(**told)])))
    assert (found.leads, found.notes) == ((lead,), ())


@pytest.mark.parametrize(
    ("told", "lead", "note"),
    [
        ({"source": "2:4", "label": "V1"}, "V2", "called V1 and coded as V2; the code counts"),
        ({"source": "2:112"}, "aVR", "lead aVR was derived by the device"),
    ],
)
def test_what_is_odd_about_a_lead_is_told(write, told, lead, note):
    found = read(write(group(COUNTING, [channel(**told)])))
    assert (found.leads, found.notes) == ((lead,), (f"group 1 (RHYTHM): channel 1: {note}",))


def test_an_inverted_lead_is_turned_and_told(write):
    found = read(write(group(COUNTING, [channel(source="2:65")])))
    assert found.leads == ("aVR",)
    np.testing.assert_allclose(found.signal, -COUNTING / 1000)
    assert found.notes == ("aVR is stored as -aVR; its sign was turned",)


def test_ecgs_are_picked_out_of_pressures_and_unknown_channels(write):
    channels = [
        channel(source="109016", meaning="Arterial pressure", unit="mm[Hg]"),
        channel("V1"),
        channel(source="2:21", label="Left Arm"),
        channel("II"),
        channel("II"),
    ]
    found = read(write(group(np.repeat([[1], [2], [3], [4], [5]], 9, axis=1), channels)))
    assert found.leads == ("V1", "II")
    np.testing.assert_allclose(found.signal[:, 0], [0.002, 0.004])
    assert found.notes == (
        "group 1 (RHYTHM): channel 5 is lead II once more; left out",
        "group 1 (RHYTHM): left out, for they are no voltages: Arterial pressure (mm[Hg])",
        "group 1 (RHYTHM): left out, for they are no leads that are known: Left Arm",
    )


def test_channels_that_do_not_say_their_lead_take_the_callers(write):
    path = write(group(np.repeat([[1], [2]], 9, axis=1), [channel(source="2:0", label="ECG") for _ in range(2)]))
    with pytest.raises(LeadError, match=r"one\.dcm: no channel says that it is a lead \(found ECG, ECG\); pass leads="):
        read(path)
    assert read(path, leads=["MLII", "V5"]).leads == ("MLII", "V5")
    with pytest.raises(LeadError, match="pass leads="):
        read(path, leads=["MLII"])


# -- groups ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "of_beat", [{"label": "MEDIAN BEAT"}, {"label": "", "originality": "DERIVED"}, {"label": "Averaged"}]
)
def test_an_averaged_beat_is_told_from_the_rhythm_and_read_on_request(write, first, of_beat):
    beat, rhythm = group(COUNTING[:, :40], [channel()], **of_beat), group(COUNTING, [channel()])
    path = write(*((beat, rhythm) if first else (rhythm, beat)))
    found = read(path)
    number = 1 if first else 2
    title = f"group {number} ({of_beat['label']})" if of_beat["label"] else f"group {number}"
    why = "an averaged beat" if of_beat["label"] else "derived from the others"
    assert found.n_samples == 100
    assert found.notes == (f"{title} left out: {why}; item={number} reads it",)
    assert read(path, item=number).n_samples == 40
    assert read(path, item="RHYTHM").digest == found.digest
    with pytest.raises(ReadError, match="no group '3' with leads"):
        read(path, item=3)


def test_averaged_beats_alone_are_refused_unless_asked_for(write):
    path = write(group(COUNTING, [channel()], label="MEDIAN BEAT", originality="DERIVED"))
    with pytest.raises(ReadError, match=r"averaged beats only \(found group 1 \(MEDIAN BEAT\)\); item=1"):
        read(path)
    assert read(path, item=1).n_samples == 100


def test_a_derived_rhythm_alone_is_read_and_told(write):
    found = read(write(group(COUNTING, [channel()], originality="DERIVED")))
    assert found.notes == ("group 1 (RHYTHM) is derived; there is no original one",)


def test_groups_that_were_recorded_one_after_the_other_share_a_time_axis(write):
    staggered = [
        group(np.full((3, 25), number + 1), [channel(lead) for lead in leads], rate=10, offset=2500 * number, label="")
        for number, leads in enumerate((STANDARD_LEADS[:3], STANDARD_LEADS[3:6], STANDARD_LEADS[6:9]))
    ]
    strip = group(np.arange(1, 76)[None], [channel("V5")], rate=10, label="")
    path = write(*staggered, strip)
    found = read(path)
    assert (found.leads, found.n_samples) == ((*STANDARD_LEADS[:9], "V5"), 75)
    for number, lead in enumerate(("II", "aVL", "V3")):
        expected = np.full(75, np.nan)
        expected[25 * number : 25 * (number + 1)] = (number + 1) / 1000
        np.testing.assert_allclose(found.lead(lead), expected, rtol=1e-6)
    np.testing.assert_allclose(found.lead("V5"), np.arange(1, 76) / 1000, rtol=1e-6)
    np.testing.assert_array_equal(read(path, start=2, seconds=4).signal, found.signal[:, 20:60])


def test_of_one_lead_in_two_groups_at_the_same_time_the_longer_is_read(write):
    found = read(
        write(
            group(np.full((2, 25), 1), [channel("II"), channel("V1")], rate=10),
            group(np.full((1, 75), 2), [channel("II")], rate=10),
        )
    )
    assert found.leads == ("V1", "II")
    np.testing.assert_allclose(found.lead("II"), np.full(75, 0.002))
    assert found.notes == ("group 1 (RHYTHM): left out, for a longer group has them at the same time: II",)


def test_leads_of_another_rate_than_most_are_left_out_with_a_note(write):
    found = read(
        write(
            group(COUNTING, [channel("V5")], rate=1000, label=""),
            group(np.repeat(COUNTING, 2, axis=0), [channel("II"), channel("V1")], rate=250, label=""),
        )
    )
    assert (found.leads, found.rate) == (("II", "V1"), 250.0)
    assert found.notes == ("group 1 left out: its rate of 1000 Hz is not that of most leads; item=1 reads it",)


def test_an_offset_that_no_recording_has_is_refused(write):
    path = write(group(COUNTING, [channel("II")]), group(COUNTING, [channel("V1")], offset=1e12))
    with pytest.raises(ReadError, match=r"one\.dcm: 500,000,000,100 samples from the first to the last"):
        read(path)


def test_a_channel_that_was_sampled_later_is_told(write):
    found = read(write(group(COUNTING, [channel(), channel("V1", ChannelSampleSkew=0.5)][1:])))
    assert found.notes == ("V1: sampled 1 ms after the others of its group; not moved",)


# -- facts -----------------------------------------------------------------------------------------------------------


def test_patient_time_and_device_are_those_of_the_object(write):
    found = read(
        write(
            group(COUNTING, [channel()]),
            PatientID="P-17",
            PatientName="Harry^Haagse",
            PatientSex="M",
            PatientAge="051Y",
            PatientBirthDate="19510802",
            AcquisitionDateTime="20020801235958.25+0100",
            ContentDate="20030101",
            ContentTime="000000",
            Manufacturer="Maker",
            ManufacturerModelName="EL 250",
        )
    )
    assert (found.subject, found.sex, found.age) == ("file:P-17", "male", 51.0)
    assert (found.acquired, found.device) == (datetime(2002, 8, 1, 23, 59, 58, 250_000), "Maker EL 250")
    assert "Harry" not in repr([found, found.notes, found.statements])


@pytest.mark.parametrize(
    ("elements", "age", "acquired"),
    [
        ({"PatientAge": "006M"}, 0.5, None),
        ({"PatientBirthDate": "19510802", "StudyDate": "20020801", "StudyTime": ""}, 50.0, None),
        (
            {"PatientBirthDate": "19510802", "StudyDate": "20020802", "StudyTime": "1015"},
            51.0,
            datetime(2002, 8, 2, 10, 15),
        ),
        ({"PatientBirthDate": "19519902", "AcquisitionDateTime": "2002"}, None, None),
        ({"PatientAge": "old", "StudyDate": "20021301", "StudyTime": "101500"}, None, None),
        (
            {"AcquisitionDate": "20020802", "AcquisitionTime": "101530", "StudyDate": "20020801", "StudyTime": "09"},
            None,
            datetime(2002, 8, 2, 10, 15, 30),
        ),
    ],
)
def test_ages_and_times_are_known_as_well_as_the_object_says_them(write, elements, age, acquired):
    with pydicom.config.disable_value_validation():
        path = write(group(COUNTING, [channel()]), PatientID="XXX", PatientSex="O", **elements)
    found = read(path)
    assert (found.age, found.acquired) == (age, acquired)
    assert (found.subject, found.sex, found.device) == (None, None, None)


def test_annotations_are_measurements_and_statements(write):
    found = read(
        write(
            group(COUNTING, [channel()]),
            annotations=[
                said("Sinus rhythm"),
                said(148, name="5.13.5-7"),
                said(0.42, name="2:16160", unit="s"),
                said(69, name="8867-4", unit="{H.B.}/min"),
                said(-61, name="private", meaning="QRS Axis", unit="deg"),
                said(0, name="5.10.2.1-5"),
                said(12, name="5.13.5-9", unit="mm"),
                said(60, name="2:16168", TemporalRangeType="POINT"),
                said("PVC", TemporalRangeType="POINT"),
                said(7, name="unheard-of"),
                said("Normal  ECG\r\n"),
            ],
        )
    )
    assert dict(found.measurements) == {"pr_ms": 148.0, "qt_ms": 420.0, "heart_rate_bpm": 69.0, "qrs_axis_deg": -61.0}
    assert found.statements == ("Sinus rhythm", "Normal ECG")
    assert found.notes == ()


def test_an_axis_in_another_unit_and_several_values_of_one_measurement_are_told(write):
    annotations = [
        said(44, name="5.10.3-11", meaning="P Axis", unit="ms"),
        said(400, name="5.13.5-11"),
        said(410, name="5.13.5-11"),
    ]
    found = read(write(group(COUNTING, [channel()]), annotations=annotations))
    assert dict(found.measurements) == {"p_axis_deg": 44.0}
    assert found.notes == (
        "several values of qt_ms: left out",
        "P Axis: not in degrees by the file; taken as degrees, for an axis is in nothing else",
    )


def test_statements_are_read_in_the_letters_of_the_object(write):
    found = read(
        write(
            group(COUNTING, [channel()]),
            annotations=[said("Vorhofflimmern möglich")],
            SpecificCharacterSet="ISO_IR 100",
        )
    )
    assert found.statements == ("Vorhofflimmern möglich",)


# -- damage ----------------------------------------------------------------------------------------------------------


def test_a_file_cut_short_anywhere_is_refused(write):
    path = write(group(COUNTING, [channel()]), group(COUNTING, [channel()], label="MEDIAN BEAT"))
    whole = path.read_bytes()
    for n in [*range(200, len(whole), 11), len(whole) - 1]:
        path.write_bytes(whole[:n])
        with pytest.raises(
            ReadError,
            match=r"one\.dcm: (cut short|holds no waveform|not a recording)",
        ):
            read(path)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"NumberOfWaveformSamples": 101}, "cut short, 200 bytes of 202"),
        ({"NumberOfWaveformSamples": 2**32 - 1}, "cut short, 200 bytes of 8589934590"),
        ({"NumberOfWaveformSamples": 0}, "announces 1 channels of 0 samples"),
        ({"NumberOfWaveformChannels": 2}, "announces 2 channels of 100 samples and defines 1"),
        ({"WaveformBitsAllocated": 12}, "samples of 12 bits 'SS'"),
        ({"WaveformSampleInterpretation": "MB"}, "samples of 16 bits 'MB'"),
        ({"SamplingFrequency": 1e9}, r"rate of 1e\+09 Hz"),
    ],
)
def test_counts_and_kinds_that_cannot_be_true_are_told(write, changed, told):
    with pytest.raises(ReadError, match=told) as error:
        read(write(group(COUNTING, [channel()], **changed)))
    assert "one.dcm" in str(error.value)


def test_a_sensitivity_of_zero_is_no_scale(write):
    with pytest.raises(ReadError, match=r"one\.dcm: multiplex group 1: lead II: a sensitivity of 0"):
        read(write(group(COUNTING, [channel(sensitivity=0)])))


def test_an_object_that_grows_beyond_measure_when_inflated_is_refused(write, monkeypatch):
    path = write(group(np.zeros((1, 40_000)), [channel()]), syntax=DeflatedExplicitVRLittleEndian)
    assert path.stat().st_size < 1000
    assert read(path).n_samples == 40_000
    monkeypatch.setattr("enecg.formats.dicom._LARGEST_INFLATED", 2**16)
    with pytest.raises(ReadError, match=r"one\.dcm: over 0 MiB when inflated"):
        read(path)


def test_identifiers_that_break_the_rules_are_no_reason_to_refuse_or_to_warn(write):
    path = write(group(COUNTING, [channel()]), StudyInstanceUID="1.2.3.4")
    path.write_bytes(path.read_bytes().replace(b"1.2.3.4\0", b"1.02..4."))
    assert read(path).n_samples == 100


def test_an_element_that_cannot_be_decoded_is_named(write):
    path = write(group(COUNTING, [channel()]))
    content = path.read_bytes()
    place = content.index(bytes.fromhex("3a001a00")) + 4  # SamplingFrequency, whose type is DS
    path.write_bytes(content[:place] + b"ZZ" + content[place + 2 :])
    with pytest.raises(ReadError, match=r"one\.dcm: its element SamplingFrequency is damaged .*; copy the file again"):
        read(path)


def test_damage_anywhere_is_an_error_with_the_files_name_or_a_reading(write):
    rng = np.random.default_rng(0)
    path = write(group(COUNTING, [channel()]), annotations=[said(148, name="5.13.5-7")])
    whole, told = path.read_bytes(), []
    for _ in range(300):
        content = np.frombuffer(whole, dtype=np.uint8).copy()
        content[rng.integers(132, len(content), size=3)] = rng.choice([0, 1, 127, 255], size=3)
        path.write_bytes(content.tobytes())
        try:
            read(path)
        except EnECGError as error:
            told.append(str(error))
    assert 0 < len(told) < 300
    assert all(str(path) in one for one in told)


def test_without_pydicom_it_is_told_what_to_install(write, monkeypatch):
    path = write(group(COUNTING, [channel()]))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'enecg\[dicom\]'"):
        read(path)


# -- which files -----------------------------------------------------------------------------------------------------


def test_waveforms_are_found_among_images_whatever_their_name(write, tmp_path):
    path = write(group(COUNTING, [channel()]), name="IM0001")
    image = write(name="image.dcm", kind=CTImageStorage)
    assert find(tmp_path) == [path]
    with pytest.raises(ReadError, match="not a recording of a known format"):
        read(image)
    empty = write(name="empty.dcm")
    with pytest.raises(ReadError, match=r"empty\.dcm: holds no waveform"):
        read(empty)
