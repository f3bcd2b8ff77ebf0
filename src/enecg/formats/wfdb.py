"""WFDB records (PhysioNet): a text header `.hea` beside `.dat` or `.mat` signal files, or other records as segments.

Of a long record only the frames that are wanted are read, in records of segments only the segments that hold them.
Samples are those of the package `wfdb` at the full rate of the leads (`smooth_frames=False`), which the tests hold them
to. Described in header(5) and signal(5) of the WFDB Applications Guide.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from enecg.errors import EnECGError, ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._finish import finished
from enecg.formats._lead_signals import called, is_voltage, leads_among, of_one_rate
from enecg.formats._shown import shown
from enecg.formats._wfdb_facts import acquired_in, said_in
from enecg.formats._wfdb_header import (
    EXPECTED,
    NO_FILE,
    Header,
    Signal,
    decoded,
    has_segments,
    header_beside,
    header_names,
    is_record_line,
    read_header,
    told_lines,
)
from enecg.formats._wfdb_samples import check_files, digital_blocks, missing_value
from enecg.recording import Recording, millivolts_per
from enecg.signal.leads import DISAGREE, LIMB_LEADS, einthoven_residual

__all__ = ["EXPECTED", "NAME", "facts", "listed", "parts", "read", "recognise"]

NAME = "WFDB"

_RATE, _GAIN = 250.0, 200.0
"""Frames a second, and units to the millivolt, of headers that do not say theirs: the rules of header(5)."""

_MOST_MISSING = 2**26
"""Missing samples that gaps between segments may make; more are no recording's, but a damaged header's."""

_TRUST_SECONDS = 10.0
"""So much of the beginning is asked whether the gains can be true, whatever part is read."""

_NO_UNIT = ("NU", "nd", "?")
"""What headers write for a unit that is not known; where the field is missing, it is mV (header(5))."""


class _Piece(NamedTuple):
    """A plain record, and where it stands in the whole: its first frame, and the one after its last."""

    header: Header
    begin: int
    end: int


def recognise(candidate: Candidate) -> bool:
    """Whether the file is a WFDB header, a signal file of the header beside it, or the bare name of a record."""
    header = header_beside(candidate.path)
    if header is None:
        return False
    own = header == candidate.path
    lines = told_lines(candidate.text if own else Candidate(header).text)
    if not lines or not is_record_line(lines[0]):
        return False
    return own or candidate.path.name in header_names(lines[1:]) or not candidate.path.is_file()


def listed(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Which files of one folder stand for a record, and which belong to one.

    Headers stand for a record, except those of another record's segments; the signal files that they name belong to
    it. A header that is damaged is listed all the same, so that reading it can say what is wrong.
    """
    headers = [path for path in files if path.suffix == ".hea"]
    segments: set[str] = set()
    signals: set[str] = set()
    for path in headers:
        first, *lines = _glanced(path) or [""]
        (segments if has_segments(first) else signals).update(header_names(lines))
    belonging = [path for path in files if path.name in signals or path.suffix == ".hea"]
    return [path for path in headers if path.stem not in segments], belonging


def parts(path: Path) -> list[Path]:
    """The header and its signal files, or all those of its segments. Raises ReadError if one is not there."""
    return _parts(read_header(path))


def facts(path: Path) -> dict[str, Any]:
    """What the header says of the patient (`age`, `sex`, `statements`), without reading the samples.

    Raises ReadError for a header that cannot be understood, and if a file that it names is not there.
    """
    header = read_header(path)
    for part in _parts(header):
        header.part(str(part.relative_to(header.path.parent)))
    return said_in(header.comments)


def read(path: Path, ask: Ask) -> Recording:
    """The record at this path; see `enecg.read`.

    Amplitudes are the header's, except where its gains cannot be true: if the limb leads break Einthoven's law in
    those units and keep it in digital ones, one digital unit is taken as a microvolt, and a note says so.
    Leads that have several samples to a frame keep them all; those of another rate than most are left out.
    """
    header = read_header(path)
    try:
        return _recording(header, ask)
    except EnECGError as error:
        if header.path.name in str(error):
            raise
        raise type(error)(f"{header.path}: {error}") from error  # of a segment, or a signal file


