"""Whatever is written in any format is read back: samples within one step, missing ones missing, every fact."""

import tempfile
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import WriteError
from enecg.formats import read, write
from enecg.formats.writing import WRITERS
from enecg.formats.writing._steps import in_steps
from enecg.recording import OTHER_LEADS, STANDARD_LEADS, Recording
from enecg.simulation import simulate_one

FACTS = ("subject", "age", "sex", "acquired", "device", "measurements", "statements")
HOSTILE = (
    *("", " a ", "two  blanks", "line\nbreak", "tab\there", "\x14", "a\0b", "\x85", "☃", "Gerät", "𝄞" * 200, "\ud800"),
    *("<b>", "&amp;", "]]>", "<?xml", "#", "# x", "QT: <340 ms>", "Age: 5", "Sex: male", "x: unknown", "key:value"),
    *("---", "XXXX", "X", "None", "nan", "[1, 2]", '{"a": 1}', "\\", "a\\b", "file:7", "trialSubject", "a" * 3000),
    *("enecg age: 5", "enecg note: [0, 0, 1]", "enecg note: x", "enecg", "_", "a_b", "1", "?", "Sinus rhythm"),
)
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=40)
NAMES = ("heart_rate_bpm", "rr_ms", "pr_ms", "qrs_ms", "qt_ms", "qtc_ms", "p_axis_deg", "qtc_bazett_ms", "a <b> ☃", "")
NUMBERS = st.floats(-500, 2000) | st.integers(-90, 2000).map(float)
ZONE = timezone(timedelta(hours=5, minutes=30))


@st.composite
def recordings(draw) -> Recording:
    leads = draw(st.lists(st.sampled_from((*STANDARD_LEADS, *OTHER_LEADS)), min_size=1, max_size=14, unique=True))
    n_samples = draw(st.integers(2, 400))
    generator = np.random.default_rng(draw(st.integers(0, 99)))
    scale, offset = draw(st.sampled_from((1e-3, 1.0, 50.0))), draw(st.sampled_from((0.0, -300.0, 12.3456)))
    return Recording(
        signal=(generator.normal(size=(len(leads), n_samples)) * scale + offset).astype(np.float32),
        rate=draw(st.sampled_from((100.0, 128.0, 250.0, 360.0, 1000 / 3, 500.0, 599.88, 1000.0, 2000.0))),
        leads=tuple(leads),
        id="one",
        subject=draw(st.none() | TEXTS | TEXTS.map("file:{}".format)),
        age=draw(st.none() | st.integers(0, 129).map(float) | st.floats(0, 129)),
        sex=draw(st.sampled_from((None, "male", "female"))),
        acquired=draw(
            st.none() | st.datetimes(timezones=st.sampled_from((None, ZONE)), max_value=datetime(9998, 1, 1))
        ),
        device=draw(st.none() | TEXTS),
        measurements=draw(st.dictionaries(st.sampled_from(NAMES), NUMBERS, max_size=4)),
        statements=tuple(draw(st.lists(TEXTS, max_size=4))),
        notes=tuple(draw(st.lists(TEXTS, max_size=2, unique=True))),
    )


def check_same(again: Recording, recording: Recording, tolerance: np.ndarray) -> None:
    """tolerance : [lead, 1], mV."""
    for fact in FACTS:
        assert getattr(again, fact) == getattr(recording, fact), fact
    assert again.notes[: len(recording.notes)] == recording.notes
    assert again.leads[: recording.n_leads] == recording.leads
    assert (again.rate, again.n_samples) == (recording.rate, recording.n_samples)
    signal = again.signal[: recording.n_leads].astype(np.float64)
    np.testing.assert_array_equal(np.isnan(signal), np.isnan(recording.signal))
    off = np.abs(np.nan_to_num(signal) - np.nan_to_num(recording.signal))
    assert (off <= tolerance + 1e-7 * np.abs(np.nan_to_num(recording.signal))).all(), off.max()


def tolerance(format_: str, recording: Recording) -> np.ndarray:
    """Half a step of each lead; nothing in Parquet."""
    if format_ == "parquet":
        return np.zeros((recording.n_leads, 1))
    return np.array([[0.5 / row.gain] for row in in_steps(Path("x"), recording)])


@pytest.mark.parametrize("format_", WRITERS)
@settings(max_examples=40, deadline=None)
@given(recording=recordings())
def test_whatever_is_written_is_read_back(format_, recording):
    with tempfile.TemporaryDirectory() as folder:
        path = write(recording, Path(folder, f"one{WRITERS[format_].ENDING}"))
        check_same(read(path), recording, tolerance(format_, recording))


@pytest.mark.parametrize("format_", WRITERS)
def test_a_simulated_ecg_comes_back_within_a_tenth_of_a_microvolt(format_, tmp_path):
    recording = replace(simulate_one(3, rate=500, seconds=10).recording, statements=("Sinus rhythm", "Normal ECG"))
    again = read(write(recording, tmp_path / f"{recording.id}{WRITERS[format_].ENDING}"))
    assert (again.id, again.leads, again.rate) == (recording.id, recording.leads, recording.rate)
    assert (again.age, again.sex, again.statements) == (recording.age, recording.sex, recording.statements)
    assert "simulated" in again.notes
    assert np.abs(again.signal - recording.signal).max() < 1.01e-4


@pytest.mark.parametrize("format_", WRITERS)
def test_what_was_read_back_is_written_the_same_again(format_, tmp_path):
    first = read(write(simulate_one(3, seconds=4).recording, tmp_path / f"one{WRITERS[format_].ENDING}"))
    second = read(write(first, tmp_path / f"two{WRITERS[format_].ENDING}"))
    assert second.digest == first.digest


