"""EDF, EDF+, BDF and BDF+ files (Holters, sleep laboratories), their samples decoded by the package `edfio`.

A header, then data records of equal length; in each, some samples of every channel one after the other. Only the
records that are wanted are read and handed to edfio, block by block, so that a window of a day's recording costs a
window's memory. What edfio leaves to its user is done here: a file that is cut short is refused, the times that EDF+
gives its records are kept to (a gap is missing samples), and the leads are picked out of all channels.
Described in Kemp et al. 1992 (EDF), Kemp and Olivan 2003 (EDF+, edfplus.info) and by BioSemi (BDF, 24 bits).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, MissingPackageError, ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, finished, moment, person, sex_of
from enecg.recording import HIGHEST_RATE, LOWEST_RATE, MILLIVOLTS, Recording, millivolts_per, standard_lead

if TYPE_CHECKING:
    from edfio import Bdf, BdfSignal, Edf, EdfSignal

NAME = "EDF"
EXPECTED = "an EDF or BDF file, which begins with its version (0, or the byte 255 and BIOSEMI) and a header in ASCII"

_EDF, _BDF = b"0       ", b"\xffBIOSEMI"
_LINE = 256
"""Bytes of the header's first part, and of what it says of each channel."""

_BLOCK = 2**23
"""Bytes that are decoded at once."""

_MOST_MISSING = 2**26
"""Missing samples that a gap may make; more are no recording's, but a damaged time's."""

_COARSE_UV, _LARGE_MV = 10.0, 5.0
"""A step that few devices have (5 uV is the most that IEC 60601-2-25 allows), and a swing that few hearts have."""

_ECG_LABEL = re.compile(r"\b(ecg|ekg)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2}")
_ONSET = re.compile(rb"[+-]\d{1,12}(\.\d{0,12})?")
_THREE_NUMBERS = re.compile(r"\s*(\d{1,2})[-.:/' ](\d{1,2})[-.:/' ](\d{1,2})\s*")


@dataclass(frozen=True)
class _File:
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
        return 3 if self.header.startswith(_BDF) else 2

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
        return rate_of(count, _text(self.header[244:252]))

    def decoded(self, records: bytes, n: int) -> "Edf | Bdf":
        """`n` data records in edfio's hands."""
        return _decoded(self.header, records, n)


@dataclass(frozen=True)
class _Channel:
    """A channel that is a lead: its place among those that are no annotations, its name, millivolts in its unit."""

    place: int
    lead: str
    factor: float
    signal: "EdfSignal | BdfSignal"

    @property
    def step_uv(self) -> float:
        """Microvolts in one digital unit."""
        low, high = self.signal.physical_range
        return 1e3 * self.factor * abs(high - low) / (self.signal.digital_max - self.signal.digital_min)


def recognise(candidate: Candidate) -> bool:
    """Whether the file begins as EDF or BDF: the version, and the header's length in digits at its place."""
    head = candidate.head[:_LINE]
    plain = head.startswith(_EDF) and head[184:192].strip().isdigit() and not {10, 13} & set(head)
    return plain or head.startswith(_BDF)


def read(path: Path, ask: Ask) -> Recording:
    """The leads of an EDF or BDF file; see `enecg.read`.

    Leads are the channels that are called like one; those in a unit that is no voltage's, and those of another rate
    than most, are left out with a note. An ECG that does not say which lead it is takes the caller's `leads`.
    """
    file = _open(path)
    channels, notes = _channels(file, ask)
    count = channels[0].signal.samples_per_data_record
    rate = file.rate(count)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ReadError(f"{path}: a rate of {rate:g} Hz; expected {LOWEST_RATE:g} to {HIGHEST_RATE:,.0f}")
    starts, more = _starts(file, count)
    first, last = ask.span(int(starts[-1]) + count, rate, path)
    records = range(int(np.searchsorted(starts, first - count, side="right")), int(np.searchsorted(starts, last)))
    missing = (last - first - min(len(records) * count, last - first)) * len(channels)
    if missing > _MOST_MISSING:
        raise ReadError(f"{path}: gaps of {missing / len(channels) / rate:.0f} s; pass start= and seconds= for a part")
    signal = _samples(file, channels, starts, records, first, last)
    origin = _origin(file)
    return finished(
        path,
        NAME,
        signal,
        rate,
        [channel.lead for channel in channels],
        (*file.notes, *notes, *more, *_apart(file, records, rate), *_doubts(signal, channels)),
        statements=_statements(file, records, origin),
        **_facts(file, origin),
    )


