"""Tables of text: how they are written, told by their first lines, and their columns of numbers."""

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from enecg.errors import ReadError
from enecg.formats._bytes import contents
from enecg.formats._candidate import HEAD, Candidate, decoded
from enecg.formats._columns import columns
from enecg.formats._decimals import MINUS, is_plain

if TYPE_CHECKING:
    import polars as pl

_LARGEST = 2**27
"""Bytes; 12 leads of half an hour at 500 Hz have some 80 million."""
_PART = 2**20
"""Bytes that are looked through cell by cell, once it is known that one of them is no number."""
_LOOKED_AT = 20
"""Rows by which a table is known."""
_FEWEST = 8
"""Rows of numbers under no lead's name that are taken for samples at all."""

_NUMBER = re.compile(rf"[-+{MINUS}]?(\d[\d.,]*|[.,]\d+)([eE][-+]?\d+)?|[-+]?(nan|inf(inity)?)", re.IGNORECASE)
_MISSING = tuple("NA N/A n/a na #N/A NULL Null null None none - -- ? 1.#QNAN -1.#IND".split())
_SAID = re.compile(r"#+\s*(\w[\w ]*)[:=](.*)")
_UNIT = re.compile(r"[munµμ]?V|s|ms|seconds|hh:mm:ss(\.mmm)?", re.IGNORECASE)
_BLANK = re.compile(rb"\n[ \r]*\n")


@dataclass(frozen=True)
class Layout:
    """How a table of text is written.

    names : of its columns, with their units; empty ones if there is no header.  said : by the comments before it.
    numeric : which columns hold numbers in the first rows, and are read as numbers.
    begin : the line, from 0, at which the rows begin.
    separator : between cells.  comma : whether decimals follow a comma; None if the first rows do not tell.
    """

    names: tuple[str, ...]
    said: dict[str, str]
    numeric: tuple[bool, ...]
    begin: int
    separator: str
    comma: bool | None


def layout(candidate: Candidate) -> Layout | None:
    """Of a file that may be a table: None if it is none."""
    return _layout(candidate.text, len(candidate.head) < HEAD)


def read(path: Path) -> "tuple[Layout, pl.DataFrame]":
    """A table, read whole, its columns named by their numbers.

    Raises ReadError that tells the line for one with too few cells, and for what is no number in a column of numbers.
    """
    import polars as pl

    file = contents(path, _LARGEST, "table of text that is read at once (write it as Parquet)")
    data = file.take(file.left)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = decoded(data).encode()
    data = data.removeprefix(b"\xef\xbb\xbf").replace(MINUS.encode(), b"-")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    found = _layout(decoded(data[:HEAD], cut=True), len(data) < HEAD)
    if found is None:
        raise ReadError(f"{path}: no table of numbers in rows of equal width; copy it again")
    body = data.split(b"\n", found.begin)[-1].lstrip(b"\r\n").rstrip(b"\r\n ")
    comma = found.comma
    if comma is None:
        comma = found.separator != "," and b"," in body and b"." not in body
    _check_width(path, found, body)
    try:
        return found, _frame(body, found, comma)
    except pl.exceptions.PolarsError as error:
        raise _explained(path, found, body, comma) or ReadError(f"{path}: {error}") from error


def _frame(body: bytes, layout: Layout, comma: bool) -> "pl.DataFrame":
    """Rows, without a header. Raises PolarsError for what is no number in a column of numbers."""
    import polars as pl

    return pl.read_csv(
        BytesIO(body),
        has_header=False,
        schema={str(at): pl.Float64 if number else pl.String for at, number in enumerate(layout.numeric)},
        separator=layout.separator,
        null_values=list(_MISSING),
        decimal_comma=comma,
        encoding="utf8-lossy",
    )