@settings(max_examples=15, deadline=None)
@given(source=st.sampled_from(list(WRITERS)), target=st.sampled_from(list(WRITERS)))
def test_from_any_format_to_any_other_nothing_is_lost(source, target):
    recording = replace(
        simulate_one(1, seconds=2).recording,
        subject="file:MRN-7",
        acquired=datetime(2021, 3, 4, 5, 6, 7, 890_000),
        device="ELI 250",
        measurements={"qt_ms": 401.0, "qtc_fridericia_ms": 420.5},
        statements=("Sinus rhythm", "Rhythm: normal <b>"),
    )
    with tempfile.TemporaryDirectory() as folder:
        middle = read(write(recording, Path(folder, f"a{WRITERS[source].ENDING}")))
        again = read(write(middle, Path(folder, f"b{WRITERS[target].ENDING}")))
        check_same(again, recording, np.full((12, 1), 2e-4))


# -- missing samples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["wfdb", "dicom", "parquet"])
@settings(max_examples=12, deadline=None)
@given(recording=recordings(), seed=st.integers(0, 99), share=st.sampled_from((0.01, 0.5, 1.0)))
def test_missing_samples_come_back_missing_wherever_they_are(format_, recording, seed, share):
    signal = recording.signal.copy()
    signal[np.random.default_rng(seed).random(signal.shape) < share] = np.nan
    recording = replace(recording, signal=signal)
    with tempfile.TemporaryDirectory() as folder:
        path = write(recording, Path(folder, f"one{WRITERS[format_].ENDING}"))
        check_same(read(path), recording, tolerance(format_, recording))


@settings(max_examples=15, deadline=None)
@given(recording=recordings(), edges=st.lists(st.integers(1, 39), min_size=2, max_size=28, unique=True))
def test_gaps_come_back_from_aecg_as_they_were(recording, edges):
    signal = np.resize(recording.signal, (recording.n_leads, 40))
    for begin, end, row in zip(edges[::2], edges[1::2], np.resize(range(recording.n_leads), 14), strict=False):
        signal[row, min(begin, end) : max(begin, end)] = np.nan
    recording = replace(recording, signal=signal)
    with tempfile.TemporaryDirectory() as folder:
        path = write(recording, Path(folder, "one.xml"))
        check_same(read(path), recording, tolerance("aecg", recording))


def test_a_gap_in_all_leads_and_leads_one_after_the_other_come_back_from_aecg(tmp_path):
    whole = simulate_one(2, seconds=4).recording
    gap = whole.signal.copy()
    gap[:, 500:900] = np.nan
    turns = np.full_like(whole.signal, np.nan)
    for column in range(4):
        rows, samples = slice(3 * column, 3 * column + 3), slice(500 * column, 500 * column + 500)
        turns[rows, samples] = whole.signal[rows, samples]
    for signal in (gap, turns):
        recording = replace(whole, signal=signal, acquired=None)
        check_same(read(write(recording, tmp_path / "one.xml")), recording, np.full((12, 1), 1e-4))


@pytest.mark.parametrize(
    ("format_", "missing", "why"),
    [
        ("edf", (1, slice(3, 5)), "lead II: 2 samples are missing"),
        ("aecg", (slice(None), 0), "the first or last samples of all leads are missing"),
        ("aecg", (slice(None), -1), "the first or last samples of all leads are missing"),
        ("aecg", 4, "all samples of lead aVL are missing"),
    ],
)
def test_missing_samples_that_a_format_cannot_hold_are_refused(format_, missing, why, tmp_path):
    signal = simulate_one(2, seconds=2).recording.signal.copy()
    signal[missing] = np.nan
    recording = replace(simulate_one(2, seconds=2).recording, signal=signal)
    path = tmp_path / f"one{WRITERS[format_].ENDING}"
    with pytest.raises(WriteError, match=why) as told:
        write(recording, path)
    assert str(path) in str(told.value)
    assert list(tmp_path.iterdir()) == []


# -- amplitudes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["wfdb", "edf", "dicom", "aecg"])
def test_an_electrode_offset_of_one_lead_costs_no_lead_its_step(format_, tmp_path):
    recording = simulate_one(2, seconds=2).recording
    signal = recording.signal.copy()
    signal[7] += 300
    again = read(write(replace(recording, signal=signal), tmp_path / f"one{WRITERS[format_].ENDING}"))
    assert np.abs(again.signal - signal)[[*range(7), *range(8, 12)]].max() < 1e-4
    assert np.abs(again.signal[7] - signal[7]).max() < 1.5e-4


@pytest.mark.parametrize("format_", ["wfdb", "edf", "dicom", "aecg"])
def test_amplitudes_that_no_electrode_has_are_refused(format_, tmp_path):
    signal = np.zeros((1, 10), np.float32)
    signal[0, 3:5] = 1e6, -1e6
    with pytest.raises(WriteError, match=r"one.*lead V1: amplitudes of -1e\+06 to 1e\+06 mV"):
        write(Recording(signal=signal, rate=100, leads=("V1",)), tmp_path / f"one{WRITERS[format_].ENDING}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format_", WRITERS)
@pytest.mark.parametrize("millivolts", [0.0, -0.02, 31.9, 1500.0, -1500.0, 9_000.0, -31_000.0])
def test_a_flat_lead_at_any_voltage_comes_back(format_, millivolts, tmp_path):
    recording = Recording(signal=np.full((1, 50), millivolts), rate=100, leads=("V1",))
    again = read(write(recording, tmp_path / f"one{WRITERS[format_].ENDING}"))
    np.testing.assert_allclose(again.signal, millivolts, rtol=1e-6, atol=1e-6)