def _recording(header: Header, ask: Ask) -> Recording:
    layout, n_frames = _layout(header)
    frame_rate, said = _frame_rate(header, ask)
    leads, notes = _leads(layout, frame_rate, ask)
    per_frame = layout.signals[next(iter(leads))].per_frame
    rate = frame_rate * per_frame
    first, last = ask.span(n_frames * per_frame, rate, header.path)
    frames = range(first // per_frame, -(-last // per_frame))
    pieces = list(_pieces(header, layout, n_frames, frames))
    held = sum(min(piece.end, frames.stop) - max(piece.begin, frames.start) for piece in pieces)
    if (missing := (len(frames) - held) * per_frame * len(leads)) > _MOST_MISSING:
        raise ReadError(
            f"{header.path}: {missing:,} samples are missing between segments; pass start= and seconds= for a part"
        )
    signal = np.full((len(leads), last - first), np.nan, dtype=np.float32)
    for piece in pieces:
        rows = _rows(header, piece, layout, leads)
        calibrated = piece.header
        if not header.segments and not _believable(piece, rows, [*leads.values()], rate, ask):
            calibrated = _in_microvolts(piece.header)
            notes.append("the header's gains break Einthoven's law; 1 digital unit taken as 1 uV, where it holds")
        notes += _fill(signal, first, piece._replace(header=calibrated), rows, frames, ask)
    told = said_in(header.comments)
    return finished(
        header.path,
        NAME,
        signal,
        rate,
        [*leads.values()],
        [*dict.fromkeys([*said, *notes])],
        acquired=acquired_in(header.rest),
        statements=tuple(told.pop("statements")),
        **told,
    )


def _parts(header: Header) -> list[Path]:
    own = sorted({name for name, _ in header.segments} - {NO_FILE})
    files = [header.path.parent / name for name in sorted(header.files)]
    return [header.path, *files, *(part for name in own for part in _parts(header.segment(name)))]


def _glanced(path: Path) -> list[str]:
    """The lines of a header, if it is one; a folder may hold a hundred thousand, so most are only glanced at."""
    try:
        with path.open("rb") as file:
            content = file.read(4096)
            lines = told_lines(decoded(content))
            if lines and has_segments(lines[0]):
                lines = told_lines(decoded(content + file.read(2**22)))
    except OSError:
        return []
    return lines if lines and is_record_line(lines[0]) else []


def _layout(header: Header) -> tuple[Header, int]:
    """The header whose signals are those of the record, and the record's number of frames.

    Of a record of segments that is its first one: of no frames where segments hold different signals (variable layout).
    """
    if not header.segments:
        return header, check_files(header)
    named = [name for name, _ in header.segments if name != NO_FILE]
    if not named:
        raise ReadError(f"{header.path}: names no segment that holds signals; expected one at least")
    layout = header.segment(named[0])
    if len(layout.signals) != header.n_signals:
        raise ReadError(
            f"{header.path}: announces {header.n_signals} leads and {layout.path.name} {len(layout.signals)}; "
            "expected as many"
        )
    n_frames = sum(length for _, length in header.segments)
    if n_frames != (header.n_frames or n_frames) or n_frames == 0:
        raise ReadError(
            f"{header.path}: announces {header.n_frames} samples and segments of {n_frames}; expected as many"
        )
    return layout, n_frames


def _pieces(header: Header, layout: Header, n_frames: int, wanted: range) -> Iterator[_Piece]:
    """The plain records that hold the wanted frames."""
    if not header.segments:
        yield _Piece(header, 0, n_frames)
    end = 0
    for name, length in header.segments:
        begin, end = end, end + length
        if name == NO_FILE or length == 0 or end <= wanted.start or begin >= wanted.stop:
            continue
        segment = layout if layout.path.stem == name else header.segment(name)
        if check_files(segment) != length:
            raise ReadError(f"{segment.path}: has another number of samples than the {length} of {header.path.name}")
        yield _Piece(segment, begin, end)


def _leads(layout: Header, frame_rate: float, ask: Ask) -> tuple[dict[int, str], list[str]]:
    """Which signals are leads, all of one rate, by their number; and what was left out. Raises LeadError if none is."""
    signals = layout.signals
    stored = [n for n, signal in enumerate(signals) if signal.file != NO_FILE] or [*range(len(signals))]
    names = {n: signal.name for n, signal in enumerate(signals)}
    voltages = [n for n in stored if signals[n].unit in _NO_UNIT or is_voltage(signals[n].unit)]
    leads, _ = leads_among(layout.path, {n: names[n] for n in stored}, voltages, ask)
    notes = []
    if other := [n for n in names if n not in stored]:
        notes.append(f"left out, for nothing of them is stored: {called(names, other)}")
    if other := [n for n in stored if n not in leads]:
        notes.append(f"left out, for they are no leads by their names: {called(names, other)}")
    counts = {n: signals[n].per_frame for n in stored}
    kept, more = of_one_rate(leads, counts, lambda per_frame: frame_rate * per_frame)
    return kept, [*notes, *more]


def _frame_rate(header: Header, ask: Ask) -> tuple[float, list[str]]:
    """Frames a second, and a note where nobody says them."""
    if header.rate is not None:
        return header.rate, []
    if ask.rate is not None:
        return ask.rate, []
    return _RATE, [f"the header says no rate; {_RATE:g} Hz by WFDB's rule"]


def _rows(header: Header, piece: _Piece, layout: Header, leads: Mapping[int, str]) -> dict[int, int]:
    """Which signals of a piece are wanted, and the row of the lead that each is."""
    rows = {n: row for row, n in enumerate(leads)}
    if not header.segments:
        return rows
    signals = piece.header.signals
    names = [signal.name for signal in layout.signals]
    if header.segments[0][1] > 0:
        if [signal.name for signal in signals] != names:
            raise ReadError(f"{piece.header.path}: other signals than {layout.path.name}; expected the same")
    else:
        by_name = {names[n]: row for n, row in rows.items()}
        rows = {n: by_name[signal.name] for n, signal in enumerate(signals) if signal.name in by_name}
    per_frame = layout.signals[next(iter(leads))].per_frame
    for n in rows:
        if signals[n].per_frame != per_frame:
            raise ReadError(
                f"{piece.header.path}: {signals[n].name}: {signals[n].per_frame} samples to a frame, {per_frame} "
                f"elsewhere in {header.path.name}; expected one rate"
            )
    return rows


def _fill(
    signal: npt.NDArray[np.float32], first: int, piece: _Piece, rows: Mapping[int, int], frames: range, ask: Ask
) -> list[str]:
    """Put the wanted frames of a piece in their place, in mV; notes of what was decided about them.

    signal : [lead, sample], whose first sample is number `first` of the record;  rows : in it, by a signal's number.
    """
    header, signals = piece.header, [piece.header.signals[n] for n in rows]
    if not signals:
        return []
    per_frame = signals[0].per_frame
    begin = max(frames.start, piece.begin) - piece.begin
    end = min(frames.stop, piece.end) - piece.begin
    # A signal that is late by its skew is found so many frames further on.
    stop = min(end + max(one.skew for one in signals), piece.end - piece.begin)
    scale = _scale(header, signals, ask)
    sums = np.zeros(len(signals))
    origin = piece.begin * per_frame - first
    for start, _, samples in digital_blocks(header, [*rows], begin, stop):
        values = np.array([samples[n] for n in rows], dtype=np.float64)
        sums += values.sum(axis=1)
        millivolts = _millivolts(values, scale)
        for one, row, line in zip(signals, rows.values(), millivolts, strict=True):
            place = origin + (start - one.skew) * per_frame
            left = max(0, origin + begin * per_frame, place)
            right = min(signal.shape[1], origin + end * per_frame, place + len(line))
            if right > left:
                signal[row, left:right] = line[left - place : right - place]
    notes = []
    if without := [one.name for one in signals if one.gain is None]:
        notes.append(f"{shown(without)}: the header says no gain; {_GAIN:g} units to the millivolt by WFDB's rule")
    if begin == 0 and stop == piece.end - piece.begin:
        found = [int(total) % 2**16 for total in sums]
        wrong = [one.name for one, total in zip(signals, found, strict=True) if one.checksum not in (None, total)]
        if wrong:
            notes.append(f"{shown(wrong)}: the samples do not sum up to the checksum of {header.path.name}")
    return notes


class _Scale(NamedTuple):
    """What digital values mean: float64 [signal, 1] each. missing : the one that is no sample, NaN if there is none."""

    missing: npt.NDArray[np.float64]
    baseline: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]


