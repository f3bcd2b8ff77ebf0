"""Results on disk and on paper: JSON that a command wrote, and the Markdown made of it."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enecg.errors import WriteError
from enecg.files import write_whole

_DIGITS = {"age": 2, "rr_interval": 1}
"""Decimals of figures in a task's unit; probabilities and areas have three."""
_IN_UNITS = ("mae", "rmse", "mae gain", "rmse gain", "mean interval")

Row = Mapping[str, Any]
Label = Callable[[Row], str]


def write_json(record: Mapping[str, Any], path: Path) -> None:
    """Write results, numbers with six digits. Raises WriteError if that cannot be done; what was there then stays."""
    _write(path, json.dumps(_rounded(record), indent=1, allow_nan=False) + "\n")


def write_roles(roles: Mapping[str, str], path: Path) -> None:
    """Write which recordings were used: CSV, id and a letter for each fold (t, v, e, -). Raises WriteError."""
    rows = io.StringIO()
    csv.writer(rows, lineterminator="\n").writerows([("id", "role"), *roles.items()])
    _write(path, rows.getvalue())


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.encode())
    except OSError as error:
        raise WriteError(f"{path}: results cannot be written ({error}); choose a folder with free space") from error


@dataclass(frozen=True)
class Table:
    """Rows of a record side by side. head : of the lines' names;  lines : name and, by column, the row or None."""

    head: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Row | None, ...]], ...]


def markdown(record: Mapping[str, Any]) -> str:
    """Tables of an evaluation's record: each task's systems, paired differences, groups; then what systems cost.

    Above them what was tested, and what makes the figures less than they seem.
    """
    rows = record["rows"]
    tables = []
    for task in tasks_of(record):
        tables += [systems_table(rows, task), gains_table(rows, task)]
    groups = [row for row in rows if "group" in row]
    tables += [_table("ensemble, by group", groups, lambda row: f"{row['task']} {row['metric']}", _group)]
    tables += [costs_table(rows)]
    parts = [heading(record), *(_lines(table) for table in tables if table.lines)]
    caveats = record["about"].get("caveats")  # Results of earlier versions have none.
    if caveats:
        parts.append("What has to be known: " + "; ".join(f"{name}: {said}" for name, said in caveats.items()) + ".")
    return "\n\n".join(parts) + "\n"


def tasks_of(record: Mapping[str, Any]) -> list[str]:
    """Names of the tasks that have rows."""
    return list(dict.fromkeys(row["task"] for row in record["rows"] if row["task"]))


def systems_table(rows: Sequence[Row], task: str) -> Table:
    """A task's systems by metric."""
    own = [row for row in rows if row["task"] == task and "group" not in row and not _is_gain(row)]
    return _table(task, own, _metric)


def gains_table(rows: Sequence[Row], task: str) -> Table:
    """What the ensemble is better by than other systems, on the same draws."""
    own = [row for row in rows if row["task"] == task and "group" not in row and _is_gain(row)]
    return _table("gain of the ensemble over", own, _metric, _short)


def groups_table(rows: Sequence[Row], task: str) -> Table:
    """The ensemble by sex, by age band."""
    return _table("ensemble", [row for row in rows if row["task"] == task and "group" in row], _metric, _group)


def costs_table(rows: Sequence[Row]) -> Table:
    """Parameters, seconds, memory by system."""
    return _table("cost", [row for row in rows if not row["task"]], _metric)


def heading(record: Mapping[str, Any]) -> str:
    """What was tested, and what makes the figures less than they seem."""
    about, rows = record["about"], record["rows"]
    said = [f"{about['tested']:,} recordings of {about['cohort']} tested, {about['refused']:,} refused."]
    if about["simulated"]:
        said.append("All of them are simulated.")
    seen = dict.fromkeys(name for row in rows for name in row.get("seen_by", ()))
    if seen:
        said.append(f"Too good to be true: {', '.join(seen)} had seen this data set, or does not say.")
    return " ".join(said)


def _short(row: Row) -> str:
    return str(row["system"]).removeprefix("ensemble - ")


def _group(row: Row) -> str:
    return str(row["group"])


def _system(row: Row) -> str:
    return str(row["system"])


def _metric(row: Row) -> str:
    return str(row["metric"])


def _is_gain(row: Row) -> bool:
    return _metric(row).endswith(" gain")


def _table(head: str, rows: Sequence[Row], column: Label, line: Label = _system) -> Table:
    """Lines by `line`, columns by `column`, in the order of the rows."""
    columns = tuple(dict.fromkeys(column(row) for row in rows))
    lines = []
    for name in dict.fromkeys(line(row) for row in rows):
        found = {column(row): row for row in rows if line(row) == name}
        lines.append((name, tuple(found.get(one) for one in columns)))
    return Table(head, columns, tuple(lines))


def _lines(table: Table) -> str:
    """As Markdown."""
    lines = [f"| {table.head} | {' | '.join(table.columns)} |", "|---" + "|---:" * len(table.columns) + "|"]
    for name, row in table.lines:
        lines.append(f"| {name} | {' | '.join('' if cell is None else cell_text(cell) for cell in row)} |")
    return "\n".join(lines)


def cell_text(row: Row) -> str:
    """The value and its interval, or why a group has none, with the decimals that its unit has."""
    reach = ""
    if row.get("low") is not None:
        reach = f" ({_number(row, row['low'])} to {_number(row, row['high'])})"
    elif "subjects" in row:
        reach = f" (no interval: {row['subjects']} subjects)"
    return _number(row, row["value"]) + reach


def _number(row: Row, value: float) -> str:
    if not row["task"]:
        return f"{value:,.0f}"
    sign = "+" if _is_gain(row) else ""
    digits = _DIGITS.get(row["task"], 3) if row["metric"] in _IN_UNITS else 3
    return f"{value:{sign}z.{digits}f}"  # z: no -0.0


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(own) for own in value]
    return value
