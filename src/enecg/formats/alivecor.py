"""AliveCor's ATC files (KardiaMobile and its kin): checksummed blocks, one for each lead.

Source: "ATC File Format Specification 1.7", published with alivecor/ATCpy. What it calls a CRC32 is a plain sum of the
block's bytes, in that reader and in all files seen.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._bytes import Cursor, contents
from enecg.formats._candidate import Candidate
from enecg.formats._finish import finished
from enecg.recording import STANDARD_LEADS, Recording

NAME = "AliveCor ATC"
EXPECTED = "an AliveCor ATC file, which begins with the letters ALIVE"

_MAGIC = b"ALIVE\0\0\0"
_LARGEST = 2**26
"""Bytes; half a minute of twelve leads has 216,000."""

_LEADS = {f"ecg{sign}".encode(): lead for sign, lead in zip(" 23456789abc", STANDARD_LEADS, strict=True)}
_FILTERS = {4: "mains", 8: "low-pass", 16: "baseline", 32: "mains notch", 64: "enhanced"}
_NANOVOLT = 1e-6
_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)(?:Z|([+-])(\d{1,2}):?(\d\d))?")


def recognise(candidate: Candidate) -> bool:
    """Whether the file begins as ATC files do."""
    return candidate.head.startswith(_MAGIC)


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path; see `enecg.read`."""
    file = contents(path, _LARGEST, NAME)
    file.take(len(_MAGIC) + 4)  # and the version, which changes nothing that is read here
    blocks: dict[bytes, Cursor] = {}
    signed = []
    for name, block, by_signed_bytes in _blocks(file):
        if name in blocks:
            raise block.wrong("a second block of this name; expected one of each")
        blocks[name] = block
        if by_signed_bytes:
            signed.append(name.decode("latin-1").strip())
    leads = [name for name in _LEADS if name in blocks]
    if b"fmt " not in blocks or not leads:
        missing = "signal (ecg)" if b"fmt " in blocks else "format (fmt)"
        raise ReadError(f"{path}: no {missing} block; expected one, copy the file again")
    rate, unit, filters = _format(blocks[b"fmt "], ask)
    lengths = {name: blocks[name].left for name in leads}
    n_bytes = lengths[leads[0]]
    if len(set(lengths.values())) > 1 or n_bytes % 2 or n_bytes == 0:
        told = ", ".join(f"{_LEADS[name]} {length}" for name, length in lengths.items())
        raise ReadError(f"{path}: bytes of its leads: {told}; expected two for each sample, equally many in all leads")
    first, last = ask.span(n_bytes // 2, rate, path)
    signal = [np.frombuffer(blocks[name].view(n_bytes), "<i2")[first:last].astype(np.float64) * unit for name in leads]
    notes = []
    if signed:
        notes.append(f"checksums of {', '.join(signed)} agree as sums of signed bytes, not of unsigned ones")
    if filters:
        notes.append(f"filtered by the recorder: {', '.join(filters)}")
    facts = _facts(blocks[b"info"]) if b"info" in blocks else {}
    return finished(path, NAME, np.array(signal), rate, [_LEADS[name] for name in leads], notes, **facts)


def _blocks(file: Cursor) -> Iterator[tuple[bytes, Cursor, bool]]:
    """Name and content of each block, and whether its checksum is a sum of signed bytes, as some writers have it.

    Raises ReadError for a block that is cut short or whose checksum is wrong.
    """
    while file.left:
        offset = file.at
        head = file.take(8)
        length = int.from_bytes(head[4:], "little")
        what = f"block {head[:4].decode('latin-1')!r}"
        content = file.part(length, what)
        told = file.unsigned(4)
        summed = np.frombuffer(head + bytes(content.view(length)), np.uint8)
        sums = [int(summed.view(kind).sum(dtype=np.int64)) % 2**32 for kind in (np.uint8, np.int8)]
        if told not in sums:
            raise ReadError(
                f"{file.path}: {what}, byte {offset}: checksum {told}, expected {sums[0]}; "
                "its bytes were changed after it was written: copy the file again"
            )
        yield head[:4], Cursor(summed[8:].data, file.path, what, offset=offset + 8), told != sums[0]


def _format(block: Cursor, ask: Ask) -> tuple[float, float, list[str]]:
    """Rate in Hz, millivolts in one unit, what the recorder has filtered with."""
    kind = block.unsigned(1)
    if kind != 1:
        raise block.wrong(f"samples of format {kind}; expected 1, which is 16 bits")
    rate = ask.hertz(block.unsigned(2), block.path)
    resolution = block.unsigned(2)
    unit = resolution * _NANOVOLT if resolution else ask.millivolts(block.path)
    flags = block.unsigned(1)
    return rate, unit, [name for bit, name in _FILTERS.items() if flags & bit]


def _facts(block: Cursor) -> dict[str, Any]:
    """When it was recorded and by what; the block is blank in files that were de-identified."""
    acquired = _acquired(block.text(32))
    block.take(40 + 44 + 32 + 32)  # ids of the recording and the telephone, the telephone, its program
    device = block.text(32)
    return {"acquired": acquired, "device": f"AliveCor {device}" if device else None}


def _acquired(text: str) -> datetime | None:
    """ISO 8601, though offsets are also written `-7:00` and `-0700`; None for anything else."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    local, sign, hours, minutes = found.groups()
    offset = "+00:00" if text.endswith("Z") else f"{sign}{int(hours):02d}:{minutes}" if sign else ""
    try:
        return datetime.fromisoformat(local + offset)
    except ValueError:
        return None
