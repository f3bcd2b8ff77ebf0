import os
import struct
import tempfile
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import read
from enecg.formats.wfdb import facts, parts
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.leads import LIMB_LEADS, einthoven_residual
from enecg.signal.quality import assess

RANGES = {"16": 2**15, "212": 2**11, "24": 2**23, "32": 2**31, "80": 2**7}
MILLIVOLTS = {"V": 1e3, "mV": 1.0, "mv": 1.0, "uV": 1e-3, "nV": 1e-6}
SPELLINGS = [str, str.lower, str.upper]


def hearts(n_samples: int = 400, seed: int = 0) -> dict[str, np.ndarray]:
    """The twelve leads in mV: limb leads that obey Einthoven and Goldberger, chest leads of their own."""
    rng = np.random.default_rng(seed)
    one, two, *chest = np.cumsum(rng.normal(size=(8, n_samples)), axis=1) / 20
    limbs = (one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2)
    return dict(zip(STANDARD_LEADS, (*limbs, *chest), strict=True))


# -- amplitudes ------------------------------------------------------------------------------------------------------


@st.composite
def written(draw):
    """Digital samples of some leads and how a header describes them; one limb lead at most: no law to break."""
    fmt = draw(st.sampled_from(sorted(RANGES)))
    names = draw(st.permutations(("II", "V1", "V4", "V6", "X", "MLII")))[: draw(st.integers(1, 6))]
    n = draw(st.integers(1, 40))
    size = RANGES[fmt]
    values = st.integers(-size, size - 1)
    samples = draw(st.lists(st.lists(values, min_size=n, max_size=n), min_size=len(names), max_size=len(names)))
    each = {"min_size": len(names), "max_size": len(names)}
    return {
        "fmt": fmt,
        "leads": [draw(st.sampled_from(SPELLINGS))(name) for name in names],
        "standard": names,
        "samples": np.array(samples, dtype=np.int64),
        "gain": draw(st.lists(st.sampled_from([0.5, 1.0, 200.0, 204.8, 1000.0, 6553.6]), **each)),
        "baseline": draw(st.lists(st.integers(-1000, 1000), **each)),
        "unit": draw(st.lists(st.sampled_from(sorted(MILLIVOLTS)), **each)),
        "rate": draw(st.sampled_from([100, 128.5, 250, 360, 500, 977.5, 1000])),
    }


@settings(max_examples=60, deadline=None)
@given(written())
def test_what_wfdb_writes_is_read_back_in_millivolts(told):
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "one",
            fs=told["rate"],
            units=told["unit"],
            sig_name=told["leads"],
            d_signal=told["samples"].T,
            fmt=[told["fmt"]] * len(told["leads"]),
            adc_gain=told["gain"],
            baseline=told["baseline"],
            write_dir=folder,
        )
        found = read(Path(folder, "one.hea"))
    assert found.leads == tuple(told["standard"])
    assert found.rate == told["rate"]
    factors = [MILLIVOLTS[unit] for unit in told["unit"]]
    for row, lead in enumerate(told["standard"]):
        digital = told["samples"][row].astype(float)
        digital[digital == -RANGES[told["fmt"]]] = np.nan  # the format's sign for a missing sample
        expected = (digital - told["baseline"][row]) / told["gain"][row] * factors[row]
        np.testing.assert_allclose(found.lead(lead), expected, rtol=1e-6)


@pytest.mark.parametrize("spelling", SPELLINGS)
@settings(max_examples=15, deadline=None)
@given(order=st.permutations(STANDARD_LEADS))
def test_any_order_and_spelling_of_twelve_leads_is_read(order, spelling):
    signal = hearts()
    with tempfile.TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "one",
            fs=500,
            units=["mV"] * 12,
            sig_name=[spelling(name) for name in order],
            p_signal=np.array([signal[name] for name in order]).T,
            fmt=["32"] * 12,
            write_dir=folder,
        )
        found = read(Path(folder, "one"))
    assert found.leads == tuple(order)
    assert found.notes == ()
    for name in order:
        np.testing.assert_allclose(found.lead(name), signal[name], atol=1e-5)


@pytest.mark.parametrize("published", ["ptbxl/records500/00000/00001_hr", "challenge2021/cpsc_2018/A2712"])
def test_amplitudes_of_published_records_are_those_of_wfdb(data, published):
    theirs = wfdb.rdrecord(str(data / published))
    ours = read(data / f"{published}.hea")
    np.testing.assert_array_equal(ours.signal, theirs.p_signal.T.astype(np.float32))
    assert (ours.rate, ours.n_samples, ours.leads) == (theirs.fs, theirs.sig_len, STANDARD_LEADS)


def test_dat_and_mat_of_one_recording_hold_the_same_numbers(data):
    copy = read(data / "challenge2021/ptb-xl/HR00001.mat")
    original = read(data / "ptbxl/records500/00000/00001_hr.dat")
    np.testing.assert_array_equal(copy.signal, original.signal)
    assert copy.digest == original.digest


