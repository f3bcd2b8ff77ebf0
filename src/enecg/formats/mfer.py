"""MFER files (ISO 22077, `.mwf`): definitions, each a tag, a length and a value, and frames of samples they describe.

Source: MFER Part 1 (basic rules), published by the MFER committee. A frame is a number of sequences, a sequence a block
of samples of each channel in turn. What is defined for all channels holds where a channel has nothing of its own. A
sample's value is (stored + offset) x sensitivity. Numbers are big-endian until the file says otherwise; lengths always.

Channels that are no voltages (pressures, status) are left out. Samples stay on the disk until they are wanted.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._bytes import Cursor, Order
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, age_of, finished, moment, sex_of
from enecg.formats._lead_codes import LEADS, upright
from enecg.recording import Recording

NAME = "MFER"
EXPECTED = "an MFER file, whose preamble reads MFR"

# Tags, by what they define.
_NOTHING, _GROUP, _CHANNEL, _PREAMBLE, _END = 0x00, 0x67, 0x3F, 0x40, 0x80
_ORDER, _CHARSET, _COMPRESSION = 0x01, 0x03, 0x0E
_BLOCK, _CHANNELS, _SEQUENCES, _POINTER, _SAMPLES = 0x04, 0x05, 0x06, 0x07, 0x1E
_CLASS, _LEAD, _TYPE, _INTERVAL, _SENSITIVITY, _OFFSET, _NULL = 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x12
_MACHINE, _PATIENT, _AGE, _SEX, _TIME = 0x17, 0x82, 0x83, 0x84, 0x85

_TYPES = {0: "i2", 1: "u2", 2: "i4", 3: "u1", 4: "u2", 5: "i1", 6: "u4", 7: "f4", 8: "f8"}
_STATUS_TYPE, _STATUS_LEAD = 4, 4160
_VOLT, _HERTZ, _SECOND = 0, 0, 1
_DOMINANT_BEAT = 9
_MOST_CHANNELS = 1024
_LONGEST_NUMBER = 10
_CHARSETS = {"utf-16": "utf-16-le", "utf-8": "utf-8", "utf8": "utf-8", "jis": "shift_jis", "iso-2022": "iso2022_jp"}
"""By the beginning of a charset's name; others are ASCII or Latin-1."""


@dataclass(frozen=True)
class _Typed:
    """A number in the type of a channel's samples, which is known only when the frame comes."""

    stored: bytes
    order: Order

    def as_sample(self, kind: np.dtype[Any]) -> float:
        if len(self.stored) == kind.itemsize:
            return float(np.frombuffer(self.stored, kind.newbyteorder("<" if self.order == "little" else ">"))[0])
        return float(int.from_bytes(self.stored, self.order, signed=kind.kind == "i"))


@dataclass(frozen=True)
class _Scaled:
    """A unit, and how much of it."""

    unit: int
    value: Fraction


@dataclass(frozen=True)
class _Channel:
    """What is defined for a channel, as it is used."""

    kind: np.dtype[Any]
    block: int
    lead: int | None
    interval: _Scaled | None
    sensitivity: _Scaled | None
    offset: _Typed | None
    null: _Typed | None
    is_status: bool

    @property
    def is_voltage(self) -> bool:
        """Or may be one, where no unit is given."""
        return not self.is_status and (self.sensitivity is None or self.sensitivity.unit == _VOLT)


@dataclass(frozen=True)
class _Layout:
    """How a frame's samples lie: records of one block of each channel, in fields "0", "1", ..."""

    channels: tuple[_Channel, ...]
    record: np.dtype[Any]
    sequences: int | None
    waveform: int | None


@dataclass(frozen=True)
class _Frame:
    """Records [sequence] of a layout; the number of the first sample, if told."""

    layout: _Layout
    records: npt.NDArray[Any]
    begin: int | None


