import sys
import tempfile
from datetime import date, datetime, time
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, MissingPackageError, ReadError, UnitError
from enecg.formats import find, read
from enecg.recording import MILLIVOLTS, STANDARD_LEADS
from enecg.simulation import simulate_one

KINDS = {"edf": (edfio.Edf, edfio.EdfSignal, np.int16), "bdf": (edfio.Bdf, edfio.BdfSignal, np.int32)}
FIELDS = {"n_records": (236, 8), "duration": (244, 8), "reserved": (192, 5), "n_channels": (252, 4), "length": (184, 8)}
OF_CHANNELS = {"unit": (96, 8), "low": (104, 8), "high": (112, 8), "digital": (120, 8), "samples": (216, 8)}


def channel(samples, kind="edf", *, label="II", rate=100.0, unit="uV", scale=None):
    """A channel from digital samples; `scale` is the physical minimum and maximum of -10,000 to 10,000."""
    _, signal, dtype = KINDS[kind]
    samples = np.asarray(samples, dtype=dtype)
    return signal.from_digital(
        samples,
        rate,
        label=label,
        physical_dimension=unit,
        physical_range=scale or (-10_000, 10_000),
        digital_range=(-10_000, 10_000),
    )


@pytest.fixture
def write(tmp_path):
    """Writes channels with edfio, and may change fields of the header afterwards. Returns the path."""

    def written(*channels, kind="edf", name="one", onsets=None, cut=None, after=b"", **more):
        changed = {field: more.pop(field) for field in (*FIELDS, *OF_CHANNELS) if field in more}
        whole = KINDS[kind][0](channels, data_record_duration=more.pop("record", 1), **more).to_bytes()
        content = bytearray(whole)
        n_channels = len(content[: int(content[184:192])]) // 256 - 1
        if onsets is not None:
            retimed(content, onsets)
        for field, text in changed.items():
            at, width = FIELDS.get(field) or (256 + OF_CHANNELS[field][0] * n_channels, OF_CHANNELS[field][1])
            content[at : at + width] = text.encode("latin-1").ljust(width)
        path = tmp_path / f"{name}.{kind}"
        path.write_bytes(bytes(content[:cut]) + after)
        return path

    return written


def retimed(content: bytearray, onsets) -> None:
    """Moves data records in time: `onsets` in seconds, in the annotations' first entry. Other annotations go."""
    header, n_records = int(content[184:192]), int(content[236:244])
    n_channels = header // 256 - 1
    counts = [int(content[256 + 216 * n_channels + 8 * i :][:8]) for i in range(n_channels)]
    width = 3 if content[0] == 255 else 2
    for number, onset in zip(range(n_records), onsets, strict=True):
        end = header + width * sum(counts) * (number + 1)
        place = slice(end - width * counts[-1], end)
        moved = f"{onset:+}\x14\x14\0".encode()
        assert len(moved) <= width * counts[-1]
        content[place] = moved.ljust(width * counts[-1], b"\0")


LONG = [edfio.EdfAnnotation(0, None, "_" * 40)]
"""Makes room for longer times; no statement."""


# -- amplitudes ------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    leads=st.lists(st.sampled_from(("II", "V1", "V4", "X", "MLII")), min_size=1, max_size=4, unique=True),
    units=st.lists(st.sampled_from(("V", "mV", "uV", "nV")), min_size=4, max_size=4),
    scale=st.tuples(st.integers(-9000, -1), st.integers(1, 9000)),
    record=st.sampled_from([0.5, 1, 2]),
    seed=st.integers(0, 99),
)
def test_what_edfio_writes_is_read_back_in_millivolts(kind, leads, units, scale, record, seed):
    digital = np.random.default_rng(seed).integers(-10_000, 10_001, size=(len(leads), 400))
    channels = [
        channel(row, kind, label=f"ECG {lead}", unit=unit, scale=scale)
        for row, lead, unit in zip(digital, leads, units, strict=False)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"one.{kind}")
        KINDS[kind][0](channels, data_record_duration=record).write(path)
        found = read(path)
    assert (found.leads, found.rate, found.source.format) == (tuple(leads), 100.0, "EDF")
    for lead, row, unit in zip(leads, digital, units, strict=False):
        physical = scale[0] + (row + 10_000) / 20_000 * (scale[1] - scale[0])
        np.testing.assert_allclose(found.lead(lead), physical * MILLIVOLTS[unit.lower()], rtol=1e-5, atol=1e-5)