def test_samples_may_start_anywhere_in_their_file(record):
    samples = np.arange(-20, 20).reshape(2, 20)
    lines = [f"one.mat 16+24 1000/mV 16 0 0 0 0 {lead}" for lead in ("I", "V1")]
    found = read(record(samples=samples, lines=lines, file="one.mat", before=bytes(24)))
    np.testing.assert_allclose(found.signal, samples / 1000, rtol=1e-6)


@pytest.mark.parametrize(("unit", "encoding"), [("µV", "utf-8"), ("μV", "utf-8"), ("µV", "latin-1"), ("uV", "ascii")])
def test_a_micro_sign_is_not_lost(record, unit, encoding):
    # wfdb reads ASCII and drops the rest: a millionth would be read as a whole volt.
    found = read(record(samples=[[1000, 2000]], leads=("V1",), gain=f"1/{unit}", encoding=encoding))
    np.testing.assert_allclose(found.signal, [[1, 2]])


def test_a_header_without_unit_means_millivolts(record):
    # header(5): "If the field is missing, the units are assumed to be millivolts."
    np.testing.assert_allclose(read(record(samples=[[100, 200]], leads=("V1",), gain="100")).signal, [[1, 2]])


@pytest.mark.parametrize("line", ["one.dat 16", "one.dat 16 0 16 0 0 0 0 V1", "one.dat 16 0(0)/mV 16 0 0 0 0 V1"])
def test_a_header_without_gain_means_200_to_the_millivolt_and_says_so(record, line):
    # header(5): a gain of zero or a missing one means "uncalibrated"; 200 may be assumed.
    path = record(samples=[[200, 400]], lines=[line])
    if line == "one.dat 16":
        with pytest.raises(LeadError, match="found signal 1, which has no name"):
            read(path)
        np.testing.assert_allclose(read(path, leads=["V1"]).signal, [[1, 2]])
        return
    found = read(path)
    np.testing.assert_allclose(found.signal, [[1, 2]])
    assert "V1: the header says no gain; 200 units to the millivolt by WFDB's rule" in found.notes


def test_a_header_without_rate_means_250_and_says_so(record):
    found = read(record(first="one 2"))
    assert found.rate == 250
    assert "the header says no rate; 250 Hz by WFDB's rule" in found.notes


def test_a_header_without_length_means_the_whole_file(record):
    assert read(record(first="one 2 500")).n_samples == 20


def test_a_unit_that_is_not_known_is_asked_for(record):
    path = record(samples=[[1, 2]], leads=("V1",), gain="1/NU")
    with pytest.raises(UnitError, match=r"one\.hea: lead V1: does not say the unit of its samples; pass unit="):
        read(path)
    np.testing.assert_allclose(read(path, unit="uV").signal, [[0.001, 0.002]])


def test_a_unit_that_is_no_voltage_is_refused_by_lead(record):
    with pytest.raises(UnitError, match=r"one\.hea: lead II: unknown unit 'mmHg'"):
        read(record(lines=["one.dat 16 1/mV 16 0 0 0 0 I", "one.dat 16 1/mmHg 16 0 0 0 0 II"]))


def test_the_header_s_unit_counts_before_the_caller_s(record):
    path = record(samples=[[1000, 2000]], leads=("V1",))
    np.testing.assert_array_equal(read(path).signal, read(path, unit="V").signal)


def test_a_missing_sample_is_missing(record):
    found = read(record(samples=[[1, -32768, 3], [4, 5, 6]], leads=("V1", "V2")))
    np.testing.assert_array_equal(np.isnan(found.signal), [[False, True, False], [False, False, False]])


def test_leads_of_several_samples_to_a_frame_keep_them_all(record):
    lines = ["one.dat 16x2 1000/mV 16 0 0 0 0 V1", "one.dat 16x2 1000/mV 16 0 0 0 0 V2"]
    found = read(record(samples=[[10, 30, 1, 2, 20, 40, 3, 4]], lines=lines, first="one 2 250 2"))
    np.testing.assert_allclose(found.signal, [[0.01, 0.03, 0.02, 0.04], [0.001, 0.002, 0.003, 0.004]], rtol=1e-6)
    assert (found.rate, found.notes) == (500, ())


@pytest.mark.parametrize(
    ("frames", "kept", "rate", "left_out"),
    [
        ((1, 2, 1), ("V1", "V3"), 250, "V2 (500 Hz)"),
        ((2, 1, 2), ("V1", "V3"), 500, "V2 (250 Hz)"),
        ((1, 2, 3), ("V3",), 750, "V1 (250 Hz), V2 (500 Hz)"),
    ],
)
def test_of_leads_of_several_rates_those_of_most_are_read_and_that_is_said(record, frames, kept, rate, left_out):
    names = ("V1", "V2", "V3")
    lines = [f"one.dat 16x{frame} 1000/mV 16 0 0 0 0 {name}" for frame, name in zip(frames, names, strict=True)]
    path = record(samples=[np.arange(4 * sum(frames))], lines=lines, first="one 3 250 4")
    theirs = wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False).e_p_signal
    found = read(path)
    assert (found.leads, found.rate) == (kept, rate)
    for lead in kept:
        np.testing.assert_array_equal(found.lead(lead), theirs[names.index(lead)].astype(np.float32))
    assert found.notes == (f"left out, for their rate is not the {rate} Hz of the others: {left_out}",)


