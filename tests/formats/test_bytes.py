from mmap import ACCESS_READ, mmap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import ReadError
from enecg.formats._bytes import Cursor, contents, crc_ccitt

FILE = Path("some/file.bin")


def cursor(data, **more) -> Cursor:
    return Cursor(data, FILE, "header", **more)


@given(st.binary(max_size=40), st.lists(st.integers(0, 12)), st.integers(0, 1000))
def test_bytes_come_in_order_and_those_that_are_not_there_are_told_by_file_part_and_place(data, sizes, offset):
    place = cursor(data, offset=offset)
    read = b""
    for size in sizes:
        assert place.left == len(data) - len(read)
        assert place.at == offset + len(read)
        if size > place.left:
            told = f"some/file.bin: header, byte {place.at:,}: {size} bytes expected, {place.left} left"
            with pytest.raises(ReadError, match=told.replace(".", r"\.")):
                place.take(size)
            break
        read += place.take(size)
    assert read == data[: len(read)]


@given(st.integers(1, 9), st.sampled_from(["little", "big"]), st.data())
def test_numbers_are_read_in_the_order_of_their_bytes(n, order, data):
    signed = data.draw(st.integers(-(2 ** (8 * n - 1)), 2 ** (8 * n - 1) - 1))
    unsigned = data.draw(st.integers(0, 2 ** (8 * n) - 1))
    place = cursor(signed.to_bytes(n, order, signed=True) + unsigned.to_bytes(n, order), order=order)
    assert (place.signed(n), place.unsigned(n), place.left) == (signed, unsigned, 0)


def test_a_part_ends_where_it_ends_though_the_file_goes_on():
    place = cursor(bytes(range(10)), order="big")
    place.take(2)
    part = place.part(4, "block")
    assert (part.at, part.left, place.at, part.order) == (2, 4, 6, "big")
    assert part.take(4) == bytes([2, 3, 4, 5])
    with pytest.raises(ReadError, match="block, byte 6: 1 bytes expected, 0 left"):
        part.take(1)
    with pytest.raises(ReadError, match="header, byte 6: 5 bytes expected, 4 left"):
        place.part(5, "block")


@pytest.mark.parametrize("n", [-1, 10**30])
def test_sizes_that_cannot_be_are_told(n):
    with pytest.raises(ReadError, match="bytes expected, 3 left"):
        cursor(b"abc").view(n)


@pytest.mark.parametrize(
    ("stored", "encoding", "text"),
    [
        (b" Anna\0Bert", "latin-1", "Anna"),
        (b"h\xe4lp\0\0\0", "latin-1", "hälp"),
        ("hälp\0\0".encode("utf-16-le"), "utf-16-le", "hälp"),
        (b"h\xe4lp", "utf-8", "h\ufffdlp"),
        (b"", "latin-1", ""),
    ],
)
def test_text_ends_at_the_first_zero(stored, encoding, text):
    assert cursor(stored).text(len(stored), encoding) == text


def test_an_error_tells_the_place_of_what_was_read_last():
    place = cursor(bytes(2000))
    place.take(1500)
    place.unsigned(2)
    assert str(place.wrong("nonsense")) == "some/file.bin: header, byte 1,500: nonsense"


def test_a_file_on_the_disk_is_read_like_one_in_memory(tmp_path):
    (tmp_path / "one").write_bytes(b"abcdef")
    with (tmp_path / "one").open("rb") as file:
        assert cursor(mmap(file.fileno(), 0, access=ACCESS_READ)).take(6) == b"abcdef"


def test_a_file_that_is_too_large_is_told_and_not_read(tmp_path):
    (tmp_path / "one").write_bytes(bytes(2**20))
    assert contents(tmp_path / "one", 2**20, "such file").left == 2**20
    with pytest.raises(ReadError, match="one: over 0 MiB, which no such file is"):
        contents(tmp_path / "one", 2**20 - 1, "such file")


def test_the_checksum_is_crc_ccitt():
    # The check value of CRC-16/IBM-3740 in the catalogue of CRC algorithms, which is CRC-CCITT begun with 0xFFFF.
    assert crc_ccitt(b"123456789") == 0x29B1