def _open(path: Path) -> _File:
    """The header, and whether the file is as long as it says. Raises ReadError."""
    with path.open("rb") as opened:
        header = opened.read(_LINE)
        n_channels = _whole(path, "number of channels", header[252:256])
        header += opened.read(_LINE * max(0, n_channels))
        size = opened.seek(0, 2)
    if n_channels < 1:
        raise ReadError(f"{path}: announces {n_channels} channels; expected one at least")
    if len(header) < _LINE * (n_channels + 1):
        raise ReadError(
            f"{path}: cut short in its header, which announces {n_channels} channels; expected {_LINE} bytes for each "
            "after the first part. Copy the file again"
        )
    if _whole(path, "header's length", header[184:192]) != len(header):
        raise ReadError(
            f"{path}: announces a header of {_text(header[184:192])} bytes; expected {len(header)}, for it has "
            f"{n_channels} channels"
        )
    labels = tuple(_text(field) for field in _column(header, 0, 16))
    counts = tuple(_whole(path, "samples in a record", field) for field in _column(header, 216, 8))
    if all(_is_annotation(label) for label in labels):
        raise ReadError(f"{path}: holds annotations only; expected a channel that is a lead")
    if min(counts) < 0 or max(counts) == 0:
        raise ReadError(f"{path}: channels with {min(counts)} samples in a data record; expected 1 or more")
    seconds = _seconds(path, header[244:252])
    n_records, notes = _records(path, header, size - len(header), sum(counts))
    return _File(path, header, n_records, seconds, labels, counts, _decoded(header, b"", 0), notes)


def _seconds(path: Path, field: bytes) -> Fraction:
    """How long a data record is. Raises ReadError."""
    found = re.fullmatch(r"\s*(\d*\.?\d*(e[+-]?\d)?)", _text(field).lower())
    try:
        seconds = Fraction(found.group(1)) if found else Fraction(0)
    except ValueError:
        seconds = Fraction(0)
    if seconds == 0:
        raise ReadError(f"{path}: data records of {_text(field)!r} s; expected a positive number of seconds")
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


def is_statement(text: str) -> bool:
    """Whether an annotation's text is one; marks of single letters, such as those of beats, are none."""
    return _WORD.search(text) is not None


def _records(path: Path, header: bytes, found: int, samples: int) -> tuple[int, tuple[str, ...]]:
    """How many data records there are in the `found` bytes after the header, and what was decided about it."""
    record = samples * (3 if header.startswith(_BDF) else 2)
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


def _channels(file: _File, ask: Ask) -> tuple[list[_Channel], list[str]]:
    """Those that are leads, all of one rate, and what was left out. Raises LeadError or UnitError if there is none."""
    leads, notes = _named(file, ask)
    other = [place for place in leads if not _is_voltage(file.signals[place])]
    if len(other) == len(leads):
        unit = file.signals[other[0]].physical_dimension
        raise UnitError(f"{file.path}: {_labels(file, other)} in {unit!r}; expected V, mV, uV or nV")
    if other:
        notes.append(f"left out, for their unit is no voltage's: {_labels(file, other)}")
    found = [
        _Channel(place, lead, _factor(file, file.signals[place], ask), file.signals[place])
        for place, lead in sorted(leads.items())
        if place not in other
    ]
    return _of_one_rate(file, found, notes)


def _named(file: _File, ask: Ask) -> tuple[dict[int, str], list[str]]:
    """Leads by the place of their channels, and what was left out. Raises LeadError if there is none.

    The caller's names are for the ECGs that do not say which lead they are; where no channel is called an ECG or like a
    lead, for all voltages.
    """
    labels = [signal.label for signal in file.signals]
    voltages = [place for place, signal in enumerate(file.signals) if _is_voltage(signal)]
    leads = {place: lead for place, label in enumerate(labels) if (lead := _lead(label)) is not None}
    nameless = [place for place in voltages if place not in leads and _ECG_LABEL.search(labels[place])]
    if ask.leads is not None and (nameless or not leads):
        nameless = nameless or voltages
        if len(nameless) != len(ask.leads):
            raise LeadError(
                f"{file.path}: {len(ask.leads)} names in leads= for {len(nameless)} channels that do not say their "
                f"lead ({_labels(file, nameless)}); expected one for each"
            )
        return leads | dict(zip(nameless, ask.leads, strict=True)), []
    if leads:
        told = f"left out, for they do not say their lead: {_labels(file, nameless)}"
        return leads, [told] if nameless else []
    if nameless:
        raise LeadError(f"{file.path}: {_labels(file, nameless)}: which lead is not said; pass leads=")
    found = _labels(file, range(len(labels)))
    raise LeadError(f"{file.path}: no channel is called like a lead (found {found}); pass leads= if they are leads")