# -- which signals are leads -----------------------------------------------------------------------------------------


MONITOR = ("II", "V", "ABP", "PLETH", "Resp")


def test_what_a_monitor_records_besides_leads_is_left_out_and_told(record):
    lines = [
        f"one.dat 16 1000/{unit} 16 0 0 0 0 {name}"
        for name, unit in zip(MONITOR, ("mV", "mV", "mmHg", "NU", "Ohm"), strict=True)
    ]
    found = read(record(samples=np.arange(50).reshape(5, 10), lines=lines))
    assert found.leads == ("II", "V")
    np.testing.assert_allclose(found.signal, np.arange(20).reshape(2, 10) / 1000, rtol=1e-6)
    assert found.notes == ("left out, for they are no leads by their names: ABP, PLETH, Resp",)


def test_a_record_of_no_lead_is_refused_with_what_it_holds(record):
    with pytest.raises(LeadError, match=r"one\.hea: no signal is called like a lead \(found PLETH, ABP\); pass leads="):
        read(record(leads=("PLETH", "ABP")))


@pytest.mark.parametrize("names", [("col 0", "col 1"), ("ECG 1", "ECG_2"), ("", "")])
def test_leads_without_a_lead_s_name_are_named_by_the_caller(record, names):
    path = record(leads=names, samples=np.arange(40).reshape(2, 20))
    with pytest.raises(LeadError, match=r"one\.hea: no signal is called like a lead .*; pass leads="):
        read(path)
    found = read(path, leads=["V6", "mlii"])
    assert found.leads == ("V6", "MLII")
    np.testing.assert_allclose(found.signal, np.arange(40).reshape(2, 20) / 1000, rtol=1e-6)
    with pytest.raises(LeadError, match="1 names in leads= for 2 signals that do not say their lead"):
        read(path, leads=["V6"])


def test_the_header_s_names_count_before_the_caller_s(record):
    lines = [
        f"one.dat 16 1000/{unit} 16 0 0 0 0 {name}" for unit, name in [("mV", "ECG"), ("mmHg", "ABP"), ("mV", "V2")]
    ]
    found = read(record(samples=np.arange(30).reshape(3, 10), lines=lines), leads=["V1"])
    assert found.leads == ("V1", "V2")
    np.testing.assert_allclose(found.signal, np.arange(30).reshape(3, 10)[[0, 2]] / 1000, rtol=1e-6)
    assert read(record(leads=("V1", "V2")), leads=["V3", "V4"]).leads == ("V1", "V2")


def test_a_signal_that_is_not_stored_is_left_out(record):
    lines = ["~ 0 1000/mV 16 0 0 0 0 V1", "one.dat 16 1000/mV 16 0 0 0 0 V2"]
    found = read(record(samples=[[1, 2, 3]], lines=lines))
    assert (found.leads, found.notes) == (("V2",), ("left out, for nothing of them is stored: V1",))
    np.testing.assert_allclose(found.signal, [[0.001, 0.002, 0.003]], rtol=1e-6)


def test_the_caller_s_rate_counts_where_the_header_says_none(record):
    leads = ("V1", "V2")
    found = read(record(first="one 2", leads=leads), rate=500)
    assert (found.rate, found.notes) == (500, ())
    assert read(record(first="one 2 360", leads=leads), rate=500).rate == 360


# -- gains that cannot be true ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 8, 34])
def test_ludb_is_read_in_microvolts_as_its_gains_break_the_law(data, number):
    path = data / f"ludb/data/{number}.hea"
    found = read(path)
    digital = wfdb.rdrecord(str(path.with_suffix("")), physical=False).d_signal.T
    np.testing.assert_allclose(found.signal, digital / 1000, rtol=1e-6)
    assert einthoven_residual(found.signal, found.leads) < 0.025
    assert einthoven_residual(wfdb.rdrecord(str(path.with_suffix(""))).p_signal.T, found.leads) > 0.05
    assert found.notes == ("the header's gains break Einthoven's law; 1 digital unit taken as 1 uV, where it holds",)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(300, 3000), min_size=12, max_size=12), st.integers(0, 100))
def test_gains_of_their_own_for_every_lead_are_noticed(gains, seed):
    assume(max(gains[:6]) > 1.5 * min(gains[:6]) and max(map(gains[:6].count, gains)) <= 3)
    digital = np.round(np.array(list(hearts(seed=seed).values())) * 1000)
    with tempfile.TemporaryDirectory() as folder:
        names = list(STANDARD_LEADS)
        wfdb.wrsamp(
            "one",
            fs=500,
            units=["mV"] * 12,
            sig_name=names,
            d_signal=digital.T.astype(int),
            fmt=["24"] * 12,
            adc_gain=[float(gain) for gain in gains],
            baseline=[0] * 12,
            write_dir=folder,
        )
        found = read(Path(folder, "one"))
    assert einthoven_residual(found.signal, found.leads) < 0.05
    if found.notes:
        np.testing.assert_allclose(found.signal, digital / 1000, rtol=1e-6)
    else:  # gains that differ where it does not show are believed
        np.testing.assert_allclose(found.signal, digital / np.array(gains)[:, None], rtol=1e-6)