def _scale(header: Header, signals: Sequence[Signal], ask: Ask) -> _Scale:
    """Of some signals. Raises UnitError for a unit that is no voltage's, or is not known."""
    factors = {}
    for one in signals:
        if one.unit not in factors:
            factors[one.unit] = _factor(header, one, ask)
    rows = [
        (
            np.nan if (value := missing_value(one.form)) is None else value,
            one.baseline,
            one.gain or _GAIN,
            factors[one.unit],
        )
        for one in signals
    ]
    return _Scale(*np.array(rows, dtype=np.float64).T[:, :, None])


def _millivolts(values: npt.NDArray[np.float64], scale: _Scale) -> npt.NDArray[np.float64]:
    """Digital values [signal, sample] in mV, NaN where missing; the array itself is changed."""
    absent = values == scale.missing
    with np.errstate(all="ignore"):  # gains beyond measure are told later
        if scale.baseline.any():
            values -= scale.baseline
        values /= scale.gain
        if (scale.factor != 1).any():
            values *= scale.factor
    if absent.any():
        values[absent] = np.nan
    return values


def _factor(header: Header, signal: Signal, ask: Ask) -> float:
    """Millivolts in a signal's unit; what the caller says counts where the header says nothing."""
    where = f"{header.path}: lead {signal.name}"
    if signal.unit is None:
        return 1.0
    if signal.unit in _NO_UNIT:
        return ask.millivolts(where)
    try:
        return millivolts_per(signal.unit)
    except UnitError as error:
        raise UnitError(f"{where}: {error}") from error


