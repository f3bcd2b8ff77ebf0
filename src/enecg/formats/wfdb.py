"""WFDB records (PhysioNet): a text header `.hea` beside `.dat` or `.mat` signal files, read by the package `wfdb`.

The header is looked at here before `wfdb` sees it: what is missing, cut short or absurd is told in the user's words,
and no name in a header leads out of its folder. What `wfdb` stumbles over though the record is whole (Georgia's record
names, dots in names, letters beyond ASCII such as the micro sign) is put into its spelling.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._finish import DISAGREE, finished
from enecg.recording import Recording, millivolts_per, standard_lead
from enecg.signal.leads import einthoven_residual

NAME = "WFDB"
EXPECTED = "a WFDB header NAME.hea, whose first line reads NAME LEADS RATE SAMPLES, beside its signal file"

_LARGEST = 4 * 2**20
"""Bytes; a header of twelve leads has about 800, one of a thousand segments some 30,000."""

_MICROVOLTS = 1e-3
_MOST_SAMPLES = 12 * 86_400 * 1_000
"""More of them are not read at once: a line of text must not ask for all memory."""

_RECORD_LINE = re.compile(r"\s*(?P<name>\S+?)(/(?P<segments>\d+))?\s+(?P<leads>\d{1,6})(\s+(?P<rate>\S+))?(\s|$)")
_MAYBE_SEGMENTED = re.compile(rb"^\s*[^#\s]\S*/\d+\s", re.MULTILINE)
_PLAIN_NAME = re.compile(r"[-\w]+(\.\w+)?", re.ASCII)
_PLAIN_TIME = re.compile(r"([01]?\d|2[0-3]):[0-5]?\d:[0-5]?\d(\.\d{1,6})?( (?P<date>\d{1,2}/\d{1,2}/\d{4}))?")
_RATE = re.compile(r"(\d+\.?\d*|\.\d+)(/\S*)?")
_FORM = re.compile(r"(?P<format>\d{1,4})(x(?P<frame>\d{1,9}))?(:\d{1,9})?(\+(?P<offset>\d{1,15}))?")
_GAIN = re.compile(r"-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
_DATE = re.compile(r"(\d{1,2})[-/](\w{3}|\d{1,2})[-/](\d{4})")
_TIME = re.compile(r"\b(\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?\b")
_AGE = re.compile(r"(>?)\s*(\d+(?:\.\d+)?)\s*(?:y|yrs?|years?)?", re.IGNORECASE)
_SEX = {"m": "male", "male": "male", "f": "female", "female": "female"}

# How many bytes hold how many samples; formats 508, 516 and 524 are compressed and have no fixed size.
_BYTES = {"8": (1, 1), "16": (2, 1), "24": (3, 1), "32": (4, 1), "61": (2, 1), "80": (1, 1), "160": (2, 1)}
_BYTES |= {"212": (3, 2), "310": (4, 3), "311": (4, 3)}


@dataclass(frozen=True)
class _Header:
    """The text of a header: its record line, a line for each signal or segment, comments without their `#`."""

    path: Path
    record: str
    lines: tuple[str, ...]
    comments: tuple[str, ...]

    @property
    def called(self) -> re.Match[str]:
        """The record line's parts: name, segments, leads, rate."""
        found = _RECORD_LINE.match(self.record)
        assert found is not None  # `_open` has seen to it
        return found

    @property
    def segmented(self) -> bool:
        """Whether its lines name segments, which are records of their own, and not signals."""
        return self.called["segments"] is not None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the signal files, or segments, line by line."""
        return tuple(line.split()[0] for line in self.lines)

    @property
    def samples(self) -> int | None:
        """In each lead; None where the header leaves it to the signal file's length."""
        said = self.record.split()[3:4]
        return int(said[0]) if said and re.fullmatch(r"\d{1,15}", said[0]) else None

    @property
    def rest(self) -> str:
        """What follows the number of samples in the record line: time and date."""
        return "".join(self.record.split(maxsplit=4)[4:]).strip()