def test_one_lead_whose_gain_is_not_that_of_the_others_is_told_and_no_scale_is_changed(record):
    samples = np.round(np.array(list(hearts().values()))[:6] * 200)
    lines = [f"one.dat 16 {100 if name == 'aVR' else 200}/mV 16 0 0 0 0 {name}" for name in STANDARD_LEADS[:6]]
    found = read(record(samples=samples, lines=lines))
    np.testing.assert_allclose(found.signal[[0, 1, 2, 4, 5]], samples[[0, 1, 2, 4, 5]] / 200, rtol=1e-6)
    assert found.notes == ("the limb leads disagree with Einthoven's law: aVR; nothing was changed",)


def test_limb_leads_that_agree_in_no_unit_are_left_alone_and_told(record):
    rng = np.random.default_rng(3)
    samples = rng.integers(-1000, 1000, size=(3, 200))
    found = read(record(samples=samples, leads=("I", "II", "III")))
    np.testing.assert_allclose(found.signal[:3], samples / 1000, rtol=1e-6)
    assert "disagree with Einthoven's law" in found.notes[0]


def test_a_wrong_gain_is_a_matter_of_quality_and_not_of_reading(record):
    samples = np.round(np.array(list(hearts().values())) * 1000)
    found = read(record(samples=samples, leads=STANDARD_LEADS, gain="1/mV"))
    quality = assess(found.signal, found.rate, found.leads)
    assert quality.grade < 0.3
    assert any("amplitude no heart gives (wrong gain?)" in reason for reason in quality.reasons)


def test_missing_and_flat_leads_are_read_and_told_by_the_quality(record):
    samples = np.round(np.array(list(hearts().values())) * 1000)
    samples[6] = 0
    samples[7] = -32768
    samples[8, 100:250] = -32768
    found = read(record(samples=samples, leads=STANDARD_LEADS))
    assert not found.lead("V1").any()
    assert np.isnan(found.lead("V2")).all()
    assert np.isnan(found.lead("V3")).sum() == 150
    reasons = assess(found.signal, found.rate, found.leads).reasons
    assert any(reason.startswith("V2") and "missing samples" in reason for reason in reasons)
    assert any("V1" in reason and "flat" in reason for reason in reasons)


def test_one_sample_is_a_recording(record):
    assert read(record(samples=[[1], [2]])).n_samples == 1


# -- derived leads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", LIMB_LEADS)
@pytest.mark.parametrize("second", LIMB_LEADS)
def test_two_limb_leads_give_all_six(record, first, second):
    if first == second:
        return
    signal = hearts()
    found = read(
        record(samples=np.round(np.array([signal[first], signal[second]]) * 5000), leads=(first, second), gain="5000")
    )
    assert set(found.leads) == set(LIMB_LEADS)
    for name in LIMB_LEADS:
        np.testing.assert_allclose(found.lead(name), signal[name], atol=2e-3)
    derived = [name for name in LIMB_LEADS if name not in (first, second)]
    assert found.notes == (f"derived from the other limb leads: {', '.join(derived)}",)


@pytest.mark.parametrize("leads", [("II",), ("II", "V1"), ("V1", "V2", "V3"), ("X", "Y", "Z"), ("MLII", "V5")])
def test_leads_that_do_not_follow_are_never_invented(record, leads):
    found = read(record(leads=leads))
    assert found.leads == leads
    assert not found.notes


def test_a_derived_sample_is_missing_where_one_that_it_needs_is(record):
    found = read(record(samples=[[100, -32768, 300], [200, 400, 500]], leads=("I", "II")))
    np.testing.assert_allclose(found.lead("III"), [0.1, np.nan, 0.2], atol=1e-6)


# -- what the header says --------------------------------------------------------------------------------------------


def test_georgia_s_name_for_a_record_is_no_obstacle(data):
    path = data / "challenge2021/georgia/E00271.hea"
    assert path.read_text().startswith("E00271.mat 12 500 5000 05-May-2020 14:50:55")
    found = read(path)
    raw = np.fromfile(path.with_suffix(".mat"), "<i2", offset=24).reshape(-1, 12).T
    np.testing.assert_allclose(found.signal, raw / 1000, rtol=1e-6)
    assert (found.id, found.source.path, found.source.format) == ("E00271", path, "WFDB")
    assert (found.age, found.sex, found.acquired) == (83, "female", datetime(2020, 5, 5, 14, 50, 55))
    assert found.statements == ("Dx: 59118001",)


@pytest.mark.parametrize("name", ["patient.01", "a.b.c", "Müller", "心電図", "rec_0001", "-"])
def test_whatever_a_record_is_called_it_is_read(record, name):
    found = read(record(name=name, samples=[[1, 2], [3, 4]]))
    assert found.id == name
    np.testing.assert_allclose(found.signal[:2], [[0.001, 0.002], [0.003, 0.004]], rtol=1e-6)
    assert read(found.source.path.with_suffix("")).digest == found.digest


