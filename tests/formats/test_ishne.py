import struct
import tracemalloc
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.formats import find, read
from enecg.simulation import simulate_one

CODES = {"X": 2, "Y": 3, "Z": 4, "I": 5, "II": 6, "III": 7, "aVR": 8, "aVL": 9, "aVF": 10}
CODES |= {"V1": 11, "V2": 12, "V3": 13, "V4": 14, "V5": 15, "V6": 16, "ES": 17, "AS": 18, "AI": 19}


def crc(data: bytes) -> int:
    """CRC-CCITT bit by bit, as the standard's own listing has it."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
    return value


def holter(samples, codes=(6,), **more) -> bytes:
    """A file, byte by byte.

    samples : int [lead, sample];  resolutions, qualities : of the leads;  born, day, time : three numbers each;
    announced : samples in each lead;  checksum, begin : what the header says instead of what is true.
    """
    samples = np.asarray(samples)
    n_leads = more.get("n_leads", len(samples))
    text = more.get("text", b"")
    rows = [list(more.get(name, (value,) * len(samples))) for name, value in (("qualities", 1), ("resolutions", 5000))]
    twelve = [(list(row) + [-9] * 12)[:12] for row in (codes, *rows)]
    header = struct.pack(
        "<iiiih40s40s20shh3h3h3h3hh12h12h12hh40sh80s80s88s",
        len(text),
        more.get("announced", samples.shape[1]),
        522,
        more.get("begin", 522 + len(text)),
        1,
        b"first",
        b"last",
        more.get("patient", "").encode("latin-1"),
        more.get("sex", 0),
        0,
        *more.get("born", (-9, -9, -9)),
        *more.get("day", (-9, -9, -9)),
        *(1, 1, 2001),
        *more.get("time", (-9, -9, -9)),
        n_leads,
        *twelve[0],
        *twelve[1],
        *twelve[2],
        0,
        more.get("recorder", "digital").encode(),
        more.get("rate", 200),
        *(b"", b"", b""),
    )
    assert len(header) == 512
    checksum = more.get("checksum", crc(header + text))
    return b"ISHNE1.0" + struct.pack("<H", checksum) + header + text + samples.T.astype("<i2").tobytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("ishne") / "one.bin"


@given(
    st.permutations(list(CODES)).flatmap(lambda names: st.integers(1, 12).map(lambda n: names[:n])),
    st.integers(1, 20).flatmap(lambda n: st.lists(st.integers(-(2**15), 2**15 - 1), min_size=12 * n, max_size=12 * n)),
    st.lists(st.integers(1, 2**15 - 1), min_size=12, max_size=12),
    st.integers(1, 2**15 - 1),
    st.binary(max_size=30),
)
def test_leads_are_read_in_millivolts_and_missing_where_they_were_off(path, names, values, resolutions, rate, text):
    digital = np.reshape(values, (12, -1))[: len(names)]
    codes = [CODES[name] for name in names]
    path.write_bytes(holter(digital, codes, resolutions=resolutions, rate=rate, text=text))
    found = read(path)
    assert found.rate == rate
    assert found.leads[: len(names)] == tuple(names)
    for name, row, resolution in zip(names, digital, resolutions, strict=False):
        expected = np.where(row == -(2**15), np.nan, row * 1.0 * resolution * 1e-6)
        np.testing.assert_allclose(found.lead(name), expected, rtol=1e-6)


def test_a_simulated_heart_is_read_back_within_a_step(path):
    heart = simulate_one(0, rate=500.0).recording
    leads = ("I", "II", "V1", "V5")
    digital = np.round(heart.select(leads).signal / 5e-3)
    path.write_bytes(holter(digital, [CODES[name] for name in leads], rate=500))
    found = read(path)
    assert found.leads == ("I", "II", "V1", "V5", "III", "aVR", "aVL", "aVF")
    assert np.abs(found.select(leads).signal - heart.select(leads).signal).max() <= 2.5e-3 + 1e-6
    assert found.notes == ("derived from the other limb leads: III, aVR, aVL, aVF",)


# -- a part of a long recording --------------------------------------------------------------------------------------


@given(st.floats(0, 9.9), st.floats(0.01, 20))
def test_a_part_is_the_whole_cut(path, start, seconds):
    path.write_bytes(holter(np.arange(2000).reshape(2, 1000), (6, 15), rate=100, text=b"odd"))
    whole, part = read(path), read(path, start=start, seconds=seconds)
    first = round(start * 100)
    np.testing.assert_array_equal(part.signal, whole.signal[:, first : first + max(1, round(seconds * 100))])


def test_a_day_is_windowed_without_reading_it(path):
    samples = 24 * 3600 * 200
    path.write_bytes(holter(np.zeros((3, 0)), (2, 3, 4), announced=samples))
    with path.open("r+b") as file:
        file.truncate(522 + samples * 3 * 2)  # 100 MB of zeros that no disk block holds
        file.seek(522 + 3 * 2 * 200 * 3600)
        file.write(np.arange(6, dtype="<i2").tobytes())
    tracemalloc.start()
    part = read(path, start=3600, seconds=10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    path.write_bytes(b"")
    np.testing.assert_allclose(part.signal[:, :3], np.array([[0, 3, 0], [1, 4, 0], [2, 5, 0]]) * 5e-3, rtol=1e-6)
    assert part.n_samples == 2000
    assert peak < 2**20


def test_a_start_beyond_the_end_is_told(path):
    path.write_bytes(holter(np.zeros((1, 200))))
    with pytest.raises(ReadError, match=r"one\.bin: start at 1 s of a recording of 1 s"):
        read(path, start=1)


# -- what does not fit -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("announced", [0, -9, 3, 5, 8_056_200])
def test_the_size_of_the_file_tells_how_many_samples_there_are(path, announced):
    path.write_bytes(holter([[1, 2, 3, 4]], announced=announced))
    found = read(path)
    assert found.n_samples == 4
    assert found.notes == (f"the header announces {announced:,} samples in each lead; the file holds 4",)


def test_a_last_sample_that_is_not_whole_is_left_out_and_told(path):
    path.write_bytes(holter([[1, 2], [3, 4]], (6, 15))[:-1])
    found = read(path)
    assert found.n_samples == 1
    assert found.notes[1] == "the last 3 bytes are no sample of all leads, and were left out"


def test_a_checksum_that_was_left_out_is_noted(path):
    path.write_bytes(holter([[1]], checksum=0))
    assert read(path).notes == ("the header carries no checksum, so that damage to it would go unnoticed",)


def test_a_checksum_may_be_stored_in_either_order(path):
    good = holter([[1]])
    path.write_bytes(good[:8] + good[9:7:-1] + good[10:])
    assert read(path).notes == ()


def test_every_changed_byte_of_the_header_is_noticed(path):
    good = holter([[1, 2]], text=b"of a patient")
    for place in range(522 + 12):
        damaged = bytearray(good)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ReadError, match=r"one\.bin"):
            read(path)


def test_a_file_cut_anywhere_before_its_samples_is_noticed(path):
    good = holter([[1, 2]], text=b"odd")
    for end in range(8, 522 + 3 + 2):
        path.write_bytes(good[:end])
        with pytest.raises(ReadError, match=r"one\.bin"):
            read(path)


def test_samples_begin_where_header_and_text_end_whatever_the_header_says(path):
    path.write_bytes(holter([[7, 8]], begin=600, text=b"abc"))
    found = read(path)
    assert found.n_samples == 2
    assert found.notes == ("samples are said to begin at byte 600; read from 525, where header and free text end",)


@given(st.binary(min_size=512, max_size=512), st.binary(max_size=40))
def test_a_header_of_any_content_is_read_or_refused(path, header, rest):
    for n_text in (header[:4], bytes(4)):
        head = n_text + header[4:146] + b"\1\0" + header[148:]
        path.write_bytes(b"ISHNE1.0" + struct.pack("<H", crc(head)) + head + rest)
        try:
            assert read(path, unit="mV", rate=200, leads=["II"]).signal.size
        except EnECGError as error:
            assert str(path) in str(error)  # noqa: PT017  most are refused, some are not


# -- what the file says ----------------------------------------------------------------------------------------------


def test_the_patient_and_the_time_are_told(path):
    told = {"patient": "A-17", "sex": 2, "born": (8, 5, 1970), "day": (7, 5, 2008), "time": (11, 30, 59)}
    path.write_bytes(holter([[1]], recorder="a recorder", **told))
    found = read(path)
    assert (found.subject, found.sex, found.age) == ("file:A-17", "female", 37)
    assert (found.acquired, found.device) == (datetime(2008, 5, 7, 11, 30, 59), "a recorder")


def test_what_is_unknown_is_none(path):
    path.write_bytes(holter([[1]], sex=0, day=(31, 2, 2008), time=(1, 1, 1)))
    found = read(path)
    assert [found.subject, found.sex, found.age, found.acquired, found.device] == [None] * 5


def test_bad_contact_is_noted_as_the_recorder_rates_it(path):
    path.write_bytes(holter([[1], [2], [3]], (2, 3, 4), qualities=(1, 5, 2)))
    assert read(path).notes == (
        "the recorder rates lead Y: frequent disconnect",
        "the recorder rates lead Z: intermittent noise",
    )


def test_what_the_file_leaves_out_the_caller_may_say(path):
    path.write_bytes(holter([[1], [2]], (0, 1)))
    with pytest.raises(LeadError, match=r"one\.bin: does not name all .*leads \(\?, \?\); pass leads= with 2 names"):
        read(path)
    with pytest.raises(LeadError, match="pass leads= with 2 names, not 1"):
        read(path, leads=["II"])
    assert read(path, leads=["MLII", "V5"]).leads == ("MLII", "V5")
    path.write_bytes(holter([[1]], rate=-9))
    with pytest.raises(ReadError, match=r"one\.bin.* pass rate="):
        read(path)
    assert read(path, rate=128).rate == 128
    path.write_bytes(holter([[2]], resolutions=(-9,)))
    with pytest.raises(UnitError, match=r"one\.bin.* pass unit="):
        read(path)
    assert read(path, unit="uV").signal.item() == np.float32(0.002)


@pytest.mark.parametrize("n_leads", [0, -9, 13])
def test_a_number_of_leads_that_cannot_be_is_refused(path, n_leads):
    path.write_bytes(holter([[1]], n_leads=n_leads))
    with pytest.raises(ReadError, match=rf"one\.bin: header, byte 156: {n_leads} leads; expected 1 to 12"):
        read(path)


# -- annotations -----------------------------------------------------------------------------------------------------


def test_an_annotation_file_is_refused_for_what_it_is_and_no_recording_of_a_folder(tmp_path):
    (tmp_path / "one.ecg").write_bytes(holter([[1]]))
    (tmp_path / "one.ann").write_bytes(b"ANN  1.0" + bytes(514) + b"N\0\1\0")
    (tmp_path / "letter.txt").write_text("hello")
    assert find(tmp_path) == [tmp_path / "one.ecg"]
    with pytest.raises(ReadError, match=r"one\.ann: an ISHNE annotation file, of beats without samples"):
        read(tmp_path / "one.ann")
