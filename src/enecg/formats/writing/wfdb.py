"""WFDB records: a header `.hea` and a signal file `.dat` of 16 bits beside it.

What the header has no field for stands in its comments: age and sex as PhysioNet's data sets write them, statements as
they are. Described in header(5) and signal(5) of the WFDB Applications Guide.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from enecg.errors import WriteError
from enecg.files import write_whole
from enecg.formats._lines import lines_of, statement_lines
from enecg.formats._wfdb_facts import said_in
from enecg.formats.writing._steps import Steps, in_steps
from enecg.recording import Recording

NAME, ENDING = "WFDB", ".hea"

_MISSING = -(2**15)
"""What format 16 has for a missing sample."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
"""A record's, by header(5); the hyphen is usual."""


def write(recording: Recording, path: Path) -> None:
    """The header comes last, and goes first where one is replaced: signals never lie beside a header of others."""
    header, samples = files(path)
    if path.suffix != ENDING or not _NAME.fullmatch(path.stem):
        raise WriteError(
            f"{path}: no name that a WFDB header can have; expected letters, digits, - and _ before {ENDING}"
        )
    rows = in_steps(path, recording)
    stored = np.stack([row.stored(_MISSING, "<i2") for row in rows], axis=1)  # [sample, lead]
    path.unlink(missing_ok=True)
    write_whole(samples, stored.tobytes())
    write_whole(header, _header(recording, rows, samples).encode())


def files(path: Path) -> list[Path]:
    """Header and signal file."""
    return [path, path.with_suffix(".dat")]


def _header(recording: Recording, rows: list[Steps], samples: Path) -> str:
    when = recording.acquired
    begin = "" if when is None else f" {when:%H:%M:%S} {when:%d/%m}/{when.year:04}"
    rate = repr(recording.rate).removesuffix(".0")
    first = f"{samples.stem} {recording.n_leads} {rate} {recording.n_samples}{begin}"
    comments = [f"# {comment}" for comment in _comments(recording)]
    return "\n".join([first, *(_signal(samples.name, row) for row in rows), *comments]) + "\n"


def _signal(file: str, row: Steps) -> str:
    """FILE FORMAT GAIN(BASELINE)/UNIT BITS ZERO FIRST CHECKSUM BLOCK LEAD."""
    stored = row.stored(_MISSING, np.int64)
    checksum = (int(stored.sum()) + 2**15) % 2**16 - 2**15
    return f"{file} 16 {row.gain}({row.zero})/mV 16 0 {stored[0]} {checksum} 0 {row.lead}"


def _comments(recording: Recording) -> list[str]:
    comments = [] if recording.age is None else [f"Age: {recording.age:.15g}"]
    comments = [age for age in comments if said_in([age])["age"] is not None]
    comments += [] if recording.sex is None else [f"Sex: {recording.sex}"]
    held: dict[str, Any] = said_in(comments)
    when = recording.acquired
    if when is not None and when.tzinfo is None and when.microsecond == 0:
        held["acquired"] = when
    return [*comments, *statement_lines(recording, _survives), *lines_of(recording, held)]


def _survives(text: str) -> bool:
    """Whether a statement is read back from a comment as it is."""
    plain = text.isprintable() and text.strip("# \t") == text
    return plain and said_in([text]) == {"age": None, "sex": None, "statements": [text]}