def test_a_folder_s_name_may_be_anything(record, tmp_path):
    for name in ("a b", "ä", "s3::x", "100%", "[1]", "*"):
        folder = tmp_path / name
        folder.mkdir()
        assert read(record(folder=folder)).n_samples == 20


AXIS = "Electric axis of the heart: left axis deviation."
DISEASE = "Coronary artery disease"
GERMAN = "Vorhofflimmern, Größe 180"


@pytest.mark.parametrize(
    ("comments", "age", "sex", "statements"),
    [
        (["Age: 51", "Sex: Male"], 51, "male", ()),
        (["<age>: 51", "<sex>: F", "<diagnoses>:", "Rhythm: Sinus."], 51, "female", ("Rhythm: Sinus.",)),
        ([f"<age>: 65 <sex>: M <diagnoses> {DISEASE}"], 65, "male", (f"diagnoses: {DISEASE}",)),
        (["age: 90", "gender: female"], 90, "female", ()),
        (["Age: >89", "Sex: f"], 90, "female", ()),
        (["Age: 56 years", "Age: NaN", "Sex: Unknown"], 56, None, ()),
        (["Age: 300", "Sex: Missing"], None, None, ("Age: 300", "Sex: Missing")),
        (["Age: three months", "Sex: X"], None, None, ("Age: three months", "Sex: X")),
        ([AXIS], None, None, (AXIS,)),
        (["69 M 1085 1629 x1", "Aldomet, Inderal"], None, None, ("69 M 1085 1629 x1", "Aldomet, Inderal")),
        ([GERMAN, "", "Dx: 164889003,427084000"], None, None, (GERMAN, "Dx: 164889003,427084000")),
    ],
)
def test_comments_become_facts_and_nothing_is_lost_or_invented(record, comments, age, sex, statements):
    found = read(record(comments=comments))
    assert (found.age, found.sex, found.statements) == (age, sex, statements)
    assert facts(found.source.path) == {"age": age, "sex": sex, "statements": list(statements)}


@pytest.mark.parametrize(
    ("rest", "acquired"),
    [
        ("", None),
        ("14:50:55 05/06/2020", datetime(2020, 6, 5, 14, 50, 55)),
        ("14:50:55.250 05/06/2020", datetime(2020, 6, 5, 14, 50, 55)),
        ("05-May-2020 14:50:55", datetime(2020, 5, 5, 14, 50, 55)),
        ("14:50:55", None),
        ("25:61:61 05/06/2020", None),
        ("14:50:55 45/06/2020", None),
        ("nonsense", None),
    ],
)
def test_when_it_was_recorded_is_told_if_the_header_says_so(record, rest, acquired):
    assert read(record(first=f"one 2 500 20 {rest}".strip())).acquired == acquired


def test_a_date_in_a_record_s_name_is_not_its_date(record):
    name = "p12-01-2020"
    assert read(record(name=name, first=f"{name} 2 500 20 10:00:00")).acquired is None


def test_windows_line_endings_blank_lines_and_a_byte_order_mark_are_no_obstacle(record):
    path = record(comments=["Age: 51"])
    text = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + ("# first\n\n  \n" + text).replace("\n", "\r\n").encode())
    found = read(path)
    assert (found.n_samples, found.age) == (20, 51)


# -- records of several segments -------------------------------------------------------------------------------------


@pytest.fixture
def segmented(record, tmp_path):
    """Two segments of 20 samples with a gap of 5 between them: variable layout, which begins with an empty one."""
    for number in (1, 2):
        record(name=f"s_{number:04d}", samples=np.full((2, 20), number * 100))
    path = tmp_path / "long.hea"
    path.write_text("long/4 2 500 45\nlong_layout 0\ns_0001 20\n~ 5\ns_0002 20\n# Age: 51\n")
    lines = [f"~ 0 1000/mV 16 0 0 0 0 {lead}\n" for lead in ("I", "II")]
    (tmp_path / "long_layout.hea").write_text("".join(["long_layout 2 500 0\n", *lines]))
    return path


def test_segments_are_joined_and_a_gap_between_them_is_missing(segmented):
    found = read(segmented)
    assert (found.n_samples, found.age) == (45, 51)
    expected = np.concatenate([np.full(20, 0.1), np.full(5, np.nan), np.full(20, 0.2)])
    np.testing.assert_allclose(found.lead("I"), expected, rtol=1e-6)


def test_a_segmented_record_consists_of_all_its_segments_files(segmented):
    names = [path.name for path in parts(segmented)]
    assert names == ["long.hea", "long_layout.hea", "s_0001.hea", "s_0001.dat", "s_0002.hea", "s_0002.dat"]


def test_segments_without_a_layout_follow_each_other(segmented):
    segmented.write_text("long/2 2 500 40\ns_0001 20\ns_0002 20\n")
    np.testing.assert_allclose(read(segmented).lead("II"), [0.1] * 20 + [0.2] * 20, rtol=1e-6)


