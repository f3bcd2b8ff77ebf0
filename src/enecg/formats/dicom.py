"""DICOM waveforms (12-lead, general and ambulatory ECG, and ECGs among hemodynamic waveforms), parsed by `pydicom`.

A waveform object holds multiplex groups: channels of one rate, with a definition each (lead, scale, unit). The leads
are found by the codes of their channels, whatever the kind of object; averaged beats are told from rhythms and read on
request only; groups that were recorded one after the other are put on one time axis. Nothing that an object refers to
is opened.
Described in DICOM PS3.3, C.10.9 (waveform) and C.10.10 (annotations); codes of leads in PS3.16, CID 3001.
"""

import math
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from enecg.errors import LeadError, MissingPackageError, ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._finish import age_at, age_of, finished, in_years, moment, person, possible, sex_of
from enecg.formats._lead_codes import LEADS, upright
from enecg.formats._pieces import Piece, joined
from enecg.recording import MILLIVOLTS, Recording, millivolts_per, standard_lead

if TYPE_CHECKING:
    from pydicom import Dataset

NAME = "DICOM"
EXPECTED = "a DICOM file (DICM at byte 128) that holds a waveform"

_WAVEFORM_STORAGE = b"1.2.840.10008.5.1.4.1.1.9."
_WAVEFORM_SEQUENCE = b"\x00\x54\x00\x01"
_UNDEFINED = 0xFFFFFFFF
"""Length of an element that ends with a mark of its own."""

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LARGEST_INFLATED = 2**27
"""Bytes that a deflated object may grow to."""