def test_a_twelve_lead_recording_comes_back_within_one_step(write):
    truth = simulate_one(3, rate=500, seconds=10)
    rows = [
        channel(np.round(row * 1000 / 2), label=lead, rate=500, scale=(-20_000, 20_000))
        for lead, row in zip(STANDARD_LEADS, truth.recording.signal, strict=True)
    ]
    found = read(write(*rows))
    assert (found.leads, found.rate, found.n_samples) == (STANDARD_LEADS, 500.0, 5000)
    np.testing.assert_allclose(found.signal, truth.recording.signal, atol=0.0011)
    assert found.notes == ()


@pytest.mark.parametrize(("rate", "record"), [(800.0, 0.00125), (128.0, 1), (599.88, 25), (0.5 * 3, 2), (977.5, 2)])
def test_rates_that_are_no_whole_number_are_exact(write, rate, record):
    found = read(write(channel(np.zeros(round(rate * record * 4)), rate=rate), record=record))
    assert found.rate == rate


@pytest.mark.parametrize("label", ["ECG aVR", "EKG aVR", "aVR", "AVR", "Lead aVR", "ECG Lead avr"])
def test_leads_are_known_by_any_spelling(write, label):
    assert read(write(channel(range(100), label=label))).leads == ("aVR",)


@pytest.mark.parametrize("unit", ["µV", "uV"])
def test_a_micro_sign_is_read_in_latin_1_and_utf_8(write, unit):
    path = write(channel([1000] * 100), unit=unit)
    utf8 = path.read_bytes().replace(b"\xb5V     ", b"\xc2\xb5V    ")
    for content in (path.read_bytes(), utf8):
        path.write_bytes(content)
        np.testing.assert_allclose(read(path).signal, 1.0)


# -- parts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=25, deadline=None)
@given(start=st.integers(0, 899), n=st.integers(1, 400), record=st.sampled_from([0.1, 1, 3]))
def test_a_part_is_what_the_whole_has_there(kind, start, n, record):
    digital = np.random.default_rng(0).integers(-9000, 9000, size=(2, 900))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "one")
        rows = [channel(digital[0], kind, label="II"), channel(digital[1], kind, label="V1")]
        KINDS[kind][0](rows, data_record_duration=record).write(path)
        whole, part = read(path), read(path, start=start / 100, seconds=n / 100)
    np.testing.assert_array_equal(part.signal, whole.signal[:, start : start + n])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_part_of_a_long_recording_costs_the_memory_of_a_part(write, kind, monkeypatch):
    path = write(channel(np.tile(np.arange(100), 3600), kind), kind=kind)
    package = edfio.read_edf if kind == "edf" else edfio.read_bdf
    handed = []
    monkeypatch.setattr(
        edfio, package.__name__, lambda content, **how: handed.append(len(content)) or package(content, **how)
    )
    assert read(path, start=1800, seconds=10).n_samples == 1000
    assert max(handed) < 512 + 1.1 * 10 * 100 * (2 if kind == "edf" else 3)


def test_many_blocks_are_joined_without_a_seam(write, monkeypatch):
    monkeypatch.setattr("enecg.formats.edf._BLOCK", 1000)
    digital = np.arange(-5000, 5000)
    np.testing.assert_allclose(read(write(channel(digital))).signal, digital[None] / 1000, atol=1e-6)


def test_a_start_beyond_the_end_is_refused(write):
    with pytest.raises(ReadError, match=r"one\.edf: start at 5 s of a recording of 2 s"):
        read(write(channel(range(200))), start=5)


# -- gaps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_samples_between_records_that_are_apart_are_missing(write, kind):
    digital = np.arange(1, 401)
    path = write(
        channel(digital, kind),
        kind=kind,
        annotations=LONG,
        onsets=[0.25, 1.25, 9.25, 10.5],
        reserved=f"{kind.upper()}+D",
    )
    found = read(path)
    expected = np.full(1125, np.nan)
    for begin, rows in ((0, digital[:200]), (900, digital[200:300]), (1025, digital[300:])):
        expected[begin : begin + len(rows)] = rows / 1000
    np.testing.assert_allclose(found.lead("II"), expected, rtol=1e-6)
    assert found.notes == ("data records are apart 2 times, by 7.25 s in all: missing samples",)
    part = read(path, start=8.5, seconds=2)
    np.testing.assert_array_equal(part.signal, found.signal[:, 850:1050])
    assert np.isnan(read(path, start=4, seconds=1).signal).all()