def recognise(candidate: Candidate) -> bool:
    """Whether the first definition is a preamble of MFER."""
    return candidate.head[:1] == bytes([_PREAMBLE]) and candidate.head[2:6] in (b"MFR ", b"MFER")


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path, of which only the wanted part is read from the disk; see `enecg.read`.

    Of leads with different rates those with the highest are read. Frames that do not go on as the first began are left
    out, and so are dominant beats; notes tell.
    """
    with path.open("rb") as opened:
        file = Cursor(mmap(opened.fileno(), 0, access=ACCESS_READ), path, NAME, order="big")
    notes: list[str] = []
    facts, frames = _understood(file, notes)
    frames = _joined(path, frames, notes)
    channels = frames[0].layout.channels
    numbers, rate = _wanted(path, channels, ask, notes)
    names = ask.names([LEADS.get(channels[number].lead or 0) for number in numbers], path)
    counts = {sum(frame.records[str(number)].size for frame in frames) for number in numbers}
    if len(counts) > 1:
        raise ReadError(f"{path}: leads of one rate with {sorted(counts)} samples; expected as many in each")
    first, last = ask.span(counts.pop(), rate, path)
    signal = np.empty((len(numbers), last - first), np.float32)
    with np.errstate(over="ignore"):  # a scale beyond measure is told in the end
        for row, number in zip(signal, numbers, strict=True):
            row[:] = _millivolts(_samples(frames, number, first, last), channels[number], ask, path)
    names, turned = upright(signal, names)
    return finished(path, NAME, signal, rate, names, notes + turned, **facts)


# -- Definitions -----------------------------------------------------------------------------------------------------


def _definitions(file: Cursor, channel: int | None = None, *, open_ended: bool = False) -> Iterator[Any]:
    """Tag, the channel that it is for or None for all, and value of each definition, in order.

    open_ended : two zeros end it, and not the end of `file`. Raises ReadError for what is cut short or nested too deep.
    """
    while file.left:
        tag = file.unsigned(1)
        if tag == _END:
            return
        if tag == _NOTHING:
            if open_ended:
                file.take(1)
                return
            continue
        if tag == _CHANNEL and channel is not None:
            raise file.wrong("a channel within a channel; it is damaged: copy it again")
        number = _number_of_channel(file) if tag == _CHANNEL else None
        length = _length(file)
        if tag == _GROUP:  # its definitions follow, and are read as if it were not there
            continue
        if tag == _CHANNEL:
            own = file if length is None else file.part(length, f"channel {number}")
            yield from _definitions(own, number, open_ended=length is None)
            continue
        if length is None:
            raise file.wrong(f"tag {tag:#04x} without a length; it is damaged: copy it again")
        value = file.part(length, f"tag {tag:#04x}")
        if tag == _ORDER:
            file.order = "little" if value.left and value.unsigned(1) == 1 else "big"
        else:
            yield tag, channel, value


def _number_of_channel(file: Cursor) -> int:
    """From 0, in as many bytes as it takes, seven bits of it in each."""
    number, byte = 0, 0x80
    while byte & 0x80:
        byte = file.unsigned(1)
        number = number << 7 | byte & 0x7F
        if number >= _MOST_CHANNELS:
            raise file.wrong(f"more than {_MOST_CHANNELS:,} channels; it is damaged: copy it again")
    return number


def _length(file: Cursor) -> int | None:
    """In one byte, or as many as the first one tells; None for an open end."""
    first = file.unsigned(1)
    if first < 0x80:
        return first
    if first == 0x80:
        return None
    return int.from_bytes(file.take(first & 0x7F), "big")


def _whole(value: Cursor) -> int:
    return value.unsigned(min(value.left, _LONGEST_NUMBER))


def _code(value: Cursor) -> int:
    return value.unsigned(min(value.left, 2))


def _typed(value: Cursor) -> _Typed:
    return _Typed(value.take(min(value.left, 8)), value.order)


def _scaled(value: Cursor) -> _Scaled:
    """A unit, a power of ten, and how many of them."""
    unit, exponent = value.unsigned(1), value.signed(1)
    return _Scaled(unit, Fraction(10) ** exponent * value.signed(min(value.left, _LONGEST_NUMBER)))


_OF_CHANNELS: Mapping[int, Callable[[Cursor], Any]] = {
    **dict.fromkeys((_BLOCK, _SEQUENCES), _whole),
    **dict.fromkeys((_CLASS, _LEAD, _TYPE), _code),
    **dict.fromkeys((_INTERVAL, _SENSITIVITY), _scaled),
    **dict.fromkeys((_OFFSET, _NULL), _typed),
}
"""How the value of a definition is understood that may be one channel's own."""


