"""EDF+ files of one piece (EDF+C).

The header holds patient, device and time in 80 letters of ASCII each; statements, and whatever does not fit there, are
annotations of the first moment. An EDF file has no number for a missing sample: recordings with gaps are refused.
Written here and not by `edfio`, which takes no record whose length has to be cut to the header's eight letters (360 Hz
and 650,000 samples), no year before 1985, and sorts statements by their letters. Described in Kemp et al. 1992 (EDF)
and Kemp and Olivan 2003 (EDF+, edfplus.info).
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import WriteError
from enecg.files import write_whole
from enecg.formats._edf_annotations import is_statement
from enecg.formats._edf_header import rate_of
from enecg.formats._finish import ROUNDED
from enecg.formats._lines import lines_of, statement_lines
from enecg.formats.writing._about import patient_id, printable, subject_held
from enecg.formats.writing._steps import LARGEST, Steps, in_steps
from enecg.recording import Recording

NAME, ENDING = "EDF+", ".edf"

_RECORD_BYTES = 61_440
"""That a data record should not pass."""

_SHORTEST = 0.1
"""Seconds of a data record, where there is a choice: every record spends bytes on its time."""

_NUMBER, _IDENTIFICATION = 8, 80
"""Letters of fields in the header."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_YEARS = range(1985, 2085)
"""That two digits can mean; of others EDF+ writes `yy`, and the year in the other field of the date."""