def test_records_of_edf_plus_d_without_gaps_are_as_those_of_edf_plus_c(write):
    joined = read(write(channel(range(400)), annotations=LONG))
    apart = read(write(channel(range(400)), annotations=LONG, reserved="EDF+D", name="other"))
    assert joined.digest == apart.digest
    assert joined.notes == apart.notes == ()


def test_records_of_edf_plus_c_whose_times_are_apart_are_told(write):
    found = read(write(channel(range(400)), annotations=LONG, onsets=[0, 1, 5, 6]))
    assert found.n_samples == 400
    assert found.notes == (
        "data record 3 is not at the time of the end of the one before it, as EDF+C promises; the records were joined",
    )


def test_records_that_overlap_are_refused(write):
    path = write(channel(range(400)), annotations=LONG, onsets=[0, 1, 1.5, 3], reserved="EDF+D")
    with pytest.raises(ReadError, match="data record 3 begins before the one before it ends"):
        read(path)


def test_a_gap_that_no_recording_has_is_refused_and_a_part_beside_it_is_not(write):
    path = write(channel(range(400)), annotations=LONG, onsets=[0, 1, 99_999_999, 100_000_000], reserved="EDF+D")
    with pytest.raises(ReadError, match=r"gaps of 99999997 s; pass start= and seconds="):
        read(path)
    np.testing.assert_allclose(read(path, seconds=2).signal[0], np.arange(200) / 1000, atol=1e-7)


def test_a_record_that_does_not_say_its_time_is_refused(write):
    path = write(channel(range(200)), annotations=LONG, reserved="EDF+D")
    path.write_bytes(path.read_bytes().replace(b"+1\x14\x14", b"one\x14"))
    with pytest.raises(ReadError, match="data record 2 does not say its time"):
        read(path)


# -- which channels --------------------------------------------------------------------------------------------------


def test_leads_are_picked_out_of_all_channels_in_their_order(write):
    found = read(
        write(
            channel(range(100), label="EEG Fpz-Cz"),
            channel([500] * 100, label="ECG V1"),
            channel(range(100), label="Resp chest"),
            channel([-500] * 100, label="ECG II"),
        )
    )
    assert found.leads == ("V1", "II")
    np.testing.assert_allclose(found.signal[:, 0], [0.5, -0.5])


def test_a_file_without_a_lead_is_refused_and_its_channels_are_named(write):
    path = write(channel(range(100), label="EEG Fpz-Cz"), channel(range(100), label="Resp chest"))
    with pytest.raises(LeadError, match=r"one\.edf: no signal is called like a lead \(found EEG Fpz-Cz, Resp chest\)"):
        read(path)
    assert read(path, leads=["II", "V1"]).leads == ("II", "V1")


def test_an_ecg_that_does_not_say_which_lead_takes_the_callers(write):
    path = write(
        channel(range(100), label="EEG Fpz-Cz"),
        channel([500] * 100, label="ECG"),
        channel(range(100), label="ECG rate", unit="bpm"),
    )
    with pytest.raises(LeadError, match=r"found EEG Fpz-Cz, ECG, ECG rate\); pass leads= for ECG"):
        read(path)
    found = read(path, leads=["MLII"])
    assert found.leads == ("MLII",)
    np.testing.assert_allclose(found.signal, 0.5)
    with pytest.raises(LeadError, match=r"2 names in leads= for 1 signals that do not say their lead \(ECG\)"):
        read(path, leads=["I", "II"])


def test_an_ecg_without_a_lead_beside_others_is_left_out_with_a_note(write):
    path = write(channel(range(100), label="ECG1"), channel(range(100), label="ECG V2"))
    found = read(path)
    assert found.leads == ("V2",)
    assert found.notes == ("left out, for they do not say their lead: ECG1",)
    assert read(path, leads=["II"]).leads == ("II", "V2")


def test_leads_of_another_rate_than_most_are_left_out_with_a_note(write):
    found = read(
        write(
            channel(range(100), label="I"),
            channel(range(50), label="V1", rate=50),
            channel(range(100), label="V5"),
        )
    )
    assert (found.leads, found.rate) == (("I", "V5"), 100.0)
    assert found.notes == ("left out, for their rate is not the 100 Hz of the others: V1 (50 Hz)",)


def test_of_as_many_leads_at_two_rates_the_higher_is_read(write):
    found = read(write(channel(range(50), label="I", rate=50), channel(range(100), label="V5")))
    assert (found.leads, found.rate) == (("V5",), 100.0)


