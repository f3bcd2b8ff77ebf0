"""Tables of samples: CSV, TSV and Parquet with a column for each lead and, if there is one, a column of times.

A header names the leads (`I`, `aVR`, `V1_mV`, `Lead II (uV)`); the rate comes from times whose name says their unit
(`time_s`, `t (ms)`). What else there is to say stands in comment lines before the header (`# rate: 500`, `# unit: mV`),
in Parquet's metadata, or in a JSON file beside the table (`_description.py`). What is said nowhere is asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, ReadError, UnitError
from enecg.formats import _description, _parquet, _text_table
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._columns import Column, columns, evenly, telling
from enecg.formats._description import Description
from enecg.formats._shown import shown
from enecg.recording import Recording, millivolts_per

NAME = "table"
EXPECTED = "a table (CSV, TSV, Parquet) with a column of numbers for each lead"

parts = _description.parts

_PARQUET = b"PAR1"


@dataclass(frozen=True)
class _Table:
    """Named columns, of which parts are read when they are asked for.

    numeric : which columns hold numbers;  second : of those that are times by their type, seconds in one unit.
    fetch : rows of some columns [column, row], NaN where there is no number.
    """

    path: Path
    names: Sequence[str]
    n_rows: int
    said: Mapping[str, str]
    numeric: Sequence[bool]
    second: Sequence[float | None]
    fetch: Callable[[Sequence[int], int, int], npt.NDArray[np.float64]]

    def values(self, chosen: Sequence[Column], first: int = 0, last: int | None = None) -> npt.NDArray[np.float64]:
        """Rows of the chosen columns. Raises ReadError for more than fit into memory."""
        last = self.n_rows if last is None else last
        if len(chosen) * (last - first) > _description.MOST_VALUES:
            raise ReadError(f"{self.path}: {last - first:,} rows are more than is read at once; cut it into parts")
        return self.fetch([column.at for column in chosen], first, last)


@dataclass(frozen=True)
class _Samples:
    """The chosen columns as an array [lead, sample].

    places : the sample at which each row stands, where some are missing.
    """

    table: _Table
    chosen: Sequence[Column]
    places: npt.NDArray[np.int64] | None
    dtype = np.dtype(np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.chosen), self.table.n_rows if self.places is None else int(self.places[-1]) + 1

    def __getitem__(self, part: tuple[slice, slice]) -> npt.NDArray[np.float64]:
        first, last = part[1].start, part[1].stop
        if self.places is None:
            return self.table.values(self.chosen, first, last)
        row, end = (int(row) for row in np.searchsorted(self.places, [first, last]))
        block = np.full((len(self.chosen), last - first), np.nan)
        block[:, self.places[row:end] - first] = self.table.values(self.chosen, row, end)
        return block


def recognise(candidate: Candidate) -> bool:
    """Whether the file is Parquet, or text in rows of equal width with columns of leads, or of numbers only."""
    return candidate.head.startswith(_PARQUET) or _text_table.layout(candidate) is not None


def likely(candidate: Candidate) -> bool:
    """Whether a table that nobody has asked for by name is an ECG: leads and times only, or described as one."""
    if candidate.head.startswith(_PARQUET):
        try:
            head = _parquet.head(candidate.path)
        except ReadError:
            return False
        names, said = head.names, head.said
    else:
        layout = _text_table.layout(candidate)
        if layout is None:
            return False
        names, said = list(layout.names), layout.said
    found = columns(names)
    described = {"rate", "unit"} <= said.keys() or _description.is_described(candidate.path)
    return telling(found) or (described and any(column.lead for column in found))


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path; see `enecg.read`."""
    with path.open("rb") as file:
        is_parquet = file.read(len(_PARQUET)) == _PARQUET
    table = _of_parquet(path) if is_parquet else _of_text(path)
    how = (
        "; or say it in the table (a line `# rate: 500`, `# unit: mV` or `# leads: I, II` before its header), or in "
        f"{_description.sidecar(path).name} beside it"
    )
    said = _description.described(path, table.said, how).joined(_description.beside(path), path)
    found = columns(table.names)
    said, chosen, notes = _leads(table, found, said, ask)
    unread = next((column for column in chosen if not table.numeric[column.at]), None)
    if unread:
        raise ReadError(f"{path}: column {unread.name!r} does not hold numbers; expected samples")
    said, places, more = _times(table, found, said, ask)
    return _description.recorded(path, NAME, _Samples(table, chosen, places), said, ask, [*notes, *more])


