"""What the header of an EDF or BDF file says of how its data records are laid out, and whether it is as long as that.

Read with the package `edfio`, which takes a file that is cut short; what follows is Kemp et al. 1992 (EDF), Kemp and
Olivan 2003 (EDF+, edfplus.info) and BioSemi's description (BDF, 24 bits).
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.errors import MissingPackageError, ReadError

if TYPE_CHECKING:
    from edfio import Bdf, BdfSignal, Edf, EdfSignal

EDF, BDF = b"0       ", b"\xffBIOSEMI"
LINE = 256
"""Bytes of the header's first part, and of what it says of each channel."""


@dataclass(frozen=True)
class File:
    """What the header says of how the file is laid out.

    header : its bytes;  n_records, record_seconds : of the data records;
    labels, counts : of each channel, its name and its samples in a record, annotations included;
    edf : the header as edfio reads it;  notes : what was decided.
    """

    path: Path
    header: bytes
    n_records: int
    record_seconds: Fraction
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    edf: "Edf | Bdf"
    notes: tuple[str, ...]

    @property
    def signals(self) -> "tuple[EdfSignal | BdfSignal, ...]":
        """The channels that are no annotations."""
        return self.edf.signals

    @property
    def width(self) -> int:
        """Bytes of a sample."""
        return 3 if self.header.startswith(BDF) else 2

    @property
    def record_bytes(self) -> int:
        """Bytes of a data record."""
        return self.width * sum(self.counts)

    @property
    def tells_times(self) -> bool:
        """Whether records may be apart, and say when they begin (EDF+D)."""
        return self.header[192:197] in (b"EDF+D", b"BDF+D")

    @property
    def annotations(self) -> list[slice]:
        """Where annotations are in a data record, in bytes; those of the first begin with the record's time."""
        ends = np.cumsum(self.counts) * self.width
        places = [slice(int(end) - n * self.width, int(end)) for end, n in zip(ends, self.counts, strict=True)]
        return [place for place, label in zip(places, self.labels, strict=True) if _is_annotation(label)]

    def rate(self, count: int) -> float:
        """Hz of a channel with so many samples in a record."""
        return rate_of(count, text(self.header[244:252]))

    @property
    def content(self) -> npt.NDArray[np.uint8]:
        """The data records [record, byte], read where they are looked at."""
        shape = (self.n_records, self.record_bytes)
        return np.memmap(self.path, dtype=np.uint8, mode="r", offset=len(self.header), shape=shape)

    def decoded(self, records: bytes, n: int) -> "Edf | Bdf":
        """`n` data records in edfio's hands."""
        return _decoded(self.header, records, n)


def opened(path: Path) -> File:
    """The header, and whether the file is as long as it says. Raises ReadError."""
    with path.open("rb") as file:
        header = file.read(LINE)
        n_channels = _whole(path, "number of channels", header[252:256])
        header += file.read(LINE * max(0, n_channels))
        size = file.seek(0, 2)
    if n_channels < 1:
        raise ReadError(f"{path}: announces {n_channels} channels; expected one at least")
    if len(header) < LINE * (n_channels + 1):
        raise ReadError(
            f"{path}: cut short in its header, which announces {n_channels} channels; expected {LINE} bytes for each "
            "after the first part. Copy the file again"
        )
    if _whole(path, "header's length", header[184:192]) != len(header):
        raise ReadError(
            f"{path}: announces a header of {text(header[184:192])} bytes; expected {len(header)}, for it has "
            f"{n_channels} channels"
        )
    labels = tuple(text(field) for field in _column(header, 0, 16))
    counts = tuple(_whole(path, "samples in a record", field) for field in _column(header, 216, 8))
    if all(_is_annotation(label) for label in labels):
        raise ReadError(f"{path}: holds annotations only; expected a channel that is a lead")
    if min(counts) < 0 or max(counts) == 0:
        raise ReadError(f"{path}: channels with {min(counts)} samples in a data record; expected 1 or more")
    seconds = _seconds(path, header[244:252])
    n_records, notes = _records(path, header, size - len(header), sum(counts))
    return File(path, header, n_records, seconds, labels, counts, _decoded(header, b"", 0), notes)


def _seconds(path: Path, field: bytes) -> Fraction:
    """How long a data record is. Raises ReadError."""
    found = re.fullmatch(r"\s*(\d*\.?\d*(e[+-]?\d)?)", text(field).lower())
    try:
        seconds = Fraction(found.group(1)) if found else Fraction(0)
    except ValueError:
        seconds = Fraction(0)
    if seconds == 0:
        raise ReadError(f"{path}: data records of {text(field)!r} s; expected a positive number of seconds")
    return seconds


def rate_of(count: int, seconds: str) -> float:
    """Hz of a channel with so many samples in a data record, whose length is told by a field of eight letters.

    A number that fills its field with decimals was cut to fit: of the rates that it may mean, the roundest is meant.
    """
    rate = float(count / Fraction(seconds))
    decimals = seconds.strip().partition(".")[2]
    if len(seconds.strip()) == 8 and decimals.isdecimal():
        slack = rate * 0.5 / float(Fraction(seconds) * 10 ** len(decimals))
        return next((found for digits in range(9) if abs((found := round(rate, digits)) - rate) <= slack), rate)
    return rate


def _records(path: Path, header: bytes, found: int, samples: int) -> tuple[int, tuple[str, ...]]:
    """How many data records there are in the `found` bytes after the header, and what was decided about it."""
    record = samples * (3 if header.startswith(BDF) else 2)
    whole = found // record
    announced = _whole(path, "number of data records", header[236:244])
    n_records = whole if announced == -1 else announced
    if n_records > whole:
        raise ReadError(
            f"{path}: cut short, {found} bytes after the header of {n_records * record} that {n_records} data records "
            "need; copy the file again"
        )
    if n_records < 1:
        raise ReadError(f"{path}: holds no data records; expected one at least")
    notes = []
    if announced == -1:
        notes.append(f"the header leaves the number of data records open; {n_records} by the file's length")
    if found > n_records * record:
        notes.append(f"{found - n_records * record} bytes after the last data record were left out")
    return n_records, tuple(notes)


def _is_annotation(label: str) -> bool:
    return label in ("EDF Annotations", "BDF Annotations")


def _column(header: bytes, offset: int, width: int) -> list[bytes]:
    """One field of every channel; `offset` and `width` in bytes of a channel's part."""
    n = len(header) // LINE - 1
    begin = LINE + offset * n
    return [header[begin + width * number : begin + width * (number + 1)] for number in range(n)]


def _whole(path: Path, what: str, field: bytes) -> int:
    """A whole number of the header. Raises ReadError."""
    found = re.fullmatch(r" *(-?\d{1,8})", text(field))
    if found is None:
        raise ReadError(f"{path}: {what}: {text(field)!r} in the header; expected a whole number")
    return int(found[1])


def text(field: bytes) -> str:
    return field.decode("latin-1").rstrip(" ")


def _decoded(header: bytes, records: bytes, n: int) -> "Edf | Bdf":
    """`n` data records, with their header, in edfio's hands. Raises MissingPackageError without it."""
    try:
        import edfio
    except ImportError as error:
        raise MissingPackageError("EDF and BDF files need the package edfio: pip install 'enecg[edf]'") from error
    content = b"".join([header[:236], b"%-8d" % n, header[244:], records])
    try:
        header[len(BDF) :].decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "latin-1"  # in which every byte is a letter, the micro sign too
    if header.startswith(BDF):
        return edfio.read_bdf(content, header_encoding=encoding)
    return edfio.read_edf(content, header_encoding=encoding)
