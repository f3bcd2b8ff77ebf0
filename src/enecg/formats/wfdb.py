"""WFDB records (PhysioNet): a text header `.hea` beside `.dat` or `.mat` signal files, read by the package `wfdb`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.recording import Recording, Source, millivolts_per, standard_lead
from enecg.signal.leads import derive, einthoven_residual

NAME = "WFDB"

_DISAGREE = 0.05
"""Einthoven residual above which limb leads do not agree; recordings in order have less than 0.01."""

_MICROVOLTS = 1e-3
_RECORD_LINE = re.compile(r"^(\S+?)(/\d+)?\s+(\d+)(\s|$)")
_DATE = re.compile(r"(\d{1,2})[-/](\w{3}|\d{1,2})[-/](\d{4})")
_TIME = re.compile(r"\b(\d{1,2}):(\d{2}):(\d{2})(?:\.\d+)?\b")


def recognise(path: Path) -> bool:
    """Whether the file, or the header beside it, is a WFDB header."""
    header = _header(path)
    if header is None:
        return False
    try:
        with header.open("rb") as file:
            start = file.read(4096).decode("utf-8", errors="replace")
    except OSError:
        return False
    lines = [line for line in start.splitlines() if line.strip() and not line.startswith("#")]
    return bool(lines) and _RECORD_LINE.match(lines[0]) is not None


def listed(path: Path) -> bool:
    """Whether a file found in a folder stands for a record: headers do, their segments' headers do not."""
    if path.suffix != ".hea" or path.stem.endswith("_layout"):
        return False
    return recognise(path) and not re.fullmatch(r".+_\d{4}", path.stem)


def parts(path: Path) -> list[Path]:
    """The header and its signal files. Raises ReadError for a header that cannot be understood."""
    header = _header(path)
    if header is None:
        raise ReadError(f"{path}: no WFDB header ({path.with_suffix('.hea').name}) beside it")
    record = _read_header(header)
    names = getattr(record, "file_name", None) or []
    return [header, *sorted({header.parent / name for name in names if name and name != "~"})]


def read(path: Path, unit: str | None = None) -> Recording:
    """The record at this path; see `enecg.read`.

    Amplitudes are the header's, except where its gains cannot be true: if the limb leads break Einthoven's law in
    those units and keep it in digital ones, one digital unit is taken as a microvolt, and a note says so.
    """
    header = _header(path)
    if header is None:
        raise ReadError(f"{path}: no WFDB header ({path.with_suffix('.hea').name}) beside it")
    record = _read_record(header)
    if record.p_signal is None or record.p_signal.size == 0:
        raise ReadError(f"{header}: the record holds no samples; expected some for each lead")
    leads, notes = _leads(header, record.sig_name), []
    signal = record.p_signal.T * _factors(header, record.units, unit)[:, None]
    residual = einthoven_residual(signal, leads)
    if residual > _DISAGREE:
        digital = _digital(record)
        if einthoven_residual(digital, leads) < _DISAGREE / 5:
            signal = digital * _MICROVOLTS
            notes.append("the header's gains break Einthoven's law; 1 digital unit taken as 1 uV, where it holds")
        else:
            notes.append(f"the limb leads disagree with Einthoven's law (residual {residual:.2f}); nothing was changed")
    facts = _facts(record.comments)
    try:
        recording = Recording(
            signal=signal.astype(np.float32),
            rate=record.fs,
            leads=leads,
            id=header.stem,
            acquired=_acquired(header),
            statements=tuple(facts.pop("statements")),
            source=Source(header, NAME),
            notes=tuple(notes),
            **facts,
        )
    except EnECGError as error:
        raise ReadError(f"{header}: {error}") from error
    return _with_derived(recording)


def _with_derived(recording: Recording) -> Recording:
    signal, leads, derived = derive(recording.signal, recording.leads)
    if not derived:
        return recording
    note = f"derived from the other limb leads: {', '.join(derived)}"
    return replace(recording, signal=signal, leads=leads, notes=(*recording.notes, note))


def _header(path: Path) -> Path | None:
    for candidate in (path, path.with_suffix(".hea"), path.with_name(path.name + ".hea")):
        if candidate.suffix == ".hea" and candidate.is_file():
            return candidate
    return None


def _read_header(header: Path) -> Any:
    import wfdb

    try:
        with _readable(header) as name:
            return wfdb.rdheader(name)
    except Exception as error:
        raise ReadError(
            f"{header}: not a WFDB header that can be understood ({error}); expected the form of wfdb.io's header(5)"
        ) from error


