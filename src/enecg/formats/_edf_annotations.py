"""What EDF+ keeps in annotations: the times of the data records, and texts with a time of their own.

Described in Kemp and Olivan 2003 (EDF+, edfplus.info).
"""

import re

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError
from enecg.formats._edf_header import File

_WORD = re.compile(r"[^\W\d_]{2}")
_ONSET = re.compile(rb"[+-]\d{1,12}(\.\d{0,12})?")


def starts_of(file: File, count: int) -> tuple[npt.NDArray[np.int64], list[str]]:
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


def _times(file: File, records: range) -> npt.NDArray[np.float64]:
    """Seconds after the header's time at which data records begin, as they say themselves. Raises ReadError."""
    if not file.annotations:
        raise ReadError(f"{file.path}: EDF+D without annotations, which tell when a data record begins")
    place = file.annotations[0]
    found = file.content[records.start : records.stop, place.start : min(place.stop, place.start + 32)]
    times = [_ONSET.match(row.tobytes()) for row in found]
    if None in times:
        number = records.start + times.index(None) + 1
        raise ReadError(
            f"{file.path}: data record {number} does not say its time; expected it first in its annotations"
        )
    return np.array([float(one.group()) for one in times if one is not None])


def apart(file: File, records: range, rate: float) -> list[str]:
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


def origin_of(file: File) -> float:
    """Seconds after the header's time at which the first data record begins; EDF+ keeps parts of a second there."""
    if not file.annotations:
        return 0.0
    try:
        return float(_times(file, range(1))[0])
    except ReadError:
        return 0.0


def is_statement(text: str) -> bool:
    """Whether an annotation's text is one; marks of single letters, such as those of beats, are none."""
    return _WORD.search(text) is not None


def statements_of(file: File, records: range, origin: float) -> tuple[str, ...]:
    """The texts of the annotations in these data records and in the first, in the order of their times.

    A text that belongs to the beginning stands for itself, another with its time or how often it is there; marks of
    single letters, such as those of beats, are no statements.
    """
    found: dict[str, list[float]] = {}
    content, places = file.content, file.annotations
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
