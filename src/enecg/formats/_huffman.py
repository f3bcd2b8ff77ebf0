"""The compression of SCP-ECG (EN 1064, sections 2, 5 and 6): differences of samples, in a code of variable length.

A code is a prefix, by which it is known, and further bits that hold a number in two's complement; its value is that
number and the code's own together. A code may also say that another table is used from here on.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from enecg.formats._bytes import Cursor

Samples = npt.NDArray[np.int64]

_USE_DEFAULT = 19999
_LONGEST_PREFIX = 32
_MOST_BITS = 32
"""Of a code's number; samples have 16 bits."""


@dataclass(frozen=True)
class Code:
    """What follows a prefix: `bits` of a number to add to `value`; or, if it `switches`, table number `value`."""

    bits: int
    value: int
    switches: bool = False


@dataclass(frozen=True)
class Table:
    """Codes by their prefix, written in 0 and 1 in the order in which bits come."""

    codes: dict[str, Code]

    @cached_property
    def lengths(self) -> list[int]:
        """Of its prefixes, shortest first."""
        return sorted({len(prefix) for prefix in self.codes})


def _default() -> Table:
    """The standard's own: a number up to 8 is as many ones as it counts, a zero, its sign; others are stored whole."""
    plus = {f"{'1' * size}00": Code(0, size) for size in range(1, 9)}
    minus = {f"{'1' * size}01": Code(0, -size) for size in range(1, 9)}
    return Table({"0": Code(0, 0)} | plus | minus | {"1" * 9 + "0": Code(8, 0), "1" * 10: Code(16, 0)})


DEFAULT = _default()


def tables_of(section: Cursor) -> list[Table]:
    """The tables of a section 2, none if it has none. Raises ReadError for impossible ones."""
    n_tables = section.unsigned(2)
    if n_tables == _USE_DEFAULT:
        return [DEFAULT]
    return [_table(section) for _ in range(n_tables)]


def _table(section: Cursor) -> Table:
    codes = {}
    for _ in range(section.unsigned(2)):
        n_prefix, n_bits, stays = section.unsigned(1), section.unsigned(1), section.unsigned(1)
        value, prefix = section.signed(2), section.unsigned(4)
        if not 1 <= n_prefix <= _LONGEST_PREFIX or not 0 <= n_bits - n_prefix <= _MOST_BITS:
            raise section.wrong(f"a code of {n_bits} bits, {n_prefix} of them prefix; expected 1 to {_LONGEST_PREFIX}")
        first_bit_last = f"{prefix:032b}"
        codes[first_bit_last[::-1][:n_prefix]] = Code(n_bits - n_prefix, value, switches=stays == 0)
    return Table(codes)


def decode(data: Cursor, n: int, tables: list[Table]) -> Samples:
    """The next `n` values of what is left of `data`: int64 [n]. Raises ReadError if they are not there."""
    n_bits = 8 * data.left
    if n > n_bits:
        raise data.wrong(f"{n:,} samples announced, in {data.left:,} bytes; no code is that short")
    bits = f"{int.from_bytes(data.take(data.left)):0{n_bits}b}"
    values = np.empty(n, np.int64)
    table, at = tables[0], 0
    for index in range(n):
        code, at = _next(data, bits, at, table)
        while code.switches:
            if not 1 <= code.value <= len(tables):
                raise data.wrong(f"table {code.value} of {len(tables)} called for; it is damaged: copy it again")
            table = tables[code.value - 1]
            code, at = _next(data, bits, at, table)
        number = bits[at : at + code.bits]
        if len(number) < code.bits:
            raise data.wrong(f"ends within sample {index + 1:,} of {n:,}")
        at += code.bits
        values[index] = code.value + (int(number, 2) - (int(number[0]) << code.bits) if number else 0)
    return values


def _next(data: Cursor, bits: str, at: int, table: Table) -> tuple[Code, int]:
    """The code whose prefix comes next, and the place after the prefix."""
    for length in table.lengths:
        code = table.codes.get(bits[at : at + length])
        if code is not None:
            return code, at + length
    raise data.wrong(f"no code begins at bit {at:,} of {len(bits):,}; it is damaged: copy it again")


def undo_differences(values: Samples, order: int) -> Samples:
    """Samples from themselves (order 0), their first or their second differences: int64 [sample].

    The first sample, or two, come as they are. Sums wrap at 16 bits, as those of the writers do.
    """
    if order == 2:
        values = np.concatenate([values[:1], np.concatenate([np.diff(values[:2]), values[2:]]).cumsum()])
    if order:
        values = values.cumsum()
    return values.astype(np.int16).astype(np.int64)