def test_a_segment_s_own_order_and_lack_of_leads_are_kept_to(record, segmented):
    # Of variable layout: the second segment has its leads in another order and without V5.
    folder = segmented.parent
    record(name="s_0001", leads=("I", "II", "V5"), samples=np.arange(60).reshape(3, 20))
    record(name="s_0002", leads=("II", "RESP", "I"), samples=np.arange(60).reshape(3, 20) + 100, gain="500(-10)/mV")
    segmented.write_text(segmented.read_text().replace("long/4 2", "long/4 3"))
    lines = [f"~ 0 1000/mV 16 0 0 0 0 {lead}\n" for lead in ("I", "II", "V5")]
    (folder / "long_layout.hea").write_text("".join(["long_layout 3 500 0\n", *lines]))
    theirs = wfdb.rdrecord(str(segmented.with_suffix(""))).p_signal.T.astype(np.float32)
    found = read(segmented)
    np.testing.assert_array_equal(found.signal[:3], theirs)
    np.testing.assert_array_equal(np.isnan(found.signal[:3]).sum(axis=1), [5, 5, 25])


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(["I", "II", "V5"]), st.integers(1, 9)), min_size=1, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.integers(1, 3),
    st.data(),
)
def test_any_part_of_any_segments_is_that_part_of_the_whole(told, gaps, frame, data):
    with tempfile.TemporaryDirectory() as folder:
        names = ["layout 0"]
        for number, (missing, n) in enumerate(told):
            names += [f"~ {number + 1}"] * gaps[number] + [f"s{number} {n}"]
            leads = [lead for lead in ("V5", "I", "II") if lead != missing]
            values = np.arange(2 * n * frame, dtype="<i2") + 100 * number
            lines = [f"s{number}.dat 16x{frame} 1000/mV 16 0 0 0 0 {lead}\n" for lead in leads]
            Path(folder, f"s{number}.hea").write_text("".join([f"s{number} 2 250 {n}\n", *lines]))
            Path(folder, f"s{number}.dat").write_bytes(values.tobytes())
        lines = [f"~ 0x{frame} 1000/mV 16 0 0 0 0 {lead}\n" for lead in ("I", "II", "V5")]
        Path(folder, "layout.hea").write_text("".join(["layout 3 250 0\n", *lines]))
        total = sum(int(name.split()[1]) for name in names)
        path = Path(folder, "long.hea")
        path.write_text("\n".join([f"long/{len(names)} 3 250 {total}", *names]))
        theirs = wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False).e_p_signal
        whole = read(path)
        first = data.draw(st.integers(0, whole.n_samples - 1))
        count = data.draw(st.integers(1, whole.n_samples - first))
        part = read(path, start=first / whole.rate, seconds=count / whole.rate)
    assert whole.leads[:3] == ("I", "II", "V5")
    np.testing.assert_array_equal(whole.signal[:3], np.array(theirs).astype(np.float32))
    np.testing.assert_array_equal(part.signal, whole.signal[:, first : first + count])
    assert part.rate == whole.rate == 250 * frame


def test_a_part_needs_only_the_segments_that_hold_it(segmented):
    (segmented.parent / "s_0002.hea").unlink()
    assert read(segmented, seconds=20 / 500).n_samples == 20
    with pytest.raises(ReadError, match=r"its file s_0002\.hea is not there"):
        read(segmented, seconds=26 / 500)


def test_a_gap_alone_can_be_read_and_is_missing(segmented):
    found = read(segmented, start=20 / 500, seconds=5 / 500)
    assert np.isnan(found.signal).all()
    assert found.leads == ("I", "II", "III", "aVR", "aVL", "aVF")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("long/4 3 500 45\nlong_layout 0\ns_0001 20\n~ 5\ns_0002 20\n", "announces 3 leads and long_layout.hea 2"),
        ("long/4 2 500 46\nlong_layout 0\ns_0001 20\n~ 5\ns_0002 20\n", "announces 46 samples and segments of 45"),
        ("long/5 2 500 45\nlong_layout 0\ns_0001 20\n~ 5\ns_0002 20\n", "announces 5 segments and lists 4"),
        ("long/2 2 500 41\ns_0001 20\ns_0002 21\n", "s_0002.hea: has another number of samples than the 21"),
        ("long/2 2 500 40\ns_0001 20\ns_0002 many\n", "the line 's_0002 many' describes no segment"),
        ("long/1 2 500 0\nlong_layout 0\n", "announces None samples and segments of 0"),
    ],
)
def test_segments_that_do_not_fit_are_told(segmented, text, told):
    segmented.write_text(text)
    refused(segmented, told)


def test_segments_of_one_layout_hold_the_same_leads(record, segmented):
    segmented.write_text("long/2 2 500 40\ns_0001 20\ns_0002 20\n")
    record(name="s_0002", leads=("II", "I"))
    refused(segmented, "s_0002.hea: other signals than s_0001.hea")


