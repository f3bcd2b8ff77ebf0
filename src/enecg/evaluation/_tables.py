"""Results on disk and on paper: JSON that a command wrote, and the Markdown made of it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def write_json(record: dict[str, Any], path: Path) -> None:
    """Write results; numbers keep six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(_rounded(record), indent=1) + "\n")
    aside.replace(path)


def markdown(record: dict[str, Any]) -> str:
    """One table for each task: systems down, metrics across, with intervals."""
    rows = [row for row in record["rows"] if "group" not in row and row["task"]]
    parts = []
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        metrics = list(dict.fromkeys(row["metric"] for row in own))
        lines = [f"| {task} | {' | '.join(metrics)} |", "|---" * (len(metrics) + 1) + "|"]
        for system in dict.fromkeys(row["system"] for row in own):
            cells = [_cell([row for row in own if row["system"] == system and row["metric"] == m]) for m in metrics]
            lines.append(f"| {system} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    groups = [row for row in record["rows"] if "group" in row]
    if groups:
        lines = ["| ensemble, by group | metric | value | n |", "|---|---|---|---|"]
        lines += [f"| {r['task']}, {r['group']} | {r['metric']} | {_number(r['value'])} | {r['n']} |" for r in groups]
        parts.append("\n".join(lines))
    costs = [row for row in record["rows"] if not row["task"]]
    if costs:
        parts.append("\n".join(f"- {row['metric']}: {_number(row['value'])}" for row in costs))
    return "\n\n".join(parts) + "\n"


def _cell(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return ""
    row = rows[0]
    reach = f" ({_number(row['low'])} to {_number(row['high'])})" if row.get("low") is not None else ""
    return _number(row["value"]) + reach


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(own) for key, own in value.items()}
    return [_rounded(own) for own in value] if isinstance(value, (list, tuple)) else value