def _leads(
    table: _Table, found: Sequence[Column], said: Description, ask: Ask
) -> tuple[Description, list[Column], list[str]]:
    """The columns that are leads, by their names or else the caller's, and a note on those that are not."""
    path = table.path
    chosen = [column for column in found if column.lead]
    rest = [column for column in found if not column.lead and not column.is_time]
    if rest and rest[0].at == 0 and _counts(table.values(rest[:1])[0]):
        counter, *rest = rest
    else:
        counter = None
    if not chosen:
        names = said.names(ask)
        if names is None:
            named = [repr(name) for name in table.names if name]
            seen = shown(named) if named else f"{len(found)} without a header"
            raise LeadError(f"{path}: no column is called like a lead ({seen}); pass leads= in their order{said.how}")
        if counter and len(names) == len(rest) + 1:
            rest = [counter, *rest]
        return said, rest, []
    said = said.joined(Description(leads=tuple(str(column.lead) for column in chosen)), path)
    units = tuple(column.unit for column in chosen if column.unit)
    if units:
        if len(units) < len(chosen):
            without = next(column.name for column in chosen if not column.unit)
            raise UnitError(f"{path}: column {without!r} has no unit while others have; write it behind each name")
        same = len({millivolts_per(unit) for unit in units}) == 1
        said = said.joined(Description(units=units[:1] if same else units), path)
    left = shown([column.name or str(column.at + 1) for column in rest])
    return said, chosen, [f"columns that are no leads, left out: {left}"] if rest else []


def _times(
    table: _Table, found: Sequence[Column], said: Description, ask: Ask
) -> tuple[Description, npt.NDArray[np.int64] | None, list[str]]:
    """What a column of times adds: the rate, the sample at which each row stands (None if none is missing), notes."""
    path = table.path
    times = (column for column in found if column.is_time)
    column = next((c for c in times if table.numeric[c.at] or table.second[c.at]), None)
    if column is None:
        return said, None, []
    second = table.second[column.at] or column.second
    if second is None:
        if said.rate or ask.rate:
            return said, None, []
        raise ReadError(
            f"{path}: the column {column.name!r} does not say whether it counts seconds or milliseconds; call it "
            f"{column.name}_s or {column.name}_ms, or pass rate= (Hz){said.how}"
        )
    rate, places, notes = evenly(path, column.name, table.values([column])[0] * second)
    if said.rate is None:
        return replace(said, rate=rate), places, notes
    if abs(rate / said.rate - 1) > 0.01:
        raise ReadError(f"{path}: {said.rate:g} Hz is said, but column {column.name} has {rate:g} Hz; mend one")
    return said, places, notes[1:]


def _counts(values: npt.NDArray[np.float64]) -> bool:
    """Whether they number the rows, one by one."""
    return len(values) > 1 and bool((np.diff(values) == 1).all())


def _of_parquet(path: Path) -> _Table:
    head = _parquet.head(path)
    return _Table(path, head.names, head.n_rows, head.said, head.numeric, head.second, partial(_parquet.values, path))


def _of_text(path: Path) -> _Table:
    import polars as pl

    layout, frame = _text_table.read(path)

    def fetch(wanted: Sequence[int], first: int, last: int) -> npt.NDArray[np.float64]:
        some = frame.slice(first, last - first).select(pl.nth(at).cast(pl.Float64, strict=False) for at in wanted)
        return some.to_numpy().T

    return _Table(path, layout.names, frame.height, layout.said, layout.numeric, [None] * frame.width, fetch)