def test_segments_of_several_rates_are_refused(record, segmented):
    lines = [f"s_0002.dat 16x2 1000/mV 16 0 0 0 0 {lead}" for lead in ("I", "II")]
    record(name="s_0002", lines=lines, samples=np.zeros((4, 20)), first="s_0002 2 500 20")
    refused(segmented, "s_0002.hea: I: 2 samples to a frame, 1 elsewhere in long.hea")


def test_a_checksum_of_a_segment_is_told_by_its_name(segmented):
    path = segmented.parent / "s_0002.hea"
    path.write_text(path.read_text().replace(" 0 0 0 0 II", " 0 0 17 0 II"))
    assert "II: the samples do not sum up to the checksum of s_0002.hea" in read(segmented).notes


def test_a_layout_alone_is_no_recording(segmented):
    with pytest.raises(ReadError, match=r"long_layout\.hea"):
        read(segmented.parent / "long_layout.hea")


@pytest.mark.parametrize(("gone", "told"), [("s_0002.hea", r"long\.hea.*s_0002\.hea"), ("s_0001.dat", r"s_0001\.dat")])
def test_a_missing_segment_is_named(segmented, gone, told):
    (segmented.parent / gone).unlink()
    with pytest.raises(ReadError, match=rf"{told} is not there"):
        read(segmented)


def test_a_cut_segment_is_named(segmented):
    file = segmented.parent / "s_0002.dat"
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(ReadError, match=r"long\.hea: .*s_0002\.dat: cut short, 30 bytes of 80"):
        read(segmented)


def test_a_record_that_is_its_own_segment_is_refused(segmented):
    segmented.write_text("long/1 2 500 45\nlong 45\n")
    with pytest.raises(ReadError, match="its segment long has segments itself"):
        read(segmented)


# -- bad input -------------------------------------------------------------------------------------------------------


def refused(path, *told) -> str:
    with pytest.raises(EnECGError) as caught:
        read(path)
    message = str(caught.value)
    for text in (Path(path).stem, *told):
        assert text in message
    return message


def test_a_missing_signal_file_is_named_with_what_to_do(record):
    path = record()
    path.with_suffix(".dat").unlink()
    refused(path, "one.hea", "its file one.dat is not there", "copy it beside the header")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("fmt", sorted(RANGES))
def test_a_truncated_signal_file_is_named_with_both_sizes(tmp_path, fmt, share):
    samples = np.zeros((200, 2), dtype=int)
    wfdb.wrsamp("one", 500, ["mV"] * 2, ["I", "II"], d_signal=samples, fmt=[fmt] * 2, adc_gain=[200.0] * 2,
                baseline=[0] * 2, write_dir=str(tmp_path))  # fmt: skip
    file = tmp_path / "one.dat"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    refused(tmp_path / "one.hea", "one.dat", "cut short", f"of {len(whole)} that", "copy the file again")


def test_a_lead_that_is_there_twice_is_named(record):
    refused(record(leads=("I", "i")), "lead I is there more than once")


def test_a_record_without_leads_is_refused(record):
    refused(record(first="one 0 500 20", lines=[]), "announces no leads")


@pytest.mark.parametrize("announced", [1, 3, 12, 999_999])
def test_a_header_that_announces_other_than_it_describes_is_refused(record, announced):
    refused(record(first=f"one {announced} 500 20"), f"announces {announced} leads and describes 2")


@pytest.mark.parametrize("first", ["one 2 0 20", "one 2 -5 20", "one 2 nan 20", f"one 2 {'9' * 400} 20"])
def test_a_rate_that_is_none_is_refused(record, first):
    refused(record(first=first))


@pytest.mark.parametrize("samples", ["-20", "many", "2e3"])
def test_a_length_that_is_none_is_refused(record, samples):
    refused(record(first=f"one 2 500 {samples}"), f"{samples!r} samples; expected a whole number")


@pytest.mark.parametrize("samples", ["999999999999", "9" * 15])
def test_a_length_beyond_the_file_is_told_and_never_allocated(record, samples):
    refused(record(first=f"one 2 500 {samples}"), "cut short, 80 bytes of")


@pytest.mark.parametrize("first", [f"one {'9' * 30} 500 20", f"one 2 500 {'9' * 5000}", f"one/{'9' * 5000} 2 500 20"])
def test_numbers_beyond_measure_are_refused(record, first):
    refused(record(first=first))


@pytest.mark.parametrize(
    "gain", ["1e-300/mV", "1e-320/mV", f"1({'9' * 400})/mV", f"{'0.' + '0' * 300}1/mV", "1000/V/V"]
)
def test_a_gain_beyond_measure_is_refused(record, gain):
    refused(record(samples=[[1000, 2000], [500, 1500]], gain=gain))