def _believable(piece: _Piece, rows: Mapping[int, int], leads: Sequence[str], rate: float, ask: Ask) -> bool:
    """Whether the limb leads keep Einthoven's law in the header's units, or break it in digital ones as well.

    Asked of the record's beginning, so that its parts are read alike.
    """
    limbs = [n for n, row in rows.items() if leads[row] in LIMB_LEADS]
    signals = [piece.header.signals[n] for n in limbs]
    alike = max(Counter((one.gain, one.unit) for one in signals).values(), default=0)
    if len(limbs) < 3 or 2 * alike > len(limbs):
        return True  # no law; or one scale for most, which those of the others, right or wrong, do not make wrong
    scale = _scale(piece.header, signals, ask)
    n_frames = min(piece.end, max(1, int(_TRUST_SECONDS * rate / signals[0].per_frame)))
    blocks = [samples for *_, samples in digital_blocks(piece.header, limbs, 0, n_frames)]
    digital = np.array([np.concatenate([block[n] for block in blocks]) for n in limbs], dtype=np.float64)
    digital[digital == scale.missing] = np.nan
    names = [leads[rows[n]] for n in limbs]
    kept = einthoven_residual(digital, names) < DISAGREE / 2
    return not (kept and einthoven_residual(_millivolts(digital, scale), names) > DISAGREE)


def _in_microvolts(header: Header) -> Header:
    """One digital unit as a microvolt in all signals."""
    return replace(header, signals=tuple(one._replace(gain=1000.0, baseline=0, unit="mV") for one in header.signals))