_DTYPES = {(8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2", (32, "SL"): "i4", (32, "UL"): "u4"}
_DTYPES |= {(64, "SV"): "i8", (64, "UV"): "u8"}
"""By bits and interpretation; the companded ones of telephony (MB, AB) are no ECG's."""

_LEAD_CODE = re.compile(r"(?:2:|5\.6\.3-9-)0*(\d{1,3})")
"""The schemes MDC (partition 2) and SCPECG number leads alike, up to EASI's and those that the device derived."""

EASI = {131: "ES", 132: "AS", 133: "AI", 134: "S"}
_DERIVED = dict(enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"), 31))
_DERIVED |= dict(enumerate(("III", "aVR", "aVL", "aVF"), 111))

_AVERAGED = re.compile(r"median|averag|representative|template|mean beat", re.IGNORECASE)
_LARGE_MV = 10.0
"""No sample of a heart; what is called padding and means less may be measured."""

MEASURED = {
    # SCPECG, as DICOM's older objects have it
    "5.10.2.1-3": "rr_ms",
    "5.10.2.1-5": "pp_ms",
    "5.10.2.5-5": "qtc_ms",
    "5.13.5-7": "pr_ms",
    "5.13.5-9": "qrs_ms",
    "5.13.5-11": "qt_ms",
    "5.10.3-11": "p_axis_deg",
    "5.10.3-13": "qrs_axis_deg",
    "5.10.3-15": "t_axis_deg",
    # MDC, CID 3228, 3229 and 3689
    "2:16000": "rr_ms",
    "2:16168": "rr_ms",
    "2:16140": "pp_ms",
    "2:16184": "p_ms",
    "2:15872": "pr_ms",
    "2:16156": "qrs_ms",
    "2:16160": "qt_ms",
    "2:16128": "p_axis_deg",
    "2:16132": "qrs_axis_deg",
    "2:16136": "t_axis_deg",
    # LOINC
    "8867-4": "heart_rate_bpm",
    "8625-6": "pr_ms",
    "8633-0": "qrs_ms",
    "8634-8": "qt_ms",
    "8636-3": "qtc_ms",
}
MEANT = {
    "heart rate": "heart_rate_bpm",
    "ventricular rate": "heart_rate_bpm",
    "ventricular heart rate": "heart_rate_bpm",
    "atrial rate": "atrial_rate_bpm",
    "rr interval": "rr_ms",
    "pp interval": "pp_ms",
    "p duration": "p_ms",
    "pr interval": "pr_ms",
    "qrs duration": "qrs_ms",
    "qt interval": "qt_ms",
    "qtc interval": "qtc_ms",
    "p axis": "p_axis_deg",
    "qrs axis": "qrs_axis_deg",
    "t axis": "t_axis_deg",
}
"""By a code's meaning, for codes of a maker's own."""

_MILLISECONDS = {"ms": 1.0, "s": 1e3}
_PER_MINUTE = re.compile(r"bpm|(\{.*\}|1)?/min")


def recognise(candidate: Candidate) -> bool:
    """Whether this is a DICOM object of a waveform class, or one in whose beginning a waveform is seen."""
    head = candidate.head
    return head[128:132] == b"DICM" and any(sign in head for sign in (_WAVEFORM_STORAGE, _WAVEFORM_SEQUENCE))


def read(path: Path, ask: Ask) -> Recording:
    """The ECG of a waveform object; see `enecg.read`.

    item : number or label of a multiplex group, to read that one alone; without it, all rhythms of the rate that most
    leads have.
    """
    with _lenient():
        dataset = _dataset(path)
        if not dataset.get("WaveformSequence"):
            raise ReadError(f"{path}: holds no waveform; expected a DICOM ECG")
        groups = [_group(path, number, item, ask) for number, item in enumerate(dataset.WaveformSequence, start=1)]
        groups, notes = _chosen(path, groups, ask)
        rate = ask.hertz(groups[0].rate, path)
        order = "<" if dataset.original_encoding[1] else ">"
        if len(groups) == 1:
            first, last = ask.span(groups[0].n_samples, rate, path)
            signal: npt.NDArray[np.floating]
            signal, more = _samples(groups[0], slice(first, last), order, ask)
            leads: Sequence[str] = tuple(groups[0].leads.values())
        else:
            signal, leads, more = _together(path, groups, rate, order, ask)
            first, last = ask.span(signal.shape[1], rate, path)
            signal = signal[:, first:last]
        leads, turned = upright(signal, leads)
        measurements, of_values = _measurements(dataset)
        return finished(
            path,
            NAME,
            signal,
            rate,
            leads,
            [*notes, *more, *turned, *of_values],
            measurements=measurements,
            statements=tuple(_statements(dataset)),
            **_facts(dataset),
        )


@contextmanager
def _lenient() -> Iterator[None]:
    """Values that break DICOM's rules (dots at an identifier's end) are taken as they are, without a warning."""
    try:
        from pydicom import config
    except ImportError as error:
        raise MissingPackageError("DICOM files need the package pydicom: pip install 'enecg[dicom]'") from error
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def _dataset(path: Path) -> "Dataset":
    """The whole object. Raises ReadError for one that is cut or damaged, or grows beyond measure when inflated."""
    import pydicom

    try:
        # A map ends where the file does: whatever length a damaged element has, no more memory is asked for.
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            if _DEFLATED in content[:1024]:
                inflated = zlib.decompressobj(-zlib.MAX_WBITS)
                begin = 144 + int.from_bytes(content[140:144], "little")  # as the group length says, in (0002,0000)
                inflated.decompress(content[begin:], _LARGEST_INFLATED)
                if inflated.unconsumed_tail:
                    raise ReadError(f"{path}: over {_LARGEST_INFLATED >> 20} MiB when inflated; expected less")
            dataset = pydicom.dcmread(content)  # type: ignore[arg-type]
        # pydicom takes what there is of a value that the file's end has cut.
        for element in map(dataset.get_item, dataset.keys()):
            length, value = getattr(element, "length", _UNDEFINED), element.value
            if length != _UNDEFINED and isinstance(value, bytes) and len(value) < length:
                raise ReadError(
                    f"{path}: cut short, {len(value)} bytes of {length} in {element.tag}; copy the file again"
                )
        return dataset
    except ReadError:
        raise
    except Exception as error:
        raise ReadError(f"{path}: cut short or damaged ({error}); copy the file again") from error


# -- groups and leads --------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class _Group:
    """A multiplex group; `leads` by the place of their channels, and what was left out of it."""

    where: str
    number: int
    item: "Dataset"
    n_samples: int
    leads: dict[int, str] = field(default_factory=dict)
    nameless: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What the group is called."""
        return _said(self.item, "MultiplexGroupLabel")

    @property
    def title(self) -> str:
        """Number and label, for notes."""
        return f"group {self.number}{f' ({self.label})' if self.label else ''}"

    @property
    def derived(self) -> bool:
        """Whether it was computed from another."""
        return _said(self.item, "WaveformOriginality") == "DERIVED"

    @property
    def rate(self) -> float | None:
        """Hz; None if the group does not say."""
        return _number(self.item, "SamplingFrequency")

    @property
    def channels(self) -> "Sequence[Dataset]":
        """Their definitions."""
        return list(self.item.get("ChannelDefinitionSequence") or ())


def _group(path: Path, number: int, item: "Dataset", ask: Ask) -> _Group:
    """A group, with the leads among its channels. Raises ReadError for one that does not hold what it announces."""
    n_channels, n_samples = (int(_number(item, f"NumberOfWaveform{what}") or 0) for what in ("Channels", "Samples"))
    group = _Group(f"{path}: multiplex group {number}", number, item, n_samples)
    if n_channels != len(group.channels) or n_samples < 1:
        raise ReadError(
            f"{group.where}: announces {n_channels} channels of {n_samples} samples and defines {len(group.channels)}; "
            "expected a definition of each, and samples. Copy the file again"
        )
    others = []
    for place, channel in enumerate(group.channels):
        lead, note = _lead(channel)
        title = lead or _title(channel) or str(place + 1)
        if not _is_voltage(channel):
            others.append(f"{title} ({_unit(channel)})")
        elif lead is None:
            group.nameless.append(place)
        elif lead in group.leads.values():
            group.notes.append(f"{group.title}: channel {place + 1} is lead {lead} once more; left out")
        else:
            group.leads[place] = lead
            group.notes += [f"{group.title}: channel {place + 1}: {note}"] if note else []
    if others and group.leads:
        group.notes.append(f"{group.title}: left out, for they are no voltages: {', '.join(others)}")
    if not group.leads and ask.leads is not None and len(ask.leads) == len(group.nameless):
        group.leads = dict(zip(group.nameless, ask.leads, strict=True))
    elif group.leads and group.nameless:
        names = ", ".join(_title(group.channels[place]) or str(place + 1) for place in group.nameless)
        group.notes.append(f"{group.title}: left out, for they are no leads that are known: {names}")
    return group


def _lead(channel: "Dataset") -> tuple[str | None, str | None]:
    """The lead of a channel, and a note where it was not plain. The code counts; a label may say a modified lead."""
    source = _first(channel, "ChannelSourceSequence")
    code = _LEAD_CODE.fullmatch(_said(source, "CodeValue"))
    number = int(code.group(1)) if code else 0
    coded = LEADS.get(number) or EASI.get(number) or _DERIVED.get(number)
    texts = (_said(channel, "ChannelLabel"), _said(source, "CodeMeaning"), _said(source, "CodeValue"))
    named = next((lead for text in texts if (lead := _spelled(text))), None)
    if coded is None or named == f"ML{coded}":
        return named, None
    if number in _DERIVED:
        return coded, f"lead {coded} was derived by the device"
    if named is not None and named != coded.removeprefix("-"):
        return coded, f"called {named} and coded as {coded}; the code counts"
    return coded, None


def _spelled(text: str) -> str | None:
    """The lead in a text such as `Lead I (Einthoven)` or `MDC_ECG_LEAD_V1`; None if there is none."""
    try:
        return standard_lead(re.sub(r"^MDC_|\(.*\)", "", text))
    except LeadError:
        return None


def _chosen(path: Path, groups: list[_Group], ask: Ask) -> tuple[list[_Group], list[str]]:
    """The groups to read, and what was left out. Raises ReadError or LeadError if there is none."""
    usable = [group for group in groups if group.leads]
    shown = ", ".join(group.title for group in groups)
    if not usable:
        names = [_title(channel) or "?" for group in groups for channel in group.channels]
        raise LeadError(
            f"{path}: no channel says that it is a lead (found {', '.join(names) or 'none'}); pass leads= if they are"
        )
    if ask.item is not None:
        asked_for = [one for one in usable if ask.item in (str(one.number), one.label)]
        if not asked_for:
            raise ReadError(f"{path}: no group {ask.item!r} with leads; found {shown}")
        return asked_for[:1], asked_for[0].notes
    rhythms = [group for group in usable if not _AVERAGED.search(group.label)]
    rhythms = [group for group in rhythms if not group.derived] or rhythms
    if not rhythms:
        raise ReadError(f"{path}: averaged beats only (found {shown}); item={usable[0].number} reads the first")
    rates: Counter[float | None] = Counter()
    for group in rhythms:
        rates[group.rate] += len(group.leads)
    rate = max(rates, key=lambda rate: (rates[rate], rate or 0.0))
    kept = [group for group in rhythms if group.rate == rate]
    notes = [note for group in kept for note in group.notes]
    notes += [f"{group.title} is derived; there is no original one" for group in kept if group.derived]
    notes += [
        f"{group.title} left out: {_why(group, rhythms)}; item={group.number} reads it"
        for group in usable
        if group not in kept
    ]
    return kept, notes


def _why(group: _Group, rhythms: list[_Group]) -> str:
    if group in rhythms:
        return f"its rate of {group.rate or math.nan:g} Hz is not that of most leads"
    return "an averaged beat" if _AVERAGED.search(group.label) else "derived from the others"


def _together(
    path: Path, groups: list[_Group], rate: float, order: str, ask: Ask
) -> tuple[npt.NDArray[np.float64], Sequence[str], list[str]]:
    """Groups of one rate on one time axis [lead, sample], NaN where a lead was not recorded, and notes.

    A lead that two groups hold at the same time is taken from the longer one.
    """
    offsets = [_number(group.item, "MultiplexGroupTimeOffset") or 0.0 for group in groups]
    begins = [round((offset - min(offsets)) / 1e3 * rate) for offset in offsets]
    taken: dict[str, list[tuple[int, int]]] = {}
    notes: list[str] = []
    pieces: dict[int, list[Piece]] = {}
    for place in sorted(range(len(groups)), key=lambda place: -groups[place].n_samples):
        group, begin = groups[place], begins[place]
        end = begin + group.n_samples
        again = [
            lead for lead in group.leads.values() if any(begin < e and b < end for b, e in taken.setdefault(lead, []))
        ]
        if again:
            notes.append(f"{group.title}: left out, for a longer group has them at the same time: {', '.join(again)}")
            group.leads = {channel: lead for channel, lead in group.leads.items() if lead not in again}
        samples, more = _samples(group, slice(0, group.n_samples), order, ask)
        notes += more
        pieces[place] = [
            (lead, begin, row.astype(np.float64)) for lead, row in zip(group.leads.values(), samples, strict=True)
        ]
        for lead in group.leads.values():
            taken[lead].append((begin, end))
    signal, leads = joined(path, [piece for place in sorted(pieces) for piece in pieces[place]])
    return signal, leads, notes


# -- samples -----------------------------------------------------------------------------------------------------------


def _samples(group: _Group, wanted: slice, order: str, ask: Ask) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Samples of a group's leads [lead, sample] in mV, NaN where they are padding, and notes.

    order : of the bytes in a number, `<` or `>`.
    """
    stored = _stored(group, order)
    signal = np.empty((len(group.leads), wanted.stop - wanted.start), dtype=np.float32)
    padding = _padding(group, stored.dtype)
    kept, notes = [], []
    for row, (place, lead) in enumerate(group.leads.items()):
        channel = group.channels[place]
        where = f"{group.where}: lead {lead}"
        scale, baseline = _scale(where, channel, ask)
        column = stored[wanted, place]
        signal[row] = column * scale + baseline
        if padding is not None and (hidden := column == padding).any():
            if _is_outside(padding, stored.dtype, channel) or abs(padding * scale + baseline) > _LARGE_MV:
                signal[row, hidden] = np.nan
            else:
                kept.append(lead)
        skew = _number(channel, "ChannelTimeSkew") or (_number(channel, "ChannelSampleSkew") or 0) / (group.rate or 1)
        if skew:
            notes.append(f"{lead}: sampled {1e3 * skew:g} ms after the others of its group; not moved")
    if kept:
        notes.append(f"{', '.join(kept)}: what is called padding, {padding}, may be measured; kept")
    end = len(stored) if padding is not None else _filled_from(stored)
    if end < wanted.stop:
        signal[:, max(0, end - wanted.start) :] = np.nan
        notes.append(f"{group.title}: from sample {end + 1} on all channels hold the lowest number; taken as missing")
    return signal, notes


def _stored(group: _Group, order: str) -> npt.NDArray[np.integer]:
    """The numbers of a group [sample, channel], as they are in the file. Raises ReadError if some are missing."""
    item = group.item
    kind = (_number(item, "WaveformBitsAllocated"), _said(item, "WaveformSampleInterpretation"))
    name = _DTYPES.get(kind)  # type: ignore[arg-type]
    if name is None:
        raise ReadError(f"{group.where}: samples of {kind[0] or math.nan:g} bits {kind[1]!r}; expected linear integers")
    dtype = np.dtype(name).newbyteorder(order)  # type: ignore[arg-type]
    data = item.get("WaveformData") or b""
    n_stored = group.n_samples * len(group.channels)
    if not isinstance(data, bytes) or len(data) < n_stored * dtype.itemsize:
        raise ReadError(
            f"{group.where}: cut short, {len(data)} bytes of {n_stored * dtype.itemsize} that it announces; copy the "
            "file again"
        )
    return np.frombuffer(data, dtype=dtype, count=n_stored).reshape(group.n_samples, len(group.channels))


def _scale(where: str, channel: "Dataset", ask: Ask) -> tuple[float, float]:
    """Millivolts in one unit of the stored numbers, and of a stored zero. Raises UnitError or ReadError."""
    sensitivity = _number(channel, "ChannelSensitivity")
    correction = _number(channel, "ChannelSensitivityCorrectionFactor")
    unit = _unit(channel)
    try:
        factor = millivolts_per(unit) if unit and sensitivity is not None else ask.millivolts(where)
    except UnitError as error:
        raise UnitError(f"{where}: {error}") from error
    scale = factor * (1.0 if sensitivity is None else sensitivity) * (1.0 if correction is None else correction)
    baseline = factor * (_number(channel, "ChannelBaseline") or 0.0)
    if scale == 0:
        raise ReadError(f"{where}: a sensitivity of 0; expected what one unit of the stored numbers means")
    return scale, baseline


def _unit(channel: "Dataset") -> str:
    return _said(_first(channel, "ChannelSensitivityUnitsSequence"), "CodeValue")


def _is_voltage(channel: "Dataset") -> bool:
    """Whether a channel's unit is a voltage's, or is not said."""
    unit = _unit(channel).lower()
    return not unit or unit in MILLIVOLTS


def _padding(group: _Group, dtype: "np.dtype[Any]") -> int | None:
    """The number that stands for a missing sample; None if the group does not declare one."""
    said = group.item.get("WaveformPaddingValue")
    if isinstance(said, int):
        return said
    if isinstance(said, bytes) and len(said) >= dtype.itemsize:
        return int(np.frombuffer(said, dtype=dtype, count=1)[0])
    return None


def _is_outside(padding: int, dtype: "np.dtype[Any]", channel: "Dataset") -> bool:
    """Whether a number is at an end of the range that a channel's samples have, or beyond; where none is negative, at
    the upper end.
    """
    bits = int(_number(channel, "WaveformBitsStored") or 0)
    bits = bits if 1 < bits <= 8 * dtype.itemsize else 8 * dtype.itemsize
    if dtype.kind == "u":
        return padding >= (1 << bits) - 2
    return abs(padding + 0.5) >= (1 << (bits - 1)) - 1.5


def _filled_from(stored: npt.NDArray[np.integer]) -> int:
    """The sample from which all channels [sample, channel] hold a signed type's lowest number, to the end."""
    lowest = np.iinfo(stored.dtype).min
    end = len(stored)
    while lowest and end and (stored[end - 1] == lowest).all():
        end -= 1
    return end


# -- facts -------------------------------------------------------------------------------------------------------------


def _facts(dataset: "Dataset") -> dict[str, Any]:
    """Of patient, time and device."""
    day, acquired = _acquired(dataset)
    birth = _DAY.fullmatch(_said(dataset, "PatientBirthDate"))
    told = re.fullmatch(r"(\d{1,3})([DWMY])", _said(dataset, "PatientAge"))
    age = age_of(in_years(int(told[1]), "mo" if told[2] == "M" else told[2])) if told else None
    maker = (_said(dataset, "Manufacturer"), _said(dataset, "ManufacturerModelName"))
    return {
        "subject": person(_said(dataset, "PatientID")),
        "sex": sex_of(_said(dataset, "PatientSex")),
        "age": age if age is not None else age_at(moment(*map(int, birth.groups())) if birth else None, day),
        "acquired": acquired,
        "device": " ".join(filter(None, maker)) or None,
    }


_DAY = re.compile(r"(\d{4})[.:]?(\d\d)[.:]?(\d\d)")
_CLOCK = re.compile(r"(\d\d):?(\d\d):?(\d\d)?(?:\.(\d{1,6}))?(?:[+-]\d{4})?")


def _acquired(dataset: "Dataset") -> tuple[date | None, datetime | None]:
    """Day, and day with time by the clock on the wall, of the first that is said: acquisition, content, study."""
    both = _said(dataset, "AcquisitionDateTime")
    pairs = [(both[:8], both[8:])]
    pairs += [
        (_said(dataset, f"{what}Date"), _said(dataset, f"{what}Time")) for what in ("Acquisition", "Content", "Study")
    ]
    known: date | None = None
    for day, clock in pairs:
        parts, hours = _DAY.fullmatch(day), _CLOCK.fullmatch(clock)
        if parts is None:
            continue
        known = known or moment(*map(int, parts.groups()))
        if hours is not None:
            numbers = [int(part or 0) for part in hours.groups()[:3]]
            found = moment(*map(int, parts.groups()), *numbers, int((hours[4] or "").ljust(6, "0")))
            if found is not None:
                return found, found
    return known, None


def _annotations(dataset: "Dataset") -> list["Dataset"]:
    """Those of the whole recording; those of a point or part in time are marks."""
    return [one for one in dataset.get("WaveformAnnotationSequence") or () if not _said(one, "TemporalRangeType")]


def _measurements(dataset: "Dataset") -> tuple[dict[str, float], list[str]]:
    """By name; what the file gives several values of, lead by lead or beat by beat, is left out with a note."""
    values: dict[str, list[float]] = {}
    odd: list[str] = []
    for annotation in _annotations(dataset):
        concept, value = _first(annotation, "ConceptNameCodeSequence"), _number(annotation, "NumericValue")
        meaning = _said(concept, "CodeMeaning")
        name = MEASURED.get(_said(concept, "CodeValue")) or MEANT.get(meaning.lower())
        if name is None or value is None:
            continue
        unit = _said(_first(annotation, "MeasurementUnitsCodeSequence"), "CodeValue")
        if name.endswith("_ms"):
            value *= _MILLISECONDS.get(unit, math.nan)
        elif name.endswith("_bpm") and not _PER_MINUTE.fullmatch(unit):
            value = math.nan
        elif name.endswith("_deg") and unit != "deg":
            odd.append(meaning or name)
        if possible(name, value) and value not in values.setdefault(name, []):
            values[name].append(value)
    several = [name for name, found in values.items() if len(found) > 1]
    notes = [f"several values of {name}: left out" for name in several]
    if odd:
        notes.append(f"{', '.join(odd)}: not in degrees by the file; taken as degrees, for an axis is in nothing else")
    return {name: found[0] for name, found in values.items() if len(found) == 1}, notes


def _statements(dataset: "Dataset") -> Iterator[str]:
    """The sentences of the machine or of who read it, in the file's order."""
    for annotation in _annotations(dataset):
        coded = _said(_first(annotation, "ConceptCodeSequence"), "CodeMeaning")
        yield from (" ".join(text.split()) for text in (_said(annotation, "UnformattedTextValue"), coded) if text)


# -- elements ----------------------------------------------------------------------------------------------------------


def _said(item: "Dataset | None", keyword: str) -> str:
    """An element's text; empty if it is not there."""
    value = None if item is None else item.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def _number(item: "Dataset", keyword: str) -> float | None:
    """An element's number; None if it is not there, or none that is finite."""
    try:
        value = float(item.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _first(item: "Dataset", keyword: str) -> "Dataset | None":
    """The first item of a sequence; None if there is none."""
    sequence = item.get(keyword)
    return sequence[0] if sequence else None


def _title(channel: "Dataset") -> str:
    return _said(channel, "ChannelLabel") or _said(_first(channel, "ChannelSourceSequence"), "CodeMeaning")
