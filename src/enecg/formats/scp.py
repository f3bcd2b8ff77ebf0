"""SCP-ECG files (EN 1064, ISO 11073-91064, up to version 2): numbered sections, each with a checksum of its own.

Read are the patient (section 1), Huffman tables (2), leads (3), the reference beat where it was subtracted (4 and 5),
rhythm (6), measurements (7) and statements (8). Numbers are little-endian; the checksums are CRC-CCITT.

Not read is "bimodal compression", by which samples outside the QRS complexes are averaged and thinned out: the standard
leaves to the reader how to fill them in again, and public readers do so in three ways. Section 12 of version 3, a long
recording, is not read either. Both are told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._bytes import Cursor, contents, crc_ccitt
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, age_of, finished, moment, sex_of
from enecg.formats._huffman import Table, decode, tables_of, undo_differences
from enecg.formats._lead_codes import LEADS, upright
from enecg.recording import Recording

NAME = "SCP-ECG"
EXPECTED = "an SCP-ECG record, whose bytes 17 to 22 are SCPECG"

Signal = npt.NDArray[np.float64]

_LARGEST = 2**24
"""Bytes; a lead has 65,535 at most in each of two sections."""

_MOST_SAMPLES = 2**23
"""Of all leads together, with times when one was not recorded; a lead cannot store more than 500,000."""

_HEADER = 16
_RECORD_HEADER = 6
_LAST_SECTION = 12
_NANOVOLT, _SECOND = 1e-6, 1e6
"""In millivolts; in microseconds."""

_END = 255
"""Tag after the last of section 1."""

_UNKNOWN = 29999
_NO_AXIS = (999, _UNKNOWN)
_YEARS = {1: 1.0, 2: 1 / 12, 3: 7 / 365.25, 4: 1 / 365.25, 5: 1 / 8766}
"""In one unit of an age: years, months, weeks, days, hours."""

_ENCODINGS = {0x03: "iso8859-2", 0x0B: "iso8859-4", 0x13: "iso8859-5", 0x1B: "iso8859-6", 0x23: "iso8859-7"}
_ENCODINGS |= {0x2B: "iso8859-8", 0x33: "iso8859-11", 0x3B: "iso8859-15", 0x07: "utf-16-le", 0x37: "utf-8"}
_ENCODINGS |= {0x0F: "shift_jis", 0x17: "euc_jp", 0x1F: "euc_jp", 0x27: "gb2312", 0x2F: "cp949"}
"""By the language code of the acquiring device; the others are ASCII or Latin-1."""

_MAKERS = (
    *("", "Burdick", "Cambridge", "Compumed", "Datamed", "Fukuda", "Hewlett-Packard", "Marquette", "Mortara"),
    *("Nihon Kohden", "Okin", "Quinton", "Siemens", "Spacelabs", "Telemed", "Hellige", "ESA-OTE", "Schiller"),
    *("Picker-Schwarzer", "et medical devices", "Zwönitz"),
)


@dataclass(frozen=True)
class _Place:
    """A lead, and which samples it has: the first and the last, both counted from the first of the record."""

    code: int
    first: int
    last: int

    @property
    def announced(self) -> int:
        return self.last - self.first + 1


@dataclass(frozen=True)
class _Stored:
    """What sections 5 and 6 hold alike: nanovolts in one unit, microseconds, the order of differences, each lead."""

    resolution: int
    interval: int
    differences: int
    bimodal: bool
    leads: list[Cursor]


def recognise(candidate: Candidate) -> bool:
    """Whether section 0 follows the record's checksum and size, and points to itself; some writers leave SCPECG out."""
    head = candidate.head
    length = head[10:14]
    pointer = b"\0\0" + length + (_RECORD_HEADER + 1).to_bytes(4, "little")
    return len(length) == 4 and head[8:10] == b"\0\0" and (head[16:22] == b"SCPECG" or head[22:32] == pointer)


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path; see `enecg.read`."""
    file = contents(path, _LARGEST, NAME)
    sections, notes = _sections(file)
    for number, what in ((3, "of leads"), (6, "of rhythm")):
        if number not in sections:
            longer = "; its long recording (section 12) cannot be read yet" if _LAST_SECTION in sections else ""
            raise ReadError(f"{path}: no section {number}, {what}{longer}; expected one")
    places, subtracted = _places(sections[3])
    names = ask.names([LEADS.get(place.code) for place in places], path)
    rhythm = _stored(sections[6], len(places))
    rate = ask.hertz(_SECOND / rhythm.interval if rhythm.interval else None, path)
    tables = tables_of(sections[2]) if 2 in sections else []
    beat = _subtracted(path, sections, rhythm, subtracted)

    signal = _placed(path, places, _decoded(rhythm, [place.announced for place in places], tables, ask), notes)
    if beat is not None:
        waves = _beat(sections[4], beat, rate, tables, ask)
        _add(sections[4], waves, signal, min(place.first for place in places))
    names, turned = upright(signal, names)
    facts = _facts(sections, notes)
    first, last = ask.span(signal.shape[1], rate, path)
    return finished(path, NAME, signal[:, first:last], rate, names, notes + turned, **facts)


def _sections(file: Cursor) -> tuple[dict[int, Cursor], list[str]]:
    """The contents of the sections by number, all checksums verified; and a note of what follows the record.

    Raises ReadError for a record that is cut short, and for a section that is damaged or not where section 0 says.
    """
    data = file.view(file.left)
    head = Cursor(data, file.path, "record")
    checksum, size = head.unsigned(2), head.unsigned(4)
    if not _RECORD_HEADER + _HEADER <= size <= len(data):
        raise head.wrong(f"{size:,} bytes announced, the file holds {len(data):,}; it is cut short: copy it again")
    record, notes = data[:size], []
    if size < len(data):
        notes.append(f"{len(data) - size:,} bytes follow the record, and were left out")
    length = int.from_bytes(record[10:14], "little")
    pointers = _section(file.path, record, 0, length, _RECORD_HEADER)
    sections = {}
    while pointers.left >= 10:
        number, length, index = pointers.unsigned(2), pointers.unsigned(4), pointers.unsigned(4)
        # Shorter ones are empty, later ones the maker's own.
        if 0 < number <= _LAST_SECTION and length > _HEADER and number not in sections:
            sections[number] = _section(file.path, record, number, length, index - 1)
    if crc_ccitt(record[2:]) != checksum:
        raise head.wrong(f"checksum {checksum:#06x}, expected {crc_ccitt(record[2:]):#06x}; copy the file again")
    return sections, notes


def _section(path: Path, record: memoryview, number: int, length: int, begin: int) -> Cursor:
    """What follows a section's header."""
    what = f"section {number}"
    if begin < _RECORD_HEADER or not _HEADER <= length <= len(record) - begin:
        raise ReadError(
            f"{path}: {what}: {length:,} bytes from byte {begin:,} of {len(record):,}; it is cut short or damaged"
        )
    section = Cursor(record[begin : begin + length], path, what, offset=begin)
    checksum, expected = section.unsigned(2), crc_ccitt(record[begin + 2 : begin + length])
    if checksum != expected:
        raise section.wrong(f"checksum {checksum:#06x}, expected {expected:#06x}; it is damaged: copy the file again")
    found, its_length = section.unsigned(2), section.unsigned(4)
    if (found, its_length) != (number, length):
        raise section.wrong(f"a section {found} of {its_length:,} bytes, where section 0 has one of {length:,}")
    section.take(_HEADER - 8)
    return section


