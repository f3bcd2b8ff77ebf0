import struct
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import EnECGError, ReadError, UnitError
from enecg.formats import read
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one

NAMES = dict(zip(STANDARD_LEADS, [b"ecg ", *(f"ecg{n}".encode() for n in "23456789abc")], strict=True))
LIMBS = ("I", "II", "III", "aVR", "aVL", "aVF")


def block(name: bytes, data: bytes, *, signed=False, add=0) -> bytes:
    head = name + struct.pack("<I", len(data)) + data
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in head) + add
    return head + struct.pack("<I", total % 2**32)


def form(rate=300, resolution=500, flags=0, kind=1) -> bytes:
    return block(b"fmt ", struct.pack("<BHHBH", kind, rate, resolution, flags, 0))


def info(date="", hardware="") -> bytes:
    fields = (
        (date, 32),
        ("an id", 40),
        ("a telephone", 44),
        ("of a kind", 32),
        ("a program", 32),
        (hardware, 32),
        ("", 52),
    )
    return block(b"info", b"".join(text.encode().ljust(size, b"\0") for text, size in fields))


def atc(*blocks: bytes, version=3) -> bytes:
    return b"ALIVE\0\0\0" + struct.pack("<I", version) + b"".join(blocks)


def lead(name: str, samples, **more) -> bytes:
    return block(NAMES[name], np.asarray(samples, "<i2").tobytes(), **more)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("atc") / "one.bin"


@given(
    st.permutations(STANDARD_LEADS).flatmap(lambda names: st.integers(1, 12).map(lambda n: names[:n])),
    st.integers(1, 20).flatmap(lambda n: st.lists(st.integers(-(2**15), 2**15 - 1), min_size=12 * n, max_size=12 * n)),
    st.integers(1, 2**16 - 1),
    st.integers(1, 2**16 - 1),
    st.booleans(),
)
def test_leads_are_read_in_millivolts_whatever_the_order_of_blocks(path, names, values, rate, resolution, backwards):
    digital = np.reshape(values, (12, -1))[: len(names)]
    blocks = [form(rate, resolution), info(), *(lead(name, row) for name, row in zip(names, digital, strict=True))]
    path.write_bytes(atc(*(blocks[::-1] if backwards else blocks)))
    found = read(path)
    assert found.rate == rate
    assert found.leads[: len(names)] == tuple(name for name in STANDARD_LEADS if name in names)
    for name, row in zip(names, digital, strict=True):
        np.testing.assert_allclose(found.lead(name), row * 1.0 * resolution * 1e-6, rtol=1e-6)


def test_a_simulated_heart_is_read_back_within_a_step(path):
    heart = simulate_one(0, rate=300.0).recording
    rows = [lead(name, np.round(heart.lead(name) / 500e-6)) for name in LIMBS]
    path.write_bytes(atc(info(), form(), *rows))
    found = read(path)
    assert found.leads == LIMBS
    assert np.abs(found.signal - heart.select(LIMBS).signal).max() <= 250e-6 + 1e-6
    assert found.notes == ()


def test_beats_and_blocks_of_other_kinds_are_passed_over(path):
    path.write_bytes(
        atc(block(b"avg ", bytes(900)), form(), lead("I", [1, 2]), block(b"ann ", bytes(10)), block(b"new!", b""))
    )
    assert read(path).n_samples == 2


def test_a_part_is_the_whole_cut(path):
    path.write_bytes(atc(form(rate=100), lead("I", range(1000))))
    np.testing.assert_array_equal(read(path, start=2, seconds=3).signal, read(path).signal[:, 200:500])
    with pytest.raises(ReadError, match="start at 10 s of a recording of 10 s"):
        read(path, start=10)


# -- checksums -------------------------------------------------------------------------------------------------------


