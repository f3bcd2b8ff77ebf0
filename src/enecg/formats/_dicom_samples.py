"""The samples of a multiplex group of a DICOM waveform, in millivolts.

Described in DICOM PS3.3, C.10.9.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError, UnitError
from enecg.formats._ask import Ask
from enecg.formats._dicom_elements import number_of, text_of, unit_of, value_of
from enecg.formats._dicom_groups import Group
from enecg.recording import millivolts_per

if TYPE_CHECKING:
    from pydicom import Dataset

_DTYPES = {(8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2", (32, "SL"): "i4", (32, "UL"): "u4"}
_DTYPES |= {(64, "SV"): "i8", (64, "UV"): "u8"}
"""By bits and interpretation; the companded ones of telephony (MB, AB) are no ECG's."""

_LARGE_MV = 10.0
"""No sample of a heart; what is called padding and means less may be measured."""


def samples_of(group: Group, wanted: slice, order: str, ask: Ask) -> tuple[npt.NDArray[np.float32], list[str]]:
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
        samples = number_of(channel, "ChannelSampleSkew") or 0
        skew = number_of(channel, "ChannelTimeSkew") or samples / (group.rate or 1)
        if skew:
            notes.append(f"{lead}: sampled {1e3 * skew:g} ms after the others of its group; not moved")
    if kept:
        notes.append(f"{', '.join(kept)}: what is called padding, {padding}, may be measured; kept")
    end = len(stored) if padding is not None else _filled_from(stored)
    if end < wanted.stop:
        signal[:, max(0, end - wanted.start) :] = np.nan
        notes.append(f"{group.title}: from sample {end + 1} on all channels hold the lowest number; taken as missing")
    return signal, notes


def _stored(group: Group, order: str) -> npt.NDArray[np.integer]:
    """The numbers of a group [sample, channel], as they are in the file. Raises ReadError if some are missing."""
    item = group.item
    kind = (number_of(item, "WaveformBitsAllocated"), text_of(item, "WaveformSampleInterpretation"))
    name = _DTYPES.get(kind)  # type: ignore[arg-type]
    if name is None:
        raise ReadError(f"{group.where}: samples of {kind[0] or math.nan:g} bits {kind[1]!r}; expected linear integers")
    dtype = np.dtype(name).newbyteorder(order)  # type: ignore[arg-type]
    data = value_of(item, "WaveformData") or b""
    n_stored = group.n_samples * len(group.channels)
    if not isinstance(data, bytes) or len(data) < n_stored * dtype.itemsize:
        raise ReadError(
            f"{group.where}: cut short, {len(data)} bytes of {n_stored * dtype.itemsize} that it announces; copy the "
            "file again"
        )
    return np.frombuffer(data, dtype=dtype, count=n_stored).reshape(group.n_samples, len(group.channels))


def _scale(where: str, channel: "Dataset", ask: Ask) -> tuple[float, float]:
    """Millivolts in one unit of the stored numbers, and of a stored zero. Raises UnitError or ReadError."""
    sensitivity = number_of(channel, "ChannelSensitivity")
    correction = number_of(channel, "ChannelSensitivityCorrectionFactor")
    unit = unit_of(channel)
    try:
        factor = millivolts_per(unit) if unit and sensitivity is not None else ask.millivolts(where)
    except UnitError as error:
        raise UnitError(f"{where}: {error}") from error
    scale = factor * (1.0 if sensitivity is None else sensitivity) * (1.0 if correction is None else correction)
    baseline = factor * (number_of(channel, "ChannelBaseline") or 0.0)
    if scale == 0:
        raise ReadError(f"{where}: a sensitivity of 0; expected what one unit of the stored numbers means")
    return scale, baseline


def _padding(group: Group, dtype: "np.dtype[Any]") -> int | None:
    """The number that stands for a missing sample; None if the group does not declare one."""
    said = value_of(group.item, "WaveformPaddingValue")
    if isinstance(said, int):
        return said
    if isinstance(said, bytes) and len(said) >= dtype.itemsize:
        return int(np.frombuffer(said, dtype=dtype, count=1)[0])
    return None


def _is_outside(padding: int, dtype: "np.dtype[Any]", channel: "Dataset") -> bool:
    """Whether a number is at an end of the range that a channel's samples have, or beyond; where none is negative, at
    the upper end.
    """
    bits = int(number_of(channel, "WaveformBitsStored") or 0)
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
