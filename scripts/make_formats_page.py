"""Write docs/formats.md from results/formats.json and results/fuzz.json.

    .venv/bin/python scripts/make_formats_page.py

Nothing is found out here: scripts/check_formats.py and scripts/fuzz_formats.py wrote the figures. `--check` writes
nothing and fails where the page does not say what the files say.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from enecg.formats._registry import READERS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "formats.md"
RESULTS = ROOT / "results"

INTRO = """# The formats, tried

`enecg.read` knows a file by its content, never by its name. What it made of real files, and of damaged ones, is here:
`scripts/check_formats.py` and `scripts/fuzz_formats.py` wrote the figures, `make results` made this page of them.
"""

KNOWN = """## Files whose content is known

Files from public repositories, and some made where none was found, whose content was read by independent programs (or
is known since it was made): rate, leads and their order, number of samples, missing ones, first samples, ranges, and
facts of patient and machine. *Given*: what the file does not say and the caller has to; without it, it was refused.
Where the verdict has a reason, it is read otherwise than by those programs on purpose, and was held to what the reason
says. The files are not part of this repository, since of many the licence is not known.
"""

SAME = """## One recording in several files

Largest difference in mV over the leads and samples that both files hold, after the one difference that is known (a
resampled file is resampled, a doubled lead halved).
"""

OTHERS = """## Further files beside them

Signal files and segments of the records above open the record that they belong to; what is not one is refused by name.
"""

FOLDERS = """## Folders of recordings

Every recording that is found below a folder is opened.
"""

FUZZ = """## Damaged files

Bits flipped, runs of bytes lost, doubled or exchanged, numbers made huge, fields lengthened, elements nested and
repeated, entities declared, names of files made to point elsewhere, with checksums renewed in two files of three so
that what is behind them is reached. Each has to be read, or refused by a `ReadError`, `LeadError` or `UnitError` that
names the file. A fault is anything else: another error, the end of the process, over 5 s of processor time, over 1 GiB,
a file written, or one opened elsewhere. *Unforeseen*: refused by name, but by what caught an error that the reader had
not thought of. *Seconds* and *MiB* are the worst of any file.
"""


def page(formats: Mapping[str, Any], fuzz: Mapping[str, Any]) -> str:
    """The whole page."""
    parts = [INTRO, readers(), KNOWN, known(formats["files"]), SAME, same(formats["same"])]
    parts += [OTHERS, others(formats["others"]), FOLDERS, folders(formats["folders"])]
    if fuzz:
        parts.append(FUZZ)
    for title, run in fuzz.items():
        about = run["about"]
        told = f"{about['files']:,} mutations of {title}, {about['faults']} faults; {about['seconds']} s, "
        told += f"seed {about['seed']}."
        names = list(run["rows"][0])
        parts += [told + "\n", table(names, [[f"{row[name]}" for name in names] for row in run["rows"]])]
    return "\n".join(parts)


def readers() -> str:
    return "Known are " + ", ".join(reader.NAME for reader in READERS) + ".\n"


def known(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [[f"`{row['file']}`", row["format"], ", ".join(row["given"]), found(row), verdict(row)] for row in rows]
    n_wrong = sum(bool(row["wrong"]) for row in rows)
    n_refused = sum(row["must_refuse"] for row in rows)
    told = f"{len(rows)} files, {n_refused} of them to be refused; {len(rows) - n_wrong} agree.\n\n"
    return told + table(("file", "format", "given", "found", "verdict"), lines)


def verdict(row: Mapping[str, Any]) -> str:
    if row["wrong"]:
        return "**disagrees**: " + "; ".join(row["wrong"])
    said = "refused, as it has to be" if row["must_refuse"] else "agrees"
    return "; ".join([said, *row["reasons"]])


def found(row: Mapping[str, Any]) -> str:
    """What was found, and what was noted; of a refusal, what is wrong with the file."""
    wrong = re.split("; (?:expected|pass|`enecg)", row["found"])[0]
    return ". ".join([wrong, *row.get("notes", [])])


def same(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            row["recording"],
            f"`{row['as']}`",
            f"`{row['file']}`",
            f"{row['mV']:.2g}",
            "; ".join(row["wrong"]) or "agrees",
        ]
        for row in rows
    ]
    return table(("recording", "file", "and", "mV", "verdict"), lines)


def others(rows: Sequence[Mapping[str, Any]]) -> str:
    opened = [row for row in rows if not row["refused"]]
    refused = [[f"`{row['file']}`", found(row), "; ".join(row["wrong"]) or "by name"] for row in rows if row["refused"]]
    return f"{len(opened)} open, {len(refused)} are refused.\n\n" + table(("file", "refused for", "verdict"), refused)


def folders(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        refused = (
            [f"{len(row['refused'])}: {'; '.join(sorted(set(row['refused'].values())))}"] if row["refused"] else []
        )
        given = ", ".join(f"{key}={value!r}" for key, value in row["given"].items())
        notes = "; ".join(f"{note} ({n:,})" for note, n in row["notes"].items())
        lines.append(
            [row["folder"], given, f"{row['read']:,}", "".join(refused), notes, "; ".join(row["wrong"]) or "opens"]
        )
    return table(("folder", "given", "read", "refused", "notes", "verdict"), lines)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown; columns of numbers are right-aligned."""
    numeric = [bool(rows) and all(is_number(row[n]) for row in rows) for n in range(len(head))]
    rule = ["---:" if one else "---" for one in numeric]
    lines = [head, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    made = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([made[0], "|" + "|".join(rule) + "|", *made[1:]]) + "\n"


def is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ""))
    except ValueError:
        return False
    return True


def main() -> None:
    formats = json.loads((RESULTS / "formats.json").read_text())
    fuzz = RESULTS / "fuzz.json"
    text = page(formats, json.loads(fuzz.read_text()) if fuzz.exists() else {})
    stale = not PAGE.exists() or PAGE.read_text() != text
    if "--check" in sys.argv:
        sys.exit("run `make results`: docs/formats.md is not what results/ says" if stale else 0)
    if stale:
        PAGE.write_text(text)
        print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
