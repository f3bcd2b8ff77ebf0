import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import ReadError
from enecg.formats._bytes import Cursor
from enecg.formats._huffman import DEFAULT, decode, tables_of, undo_differences

SAMPLES = st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=60)


def cursor(data: bytes) -> Cursor:
    return Cursor(data, Path("one.scp"), "lead")


def packed(bits: str) -> bytes:
    return bytes(int(bits[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(bits), 8))


def binary(value: int, n: int) -> str:
    return f"{value % 2**n:0{n}b}"


def by_default(value: int) -> str:
    """The standard's table, from its description: ones, a zero and a sign; or an escape and 8 or 16 bits."""
    if value == 0:
        return "0"
    if abs(value) <= 8:
        return "1" * abs(value) + "0" + ("0" if value > 0 else "1")
    return "1111111110" + binary(value, 8) if -128 <= value < 128 else "1111111111" + binary(value, 16)


def section(*tables) -> Cursor:
    """Section 2 with tables of (prefix, bits in all, stays, value)."""
    stored = struct.pack("<H", len(tables))
    for table in tables:
        stored += struct.pack("<H", len(table))
        for prefix, n_bits, stays, value in table:
            stored += struct.pack("<BBBhI", len(prefix), n_bits, stays, value, int(prefix[::-1], 2))
    return cursor(stored)


TWO = (
    [("0", 9, 1, 100), ("10", 18, 1, 0), ("110", 3, 1, -7), ("111", 3, 0, 2)],
    [("1", 17, 1, 0), ("01", 2, 0, 1), ("00", 4, 1, 500)],
)
"""One with bytes around 100, whole samples, -7 alone; another with whole samples and 498 to 501; each leads to both."""


def by_two(values, turns) -> str:
    """`turns` : whether the other table is called for before a value."""
    bits, table = "", 0
    for value, turn in zip(values, turns, strict=True):
        if turn:
            bits += ("111", "01")[table]
            table = 1 - table
        if table == 0:
            own = (
                "110"
                if value == -7
                else "0" + binary(value - 100, 8)
                if -28 <= value <= 227
                else "10" + binary(value, 16)
            )
        else:
            own = "00" + binary(value - 500, 2) if 498 <= value <= 501 else "1" + binary(value, 16)
        bits += own
    return bits


@given(SAMPLES, st.integers(0, 3))
def test_values_in_the_default_code_are_read_back(values, padding):
    data = packed("".join(map(by_default, values))) + bytes(padding)
    assert decode(cursor(data), len(values), [DEFAULT]).tolist() == values
    assert tables_of(cursor(struct.pack("<H", 19999))) == [DEFAULT]


@given(
    st.lists(st.tuples(st.one_of(st.integers(-40, 520), st.integers(-(2**15), 2**15 - 1)), st.booleans()), min_size=1)
)
def test_values_in_tables_of_the_file_are_read_back_through_all_changes_of_table(told):
    values, turns = zip(*told, strict=True)
    tables = tables_of(section(*TWO))
    assert decode(cursor(packed(by_two(values, turns))), len(values), tables).tolist() == list(values)


def test_there_may_be_no_code():
    assert tables_of(section()) == []


@given(st.binary(max_size=30), st.integers(1, 300))
def test_any_bits_are_values_or_told_to_be_none(data, n):
    for tables in ([DEFAULT], tables_of(section(*TWO))):
        try:
            values = decode(cursor(data), n, tables)
        except ReadError as error:
            assert "one.scp: lead" in str(error)  # noqa: PT017  some bits are values
            continue
        assert values.shape == (n,)


@given(st.binary(max_size=60))
def test_any_section_is_tables_or_told_to_be_none(content):
    try:
        tables = tables_of(cursor(content))
        assert not tables or decode(cursor(bytes(8)), 3, tables).shape == (3,)
    except ReadError as error:
        assert "one.scp: lead" in str(error)  # noqa: PT017  some contents are tables


@pytest.mark.parametrize(
    ("bits", "n", "told"),
    [
        ("1111111111" + "0" * 6, 1, "ends within sample 1 of 1"),
        ("10010010", 5, "no code begins at bit 6 of 8"),
        ("00000000", 9, "9 samples announced, in 1 bytes; no code is that short"),
        ("", 1, "1 samples announced, in 0 bytes"),
    ],
)
def test_data_that_end_too_early_are_told(bits, n, told):
    with pytest.raises(ReadError, match=f"one.scp: lead, byte 0: {told}"):
        decode(cursor(packed(bits)), n, [DEFAULT])


def test_a_call_for_a_table_that_is_not_there_is_told():
    tables = tables_of(section([("0", 1, 0, 2), ("1", 1, 1, 0)]))
    with pytest.raises(ReadError, match="table 2 of 1 called for"):
        decode(cursor(b"\0"), 1, tables)


@pytest.mark.parametrize(("n_prefix", "n_bits"), [(0, 1), (33, 40), (5, 4), (1, 34)])
def test_a_code_that_cannot_be_is_told(n_prefix, n_bits):
    stored = struct.pack("<HHBBBhI", 1, 1, n_prefix, n_bits, 1, 0, 0)
    with pytest.raises(ReadError, match=f"a code of {n_bits} bits, {n_prefix} of them prefix"):
        tables_of(cursor(stored))


@given(SAMPLES, st.sampled_from([0, 1, 2]))
def test_differences_are_undone_though_they_wrap(values, order):
    samples = np.array(values)
    stored = samples.copy()
    for first in range(order):
        stored[first + 1 :] = np.diff(stored[first:])
    if order == 2:
        stored[1:2] = samples[1:2]
    wrapped = stored.astype(np.int16).astype(np.int64)
    np.testing.assert_array_equal(undo_differences(wrapped, order), samples)