def _understood(file: Cursor, notes: list[str]) -> tuple[dict[str, Any], list[_Frame]]:
    """Facts and frames. Raises ReadError for a file without samples, or with some that cannot be understood."""
    common: dict[int, Any] = {}
    own: dict[int, dict[int, Any]] = {}
    facts: dict[int, Any] = {}
    n_channels, encoding = 1, "latin-1"
    layout: _Layout | None = None  # of what is defined so far; made when samples come
    begin: int | None = None
    frames = []
    for tag, channel, value in _definitions(file):
        if tag in _OF_CHANNELS:
            layout, target = None, common if channel is None else own.setdefault(channel, {})
            target.pop(tag, None)
            if value.left:
                target[tag] = _OF_CHANNELS[tag](value)
        elif tag == _CHANNELS:
            layout, own, n_channels = None, {}, _whole(value) if value.left else 1
            if not 1 <= n_channels <= _MOST_CHANNELS:
                raise value.wrong(f"{n_channels:,} channels; expected 1 to {_MOST_CHANNELS:,}")
        elif tag == _POINTER:
            begin = _whole(value) if value.left else None
        elif tag == _SAMPLES:
            layout = layout or _layout([common | own.get(number, {}) for number in range(n_channels)], value)
            frames.append(_frame(layout, begin, value, notes))
            begin = None
        elif tag == _COMPRESSION and value.left and _code(value) != 0:
            raise value.wrong("compressed samples, which cannot be read; export it without compression")
        elif tag == _CHARSET:
            name = value.text(value.left).lower()
            encoding = next((codec for start, codec in _CHARSETS.items() if name.startswith(start)), "latin-1")
        elif tag in (_MACHINE, _PATIENT):
            facts[tag] = value.text(value.left, encoding)
        elif tag in _OF_PATIENT:
            facts[tag] = _OF_PATIENT[tag](value)
    if not frames:
        raise ReadError(f"{file.path}: no samples; the file is cut short or holds none")
    return _facts(facts), frames


def _layout(definitions: Sequence[Mapping[int, Any]], value: Cursor) -> _Layout:
    channels = tuple(_channel(own, value) for own in definitions)
    sequences = {own.get(_SEQUENCES) for own in definitions}
    if len(sequences) > 1:
        raise value.wrong("channels with different numbers of sequences, which cannot be read")
    fields = [(str(number), channel.kind, (channel.block,)) for number, channel in enumerate(channels)]
    return _Layout(channels, np.dtype(fields), sequences.pop(), definitions[0].get(_CLASS))


def _channel(own: Mapping[int, Any], value: Cursor) -> _Channel:
    code, block = own.get(_TYPE, 0), own.get(_BLOCK, 1)
    if code not in _TYPES:
        raise value.wrong(f"samples of type {code}, which cannot be read; expected 0 to {max(_TYPES)}")
    if not 1 <= block <= value.left:
        raise value.wrong(f"blocks of {block:,} samples in {value.left:,} bytes; it is damaged: copy it again")
    return _Channel(
        kind=np.dtype(("<" if value.order == "little" else ">") + _TYPES[code]),
        block=block,
        lead=own.get(_LEAD),
        interval=own.get(_INTERVAL),
        sensitivity=own.get(_SENSITIVITY),
        offset=own.get(_OFFSET),
        null=own.get(_NULL),
        is_status=code == _STATUS_TYPE or own.get(_LEAD) == _STATUS_LEAD,
    )


def _frame(layout: _Layout, begin: int | None, value: Cursor, notes: list[str]) -> _Frame:
    size, announced = layout.record.itemsize, layout.sequences
    held = value.left // size
    n = held if announced is None else min(held, announced)
    if n == 0:
        raise value.wrong(f"not one sequence of {size:,} bytes in {value.left:,}; it is damaged: copy it again")
    if announced is not None and announced > held:
        notes.append(f"{announced:,} sequences of samples announced, {held:,} held and read")
    return _Frame(layout, np.frombuffer(value.view(n * size), layout.record), begin)


# -- Samples ---------------------------------------------------------------------------------------------------------


def _joined(path: Path, frames: Sequence[_Frame], notes: list[str]) -> list[_Frame]:
    """The first frame that is no dominant beat, and those that go on where it ends, with the same channels."""
    rhythm = [frame for frame in frames if frame.layout.waveform != _DOMINANT_BEAT]
    if not rhythm:
        raise ReadError(f"{path}: dominant beats only; expected a recording")
    joined, end = [], rhythm[0].begin or 0
    for frame in rhythm:
        if frame.layout.channels != rhythm[0].layout.channels or frame.begin not in (None, end):
            break
        joined.append(frame)
        end += frame.records["0"].size
    if len(joined) < len(frames):
        notes.append(f"{len(frames) - len(joined)} of {len(frames)} frames do not go on from the first; left out")
    return joined