def test_every_changed_byte_of_a_block_is_noticed(path):
    good = atc(info("2018-10-10T11:13:11-0700", "kardia"), form(), lead("I", [300, -300, 5]))
    path.write_bytes(good)
    read(path)
    for place in range(12, len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(ReadError, match=r"one\.bin"):
            read(path)


def test_a_file_cut_anywhere_is_noticed_unless_only_whole_blocks_are_lost(path):
    blocks = [info(), form(), lead("I", [300, -300, 5]), block(b"ann ", bytes(4))]
    whole = {12 + sum(map(len, blocks[:n])) for n in range(5)}
    good = atc(*blocks)
    for end in range(12, len(good)):
        path.write_bytes(good[:end])
        if end in whole and end >= sorted(whole)[3]:
            assert read(path).n_samples == 3
        else:
            with pytest.raises(ReadError, match=r"one\.bin"):
                read(path)


def test_checksums_that_are_sums_of_signed_bytes_are_verified_and_noted(path):
    path.write_bytes(atc(form(), lead("I", [-3, 200, 7], signed=True)))
    assert read(path).notes == ("checksums of ecg agree as sums of signed bytes, not of unsigned ones",)
    path.write_bytes(atc(form(), lead("I", [-3, 200, 7], signed=True, add=1)))
    with pytest.raises(ReadError, match=r"one\.bin: block 'ecg ', byte 32: checksum \d+, expected \d+"):
        read(path)


@given(st.data())
def test_blocks_of_any_content_are_read_or_refused(path, data):
    names = st.sampled_from([b"info", b"fmt ", b"ecg ", b"ecg2", b"ann "])
    blocks = data.draw(st.lists(st.tuples(names, st.binary(max_size=60)), max_size=6))
    path.write_bytes(atc(*(block(name, content) for name, content in blocks)))
    try:
        assert read(path).signal.size
    except EnECGError as error:
        assert str(path) in str(error)  # noqa: PT017  most are refused, some are not


# -- what the file says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2016-06-01T18:15:25.777-04:00", datetime(2016, 6, 1, 18, 15, 25, 777000, timezone(-timedelta(hours=4)))),
        ("2012-04-03T14:17:43-7:00", datetime(2012, 4, 3, 14, 17, 43, tzinfo=timezone(-timedelta(hours=7)))),
        ("2018-10-10T11:13:11+0530", datetime(2018, 10, 10, 11, 13, 11, tzinfo=timezone(timedelta(hours=5.5)))),
        ("2018-10-10T11:13:11Z", datetime(2018, 10, 10, 11, 13, 11, tzinfo=UTC)),
        ("2018-10-10T11:13:11", datetime(2018, 10, 10, 11, 13, 11)),
        ("2018-13-10T11:13:11Z", None),
        ("yesterday", None),
        (" " * 32, None),
    ],
)
def test_the_time_is_read_in_all_spellings_with_its_offset(path, text, expected):
    path.write_bytes(atc(info(text), form(), lead("I", [1])))
    assert read(path).acquired == expected


def test_the_recorder_is_told_and_so_are_its_filters(path):
    path.write_bytes(atc(info(hardware="kardia_mobile"), form(flags=2 + 4 + 64), lead("I", [1])))
    found = read(path)
    assert found.device == "AliveCor kardia_mobile"
    assert found.notes == ("filtered by the recorder: mains, enhanced",)
    assert (found.subject, found.age, found.sex) == (None, None, None)


def test_nothing_is_said_of_a_file_that_was_blanked(path):
    path.write_bytes(atc(block(b"info", b" " * 264), form(), lead("I", [1])))
    assert (read(path).acquired, read(path).device) == (None, None)


# -- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ([form()], r"no signal \(ecg\) block"),
        ([lead("I", [1])], r"no format \(fmt\) block"),
        ([form(), block(b"avg ", bytes(4))], r"no signal \(ecg\) block"),
        ([form(), lead("I", [1, 2]), lead("II", [1])], "bytes of its leads: I 4, II 2; expected"),
        ([form(), block(b"ecg ", bytes(3))], "bytes of its leads: I 3; expected"),
        ([form(), lead("I", [])], "bytes of its leads: I 0; expected"),
        ([form(), lead("I", [1]), lead("I", [2])], "block 'ecg '.* a second block of this name"),
        ([form(kind=2), lead("I", [1])], "samples of format 2; expected 1"),
        ([block(b"fmt ", b"\1\1"), lead("I", [1])], "2 bytes expected, 1 left"),
        ([b"fmt \xff\xff\xff\x7f1234"], "bytes expected, 4 left; it is cut short or damaged"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_with_what_is_wrong(path, blocks, told):
    path.write_bytes(atc(*blocks))
    with pytest.raises(ReadError, match=rf"one\.bin.*{told}"):
        read(path)


def test_what_the_file_leaves_out_the_caller_may_say(path):
    path.write_bytes(atc(form(rate=0), lead("I", [1])))
    with pytest.raises(ReadError, match=r"one\.bin.* pass rate="):
        read(path)
    assert read(path, rate=300).rate == 300
    path.write_bytes(atc(form(resolution=0), lead("I", [2])))
    with pytest.raises(UnitError, match=r"one\.bin.* pass unit="):
        read(path)
    assert read(path, unit="uV").signal.item() == np.float32(0.002)
    with pytest.raises(UnitError, match=r"one\.bin.* unknown unit 'ohm'"):
        read(path, unit="ohm")
