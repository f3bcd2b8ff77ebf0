"""ISHNE Holter files: a header of 522 bytes, free text, then the samples of all leads in turn.

Source: F. Badilini, "The ISHNE Holter Standard Output File Format", Ann Noninvasive Electrocardiol 3 (1998) 263-266.
Its checksum is CRC-CCITT over all of the header but magic and checksum, and over the free text.
"""

from pathlib import Path
from typing import Any

import numpy as np

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._bytes import Cursor, crc_ccitt
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, finished, moment, sex_of
from enecg.recording import Recording

NAME = "ISHNE"
EXPECTED = "an ISHNE Holter file, which begins with ISHNE1.0"

_MAGIC, _ANNOTATIONS = b"ISHNE1.0", b"ANN  1.0"
_BEFORE = len(_MAGIC) + 2
_HEADER = 512
"""Bytes: of magic and checksum; of the header that follows and that the checksum covers."""

_MOST_TEXT = 2**24
_MOST_LEADS = 12
_NANOVOLT = 1e-6
_FAULT = -32768
"""The sample that stands for a lead that is off."""

_LEADS = dict(enumerate((*"XYZ", "I", "II", "III", "aVR", "aVL", "aVF"), 2))
_LEADS |= dict(enumerate(("V1", "V2", "V3", "V4", "V5", "V6", "ES", "AS", "AI"), 11))
"""By code; 0 is unknown, 1 bipolar without saying which."""

_QUALITY = {2: "intermittent noise", 3: "frequent noise", 4: "intermittent disconnect", 5: "frequent disconnect"}


def recognise(candidate: Candidate) -> bool:
    """Whether the file begins as ISHNE's recordings or their annotations do; `read` refuses the latter by name."""
    return candidate.head.startswith((_MAGIC, _ANNOTATIONS))


def likely(candidate: Candidate) -> bool:
    """Whether a file met in a folder is a recording, and not the annotations that were made of one."""
    return candidate.head.startswith(_MAGIC)


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path, of which only the wanted part is read; see `enecg.read`.

    How many samples there are is told by the file's size: the header's count is often a nominal one, and is noted
    where it differs.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = Cursor(file.read(_BEFORE), path, "header")
        if start.take(len(_MAGIC)) == _ANNOTATIONS:
            raise ReadError(f"{path}: an ISHNE annotation file, of beats without samples; read the .ecg file beside it")
        head = Cursor(file.read(_HEADER), path, "header", offset=_BEFORE)
        n_text = head.signed(4)
        if not 0 <= n_text <= min(_MOST_TEXT, size - _BEFORE - _HEADER):
            raise head.wrong(f"{n_text:,} bytes of free text in a file of {size:,}; it is damaged: copy it again")
        file.seek(_BEFORE)
        notes = _verified(start, file.read(_HEADER + n_text))
    announced = head.signed(4)
    head.take(4)
    begin, told = _BEFORE + _HEADER + n_text, head.signed(4)
    if told != begin:
        notes.append(f"samples are said to begin at byte {told}; read from {begin}, where header and free text end")
    head.take(2)
    facts = _facts(head)
    leads, factors, rated = _leads(head, ask)
    head.take(2)
    recorder = head.text(40)
    rate = ask.hertz(max(head.signed(2), 0), path)

    n_samples, rest = divmod(size - begin, 2 * len(leads))
    if n_samples == 0:
        raise ReadError(f"{path}: no sample of all {len(leads)} leads; the file is cut short: copy it again")
    if n_samples != announced:
        notes.append(f"the header announces {announced:,} samples in each lead; the file holds {n_samples:,}")
    if rest:
        notes.append(f"the last {rest} bytes are no sample of all leads, and were left out")
    first, last = ask.span(n_samples, rate, path)
    wanted = (last - first) * len(leads)
    digital = np.fromfile(path, "<i2", wanted, offset=begin + 2 * first * len(leads)).reshape(-1, len(leads))
    signal = np.empty((len(leads), len(digital)), np.float32)
    for row, factor in enumerate(factors):
        signal[row] = np.where(digital[:, row] == _FAULT, np.nan, digital[:, row].astype(np.float64) * factor)
    device = None if recorder.lower() in ("", "analog", "digital") else recorder
    return finished(path, NAME, signal, rate, leads, notes + rated, device=device, **facts)


def _verified(start: Cursor, header: bytes) -> list[str]:
    """A note where a writer has left the checksum out. Raises ReadError for a wrong one."""
    told, expected = start.unsigned(2), crc_ccitt(header)
    if told == 0:
        return ["the header carries no checksum, so that damage to it would go unnoticed"]
    swapped = int.from_bytes(expected.to_bytes(2, "big"), "little")  # the standard leaves the order of its bytes open
    if told not in (expected, swapped):
        raise start.wrong(f"checksum {told:#06x}, expected {expected:#06x}; the header is damaged: copy the file again")
    return []


def _facts(head: Cursor) -> dict[str, Any]:
    """Of the patient, whose names are passed over, and when the recording began."""
    head.take(40 + 40)
    patient = head.text(20)
    sex = sex_of(str(head.signed(2)))
    head.take(2)
    born, acquired = _date(head), _date(head)
    head.take(6)
    time = [head.signed(2) for _ in range(3)]
    facts = {"sex": sex, "age": age_at(moment(*born), moment(*acquired)), "acquired": moment(*acquired, *time)}
    return facts | {"subject": f"file:{patient}" if patient else None}


def _date(head: Cursor) -> tuple[int, int, int]:
    day, month, year = (head.signed(2) for _ in range(3))
    return year, month, day


def _leads(head: Cursor, ask: Ask) -> tuple[list[str], list[float], list[str]]:
    """Names, millivolts in one unit, and what the recorder says of bad contact."""
    n_leads = head.signed(2)
    if not 1 <= n_leads <= _MOST_LEADS:
        raise head.wrong(f"{n_leads} leads; expected 1 to {_MOST_LEADS}")
    codes, qualities, resolutions = ([head.signed(2) for _ in range(_MOST_LEADS)][:n_leads] for _ in range(3))
    names = ask.names([_LEADS.get(code) for code in codes], head.path)
    factors = [value * _NANOVOLT if value > 0 else ask.millivolts(head.path) for value in resolutions]
    rated = [
        f"the recorder rates lead {name}: {_QUALITY[quality]}"
        for name, quality in zip(names, qualities, strict=True)
        if quality in _QUALITY
    ]
    return names, factors, rated