def _wanted(path: Path, channels: Sequence[_Channel], ask: Ask, notes: list[str]) -> tuple[list[int], float]:
    """Which channels are leads, all of one rate, and that rate in Hz."""
    voltages = [number for number, channel in enumerate(channels) if channel.is_voltage]
    if not voltages:
        raise ReadError(f"{path}: none of its {len(channels)} channels is a voltage; expected an ECG")
    if len(voltages) < len(channels):
        notes.append(f"{len(channels) - len(voltages)} of {len(channels)} channels are no voltages and were left out")
    rates = {number: ask.hertz(_hertz(path, channels[number]), path) for number in voltages}
    rate = max(rates.values())
    slower = [number for number in voltages if rates[number] != rate]
    if slower:
        told = ", ".join(f"{rates[number]:g}" for number in slower)
        notes.append(f"leads at {told} Hz were left out, beside others at {rate:g} Hz")
    return [number for number in voltages if rates[number] == rate], rate


def _hertz(path: Path, channel: _Channel) -> float | None:
    if channel.interval is None or channel.interval.value <= 0:
        return None
    unit, value = channel.interval.unit, channel.interval.value
    if unit not in (_HERTZ, _SECOND):
        raise ReadError(f"{path}: samples in steps of unit {unit}; expected hertz (0) or seconds (1)")
    return float(value if unit == _HERTZ else 1 / value)


def _samples(frames: Sequence[_Frame], number: int, first: int, last: int) -> npt.NDArray[Any]:
    """A channel's stored samples `first` to before `last`, counted through all frames: [sample]."""
    pieces = []
    for frame in frames:
        blocks = frame.records[str(number)]  # [sequence, sample]
        n, block = blocks.size, blocks.shape[1]
        begin, end = max(first, 0), min(last, n)
        if begin < end:
            row = begin // block
            pieces.append(blocks[row : -(-end // block)].reshape(-1)[begin - row * block : end - row * block])
        first, last = first - n, last - n
    return np.concatenate(pieces)


def _millivolts(stored: npt.NDArray[Any], channel: _Channel, ask: Ask, path: Path) -> npt.NDArray[np.float64]:
    values = stored.astype(np.float64)
    if channel.null is not None:
        values[values == channel.null.as_sample(channel.kind)] = np.nan
    if channel.offset is not None:
        values += channel.offset.as_sample(channel.kind)
    unit = channel.sensitivity
    return values * (ask.millivolts(path) if unit is None else float(unit.value * 1000))


# -- Facts -----------------------------------------------------------------------------------------------------------


def _time(value: Cursor) -> datetime | None:
    if value.left < 7:
        return None
    return moment(value.unsigned(2), *(value.unsigned(1) for _ in range(5)))


def _sex(value: Cursor) -> str | None:
    return sex_of(str(value.unsigned(1))) if value.left else None


def _age(value: Cursor) -> tuple[float | None, datetime | None]:
    """Years, and the day of birth; bytes of 255 and zeros stand for what is unknown."""
    if value.left < 3:
        return None, None
    years, days = value.unsigned(1), value.unsigned(2)
    born = moment(value.unsigned(2), value.unsigned(1), value.unsigned(1)) if value.left >= 4 else None
    if years == 0 and 0 < days <= 366:
        return days / 365.25, born
    return (age_of(years) if years else None), born


_OF_PATIENT: Mapping[int, Callable[[Cursor], Any]] = {_AGE: _age, _SEX: _sex, _TIME: _time}


def _facts(told: Mapping[int, Any]) -> dict[str, Any]:
    """Of the patient and the machine, and when it was recorded."""
    patient = told.get(_PATIENT, "").partition("^")[0].strip()
    machine = [part.strip() for part in told.get(_MACHINE, "").split("^")[:2]]
    years, born = told.get(_AGE, (None, None))
    acquired = told.get(_TIME)
    return {
        "subject": f"file:{patient}" if patient else None,
        "sex": told.get(_SEX),
        "age": age_at(born, acquired) if years is None else years,
        "acquired": acquired,
        "device": " ".join(filter(None, machine)) or None,
    }