def write(recording: Recording, path: Path) -> None:
    """The whole file at once."""
    for lead, row in zip(recording.leads, recording.signal, strict=True):
        if n_missing := int(np.isnan(row).sum()):
            raise WriteError(
                f"{path}: lead {lead}: {n_missing} samples are missing, which EDF has no number for; "
                "write another format, or leave out the lead"
            )
    count, seconds = _data_record(path, recording)
    rows = in_steps(path, recording)
    texts, patient, device = _annotations(recording, rate_of(count, seconds))
    samples = np.stack([row.stored(0, "<i2").reshape(-1, count) for row in rows], axis=1)  # [record, lead, sample]
    times = _times(recording, len(samples), seconds, texts)
    fields = [
        "0".ljust(8),
        patient.ljust(_IDENTIFICATION),
        device.ljust(_IDENTIFICATION),
        *_clock(recording),
        _field(path, 256 * (len(rows) + 2)),
        "EDF+C".ljust(44),
        _field(path, len(samples)),
        seconds.ljust(_NUMBER),
        str(len(rows) + 1).ljust(4),
    ]
    channels = [_channel(path, row, count) for row in rows]
    channels.append(["EDF Annotations".ljust(16), " " * 80, " " * 8, *_numbers(path, -1, 1, -(2**15), 2**15 - 1)])
    channels[-1] += [" " * 80, _field(path, times.shape[1] // 2), " " * 32]
    header = "".join([*fields, *(field for column in zip(*channels, strict=True) for field in column)])
    records = np.concatenate([samples.reshape(len(samples), -1).view(np.uint8), times], axis=1)
    write_whole(path, header.encode("ascii") + records.tobytes())


def _data_record(path: Path, recording: Recording) -> tuple[int, str]:
    """Samples in a data record, and its length in seconds as the header has it: as long as EDF recommends, if the
    recording can be cut so. Raises WriteError if no length means the rate, nor nearly.
    """
    n_samples, rate = recording.n_samples, recording.rate
    halves = [n for n in range(1, int(n_samples**0.5) + 1) if n_samples % n == 0]
    lengths = {n: text for half in halves for n in (half, n_samples // half) for text in _lengths(n, rate)}
    off = {n: abs(rate_of(n, text) - rate) for n, text in lengths.items()}
    exact = [n for n in lengths if off[n] == 0]
    long = [n for n in exact if n >= _SHORTEST * rate or n == n_samples] or exact
    fitting = [n for n in long if 2 * n * recording.n_leads <= _RECORD_BYTES]
    count = max(fitting) if fitting else min(long) if long else min(off, key=off.__getitem__, default=0)
    if count == 0 or off[count] > ROUNDED * rate:
        raise WriteError(
            f"{path}: {n_samples:,} samples at {rate!r} Hz: EDF tells the rate by the length of a part in eight "
            "letters, and none means it; cut the recording, or write another format"
        )
    return count, lengths[count]


def _lengths(n_samples: int, rate: float) -> list[str]:
    """A data record's length in seconds, in eight letters at most; the one that means the rate, if one does, last."""
    seconds = n_samples / Decimal(repr(rate))
    filled = f"{seconds:.{max(0, _NUMBER - 1 - len(str(int(seconds))))}f}"
    short = filled.rstrip("0").rstrip(".") if "." in filled else filled
    texts = [text for text in (filled, short) if len(text) <= _NUMBER and Decimal(text) > 0]
    return sorted(texts, key=lambda text: rate_of(n_samples, text) == rate)


def _annotations(recording: Recording, rate: float) -> tuple[list[str], str, str]:
    """The texts of the first moment, and the header's two fields about patient and device."""
    sex = {"male": "M", "female": "F"}.get(recording.sex or "", "X")
    held: dict[str, Any] = {"sex": recording.sex, "rate": rate}
    code = patient_id(recording)
    if _is_subfield(code) and len(code) + len(" M X X") <= _IDENTIFICATION:
        held |= subject_held(code)
    else:
        code = "X"
    when = recording.acquired
    day = "X" if when is None else f"{when.day:02}-{_MONTHS[when.month - 1]}-{when.year:04}"
    if when is not None and when.tzinfo is None:
        held["acquired"] = when
    begin, device = f"Startdate {day} X X ", (recording.device or "").replace(" ", "_")
    if _is_subfield(device) and device != "X" and len(begin + device) <= _IDENTIFICATION:
        held["device"] = device.replace("_", " ")
    else:
        device = "X"
    texts = [*statement_lines(recording, _survives), *lines_of(recording, held)]
    return texts, f"{code} {sex} X X", begin + device


def _is_subfield(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _survives(text: str) -> bool:
    return printable(text) and is_statement(text)


def _clock(recording: Recording) -> tuple[str, str]:
    """Date and time of the header; midnight of the first possible day where they are not known, as EDF+ has it."""
    when = recording.acquired
    if when is None:
        return "01.01.85", "00.00.00"
    year = f"{when.year % 100:02}" if when.year in _YEARS else "yy"
    return f"{when:%d.%m}.{year}", f"{when:%H.%M.%S}"


def _times(recording: Recording, n_records: int, seconds: str, texts: list[str]) -> npt.NDArray[np.uint8]:
    """The annotations of each data record [record, byte]: when it begins, and in the first one the texts."""
    fraction = 0 if recording.acquired is None else recording.acquired.microsecond
    begin, step = Decimal(fraction) / 10**6, Decimal(seconds)
    lists = [f"+{begin + step * number:f}\x14\x14\0".encode() for number in range(n_records)]
    if texts:
        lists[0] += "\x14".join([f"+{begin:f}", *texts, "\0"]).encode()
    width = max(map(len, lists))
    width += width % 2
    return np.frombuffer(b"".join(one.ljust(width, b"\0") for one in lists), np.uint8).reshape(n_records, width)


def _channel(path: Path, row: Steps, count: int) -> list[str]:
    """The header's fields for a lead."""
    low, high = (Decimal(1000 * (edge - row.zero)) / row.gain for edge in (-LARGEST, LARGEST))
    unit = "uV"
    if min(low, -high) < -9_999_999:  # what eight letters hold
        low, high, unit = low / 1000, high / 1000, "mV"
    numbers = _numbers(path, low, high, -LARGEST, LARGEST)
    return [f"ECG {row.lead}".ljust(16), " " * 80, unit.ljust(8), *numbers, " " * 80, _field(path, count), " " * 32]


def _numbers(path: Path, *numbers: int | Decimal) -> list[str]:
    return [_field(path, number) for number in numbers]


def _field(path: Path, number: int | Decimal) -> str:
    """A number in the header. Raises WriteError for one that is too long."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if len(text) > _NUMBER:
        raise WriteError(f"{path}: {text} does not fit into the {_NUMBER} letters that EDF has; write another format")
    return text.ljust(_NUMBER)
