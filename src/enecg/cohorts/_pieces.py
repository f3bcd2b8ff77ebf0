"""Tables that are too large to be held: read piece by piece, in the same memory for a million rows as for a hundred.

Publishers keep them as `.csv.gz`. What is kept of a piece must be numbers: text would keep the whole piece in memory.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from enecg.errors import CohortError
from enecg.progress import progress_bar

if TYPE_CHECKING:
    import polars

BLOCK = 2**24
"""Bytes of text that are read at a time."""

_LONGEST_HEAD = 2**16
_GZIP = b"\x1f\x8b"


def pieces(path: Path, columns: Sequence[str], *, shown: bool = False) -> "Iterator[polars.DataFrame]":
    """Some columns of a CSV file, plain or gzipped, as text; one piece at least, without rows if the file has none.

    shown : whether a bar on standard error shows how far it is.
    Raises CohortError for a column that is not there, and for a file that is damaged or cut short.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            file: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            with progress_bar(shown, path.name, path.stat().st_size) as bar:
                done = 0
                for piece in _parsed(path, file, columns):
                    yield piece
                    done, before = raw.tell(), done
                    bar.advance(done - before)
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise CohortError(f"{path}: cannot be read to its end ({error}); copy it again") from error


def _parsed(path: Path, file: IO[bytes], columns: Sequence[str]) -> "Iterator[polars.DataFrame]":
    import polars

    head = file.readline(_LONGEST_HEAD)
    names = next(csv.reader([head.decode("utf-8-sig", "replace").strip()]), [])
    missing = [name for name in columns if name not in names]
    if missing:
        raise CohortError(f"{path}: no column {', '.join(missing)} (found {', '.join(names)})")
    line = ",".join(f'"{name}"' for name in names).encode() + b"\n"
    empty = True
    for block in _whole_rows(path, file):
        empty = False
        try:
            yield polars.read_csv(line + block, columns=list(columns), infer_schema=False)
        except polars.exceptions.PolarsError as error:
            raise CohortError(f"{path}: rows that cannot be understood ({error}); expected the publisher's") from error
    if empty:
        yield polars.DataFrame(schema=dict.fromkeys(columns, polars.String))


def _whole_rows(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Blocks that end where a row does: at a line break that is not in quotes."""
    rest = b""
    while block := file.read(BLOCK):
        block = rest + block
        end = block.rfind(b"\n")
        while end >= 0 and block.count(b'"', 0, end) % 2:
            end = block.rfind(b"\n", 0, end)
        if end < 0 and len(block) > 4 * BLOCK:
            raise CohortError(f"{path}: a row of more than {4 * BLOCK >> 20} MiB; expected a table, copy it again")
        rest = block[end + 1 :]
        if end >= 0:
            yield block[: end + 1]
    if rest.strip():
        if rest.count(b'"') % 2:
            raise CohortError(f"{path}: ends within quotes; it was cut short, copy it again")
        yield rest


def whole_numbers(frame: "polars.DataFrame", path: Path, *names: str) -> "polars.DataFrame":
    """The columns as whole numbers. Raises CohortError for a cell that is none."""
    import polars

    made = frame.with_columns(polars.col(*names).str.strip_chars().cast(polars.Int64, strict=False))
    for name in names:
        wrong = frame.filter(made[name].is_null())
        if len(wrong):
            raise CohortError(f"{path}: {name} {wrong[name][0]!r}; expected a whole number, copy the file again")
    return made


def held(path: Path, columns: Sequence[str]) -> "polars.DataFrame":
    """All of a table that is small enough. Raises CohortError if it has no rows."""
    import polars

    found = polars.concat(list(pieces(path, columns)))
    if not len(found):
        raise CohortError(f"{path}: the table has no rows; expected the publisher's")
    return found