# -- Samples ---------------------------------------------------------------------------------------------------------


def _places(section: Cursor) -> tuple[list[_Place], bool]:
    """The leads, and whether reference beats were subtracted from them."""
    n_leads, flags = section.unsigned(1), section.unsigned(1)
    if n_leads == 0:
        raise section.wrong("no leads; expected one at least")
    places = []
    for _ in range(n_leads):
        first, last, code = section.unsigned(4), section.unsigned(4), section.unsigned(1)
        if last < first:
            raise section.wrong(f"a lead with samples {first:,} to {last:,}; it is damaged: copy the file again")
        places.append(_Place(code, first, last))
    return places, bool(flags & 1)


def _stored(section: Cursor, n_leads: int) -> _Stored:
    resolution, interval = section.unsigned(2), section.unsigned(2)
    differences, bimodal = section.unsigned(1), section.unsigned(1) == 1
    if differences > 2:
        raise section.wrong(f"differences of order {differences}; expected 0, 1 or 2")
    lengths = [section.unsigned(2) for _ in range(n_leads)]
    leads = [section.part(length, f"{section.what}, lead {row}") for row, length in enumerate(lengths, 1)]
    return _Stored(resolution, interval, differences, bimodal, leads)


def _decoded(stored: _Stored, counts: list[int], tables: list[Table], ask: Ask) -> list[Signal]:
    """Each lead [sample] in mV; fewer samples than announced where it is not Huffman coded and there are no more.

    A lead's length is stored in 16 bits, so that writers of longer ones have announced what they could not store.
    """
    path = stored.leads[0].path
    if sum(counts) > _MOST_SAMPLES:
        raise ReadError(f"{path}: {sum(counts):,} samples announced; expected {_MOST_SAMPLES:,} at most")
    unit = stored.resolution * _NANOVOLT if stored.resolution else ask.millivolts(path)
    decoded = []
    for lead, n in zip(stored.leads, counts, strict=True):
        if tables:
            values = decode(lead, n, tables)
        else:
            values = np.frombuffer(lead.view(2 * min(n, lead.left // 2)), "<i2").astype(np.int64)
        if len(values) == 0:
            raise lead.wrong(f"no samples; expected {n:,}")
        decoded.append(undo_differences(values, stored.differences).astype(np.float64) * unit)
    return decoded


def _placed(path: Path, places: list[_Place], leads: list[Signal], notes: list[str]) -> Signal:
    """All leads on one time axis: [lead, sample] in mV, NaN where a lead was not recorded."""
    begin = min(place.first for place in places)
    n_samples = max(place.first + len(lead) for place, lead in zip(places, leads, strict=True)) - begin
    if n_samples * len(places) > _MOST_SAMPLES:
        raise ReadError(f"{path}: leads as far as {n_samples:,} samples apart; section 3 must be damaged")
    signal = np.full((len(places), n_samples), np.nan)
    for row, place, lead in zip(signal, places, leads, strict=True):
        row[place.first - begin :][: len(lead)] = lead
    short = sorted({(place.announced, len(lead)) for place, lead in zip(places, leads, strict=True)})
    notes += [
        f"leads announced with {announced:,} samples hold {held:,}, which were read"
        for announced, held in short
        if announced != held
    ]
    if np.isnan(signal).any():
        notes.append("not all leads were recorded at the same time; samples are missing where one was not")
    return signal


def _subtracted(path: Path, sections: Mapping[int, Cursor], rhythm: _Stored, subtracted: bool) -> _Stored | None:
    """The reference beat that has to be added; None where none was subtracted.

    Raises ReadError where it is missing, and where samples outside the QRS complexes were thinned out, which shows in
    a longer interval than that of the reference beat.
    """
    if not (subtracted or rhythm.bimodal):
        return None
    beat = _stored(sections[5], len(rhythm.leads)) if 5 in sections else None
    if rhythm.bimodal and (beat is None or beat.interval != rhythm.interval):
        raise ReadError(
            f"{path}: samples outside the QRS complexes were thinned out (bimodal compression), which cannot be read; "
            "export it without"
        )
    if not subtracted:
        return None
    if beat is None or 4 not in sections:
        raise ReadError(f"{path}: reference beats were subtracted, but sections 4 and 5, which tell them, are missing")
    if beat.interval != rhythm.interval:
        raise ReadError(
            f"{path}: the reference beat has a sample every {beat.interval} us, the rhythm that it was subtracted from "
            f"every {rhythm.interval} us; expected the same"
        )
    return beat


def _beat(section: Cursor, beat: _Stored, rate: float, tables: list[Table], ask: Ask) -> Signal:
    """The reference beat, of which section 4 tells the length: [lead, sample] in mV."""
    n = round(section.unsigned(2) * rate / 1000)
    waves = _decoded(beat, [n] * len(beat.leads), tables, ask)
    if min(len(wave) for wave in waves) < n:
        raise section.wrong(f"a reference beat of {n} samples, of which section 5 does not hold as many")
    return np.array(waves)


def _add(section: Cursor, waves: Signal, signal: Signal, begin: int) -> None:
    """Add the reference beat, in place, to all complexes that section 4 says it was subtracted from.

    waves : [lead, sample] in mV, the reference beat;  signal : likewise, its first sample being number `begin`.
    """
    fiducial, n_complexes = section.unsigned(2), section.unsigned(2)
    for _ in range(n_complexes):
        kind, first, its_fiducial, last = section.unsigned(2), *(section.unsigned(4) for _ in range(3))
        if kind != 0:  # of another shape than the reference beat; nothing was subtracted
            continue
        origin = its_fiducial - (fiducial - 1)  # the number that the first sample of the reference beat has here
        here, end = max(first, origin, begin), min(last + 1, origin + waves.shape[1], begin + signal.shape[1])
        if here < end:
            signal[:, here - begin : end - begin] += waves[:, here - origin : end - origin]


# -- Facts -----------------------------------------------------------------------------------------------------------


def _facts(sections: Mapping[int, Cursor], notes: list[str]) -> dict[str, Any]:
    """Of the patient, the device and the machine's opinion; what cannot be understood is noted, and costs no sample."""
    facts: dict[str, Any] = {}
    encoding = "latin-1"
    try:
        if 1 in sections:
            tags = _tags(sections[1])
            if 14 in tags:
                encoding, facts["device"] = _machine(tags[14])
            facts |= _patient(tags, encoding)
        if 7 in sections:
            facts["measurements"] = _measurements(sections[7])
        if 8 in sections:
            facts["statements"] = _statements(sections[8], encoding)
    except ReadError as error:
        notes.append(f"not understood and left out: {error}")
    return facts


def _tags(section: Cursor) -> dict[int, Cursor]:
    """The fields of section 1 by tag; of several with one tag the first, without those that are empty."""
    tags: dict[int, Cursor] = {}
    while section.left and (tag := section.unsigned(1)) != _END:
        field = section.part(section.unsigned(2), f"section 1, tag {tag}")
        if field.left:
            tags.setdefault(tag, field)
    return tags


def _machine(field: Cursor) -> tuple[str, str | None]:
    """The encoding of its texts, and its maker and model."""
    field.take(7)
    maker, model = field.unsigned(1), field.text(6)
    field.take(2)
    encoding = _ENCODINGS.get(field.unsigned(1), "latin-1")
    field.take(19)  # its abilities, the mains, reserved, the length of the first text
    texts = field.take(field.left).split(b"\0")  # of its programs, serial number, and in the end its maker
    named = texts[4].decode("latin-1").strip() if len(texts) > 4 else ""
    known = _MAKERS[maker] if maker < len(_MAKERS) else ""
    return encoding, f"{named or known} {model}".strip() or None


def _patient(tags: Mapping[int, Cursor], encoding: str) -> dict[str, Any]:
    """Subject, age, sex, and when it was recorded."""
    patient = tags[2].text(tags[2].left, encoding) if 2 in tags else ""
    number, unit = (tags[4].unsigned(2), tags[4].unsigned(1)) if 4 in tags else (0, 0)
    born, day = (_date(tags[tag]) if tag in tags else (0, 0, 0) for tag in (5, 25))
    time = [tags[26].unsigned(1) for _ in range(3)] if 26 in tags else None
    age = age_of(number * _YEARS[unit]) if number and unit in _YEARS else age_at(moment(*born), moment(*day))
    return {
        "subject": f"file:{patient}" if patient else None,
        "age": age,
        "sex": sex_of(str(tags[8].unsigned(1))) if 8 in tags else None,
        "acquired": moment(*day, *time) if time else None,
    }


def _date(field: Cursor) -> tuple[int, int, int]:
    return field.unsigned(2), field.unsigned(1), field.unsigned(1)


def _measurements(section: Cursor) -> dict[str, float]:
    """Of all beats together; intervals are those between the onsets and ends that the section tells."""
    n_blocks, n_spikes = section.unsigned(1), section.unsigned(1)
    found: dict[str, float | None] = {"rr_ms": _known(section.unsigned(2)) or None}
    section.take(2)
    blocks = section.part(16 * n_blocks, section.what)
    if n_blocks:
        p_on, p_off, qrs_on, qrs_off, t_off = (_known(blocks.unsigned(2)) for _ in range(5))
        waves = {"p_ms": (p_on, p_off), "pr_ms": (p_on, qrs_on), "qrs_ms": (qrs_on, qrs_off), "qt_ms": (qrs_on, t_off)}
        found |= {name: _between(*ends) for name, ends in waves.items()}
        axes = {name: blocks.signed(2) for name in ("p_axis_deg", "qrs_axis_deg", "t_axis_deg")}
        found |= {name: None if axis in _NO_AXIS else axis for name, axis in axes.items()}
    section.take(10 * n_spikes)
    if section.left >= 2:
        section.take(section.unsigned(2))  # the type of each complex
    if section.left >= 6:
        found["heart_rate_bpm"] = _known(section.unsigned(2)) or None
        section.take(2)
        found["qtc_ms"] = _known(section.unsigned(2)) or None
    return {name: float(value) for name, value in found.items() if value is not None}


def _known(value: int) -> int | None:
    return None if value in (_UNKNOWN, 0xFFFF) else value


def _between(begin: int | None, end: int | None) -> int | None:
    return None if begin is None or end is None or end <= begin else end - begin


def _statements(section: Cursor, encoding: str) -> tuple[str, ...]:
    """The machine's or the reader's sentences, in order."""
    section.take(1 + 4 + 3)  # whether confirmed, and when
    texts = []
    for _ in range(section.unsigned(1)):
        section.take(1)
        texts.append(section.text(section.unsigned(2), encoding))
    return tuple(text for text in texts if text)
