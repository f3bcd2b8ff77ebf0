"""EDF, EDF+, BDF and BDF+ files (Holters, sleep laboratories), their samples decoded by the package `edfio`.

A header, then data records of equal length; in each, some samples of every channel one after the other. Only the
records that are wanted are read and handed to edfio, block by block, so that a window of a day's recording costs a
window's memory. What edfio leaves to its user is done here: a file that is cut short is refused, the times that EDF+
gives its records are kept to (a gap is missing samples), and the leads are picked out of all channels.
Described in Kemp et al. 1992 (EDF), Kemp and Olivan 2003 (EDF+, edfplus.info) and by BioSemi (BDF, 24 bits).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._edf_annotations import apart, origin_of, starts_of, statements_of
from enecg.formats._edf_facts import facts_of
from enecg.formats._edf_header import BDF, EDF, LINE, File, opened
from enecg.formats._finish import finished
from enecg.formats._lead_signals import called, is_voltage, leads_among, of_one_rate
from enecg.recording import HIGHEST_RATE, LOWEST_RATE, Recording, millivolts_per

if TYPE_CHECKING:
    from edfio import BdfSignal, EdfSignal

NAME = "EDF"
EXPECTED = "an EDF or BDF file, which begins with its version (0, or the byte 255 and BIOSEMI) and a header in ASCII"

_BLOCK = 2**23
"""Bytes that are decoded at once."""

_MOST_MISSING = 2**26
"""Missing samples that a gap may make; more are no recording's, but a damaged time's."""

_COARSE_UV, _LARGE_MV = 10.0, 5.0
"""A step that few devices have (5 uV is the most that IEC 60601-2-25 allows), and a swing that few hearts have."""


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
    head = candidate.head[:LINE]
    plain = head.startswith(EDF) and head[184:192].strip().isdigit() and not {10, 13} & set(head)
    return plain or head.startswith(BDF)


def read(path: Path, ask: Ask) -> Recording:
    """The leads of an EDF or BDF file; see `enecg.read`.

    Leads are the channels that are called like one; those in a unit that is no voltage's, and those of another rate
    than most, are left out with a note. An ECG that does not say which lead it is takes the caller's `leads`.
    """
    file = opened(path)
    channels, notes = _channels(file, ask)
    count = channels[0].signal.samples_per_data_record
    rate = file.rate(count)
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ReadError(f"{path}: a rate of {rate:g} Hz; expected {LOWEST_RATE:g} to {HIGHEST_RATE:,.0f}")
    starts, more = starts_of(file, count)
    first, last = ask.span(int(starts[-1]) + count, rate, path)
    records = range(int(np.searchsorted(starts, first - count, side="right")), int(np.searchsorted(starts, last)))
    missing = (last - first - min(len(records) * count, last - first)) * len(channels)
    if missing > _MOST_MISSING:
        raise ReadError(f"{path}: gaps of {missing / len(channels) / rate:.0f} s; pass start= and seconds= for a part")
    signal = _samples(file, channels, starts, records, first, last)
    origin = origin_of(file)
    return finished(
        path,
        NAME,
        signal,
        rate,
        [channel.lead for channel in channels],
        (*file.notes, *notes, *more, *apart(file, records, rate), *_doubts(signal, channels)),
        statements=statements_of(file, records, origin),
        **facts_of(file, origin),
    )


def _channels(file: File, ask: Ask) -> tuple[list[_Channel], list[str]]:
    """Those that are leads, all of one rate, and what was left out. Raises LeadError or UnitError if there is none."""
    signals = dict(enumerate(file.signals))
    names = {place: signal.label for place, signal in signals.items()}
    voltages = [place for place, signal in signals.items() if is_voltage(signal.physical_dimension)]
    leads, nameless = leads_among(file.path, names, voltages, ask)
    notes = [f"left out, for they do not say their lead: {called(names, nameless)}"] if nameless else []
    if other := [place for place in leads if place not in voltages]:
        if len(other) == len(leads):
            unit = signals[other[0]].physical_dimension
            raise UnitError(f"{file.path}: {called(names, other)} in {unit!r}; expected V, mV, uV or nV")
        notes.append(f"left out, for their unit is no voltage's: {called(names, other)}")
    counts = {place: signal.samples_per_data_record for place, signal in signals.items()}
    kept, more = of_one_rate({place: leads[place] for place in leads if place in voltages}, counts, file.rate)
    for place in kept:
        _check_scale(file.path, signals[place])
    channels = [
        _Channel(place, lead, _factor(file, signals[place], ask), signals[place]) for place, lead in kept.items()
    ]
    return channels, [*notes, *more]


def _factor(file: File, signal: "EdfSignal | BdfSignal", ask: Ask) -> float:
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


def _samples(
    file: File,
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
    with file.path.open("rb") as content:
        content.seek(len(file.header) + records.start * file.record_bytes)
        for begin in range(records.start, records.stop, at_once):
            end = min(begin + at_once, records.stop)
            block = file.decoded(content.read((end - begin) * file.record_bytes), end - begin)
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
