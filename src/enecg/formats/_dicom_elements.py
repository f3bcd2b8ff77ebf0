"""The elements of a DICOM object; `pydicom` decodes each when it is asked for, so some are found damaged late."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg.errors import MissingPackageError, ReadError

if TYPE_CHECKING:
    from pydicom import Dataset


class _UndecodableError(Exception):
    """An element whose bytes are not what its type says."""


@contextmanager
def lenient(path: Path) -> Iterator[None]:
    """Values that break DICOM's rules (dots at an identifier's end) are taken as they are, without a warning.

    Raises ReadError, naming the file, for an element that cannot be decoded, and MissingPackageError without pydicom.
    """
    try:
        from pydicom import config
    except ImportError as error:
        raise MissingPackageError("DICOM files need the package pydicom: pip install 'enecg[dicom]'") from error
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        try:
            yield
        except _UndecodableError as error:
            raise ReadError(f"{path}: {error}; copy the file again") from error


def value_of(item: "Dataset | None", keyword: str) -> Any:
    """An element's value; None if it is not there."""
    try:
        return None if item is None else item.get(keyword)
    except Exception as error:  # whatever pydicom's decoders stumble over in these bytes
        raise _UndecodableError(f"its element {keyword} is damaged ({error})") from error


def text_of(item: "Dataset | None", keyword: str) -> str:
    """An element's text; empty if it is not there."""
    value = value_of(item, keyword)
    return "" if value is None else str(value).strip(" \0")


def number_of(item: "Dataset", keyword: str) -> float | None:
    """An element's number; None if it is not there, or none that is finite."""
    try:
        value = float(value_of(item, keyword))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def items_of(item: "Dataset | None", keyword: str) -> "list[Dataset]":
    """The items of a sequence; none if it is not there."""
    from pydicom import Sequence

    value = value_of(item, keyword)
    if value is None or isinstance(value, Sequence):
        return list(value or ())
    raise _UndecodableError(f"its element {keyword} is damaged (a {type(value).__name__} where items are expected)")


def first_of(item: "Dataset | None", keyword: str) -> "Dataset | None":
    """The first item of a sequence; None if there is none."""
    return next(iter(items_of(item, keyword)), None)


def title_of(channel: "Dataset") -> str:
    """What a channel is called."""
    return text_of(channel, "ChannelLabel") or text_of(first_of(channel, "ChannelSourceSequence"), "CodeMeaning")


def unit_of(channel: "Dataset") -> str:
    """The code of the unit of a channel's sensitivity; empty if it is not there."""
    return text_of(first_of(channel, "ChannelSensitivityUnitsSequence"), "CodeValue")
