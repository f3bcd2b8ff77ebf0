"""Which of a file's named arrays is the signal, where a file may hold several, and several recordings in one."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from enecg.errors import ReadError
from enecg.formats._ask import Ask
from enecg.formats._description import MOST_VALUES, numeric, told
from enecg.formats._shown import shown

_CALLED = {"signal", "signals", "ecg", "p_signal", "feats", "tracings", "val", "data", "x"}
"""Names, in lower case, that a signal among other arrays is called by."""

_SHORTEST = 64
"""Samples; smaller arrays are labels and settings."""

_MOST_LEADS = 64
_LEADS_OF_AN_ECG = (8, 12, 15)
_SHORTEST_OF_AN_ECG = 250


class Shaped(Protocol):
    """What can be told of an array without its values."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


def signal(path: Path, arrays: Mapping[str, Shaped], ask: Ask) -> tuple[str, int | None]:
    """Name of the array that holds the signal, and which recording of it, where its first axis is that of recordings.

    The caller's `item` is the name of an array, the number of a recording (from 0), or NAME#NUMBER.
    Raises ReadError, listing what there is, if that does not tell it.
    """
    name, _, number = (ask.item or "").partition("#")
    chosen: str | None
    if name in arrays and _able(arrays[name]):
        chosen = name
    else:
        chosen, number = _only(arrays), name or number
    if chosen is None:
        raise ReadError(f"{path}: which array is the signal? {listed(arrays)}; pass item= with the name of one")
    shape = arrays[chosen].shape
    if len(shape) < 3:
        if number:
            raise ReadError(f"{path}: no recording {ask.item!r}; {listed(arrays)}")
        return chosen, None
    if math.prod(shape[1:]) > MOST_VALUES:
        raise ReadError(f"{path}: recordings of {told(shape[1:])} values; expected {MOST_VALUES:,} at most")
    if not (number.isascii() and number.isdigit() and int(number) < shape[0]):
        wrong = f"no recording {ask.item!r}; it" if ask.item else "it"
        raise ReadError(f"{path}: {wrong} holds {shape[0]:,} recordings; pass item=, 0 to {shape[0] - 1}")
    return chosen, int(number)


def items(arrays: Mapping[str, Shaped]) -> list[str | None]:
    """What to pass as `item` for each recording; [None] if there is one, or if reading has to tell what is wrong."""
    chosen = _only(arrays)
    if chosen is None or len(arrays[chosen].shape) < 3:
        return [None]
    return [str(number) for number in range(arrays[chosen].shape[0])]


def like_an_ecg(arrays: Mapping[str, Shaped]) -> bool:
    """Whether it is plain which array is the signal, and that has an axis of leads beside one of samples."""
    chosen = _only(arrays)
    shape = () if chosen is None else arrays[chosen].shape[-2:]
    return len(shape) == 2 and min(shape) in _LEADS_OF_AN_ECG and max(shape) >= _SHORTEST_OF_AN_ECG


def listed(arrays: Mapping[str, Shaped]) -> str:
    """What there is, for an error."""
    if not arrays:
        return "it holds no arrays"
    found = [f"{name or 'array'} {told(array.shape)} {array.dtype}" for name, array in arrays.items()]
    return f"it holds {shown(found)}"


def _able(array: Shaped) -> bool:
    """Whether it can be a signal: [sample], or [lead, sample] in any order, or recordings of them."""
    shape = array.shape[-2:]
    if not numeric(array.dtype) or not 1 <= len(array.shape) <= 3 or 0 in array.shape:
        return False
    return max(shape) >= _SHORTEST and (len(shape) == 1 or min(shape) <= _MOST_LEADS)


def _only(arrays: Mapping[str, Shaped]) -> str | None:
    """The one that can be a signal, or the one of them that is called so; None if that does not tell."""
    able = [name for name, array in arrays.items() if _able(array)]
    called = [name for name in able if name.lower() in _CALLED]
    return able[0] if len(able) == 1 else called[0] if len(called) == 1 else None