def _layout(text: str, whole: bool) -> Layout | None:
    """Of the table whose beginning this is. whole : whether the text is all of it."""
    if "\0" in text or not text.strip():
        return None
    lines = text.split("\n") if "\n" in text else text.split("\r")
    lines = [line.rstrip("\r") for line in (lines if whole else lines[:-1])]
    begin, said = 0, {}
    while begin < len(lines) and (not lines[begin].strip() or lines[begin].lstrip().startswith("#")):
        if comment := _SAID.fullmatch(lines[begin].strip()):
            said[comment[1].strip().lower()] = comment[2].strip()
        begin += 1
    separator, rows = _rows([line for line in lines[begin : begin + _LOOKED_AT + 2] if line.strip()])
    if not rows:
        return None
    names = [""] * len(rows[0])
    if not all(_is_number(cell) for cell in rows[0]):
        names, rows, begin = rows[0], rows[1:], begin + 1
        if rows and all(_UNIT.fullmatch(cell) for cell in rows[0]):
            names = [f"{name} [{unit}]" for name, unit in zip(names, rows[0], strict=True)]
            rows, begin = rows[1:], begin + 1
    numeric = tuple(all(_is_number(row[at]) for row in rows) for at in range(len(names)))
    leads = [column for column in columns(names) if column.lead]
    is_table = all(numeric[column.at] for column in leads) if leads else all(numeric) and len(rows) >= _FEWEST
    marks = {
        mark
        for row in rows
        for cell, number in zip(row, numeric, strict=True)
        if number
        for mark in ",."
        if mark in cell
    }
    comma = "," in marks if marks else None
    return Layout(tuple(names), said, numeric, begin, separator, comma) if rows and is_table else None


def _rows(lines: Sequence[str]) -> tuple[str, list[list[str]]]:
    """The separator that parts all lines into equally many cells, and these; a single column if there is none."""
    for separator in "\t;,":
        try:
            rows = list(csv.reader(lines, delimiter=separator))
        except csv.Error:
            continue
        if rows and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows):
            return separator, [[cell.strip(" '") for cell in row] for row in rows]
    # In a single column, commas part decimals.
    return "\t", [[line.strip(" '\"")] for line in lines]


def _is_number(cell: str) -> bool:
    """Whether a cell holds a number, or says that there is none."""
    return not cell or cell in _MISSING or _NUMBER.fullmatch(cell) is not None


def _check_width(path: Path, layout: Layout, body: bytes) -> None:
    """Raises ReadError, naming the line, for an empty line and one with too few or too many cells."""
    if found := _BLANK.search(body):
        line = layout.begin + body.count(b"\n", 0, found.start()) + 2
        raise ReadError(f"{path}: line {line} is empty; expected numbers, or nan where a sample is missing")
    bare = re.sub(rb'"[^"\n]*"', b"", body) if b'"' in body else body
    separator, width = layout.separator.encode(), len(layout.names)
    if bare.count(separator) == (width - 1) * (bare.count(b"\n") + 1):
        return
    for line, row in enumerate(bare.split(b"\n"), start=layout.begin + 1):
        if row.count(separator) != width - 1:
            n_cells = row.count(separator) + 1
            raise ReadError(f"{path}: line {line} has {n_cells} cells; expected {width}, copy the file again")


def _explained(path: Path, layout: Layout, body: bytes, comma: bool) -> ReadError | None:
    """The first cell that is no number, looked for in the first part of the file that cannot be read."""
    import polars as pl

    begin, end, n_lines = 0, 0, layout.begin
    while end < len(body):
        begin, n_lines = end, n_lines + body.count(b"\n", begin, end)
        end = body.find(b"\n", begin + _PART) + 1 or len(body)
        try:
            _frame(body[begin:end], layout, comma)
        except pl.exceptions.PolarsError:
            break
    rows = csv.reader(decoded(body[begin:end]).split("\n"), delimiter=layout.separator)
    with suppress(csv.Error):  # what polars says of it has to do
        for line, row in enumerate(rows, start=n_lines + 1):
            for name, cell, number in zip(layout.names, row, layout.numeric, strict=False):
                text = cell.strip().replace(",", ".") if comma else cell.strip()
                if number and text and text not in _MISSING and not is_plain(text):
                    place = f"line {line}, column {name!r}"
                    return ReadError(f"{path}: {place}: {cell!r:.40} is no number; expected samples")
    return None
