"""What the benchmarks share: where they ran, results/performance/*.json, and docs/performance.md made from them.

Run by itself it writes docs/performance.md anew. Every benchmark calls `save`, which asserts its floors last, so that
a number that falls short is still there to be looked at.
"""

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "results" / "performance", ROOT / "docs" / "performance.md"
PACKAGES = ("enecg", "numpy", "scipy", "torch", "openvino", "transformers", "neurokit2", "wfdb")

Row = dict[str, Any]


def one_core() -> None:
    """Keep this process, and what it imports from now on, on one core. Call it before numpy is imported."""
    cores(1)


def cores(n: int) -> None:
    """Keep this process and its children on `n` cores, each process with one thread."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:n]))


def about(claim: str) -> Row:
    """What was measured, where, and with which versions."""
    return {
        "claim": claim,
        "command": f"python benchmarks/{Path(sys.argv[0]).name}",
        "date": date.today().isoformat(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def save(name: str, facts: Row, rows: Sequence[Row], floors: Sequence[tuple[str, float, float]]) -> None:
    """Print and keep a benchmark's rows, renew the page, then fail if a number is below its floor.

    rows : one for each line of the table, all with the same keys;  floors : (what, found, least).
    """
    checks = [{"what": what, "found": _rounded(found), "at least": least} for what, found, least in floors]
    kept = [{key: _rounded(value) for key, value in row.items()} for row in rows]
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"about": facts, "rows": kept, "floors": checks}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    for row in [*kept, *checks]:
        print("  ".join(f"{key}: {value}" for key, value in row.items()))
    write_page()
    short = [f"{what}: {found:.4g}, at least {least:g} expected" for what, found, least in floors if not found >= least]
    assert not short, "; ".join(short)


def write_page() -> None:
    """docs/performance.md from the JSON files."""
    PAGE.write_text(page())


def page() -> str:
    """The text of docs/performance.md."""
    parts = [
        "# Performance",
        "",
        "Made by `benchmarks/report.py` from the JSON files of `results/performance/`; `make bench` measures anew.",
        "Every benchmark runs on one core, unless it says otherwise, and fails where a number is below its floor.",
    ]
    for path in sorted(RESULTS.glob("*.json")):
        parts += ["", *_section(path.stem, json.loads(path.read_text()))]
    return "\n".join(parts) + "\n"


def _section(name: str, found: Row) -> list[str]:
    facts = found["about"]
    versions = ", ".join(f"{package} {number}" for package, number in facts["versions"].items())
    floors = [f"- {row['what']}: {_text(row['found'])} (floor {_text(row['at least'])})" for row in found["floors"]]
    return [
        f"## {name.capitalize()}",
        "",
        facts["claim"],
        f"`{facts['command']}` on {facts['date']}: {facts['processor']}, {facts['system']},",
        f"Python {facts['python']}, {versions}.",
        "",
        *_table(found["rows"]),
        "",
        *floors,
    ]


def _table(rows: Sequence[Row]) -> list[str]:
    heads = list(rows[0])
    numbers = [all(not isinstance(row[head], str) for row in rows) for head in heads]
    lines = [heads, ["---:" if number else "---" for number in numbers]]
    lines += [[_text(row[head]) for head in heads] for row in rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name where the system tells it."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    write_page()