def test_a_channel_that_is_no_voltage_is_no_lead(write):
    found = read(write(channel(range(100), label="X", unit="g"), channel(range(100), label="II")))
    assert found.leads == ("II",)
    assert found.notes == ("left out, for their unit is no voltage's: X",)
    with pytest.raises(UnitError, match=r"one\.edf: X in 'g'; expected V, mV, uV or nV"):
        read(write(channel(range(100), label="X", unit="g")))


def test_a_lead_that_is_there_twice_is_refused(write):
    with pytest.raises(ReadError, match=r"one\.edf: .*lead II is there more than once"):
        read(write(channel(range(100)), channel(range(100), label="ECG II")))


# -- units and scales ------------------------------------------------------------------------------------------------


def test_a_unit_that_is_not_said_is_the_callers_to_say(write):
    path = write(channel([500] * 100, unit=""))
    with pytest.raises(UnitError, match=r"one\.edf: channel II.*unit="):
        read(path)
    np.testing.assert_allclose(read(path, unit="mV").signal, 500)


def test_a_unit_that_is_said_is_not_the_callers_to_change(write):
    assert read(write(channel([500] * 100)), unit="V").signal.max() == pytest.approx(0.5)


def test_a_scale_that_is_coarse_and_makes_giants_is_noticed_and_not_mended(write):
    beat = np.tile(np.r_[np.zeros(80), np.full(20, 250)], 10)  # 250 units of 30 uV are 7.5 mV
    found = read(write(channel(beat, scale=(-300_000, 300_000))))
    assert found.signal.max() == pytest.approx(7.5)
    assert found.notes == (
        "the header's scale may be wrong: 30 uV to the unit, and lead II swings by 7.5 mV; nothing was changed",
    )
    fine = read(write(channel(beat * 20, scale=(-15_000, 15_000))))
    assert fine.signal.max() == pytest.approx(7.5)
    assert fine.notes == ()


# -- facts -----------------------------------------------------------------------------------------------------------


def test_patient_time_and_device_are_those_of_the_header(write):
    found = read(
        write(
            channel(range(100)),
            patient=edfio.Patient(code="P-17", sex="F", birthdate=date(1951, 8, 2), name="Haagse_Harry"),
            recording=edfio.Recording(startdate=date(2002, 8, 1), equipment_code="Telemetry_03"),
            starttime=time(23, 59, 58, 500_000),
            annotations=(),
        )
    )
    assert (found.subject, found.sex, found.age) == ("file:P-17", "female", 50.0)
    assert found.acquired == datetime(2002, 8, 1, 23, 59, 58, 500_000)
    assert (found.id, found.device) == ("one", "Telemetry 03")
    assert "Harry" not in repr([found, found.notes, found.statements])


def test_what_is_left_out_of_the_header_is_unknown(write):
    found = read(write(channel(range(100))))
    assert (found.subject, found.sex, found.age, found.acquired, found.device) == (None,) * 5
    assert (found.statements, dict(found.measurements), found.notes) == ((), {}, ())


def test_free_text_of_plain_edf_is_not_taken_for_a_patient(write):
    path = write(channel(range(100)))
    content = path.read_bytes()
    text = b"Mrs M Smith".ljust(80) + b"recorded at home".ljust(80) + b"05.11.9921.30.15"
    path.write_bytes(content[:8] + text + content[184:])
    found = read(path)
    assert (found.subject, found.sex, found.age, found.device) == (None,) * 4
    assert found.acquired == datetime(1999, 11, 5, 21, 30, 15)
    path.write_bytes(content[:8] + text.replace(b"05.11", b"31.02") + content[184:])
    assert read(path).acquired is None


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_annotations_are_statements_with_their_time_unless_they_are_marks_of_beats(write, kind):
    said = [
        (0, "Sinus rhythm"),
        (2.5, "Flimmern é"),
        (1.0, "N"),
        (1.5, "N"),
        (0.5, "PVC"),
        (3.0, "PVC"),
        (2.0, "PVC"),
    ]
    notes = [edfio.EdfAnnotation(onset, None, text) for onset, text in said]
    found = read(write(channel(range(400), kind), kind=kind, annotations=notes))
    assert found.statements == ("Sinus rhythm", "PVC (3 times, first at 0.5 s)", "Flimmern é (at 2.5 s)")


# -- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_file_cut_short_anywhere_is_refused(write, kind):
    path = write(channel(range(300), kind), kind=kind)
    whole = path.read_bytes()
    for n in [*range(260, len(whole), 7), len(whole) - 1]:
        path.write_bytes(whole[:n])
        with pytest.raises(ReadError, match=rf"one\.{kind}: cut short"):
            read(path)