def _read_record(header: Path) -> Any:
    import wfdb

    described = _read_header(header)
    _check_files(header, described)
    try:
        with _readable(header) as name:
            return wfdb.rdrecord(name, return_res=64)
    except Exception as error:
        raise ReadError(f"{header}: the signal cannot be read ({error}); copy the record's files again") from error


def _check_files(header: Path, record: Any) -> None:
    """Missing and short signal files, told before wfdb stumbles over them."""
    names = getattr(record, "file_name", None)
    if not names:
        return
    for name in dict.fromkeys(names):
        file = header.parent / name
        if not file.is_file():
            raise ReadError(f"{header}: its signal file {name} is not there; copy it beside the header")
        rows = [row for row, own in enumerate(names) if own == name]
        width = {"16": 2.0, "212": 1.5, "24": 3.0, "32": 4.0, "80": 1.0, "61": 2.0, "160": 2.0}.get(record.fmt[rows[0]])
        if width is None or not record.sig_len:
            continue
        per_frame = sum(record.samps_per_frame[row] or 1 for row in rows)
        expected = int((record.byte_offset[rows[0]] or 0) + record.sig_len * per_frame * width)
        found = file.stat().st_size
        if found < expected:
            raise ReadError(
                f"{file}: cut short, {found} bytes of {expected} that {header.name} announces; copy the file again"
            )


@contextmanager
def _readable(header: Path) -> Iterator[str]:
    """The record's name as wfdb takes it. Georgia's headers call the record `E00271.mat`, which wfdb refuses: it is
    given a header without that ending, beside links to the signal files.
    """
    lines = header.read_text(errors="replace").splitlines(keepends=True)
    place = next((number for number, line in enumerate(lines) if line.strip() and line[0] != "#"), None)
    called = lines[place].split()[0] if place is not None else ""
    if place is None or not called.endswith((".mat", ".dat")):
        yield str(header.with_suffix(""))
        return
    lines[place] = lines[place].replace(called, called[:-4], 1)
    with TemporaryDirectory() as folder:
        for name in {line.split()[0] for line in lines[place + 1 :] if line.strip() and line[0] != "#"}:
            Path(folder, Path(name).name).symlink_to((header.parent / name).resolve())
        Path(folder, header.name).write_text("".join(lines))
        yield str(Path(folder, header.stem))


def _leads(header: Path, names: list[str]) -> tuple[str, ...]:
    try:
        return tuple(standard_lead(name) for name in names)
    except LeadError as error:
        raise ReadError(f"{header}: {error}") from error


def _factors(header: Path, units: list[str], given: str | None) -> npt.NDArray[np.float64]:
    """Millivolts in one unit of each lead; what the caller says counts where the header says nothing."""
    factors = []
    for unit in units:
        said = (unit or "").strip()
        if said in ("", "NU", "nd", "?"):
            if given is None:
                raise UnitError(f"{header}: the header does not say its unit; pass unit= (V, mV, uV or nV)")
            said = given
        try:
            factors.append(millivolts_per(said))
        except UnitError as error:
            raise UnitError(f"{header}: {error}") from error
    return np.array(factors)


def _digital(record: Any) -> npt.NDArray[np.float64]:
    gain, baseline = np.array(record.adc_gain), np.array(record.baseline)
    return np.asarray(np.round(record.p_signal * gain + baseline).T)


def _acquired(header: Path) -> datetime | None:
    """Date and time of the record line, in either order; None unless both are there and possible."""
    first = next(line for line in header.read_text(errors="replace").splitlines() if line and line[0] != "#")
    date, time = _DATE.search(first), _TIME.search(first)
    if date is None or time is None:
        return None
    day, month, year = date.groups()
    form = "%d %b %Y %H %M %S" if month.isalpha() else "%d %m %Y %H %M %S"
    try:
        return datetime.strptime(f"{day} {month} {year} {' '.join(time.groups())}", form)
    except ValueError:
        return None


def _facts(comments: list[str]) -> dict[str, Any]:
    """Age, sex and what else the comments say. `Age: 51`, `<age>: 51` and `age 51` are all known."""
    facts: dict[str, Any] = {"age": None, "sex": None, "statements": []}
    for comment in comments or []:
        for key, value in re.findall(r"<?([A-Za-z]+)>?\s*:\s*([^<]*)", comment) or [("", comment)]:
            value = value.strip()
            if key.lower() == "age":
                number = re.fullmatch(r">?\s*(\d+(?:\.\d+)?)", value)
                facts["age"] = float(number.group(1)) if number and float(number.group(1)) < 130 else None
            elif key.lower() in ("sex", "gender"):
                facts["sex"] = {"m": "male", "f": "female"}.get(value[:1].lower())
            elif value and value.lower() != "unknown":
                facts["statements"].append(f"{key}: {value}" if key else value)
    return facts
