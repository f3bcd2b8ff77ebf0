"""The header of a WFDB record: a text that says how its signals are stored and what their numbers mean.

Described in header(5) of the WFDB Applications Guide. Read here and not by the package `wfdb`, which takes three
quarters of its time for it, knows ASCII only (and so would take µV for V), and stumbles over what some data sets write:
a record's name with an ending (Georgia's), a date before the time. No name in a header leads out of its folder.
"""

import math
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from enecg.errors import ReadError

EXPECTED = "a WFDB header NAME.hea, whose first line reads NAME LEADS RATE SAMPLES, beside its signal file"

NO_FILE = "~"
"""Instead of a file's name: a signal that is not stored, or a gap between segments."""

_LARGEST = 4 * 2**20
"""Bytes; a header of twelve leads has about 800, one of a thousand segments some 30,000."""

_MOST_SIGNALS = 1_000

_RECORD = re.compile(
    r"(?P<name>\S+?)(/(?P<segments>\d+))?\s+(?P<signals>\d{1,6})"
    r"(\s+(?P<rate>\S+)(\s+(?P<frames>\S+)(\s+(?P<rest>.*))?)?)?"
)
_RATE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(/\S*)?")
_SIGNAL = re.compile(
    r"(?P<file>\S+)\s+(?P<form>\d{1,4})(?:x(?P<per_frame>\d{1,9}))?(?::(?P<skew>\d{1,9}))?(?:\+(?P<offset>\d{1,15}))?"
    r"(?:\s+(?P<gain>-?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)(?:\((?P<baseline>-?\d{1,15})\))?(?:/(?P<unit>\S+))?"
    r"(?:\s+\d{1,4}(?:\s+(?P<zero>-?\d{1,15})"
    r"(?:\s+(?P<initial>-?\d{1,15})(?:\s+(?P<checksum>-?\d{1,15})(?:\s+\d{1,9})?)?)?)?)?)?"
    r"(?:\s+(?P<name>.*))?",
    re.IGNORECASE,
)
_SEGMENT = re.compile(r"(\S+)\s+(\d{1,15})")


class Signal(NamedTuple):
    """One line of a header.

    file : beside the header, or NO_FILE;  form : number of the storage format (signal(5));
    per_frame : samples in a frame;  skew : frames by which the signal is late in its file;
    offset : what comes before its first sample, in bytes (in a compressed file: in samples of each signal);
    gain : digital units in one `unit`, None where it is not known;  baseline : the digital value that means 0;
    initial : what format 8 begins with;  checksum : sum of all samples modulo 2 ** 16, None where it is not known.
    """

    file: str
    form: int
    per_frame: int
    skew: int
    offset: int
    gain: float | None
    baseline: int
    unit: str | None
    initial: int
    checksum: int | None
    name: str


@dataclass(frozen=True)
class Header:
    """What a header says, either of signals or of segments, which are records of their own.

    n_signals : as the first line announces;  rate : frames a second, n_frames : of the record, None where not said;
    rest : of the first line, time and date;  segments : names, or NO_FILE, and numbers of frames;
    comments : without their `#`.
    """

    path: Path
    n_signals: int
    rate: float | None
    n_frames: int | None
    rest: str
    signals: tuple[Signal, ...]
    segments: tuple[tuple[str, int], ...]
    comments: tuple[str, ...]

    @property
    def files(self) -> dict[str, list[int]]:
        """The signal files, and the numbers of the signals in each."""
        found: dict[str, list[int]] = {}
        for number, signal in enumerate(self.signals):
            if signal.file != NO_FILE:
                found.setdefault(signal.file, []).append(number)
        return found

    def part(self, name: str) -> Path:
        """A file that the header names. Raises ReadError if it is not there."""
        path = self.path.parent / name
        with suppress(OSError):  # a name that no file can have
            if path.is_file():
                return path
        raise ReadError(f"{self.path}: its file {path.name:.100} is not there; copy it beside the header")

    def segment(self, name: str) -> "Header":
        """The header of a segment. Raises ReadError if it is not there, or has segments itself."""
        found = read_header(self.part(f"{name}.hea"))
        if found.segments:
            raise ReadError(f"{self.path}: its segment {name} has segments itself; expected a plain record")
        return found


def header_beside(path: Path) -> Path | None:
    """The header that a path may mean: itself, that of the record so called, or that beside the signal file."""
    if not path.name:
        return None
    if path.suffix == ".hea" and path.is_file():
        return path
    for candidate in (path.with_name(f"{path.name}.hea"), path.with_suffix(".hea")):
        if candidate.is_file():
            return candidate
    return None