def recognise(candidate: Candidate) -> bool:
    """Whether the file, or the header beside it, is a WFDB header."""
    header = _beside(candidate.path)
    if header is None:
        return False
    try:
        with header.open("rb") as file:
            start = _decode(file.read(2**16))
    except OSError:
        return False
    lines = [line for line in start.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return bool(lines) and _RECORD_LINE.match(lines[0]) is not None


def listed(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Which files of one folder stand for a record, and which belong to one.

    Headers stand for a record, except those of another record's segments; files of the same name but for their ending
    belong to it. A header that is damaged is listed all the same, so that reading it can say what is wrong.
    """
    headers = [path for path in files if path.suffix == ".hea"]
    segments = {name for path in headers for name in _segments(path)}
    stems = {path.stem for path in headers}
    belonging = [path for path in files if path.stem in stems or path.name in stems]
    return [path for path in headers if path.stem not in segments], belonging


def parts(path: Path) -> list[Path]:
    """The header and its signal files. Raises ReadError for a header that cannot be understood."""
    header = _open(path)
    if not header.segmented:
        return [header.path, *sorted({header.path.parent / name for name in header.names if name != "~"})]
    own = (_segment(header, name).path for name in sorted(set(header.names) - {"~"}))
    return [header.path, *(part for segment in own for part in parts(segment))]


def facts(path: Path) -> dict[str, Any]:
    """What the header says of the patient (`age`, `sex`, `statements`), without reading the samples.

    Raises ReadError for a header that cannot be understood, and if a file that it names is not there.
    """
    header = _open(path)
    for part in parts(header.path):
        _require(header, part)
    return _facts(header.comments)


def read(path: Path, ask: Ask) -> Recording:
    """The record at this path; see `enecg.read`.

    Amplitudes are the header's, except where its gains cannot be true: if the limb leads break Einthoven's law in
    those units and keep it in digital ones, one digital unit is taken as a microvolt, and a note says so.
    """
    header = _open(path)
    _check(header)
    record = _wfdb_record(header)
    if record.p_signal is None or record.p_signal.size == 0:
        raise ReadError(f"{header.path}: the record holds no samples; expected some for each lead")
    leads = _leads(header, record.sig_name)
    notes = _defaults(header, leads)
    signal = record.p_signal.T * _factors(header, leads, record.units, ask.unit)[:, None]
    if not header.segmented and einthoven_residual(signal, leads) > DISAGREE:
        digital = _digital(record)
        if einthoven_residual(digital, leads) < DISAGREE / 5:
            signal = digital * _MICROVOLTS
            notes.append("the header's gains break Einthoven's law; 1 digital unit taken as 1 uV, where it holds")
    first, last = ask.span(signal.shape[1], record.fs, header.path)
    said = _facts(header.comments)
    return finished(
        header.path,
        NAME,
        signal[:, first:last],
        record.fs,
        leads,
        notes,
        acquired=_acquired(header.rest),
        statements=tuple(said.pop("statements")),
        **said,
    )


def _beside(path: Path) -> Path | None:
    """The header that a path means: itself, that of the record so called, or that beside the signal file."""
    if not path.name:
        return None
    for candidate in (path, path.with_name(f"{path.name}.hea"), path.with_suffix(".hea")):
        if candidate.suffix == ".hea" and candidate.is_file():
            return candidate
    return None


def _open(path: Path) -> _Header:
    """The header's text. Raises ReadError if it is not one, is far too large, or names what is not in its folder."""
    found = _beside(path)
    if found is None:
        raise ReadError(f"{path}: no WFDB header ({path.name.removesuffix('.hea')}.hea); expected {EXPECTED}")
    try:
        with found.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise ReadError(f"{found}: cannot be read ({error.strerror})") from error
    if len(text) > _LARGEST:
        raise ReadError(f"{found}: over {_LARGEST >> 20} MiB, which no header is; expected {EXPECTED}")
    lines = [line.strip() for line in _decode(text).splitlines()]
    told = [line for line in lines if line and not line.startswith("#")]
    if not told or _RECORD_LINE.match(told[0]) is None:
        raise ReadError(f"{found}: not a WFDB header; expected {EXPECTED}")
    comments = tuple(line.strip("# \t") for line in lines if line.startswith("#"))
    header = _Header(found, told[0], tuple(told[1:]), comments)
    outside = [name for name in header.names if not _inside(name)]
    if outside:
        raise ReadError(
            f"{found}: names the file {outside[0]}, outside its own folder; expected a file beside the header"
        )
    return header


def _inside(name: str) -> bool:
    both = (PurePosixPath(name), PureWindowsPath(name))
    return not any(path.is_absolute() or path.drive or ".." in path.parts for path in both)


def _decode(text: bytes) -> str:
    """UTF-8, with or without its mark; else Latin-1, in which every byte is a letter."""
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _segments(path: Path) -> tuple[str, ...]:
    """Names of its segments, if any; a folder may hold a hundred thousand headers, so most are only glanced at."""
    try:
        with path.open("rb") as file:
            if _MAYBE_SEGMENTED.search(file.read(4096)) is None:
                return ()
        header = _open(path)
    except (OSError, ReadError):
        return ()
    return header.names if header.segmented else ()


def _require(header: _Header, part: Path) -> None:
    if not part.is_file():
        raise ReadError(f"{header.path}: its file {part.name} is not there; copy it beside the header")


def _segment(header: _Header, name: str) -> _Header:
    path = header.path.parent / f"{name}.hea"
    _require(header, path)
    segment = _open(path)
    if segment.segmented:
        raise ReadError(f"{header.path}: its segment {name} has segments itself; expected a plain record")
    return segment


def _check(header: _Header) -> None:
    """Counts that do not fit, and signal files that are missing or short, told before wfdb stumbles over them."""
    for part in parts(header.path):
        _require(header, part)
    if header.segmented:
        whole = (header.samples or 0) * int(header.called["leads"])
        if whole > _MOST_SAMPLES:
            raise ReadError(
                f"{header.path}: announces {whole:,} samples; expected {_MOST_SAMPLES:,} at most, which is a day of "
                "twelve leads at 1,000 Hz. Cut the record into parts"
            )
        for name in sorted(set(header.names) - {"~"}):
            _check(_segment(header, name))
        return
    rate, announced = header.called["rate"], int(header.called["leads"])
    if rate is not None and _RATE.fullmatch(rate) is None:
        raise ReadError(f"{header.path}: a rate of {rate!r}; expected a number of Hz after the number of leads")
    if header.samples is None and len(header.record.split()) > 3:
        raise ReadError(f"{header.path}: {header.record.split()[3]!r} samples; expected a whole number after the rate")
    if announced == 0:
        raise ReadError(f"{header.path}: announces no leads; expected a record with signals")
    if announced != len(header.lines):
        raise ReadError(
            f"{header.path}: announces {announced} leads and describes {len(header.lines)}; expected a line for each"
        )
    forms = [_FORM.fullmatch(" ".join(line.split()[1:2])) for line in header.lines]
    for line, form in zip(header.lines, forms, strict=True):
        if form is None:
            raise ReadError(f"{header.path}: the line {line!r} describes no signal; expected FILE FORMAT GAIN ... LEAD")
    for name in set(header.names) - {"~"}:
        own = [form for form, file in zip(forms, header.names, strict=True) if form is not None and file == name]
        _check_size(header, name, own)


def _check_size(header: _Header, name: str, forms: Sequence[re.Match[str]]) -> None:
    """Whether a signal file is as long as its lines say. forms : of each signal that it holds."""
    size = _BYTES.get(forms[0]["format"])
    if size is None or not header.samples:
        return
    samples = header.samples * sum(int(form["frame"] or 1) for form in forms)
    expected = int(forms[0]["offset"] or 0) - (-samples * size[0] // size[1])
    file = header.path.parent / name
    found = file.stat().st_size
    if found < expected:
        raise ReadError(
            f"{file}: cut short, {found} bytes of {expected} that {header.path.name} announces; copy the file again"
        )


def _wfdb_record(header: _Header) -> Any:
    """The whole record as wfdb reads it."""
    import wfdb

    try:
        with _readable(header) as name, np.errstate(all="ignore"):
            return wfdb.rdrecord(name, return_res=64)
    except Exception as error:
        raise ReadError(
            f"{header.path}: cannot be read ({error}); compare the header with its files, or copy them again"
        ) from error


@contextmanager
def _readable(header: _Header) -> Iterator[str]:
    """The record's name as wfdb takes it: where it would refuse or misread a header, one in its spelling is written
    aside, with links to the signal files.
    """
    if header.segmented or _plain(header):
        yield str(header.path.with_suffix(""))
        return
    with TemporaryDirectory() as folder:
        links = {name: f"signal{number}.dat" for number, name in enumerate(dict.fromkeys(header.names))}
        for name, link in links.items():
            Path(folder, link).symlink_to((header.path.parent / name).resolve())
        fields = header.record.split(maxsplit=4)[:4]
        lines = [" ".join(["record", *fields[1:]])]
        lines += [line.replace(name, links[name], 1) for line, name in zip(header.lines, header.names, strict=True)]
        text = "\n".join(lines).replace("µ", "u").replace("μ", "u")
        Path(folder, "record.hea").write_text(text + "\n", encoding="utf-8")
        yield str(Path(folder, "record"))


def _plain(header: _Header) -> bool:
    """Whether wfdb reads this header as it stands. It knows ASCII only (and would take µV for V), names with one dot,
    no dot in a record's name, times of the day only, and takes `::` in a path for a chain of file systems.
    """
    named = all(_PLAIN_NAME.fullmatch(name) for name in (header.called["name"], *header.names))
    text = "\n".join((header.record, *header.lines))
    time = _PLAIN_TIME.fullmatch(header.rest)
    timed = time is not None and (time["date"] is None or _acquired(header.rest) is not None)
    return (
        named
        and (timed or not header.rest)
        and text.isascii()
        and "." not in header.called["name"]
        and "::" not in str(header.path)
    )


def _defaults(header: _Header, leads: Sequence[str]) -> list[str]:
    """Notes of what the header leaves to the rules of WFDB: 250 Hz, 200 units to the millivolt (header(5)), and one
    rate for all leads.
    """
    notes = []
    if header.called["rate"] is None:
        notes.append("the header says no rate; 250 Hz by WFDB's rule")
    if header.segmented:
        return notes
    gains = [_GAIN.match((line.split()[2:3] or [""])[0]) for line in header.lines]
    without = [name for name, gain in zip(leads, gains, strict=True) if gain is None or not float(gain.group())]
    if without:
        notes.append(f"{', '.join(without)}: the header says no gain; 200 units to the millivolt by WFDB's rule")
    forms = [_FORM.match(line.split()[1]) for line in header.lines]
    averaged = [name for name, form in zip(leads, forms, strict=True) if form and int(form["frame"] or 1) > 1]
    if averaged:
        notes.append(f"{', '.join(averaged)}: several samples to a frame, averaged to the record's rate")
    return notes


def _leads(header: _Header, names: Sequence[str | None]) -> tuple[str, ...]:
    nameless = [str(number) for number, name in enumerate(names, start=1) if not name]
    if nameless:
        raise ReadError(
            f"{header.path}: signal {', '.join(nameless)} has no name; expected the lead's at the end of its line"
        )
    try:
        return tuple(standard_lead(str(name)) for name in names)
    except LeadError as error:
        raise ReadError(f"{header.path}: {error}") from error


def _factors(
    header: _Header, leads: Sequence[str], units: Sequence[str | None], given: str | None
) -> npt.NDArray[np.float64]:
    """Millivolts in one unit of each lead; what the caller says counts where the header says nothing."""
    factors = []
    for lead, unit in zip(leads, units, strict=True):
        said = (unit or "").strip()
        if said in ("", "NU", "nd", "?"):
            if given is None:
                raise UnitError(f"{header.path}: lead {lead} has no unit; pass unit= (V, mV, uV or nV)")
            said = given
        try:
            factors.append(millivolts_per(said))
        except UnitError as error:
            raise UnitError(f"{header.path}: lead {lead}: {error}") from error
    return np.array(factors)


def _digital(record: Any) -> npt.NDArray[np.float64]:
    gain, baseline = np.array(record.adc_gain), np.array(record.baseline)
    return np.asarray(np.round(record.p_signal * gain + baseline).T)


def _acquired(rest: str) -> datetime | None:
    """Date and time of the record line, in either order; None unless both are there and possible."""
    date, time = _DATE.search(rest), _TIME.search(rest)
    if date is None or time is None:
        return None
    day, month, year = date.groups()
    form = "%d %b %Y %H %M %S" if month.isalpha() else "%d %m %Y %H %M %S"
    try:
        return datetime.strptime(f"{day} {month} {year} {' '.join(time.groups())}", form)
    except ValueError:
        return None


def _facts(comments: Sequence[str]) -> dict[str, Any]:
    """Age, sex and what else the comments say. Both `Age: 51` and `<age>: 51 <sex>: F` are known."""
    age, sex, statements = None, None, []
    for key, value in (pair for comment in comments for pair in _pairs(comment)):
        if not value or value.lower() in ("unknown", "nan", "n/a"):
            continue
        word = key.lower()
        if word == "age" and (number := _years(value)) is not None:
            age = number
        elif word in ("sex", "gender") and value.lower() in _SEX:
            sex = _SEX[value.lower()]
        else:
            statements.append(f"{key}: {value}" if key else value)
    return {"age": age, "sex": sex, "statements": statements}


def _pairs(comment: str) -> list[tuple[str, str]]:
    tagged = re.findall(r"<([^<>]+)>\s*:?\s*([^<]*)", comment)
    if tagged:
        return [(key.strip(), value.strip()) for key, value in tagged]
    key, colon, value = comment.partition(":")
    return [(key.strip(), value.strip())] if colon else [("", comment.strip())]


def _years(value: str) -> float | None:
    """`51`, `51 y`, `>89` (which is how 90 and more are hidden) as years; None for what no one lives."""
    found = _AGE.fullmatch(value)
    if found is None:
        return None
    hidden, number = found.groups()
    years = float(number) + (1 if hidden else 0)
    return years if years < 130 else None
