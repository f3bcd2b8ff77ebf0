"""Tables of labels as people keep them: CSV of any separator, encoding and line ending, TSV, Parquet."""

import difflib
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg.errors import CohortError

if TYPE_CHECKING:
    import polars

ENDINGS = (".csv", ".tsv", ".parquet")
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL")
"""Cells that hold nothing."""

_WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMMA_NUMBER = re.compile(r"[+-]?\d+(,\d+)?")


def read_table(path: Path, *, text: Iterable[str] = ()) -> "polars.DataFrame":
    """A table by its ending: .csv, .tsv or .parquet.

    Columns in which every cell is a number become numbers, except those named in `text` (an id of 0012 is not 12) and
    those with numbers that begin with a zero; cells that hold nothing become null; spaces around names and cells go.
    Raises CohortError if it cannot be read, has no rows, or a column is there twice.
    """
    import polars

    if path.suffix.lower() not in ENDINGS:
        raise CohortError(f"{path}: a table of an unknown kind; expected one that ends in {', '.join(ENDINGS)}")
    try:
        frame, decimal_comma = _read(path)
    except (OSError, UnicodeError, polars.exceptions.PolarsError) as error:
        raise CohortError(f"{path}: the table cannot be read ({error}); expected {', '.join(ENDINGS)}") from error
    names = [name.strip() for name in frame.columns]
    _require_different(path, names)
    if not len(frame):
        raise CohortError(f"{path}: the table has no rows; expected one for each recording")
    frame.columns = names
    kept = set(text)
    return frame.with_columns([_typed(column, column.name in kept, decimal_comma) for column in frame])


def _read(path: Path) -> "tuple[polars.DataFrame, bool]":
    """The table with text in every column of a CSV, and whether its numbers may have a decimal comma."""
    import polars

    if path.suffix.lower() == ".parquet":
        return polars.read_parquet(path), False
    content = _decode(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n").strip("\n")
    if not content.strip():
        raise CohortError(f"{path}: the table is empty; expected a line of column names and one for each recording")
    separator = "\t" if path.suffix.lower() == ".tsv" else _separator(content)
    # The line of names is read like any other: polars would rename a column that is there twice.
    cells = polars.read_csv(
        io.BytesIO(content.encode()),
        separator=separator,
        has_header=False,
        infer_schema=False,
        null_values=list(MISSING),
    )
    names = [str(name or "").strip() for name in cells.row(0)]
    _require_different(path, names)
    frame = cells[1:]
    frame.columns = names
    return frame, separator == ";"


def _require_different(path: Path, names: Sequence[str]) -> None:
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise CohortError(f"{path}: column {doubled[0]!r} is there more than once; expected each once")


def _decode(content: bytes) -> str:
    """UTF-8 or UTF-16 by their marks; UTF-8 if it is; else the Latin-1 of older spreadsheets."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _separator(content: str) -> str:
    """The commonest of comma, semicolon and tab in the first line, outside of quotes."""
    first = re.sub(r'"[^"]*"', "", content.partition("\n")[0])
    return max((",", ";", "\t"), key=first.count)


def _typed(column: "polars.Series", keep: bool, decimal_comma: bool) -> "polars.Series":
    import polars

    if column.dtype != polars.String:
        return column
    cells = [None if cell is None or cell.strip() in MISSING else cell.strip() for cell in column]
    there = [cell for cell in cells if cell is not None]
    whole = bool(there) and all(_WHOLE.fullmatch(cell) for cell in there)
    if keep or not there:
        return polars.Series(column.name, cells, dtype=polars.String)
    if whole:
        return polars.Series(column.name, [None if cell is None else int(cell) for cell in cells], dtype=polars.Int64)
    if decimal_comma and all(_COMMA_NUMBER.fullmatch(cell) for cell in there):
        cells = [None if cell is None else cell.replace(",", ".") for cell in cells]
        there = [cell for cell in cells if cell is not None]
    if all(_NUMBER.fullmatch(cell) and not re.match(r"[+-]?0\d", cell) for cell in there):
        numbers = [None if cell is None else float(cell) for cell in cells]
        return polars.Series(column.name, numbers, dtype=polars.Float64)
    return polars.Series(column.name, cells, dtype=polars.String)


def require_columns(path: Path, frame: "polars.DataFrame", needed: Iterable[str]) -> None:
    """Raises CohortError for a column that is not there, with the nearest of those that are."""
    for name in needed:
        if name not in frame.columns:
            near = nearest(name, frame.columns)
            hint = f"; is it {near!r}?" if near else ""
            raise CohortError(f"{path}: no column {name!r} (found {', '.join(frame.columns)}){hint}")


def nearest(name: str, among: Iterable[str]) -> str | None:
    """The name most like this one, whatever its capitals; None if none is much like it."""
    lower = {other.lower().replace(" ", "_"): other for other in reversed(list(among))}
    found = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.7)
    return lower[found[0]] if found else None


def as_text(value: Any) -> str | None:
    """A cell that names something: 12.0, which a table made of 12, is `12`; None if it holds nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    return None if text in MISSING else text


def as_number(value: Any) -> float | None:
    """A cell as a number; None if it holds none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