@pytest.mark.parametrize("form", ["16x999999999", "16+999999999999999", "16x99999999999999999999", "17", "16.5", "x"])
def test_a_format_that_cannot_be_is_refused(record, form):
    lines = [f"one.dat {form} 1000/mV 16 0 0 0 0 {lead}" for lead in ("I", "II")]
    refused(record(lines=lines))


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "../one.dat", "sub/../../one.dat", "..\\..\\secret", "C:\\secret", "C:x"],
)
def test_a_header_leads_nowhere_outside_its_folder(record, name, tmp_path):
    secret = tmp_path.parent / "one.dat"
    secret.write_bytes(bytes(80))
    path = record(lines=[f"{name} 16 1000/mV 16 0 0 0 0 {lead}" for lead in ("I", "II")])
    message = refused(path, "outside its own folder", "expected a file beside the header")
    assert name in message
    with pytest.raises(ReadError, match="outside its own folder"):
        parts(path)
    with pytest.raises(ReadError, match="outside its own folder"):
        facts(path)


def test_a_segment_leads_nowhere_outside_its_folder(record, tmp_path):
    path = tmp_path / "long.hea"
    path.write_text("long/1 2 500 20\n../../one 20\n")
    refused(path, "outside its own folder")


def test_signals_may_be_in_a_folder_below(record, tmp_path):
    (tmp_path / "below").mkdir()
    path = record(file="below/one.dat")
    assert read(path).n_samples == 20


def test_links_in_a_circle_are_refused(record, tmp_path):
    path = record()
    path.with_suffix(".dat").unlink()
    path.with_suffix(".dat").symlink_to(tmp_path / "other.dat")
    (tmp_path / "other.dat").symlink_to(path.with_suffix(".dat"))
    refused(path, "its file one.dat is not there")
    path.unlink()
    path.symlink_to(tmp_path / "other.hea")
    (tmp_path / "other.hea").symlink_to(path)
    refused(path, "a link to a file that is not there")


def test_a_pipe_for_a_file_is_refused_and_not_waited_for(record):
    path = record()
    path.with_suffix(".dat").unlink()
    os.mkfifo(path.with_suffix(".dat"))
    refused(path, "its file one.dat is not there")


def test_a_header_of_a_hundred_megabytes_is_refused(record):
    path = record()
    with path.open("a") as file:
        file.truncate(100 * 2**20)
    refused(path, "over 4 MiB, which no header is")
    with path.open("w") as file:
        file.write("one 2 500 20\n" + "# x\n" * 30_000_000)
    refused(path, "over 4 MiB")


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n\n", b"# only a comment\n", bytes(1000), bytes(range(256)) * 40, b"%PDF-1.7 binary", b'{"a": 1}'],
)
def test_what_is_no_header_is_refused(tmp_path, content):
    path = tmp_path / "one.hea"
    path.write_bytes(content)
    refused(path, "not a recording of a known format", "read --formats")


def test_a_signal_without_header_is_refused(record):
    path = record()
    path.unlink()
    refused(path.with_suffix(".dat"), "not a recording of a known format")


HEADER = """\
HR1 3 500 20 10:00:00 01/02/2003
HR1.mat 16+24 1000.0(0)/mv 16 0 -115 13047 0 I
HR1.mat 16+24 1000.0(0)/mv 16 0 -50 11561 0 II
HR1.mat 16+24 1000.0(0)/mv 16 0 65 -1486 0 V1
# Age: 56
# Sex: F
"""


@settings(max_examples=250, deadline=None)
@example([(0, 0, "")], 144)
@given(
    st.lists(st.tuples(st.integers(0, len(HEADER)), st.integers(0, 6), st.text(max_size=4)), max_size=4),
    st.integers(0, 160),
)
def test_a_damaged_record_is_a_recording_or_an_error_of_ours(edits, size):
    text = HEADER
    for place, length, new in edits:
        text = text[:place] + new + text[place + length :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "HR1.hea")
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        path.with_suffix(".mat").write_bytes(bytes(range(size)))
        try:
            found = read(path)
        except EnECGError as error:
            assert "HR1" in str(error)  # noqa: PT017  either outcome is right
        else:
            assert isinstance(found, Recording)
            assert found.signal.size


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_a_recording_or_an_error_of_ours(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.hea")
        path.write_bytes(b"a 1 500 4\n" + content)
        Path(folder, "a.dat").write_bytes(struct.pack("<4h", 1, 2, 3, 4))
        try:
            read(path)
        except EnECGError as error:
            assert str(path) in str(error)  # noqa: PT017  either outcome is right


def test_a_line_of_text_does_not_ask_for_all_memory(record, tmp_path):
    path = tmp_path / "endless.hea"
    path.write_text("endless/1 12 500 2999999000\n~ 2999999000\n")
    refused(path, "names no segment that holds signals")
    record(name="s_0001")
    path.write_text("endless/2 2 500 2999999020\ns_0001 20\n~ 2999999000\n")
    refused(path, "5,999,998,000 samples are missing between segments; pass start= and seconds=")
    assert np.isnan(read(path, start=5_000_000, seconds=2).signal).all()
    path.write_text("endless/3000 2 500 60000\n" + "s_0001 20\n" * 3000)
    refused(path, "names the segment s_0001 3000 times")


def test_thousands_of_signals_are_refused(tmp_path):
    (tmp_path / "one.hea").write_text("one 50000 500 20\n" + "one.dat 16\n" * 50_000)
    refused(tmp_path / "one.hea", "announces 50000 leads; expected a record of 1 to 1,000")