def _of_one_rate(file: _File, channels: list[_Channel], notes: list[str]) -> tuple[list[_Channel], list[str]]:
    """The channels of the rate that most of them have, of equals the higher."""
    rates = Counter(channel.signal.samples_per_data_record for channel in channels)
    count = max(rates, key=lambda count: (rates[count], count))
    kept = [channel for channel in channels if channel.signal.samples_per_data_record == count]
    other = [channel for channel in channels if channel.signal.samples_per_data_record != count]
    if other:
        told = ", ".join(f"{one.lead} ({file.rate(one.signal.samples_per_data_record):g} Hz)" for one in other)
        notes = [*notes, f"left out, for their rate is not the {file.rate(count):g} Hz of the others: {told}"]
    for channel in kept:
        _check_scale(file.path, channel.signal)
    return kept, notes


def _is_voltage(signal: "EdfSignal | BdfSignal") -> bool:
    """Whether a channel's unit is a voltage's, or is not said."""
    unit = signal.physical_dimension.strip().lower()
    return not unit or unit in MILLIVOLTS


def _factor(file: _File, signal: "EdfSignal | BdfSignal", ask: Ask) -> float:
    """Millivolts in a channel's unit; where it says none, in the caller's. Raises UnitError if neither does."""
    unit = signal.physical_dimension.strip()
    return millivolts_per(unit) if unit else ask.millivolts(f"{file.path}: channel {signal.label}")


def _check_scale(path: Path, signal: "EdfSignal | BdfSignal") -> None:
    try:
        digital, physical = signal.digital_range, signal.physical_range
    except ValueError as error:
        raise ReadError(f"{path}: channel {signal.label}: no scale ({error}); expected numbers") from error
    if not (digital.min < digital.max and np.isfinite(physical).all() and physical.min != physical.max):
        raise ReadError(
            f"{path}: channel {signal.label}: digital {digital.min} to {digital.max} means physical {physical.min:g} "
            f"to {physical.max:g}, which is no scale; expected a minimum below its maximum"
        )


def _starts(file: _File, count: int) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The sample at which each data record begins, counted from the first one's, and a note of gaps.

    count : samples in a record. In EDF+D records say their times; in all others one follows the other.
    """
    steps = np.arange(file.n_records, dtype=np.int64) * count
    if not file.tells_times:
        return steps, []
    times = _times(file, range(file.n_records))
    said = np.rint((times - times[0]) * file.rate(count)).astype(np.int64)
    # Times between two samples may round to one sample's overlap, not to more.
    starts = np.maximum.accumulate(said - steps) + steps
    if (late := starts - said > 1).any():
        raise ReadError(
            f"{file.path}: data record {int(late.argmax()) + 1} begins before the one before it ends; expected records "
            "in the order of their times"
        )
    gaps = np.diff(starts) - count
    if not gaps.any():
        return starts, []
    seconds = gaps.sum() / file.rate(count)
    return starts, [f"data records are apart {np.count_nonzero(gaps)} times, by {seconds:g} s in all: missing samples"]


def _times(file: _File, records: range) -> npt.NDArray[np.float64]:
    """Seconds after the header's time at which data records begin, as they say themselves. Raises ReadError."""
    if not file.annotations:
        raise ReadError(f"{file.path}: EDF+D without annotations, which tell when a data record begins")
    place = file.annotations[0]
    found = _record_bytes(file)[records.start : records.stop, place.start : min(place.stop, place.start + 32)]
    times = [_ONSET.match(row.tobytes()) for row in found]
    if None in times:
        number = records.start + times.index(None) + 1
        raise ReadError(
            f"{file.path}: data record {number} does not say its time; expected it first in its annotations"
        )
    return np.array([float(one.group()) for one in times if one is not None])


