"""Results on disk and on paper: JSON that a command wrote, and the Markdown made of it."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from enecg.errors import WriteError
from enecg.files import write_whole

_DIGITS = {"age": 2, "rr_interval": 1}
"""Decimals of figures in a task's unit; probabilities and areas have three."""
_IN_UNITS = ("mae", "rmse", "mae gain", "rmse gain", "mean interval")


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


def markdown(record: Mapping[str, Any]) -> str:
    """Tables of an evaluation's record: each task's systems, paired differences, groups; then what systems cost.

    Above them what was tested, and what makes the figures less than they seem.
    """
    rows = record["rows"]
    parts = [_heading(record["about"], rows)]
    for task in dict.fromkeys(row["task"] for row in rows if row["task"]):
        own = [row for row in rows if row["task"] == task and "group" not in row]
        plain = [row for row in own if not row["metric"].endswith(" gain")]
        parts.append(_table(task, plain, lambda row: row["metric"]))
        gains = [row for row in own if row["metric"].endswith(" gain")]
        if gains:
            parts.append(_table("gain of the ensemble over", gains, lambda row: row["metric"], _short))
    groups = [row for row in rows if "group" in row]
    if groups:
        parts.append(_table("ensemble, by group", groups, lambda row: f"{row['task']} {row['metric']}", _group))
    costs = [row for row in rows if not row["task"]]
    if costs:
        parts.append(_table("cost", costs, lambda row: row["metric"]))
    caveats = record["about"].get("caveats")  # Results of earlier versions have none.
    if caveats:
        parts.append("What has to be known: " + "; ".join(f"{name}: {said}" for name, said in caveats.items()) + ".")
    return "\n\n".join(parts) + "\n"


def _heading(about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    said = [f"{about['tested']:,} recordings of {about['cohort']} tested, {about['refused']:,} refused."]
    if about["simulated"]:
        said.append("All of them are simulated.")
    seen = dict.fromkeys(name for row in rows for name in row.get("seen_by", ()))
    if seen:
        said.append(f"Too good to be true: {', '.join(seen)} had seen this data set, or does not say.")
    return " ".join(said)


def _short(row: Mapping[str, Any]) -> str:
    return str(row["system"]).removeprefix("ensemble - ")


def _group(row: Mapping[str, Any]) -> str:
    return str(row["group"])


def _system(row: Mapping[str, Any]) -> str:
    return str(row["system"])


Label = Callable[[Mapping[str, Any]], str]


def _table(head: str, rows: Sequence[Mapping[str, Any]], column: Label, line: Label = _system) -> str:
    """Lines by `line`, columns by `column`, in the order of the rows."""
    columns = list(dict.fromkeys(column(row) for row in rows))
    lines = [f"| {head} | {' | '.join(columns)} |", "|---" + "|---:" * len(columns) + "|"]
    for name in dict.fromkeys(line(row) for row in rows):
        found = {column(row): _cell(row) for row in rows if line(row) == name}
        lines.append(f"| {name} | {' | '.join(found.get(one, '') for one in columns)} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any]) -> str:
    reach = ""
    if row.get("low") is not None:
        reach = f" ({_number(row, row['low'])} to {_number(row, row['high'])})"
    return _number(row, row["value"]) + reach


def _number(row: Mapping[str, Any], value: float) -> str:
    if not row["task"]:
        return f"{value:,.0f}"
    sign = "+" if str(row["metric"]).endswith(" gain") else ""
    digits = _DIGITS.get(row["task"], 3) if row["metric"] in _IN_UNITS else 3
    return f"{value:{sign}.{digits}f}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {key: _rounded(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(own) for own in value]
    return value