def read_header(path: Path) -> Header:
    """The header that a path means. Raises ReadError, naming it, for what is none or cannot be understood."""
    found = header_beside(path)
    if found is None:
        raise ReadError(f"{path}: no WFDB header ({path.name.removesuffix('.hea')}.hea); expected {EXPECTED}")
    text = _text(found)
    first, *lines = told_lines(text) or [""]
    record = _RECORD.fullmatch(first)
    if record is None:
        raise ReadError(f"{found}: not a WFDB header; expected {EXPECTED}")
    segmented = record["segments"] is not None
    _check_lines(found, record, lines)
    return Header(
        found,
        int(record["signals"]),
        _rate(found, record["rate"]),
        _frames(found, record["frames"]),
        record["rest"] or "",
        () if segmented else tuple(_signal(found, line) for line in lines),
        tuple(_segment(found, line) for line in lines) if segmented else (),
        tuple(line.strip("# \t") for line in text.splitlines() if line.lstrip().startswith("#")),
    )


def is_record_line(line: str) -> bool:
    """Whether a header may begin so."""
    return _RECORD.fullmatch(line) is not None


def has_segments(line: str) -> bool:
    """Whether this first line of a header is of one that lists segments."""
    found = _RECORD.fullmatch(line)
    return found is not None and found["segments"] is not None


def header_names(lines: list[str]) -> list[str]:
    """The files, or segments, that the lines after the first name."""
    return [line.split(maxsplit=1)[0] for line in lines]


def told_lines(text: str) -> list[str]:
    """The lines of a header that are neither empty nor comments, stripped."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def decoded(content: bytes) -> str:
    """UTF-8, with or without its mark; else Latin-1, in which every byte is a letter."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _text(path: Path) -> str:
    """A header's text. Raises ReadError for one that is far too long."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ReadError(f"{path}: over {_LARGEST >> 20} MiB, which no header is; expected {EXPECTED}")
        content = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror})") from error
    return decoded(content)


def _check_lines(path: Path, record: re.Match[str], lines: list[str]) -> None:
    """Raises ReadError unless there are as many lines as announced, and no name leads out of the header's folder."""
    signals, segments = int(record["signals"]), record["segments"]
    names = Counter(header_names(lines))
    if segments is None and signals != len(lines):
        raise ReadError(f"{path}: announces {signals} leads and describes {len(lines)}; expected a line for each")
    if segments is None and not 1 <= signals <= _MOST_SIGNALS:
        raise ReadError(f"{path}: announces {signals or 'no'} leads; expected a record of 1 to {_MOST_SIGNALS:,}")
    if segments is not None and segments.lstrip("0") != str(len(lines)):
        raise ReadError(f"{path}: announces {segments[:9]} segments and lists {len(lines)}; expected a line for each")
    for name, times in names.items():
        if not _inside(name):
            raise ReadError(f"{path}: names the file {name}, outside its own folder; expected a file beside the header")
        if segments is not None and times > 1 and name != NO_FILE:
            raise ReadError(f"{path}: names the segment {name} {times} times; expected each once")


def _rate(path: Path, text: str | None) -> float | None:
    """Frames a second; what follows a slash counts differently, for people."""
    if text is None:
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise ReadError(f"{path}: a rate of {text!r}; expected a number of Hz after the number of leads")
    return float(found[1])


def _frames(path: Path, text: str | None) -> int | None:
    """Frames of the record; 0 is said where the number is not known."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,15}", text) is None:
        raise ReadError(f"{path}: {text!r} samples; expected a whole number after the rate")
    return int(text) or None


def _signal(path: Path, line: str) -> Signal:
    found = _SIGNAL.fullmatch(line)
    if found is None:
        raise ReadError(f"{path}: the line {line!r} describes no signal; expected FILE FORMAT GAIN ... LEAD")
    file, form, per_frame, skew, offset, gain, baseline, unit, zero, initial, checksum, name = found.groups("")
    signal = Signal(
        file,
        int(form),
        int(per_frame or 1),
        int(skew or 0),
        int(offset or 0),
        float(gain or 0) or None,
        int(baseline or zero or 0),
        unit or None,
        int(initial or 0),
        int(checksum) % 2**16 if checksum else None,
        name.strip(),
    )
    if signal.per_frame == 0 or not math.isfinite(signal.gain or 1):
        raise ReadError(f"{path}: the line {line!r} means no signal; expected a finite gain, a sample in each frame")
    if signal.initial == signal.checksum == 0:
        return signal._replace(checksum=None)  # written by hand, or before the samples were known
    return signal


def _segment(path: Path, line: str) -> tuple[str, int]:
    found = _SEGMENT.fullmatch(line)
    if found is None:
        raise ReadError(f"{path}: the line {line!r} describes no segment; expected NAME SAMPLES")
    return found[1], int(found[2])


def _inside(name: str) -> bool:
    if not set(name) & set("/\\:"):
        return name != ".."
    both = (PurePosixPath(name), PureWindowsPath(name))
    return not any(path.is_absolute() or path.drive or ".." in path.parts for path in both)