def test_bytes_after_the_last_record_are_told(write):
    found = read(write(channel(range(300)), after=b"\0" * 250))
    assert found.n_samples == 300
    assert found.notes == ("250 bytes after the last data record were left out",)


def test_a_recording_that_was_not_closed_is_as_long_as_its_file(write):
    found = read(write(channel(range(300)), n_records="-1"))
    assert found.n_samples == 300
    assert found.notes == ("the header leaves the number of data records open; 3 by the file's length",)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"n_records": "0"}, "holds no data records"),
        ({"n_records": "-7"}, "holds no data records"),
        ({"n_records": "99999999"}, "cut short"),
        ({"n_records": "many"}, "number of data records: 'many'"),
        ({"duration": "0"}, "data records of '0' s"),
        ({"duration": "-1"}, "data records of '-1' s"),
        ({"duration": "1e999999"}, "data records of '1e999999' s"),
        ({"duration": "nan"}, "data records of 'nan' s"),
        ({"duration": "0.000001"}, "a rate of 1e+08 Hz"),
        ({"duration": "99999"}, "a rate of 0.00100001 Hz"),
        ({"n_channels": "0"}, "announces 0 channels"),
        ({"n_channels": "-5"}, "announces -5 channels"),
        ({"n_channels": "9999"}, "cut short in its header"),
        ({"n_channels": "x"}, "number of channels: 'x'"),
        ({"length": "768"}, "announces a header of 768 bytes; expected 512"),
        ({"samples": "-100"}, "channels with -100 samples"),
        ({"samples": "0"}, "channels with 0 samples"),
        ({"samples": "1e2"}, "samples in a record: '1e2'"),
        ({"low": "10000"}, "channel II: digital -10000 to 10000 means physical 10000 to 10000, which is no scale"),
        ({"low": "nan"}, "which is no scale"),
        ({"high": "large"}, "channel II: no scale"),
        ({"digital": "10000"}, "which is no scale"),
        ({"high": "1e300"}, "amplitudes beyond measure"),
    ],
)
def test_fields_that_cannot_be_true_are_told(write, changed, told):
    path = write(channel(range(100, 400)), **changed)
    with pytest.raises(ReadError, match=told.replace("+", r"\+")) as error:
        read(path)
    assert str(path) in str(error.value)


def test_annotations_alone_are_no_recording(write):
    path = write(annotations=[edfio.EdfAnnotation(0, 30, "Sleep stage W")], record=None)
    with pytest.raises(ReadError, match="holds annotations only"):
        read(path)


def test_a_long_number_in_an_annotation_does_not_hang(write):
    path = write(channel(range(100)), annotations=[edfio.EdfAnnotation(0, None, "1" * 60_000)])
    path.write_bytes(path.read_bytes().replace(b"\x14" + b"1" * 60_000, b"+" + b"1" * 60_000))
    assert read(path).statements == ()


def test_damage_anywhere_is_an_error_with_the_files_name_or_a_reading(write):
    rng = np.random.default_rng(0)
    path = write(channel(range(200)), channel(range(200), label="V1"), annotations=LONG, reserved="EDF+D")
    whole, told = path.read_bytes(), []
    for _ in range(300):
        content = bytearray(whole)
        for at in rng.integers(0, 1300, size=rng.integers(1, 4)):
            content[at] = rng.choice(np.frombuffer(b"0189-+.eEnN \0\xff\x14", dtype=np.uint8))
        path.write_bytes(content)
        try:
            read(path)
        except EnECGError as error:
            told.append(str(error))
    assert 0 < len(told) < 300
    assert all(str(path) in one for one in told)


def test_without_edfio_it_is_told_what_to_install(write, monkeypatch):
    path = write(channel(range(100)))
    monkeypatch.setitem(sys.modules, "edfio", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'enecg\[edf\]'"):
        read(path)


# -- which files -----------------------------------------------------------------------------------------------------


def test_files_are_known_by_their_beginning_and_found_in_folders(write, tmp_path):
    path = write(channel(range(100)))
    path.rename(tmp_path / "one.txt")
    other = write(channel(range(100), "bdf"), kind="bdf")
    (tmp_path / "numbers.txt").write_text("0       0.1     0.2\n" * 40)
    assert find(tmp_path) == [other, tmp_path / "one.txt"]
    assert read(tmp_path / "one.txt").leads == ("II",)
    with pytest.raises(ReadError, match="not a recording of a known format"):
        read(tmp_path / "numbers.txt")