def _apart(file: _File, records: range, rate: float) -> list[str]:
    """A note if records that should follow each other say times that do not."""
    if file.tells_times or not file.annotations:
        return []
    try:
        times = _times(file, records)
    except ReadError:
        return []  # not all writers of EDF+C keep time; nothing depends on it
    away = np.abs(np.diff(times) - float(file.record_seconds)) * rate > 1
    if not away.any():
        return []
    told = f"data record {records.start + int(away.argmax()) + 2} is not at the time of the end of the one before it"
    return [f"{told}, as EDF+C promises; the records were joined"]


def _record_bytes(file: _File) -> npt.NDArray[np.uint8]:
    """The data records [record, byte], read where they are looked at."""
    shape = (file.n_records, file.record_bytes)
    return np.memmap(file.path, dtype=np.uint8, mode="r", offset=len(file.header), shape=shape)


def _samples(
    file: _File,
    channels: Sequence[_Channel],
    starts: npt.NDArray[np.int64],
    records: range,
    first: int,
    last: int,
) -> npt.NDArray[np.float32]:
    """Samples `first` to `last` in mV [lead, sample], NaN between records that are apart.

    records : those that hold some of them;  starts : the sample at which each record begins.
    """
    signal = np.full((len(channels), last - first), np.nan, dtype=np.float32)
    inside = np.arange(channels[0].signal.samples_per_data_record)
    at_once = max(1, _BLOCK // file.record_bytes)
    with file.path.open("rb") as opened:
        opened.seek(len(file.header) + records.start * file.record_bytes)
        for begin in range(records.start, records.stop, at_once):
            end = min(begin + at_once, records.stop)
            block = file.decoded(opened.read((end - begin) * file.record_bytes), end - begin)
            columns = (starts[begin:end, None] + inside).ravel() - first
            wanted = (columns >= 0) & (columns < last - first)
            for row, channel in enumerate(channels):
                with np.errstate(over="ignore"):  # of a scale that is beyond measure, which is refused later
                    signal[row, columns[wanted]] = block.signals[channel.place].data[wanted] * channel.factor
    return signal


def _doubts(signal: npt.NDArray[np.float32], channels: Sequence[_Channel]) -> list[str]:
    """A note if a scale is both coarser than an electrocardiograph's and gives more than a heart does."""
    seen = signal[:, :: max(1, signal.shape[1] // 200_000)]
    seen = np.where(np.isfinite(seen), seen, 0)
    low, high = np.percentile(seen, [0.1, 99.9], axis=1)
    doubtful = [
        (channel, swing)
        for channel, swing in zip(channels, high - low, strict=True)
        if channel.step_uv > _COARSE_UV and swing > _LARGE_MV
    ]
    if not doubtful:
        return []
    channel, swing = max(doubtful, key=lambda one: one[1])
    return [
        f"the header's scale may be wrong: {channel.step_uv:.3g} uV to the unit, and lead {channel.lead} swings by "
        f"{swing:.1f} mV; nothing was changed"
    ]


def _origin(file: _File) -> float:
    """Seconds after the header's time at which the first data record begins; EDF+ keeps parts of a second there."""
    if not file.annotations:
        return 0.0
    try:
        return float(_times(file, range(1))[0])
    except ReadError:
        return 0.0


def _statements(file: _File, records: range, origin: float) -> tuple[str, ...]:
    """The texts of the annotations in these data records and in the first, in the order of their times.

    A text that belongs to the beginning stands for itself, another with its time or how often it is there; marks of
    single letters, such as those of beats, are no statements.
    """
    found: dict[str, list[float]] = {}
    content, places = _record_bytes(file), file.annotations
    for number in sorted({0, *records}) if places else ():
        for place in places:
            for onset, texts in _annotations(content[number, place].tobytes()):
                for text in filter(is_statement, texts):
                    found.setdefault(text, []).append(onset - origin)
    told = []
    for text, times in sorted(found.items(), key=lambda one: min(one[1])):
        when = "" if min(times) <= 0 else f"at {min(times):g} s"
        if len(times) > 1:
            when = f"{len(times)} times, first {when or 'at 0 s'}"
        told.append(f"{text} ({when})" if when else text)
    return tuple(told)


def _annotations(content: bytes) -> list[tuple[float, list[str]]]:
    """Seconds and texts of the annotations in one record; those that are damaged are passed over."""
    found = []
    for one in content.split(b"\0"):
        timing, *texts = one.split(b"\x14")
        onset = timing.partition(b"\x15")[0]
        if _ONSET.fullmatch(onset):
            found.append((float(onset), [" ".join(text.decode("utf-8", "replace").split()) for text in texts]))
    return found


def _facts(file: _File, origin: float) -> dict[str, Any]:
    """Of the patient and the device, where the header has EDF+'s subfields (code, sex, birth date, name)."""
    acquired = _acquired(file, origin)
    equipment = file.edf.recording.equipment_code if _text(file.header[88:97]) == "Startdate" else "X"
    facts: dict[str, Any] = {"acquired": acquired, "device": None if equipment == "X" else equipment.replace("_", " ")}
    patient = file.edf.patient
    if len(file.edf.local_patient_identification.split()) < 4 or patient.sex not in ("M", "F", "X"):
        return facts
    try:
        birth: date | None = patient.birthdate
    except ValueError:
        birth = None
    return facts | {"subject": person(patient.code), "sex": sex_of(patient.sex), "age": age_at(birth, acquired)}


def _acquired(file: _File, origin: float) -> datetime | None:
    """When the first sample was taken; None if the date is left out (`Startdate X`) or impossible."""
    if file.edf.local_recording_identification.split()[:2] == ["Startdate", "X"]:
        return None
    clock = _THREE_NUMBERS.fullmatch(_text(file.header[176:184]))
    try:
        day: date | None = file.edf.recording.startdate
    except ValueError:
        day = _day(_text(file.header[168:176]))
    if day is None or clock is None:
        return None
    begin = moment(day.year, day.month, day.day, *map(int, clock.groups()))
    try:
        return None if begin is None else begin + timedelta(seconds=origin)
    except OverflowError:
        return None


def _day(text: str) -> date | None:
    """`dd.mm.yy`, of the years 1985 to 2084; None for what is no date."""
    found = _THREE_NUMBERS.fullmatch(text)
    if found is None:
        return None
    day, month, year = map(int, found.groups())
    return moment(year + (1900 if year >= 85 else 2000), month, day)


def _lead(label: str) -> str | None:
    """The lead that a channel is called like; None for another channel. EDF+ writes `ECG V1`."""
    try:
        return standard_lead(re.sub(r"^ekg\b", "ecg", label.strip(), flags=re.IGNORECASE))
    except LeadError:
        return None


def _labels(file: _File, places: Sequence[int]) -> str:
    return ", ".join(file.signals[place].label or "one without a name" for place in places) or "none"


def _is_annotation(label: str) -> bool:
    return label in ("EDF Annotations", "BDF Annotations")


def _column(header: bytes, offset: int, width: int) -> list[bytes]:
    """One field of every channel; `offset` and `width` in bytes of a channel's part."""
    n = len(header) // _LINE - 1
    begin = _LINE + offset * n
    return [header[begin + width * number : begin + width * (number + 1)] for number in range(n)]


def _whole(path: Path, what: str, field: bytes) -> int:
    """A whole number of the header. Raises ReadError."""
    found = re.fullmatch(r" *(-?\d{1,8})", _text(field))
    if found is None:
        raise ReadError(f"{path}: {what}: {_text(field)!r} in the header; expected a whole number")
    return int(found[1])


def _text(field: bytes) -> str:
    return field.decode("latin-1").rstrip(" ")


def _decoded(header: bytes, records: bytes, n: int) -> "Edf | Bdf":
    """`n` data records, with their header, in edfio's hands. Raises MissingPackageError without it."""
    try:
        import edfio
    except ImportError as error:
        raise MissingPackageError("EDF and BDF files need the package edfio: pip install 'enecg[edf]'") from error
    content = b"".join([header[:236], b"%-8d" % n, header[244:], records])
    try:
        header[len(_BDF) :].decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "latin-1"  # in which every byte is a letter, the micro sign too
    if header.startswith(_BDF):
        return edfio.read_bdf(content, header_encoding=encoding)
    return edfio.read_edf(content, header_encoding=encoding)
