"""Arrays of NumPy: NPY and NPZ, [lead, sample] or [sample, lead], or a stack of recordings; never by pickle.

What the numbers are stands beside an NPY file as JSON, and inside an NPZ as further arrays (`rate` or `fs`, `unit`,
`leads`); see `_description.py`.
"""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from enecg.errors import ReadError
from enecg.formats import _description, _variables
from enecg.formats._ask import Ask
from enecg.formats._candidate import Candidate
from enecg.formats._description import Description
from enecg.recording import Recording, legible

NAME = "NumPy"
EXPECTED = "an array [lead, sample] (NPY, NPZ)"

parts = _description.parts

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_MOST_BYTES = 2**29
_TOLD = 2**16
"""Bytes of an array that says something; larger ones are samples."""
_MOST_MEMBERS = 1000
_LONGEST = 10_000
"""Bytes of an array's header; NumPy takes no longer one either."""
_DAMAGED = (ValueError, OverflowError, EOFError, SyntaxError, TypeError, TokenError)
"""What NumPy raises for a header that is none; it is read as Python's letters and numbers."""


@dataclass(frozen=True)
class _Head:
    """What an array's header says: its shape and the type of its values."""

    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    @property
    def n_bytes(self) -> int:
        """Of all values; in Python's integers, for a damaged header may ask for any number."""
        n_bytes = np.dtype(self.dtype).itemsize
        for length in self.shape:
            n_bytes *= length
        return n_bytes


def recognise(candidate: Candidate) -> bool:
    """Whether the file begins as an array of NumPy, or as an archive whose first member is one."""
    head = candidate.head
    length = int.from_bytes(head[26:28], "little")
    return head.startswith(_NPY) or (head.startswith(_ZIP) and head[30 : 30 + length].endswith(b".npy"))


def likely(candidate: Candidate) -> bool:
    """Whether an array that nobody has asked for by name is an ECG: by its shape, or described as one."""
    try:
        if candidate.head.startswith(_NPY):
            described = False
            heads: Mapping[str, _Head] = {"": _head(BytesIO(candidate.head))}
        else:
            with _archive(candidate.path) as (archive, heads):
                said = _said(candidate.path, archive, heads)
            described = said.rate is not None and bool(said.units)
    except Exception:  # noqa: BLE001  whatever a damaged file leads to: none that we would offer
        return False
    return described or _variables.like_an_ecg(heads) or _description.is_described(candidate.path)


def items(path: Path) -> list[str | None]:
    """What to pass as `item` for each recording of a stack; [None] for a single one."""
    try:
        if not _is_archive(path):
            with path.open("rb") as file:
                return _variables.items({"": _head(file)})
        with _archive(path) as (_, heads):
            return _variables.items(heads)
    except Exception:  # noqa: BLE001  reading tells what is wrong
        return [None]


def read(path: Path, ask: Ask) -> Recording:
    """The recording at this path; see `enecg.read`."""
    how = f"; or say it in {_description.sidecar(path).name} beside it"
    if not _is_archive(path):
        array = _mapped(path)
        _, number = _variables.signal(path, {"": array}, ask)
        return _recording(path, array, number, Description(how=how), ask)
    with _archive(path) as (archive, heads):
        name, number = _variables.signal(path, heads, ask)
        said = _said(path, archive, {other: head for other, head in heads.items() if other != name}, how)
        return _recording(path, _member(path, archive, name, heads[name]), number, said, ask)


def _recording(path: Path, array: Any, number: int | None, said: Description, ask: Ask) -> Recording:
    said = said.joined(_description.beside(path), path)
    if number is None:
        return _description.recorded(path, NAME, array, said, ask)
    return _description.recorded(path, NAME, array[number], said, ask, id_=f"{legible(path.stem)}#{ask.item}")


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


def _mapped(path: Path) -> npt.NDArray[Any]:
    """The array of an NPY file, of which only what is used is read."""
    try:
        with path.open("rb") as file:
            _head(file)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGED as error:
        raise ReadError(f"{path}: {error}; expected an array of numbers, whole and not pickled") from error
    return np.asarray(array)


@contextmanager
def _archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, Mapping[str, _Head]]]:
    """An NPZ file, and what the headers of its arrays say. Raises ReadError for a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS:
                raise ReadError(f"{path}: {len(members):,} arrays; expected {_MOST_MEMBERS:,} at most")
            heads = {}
            for member in members:
                if member.filename.endswith(".npy"):
                    with archive.open(member) as file:
                        head = _head(file)
                    if head.n_bytes > member.file_size:
                        raise ReadError(f"{path}: {member.filename} is cut short or damaged; copy the file again")
                    heads[member.filename.removesuffix(".npy")] = head
            yield archive, heads
    except (*_DAMAGED, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(f"{path}: {error}; expected an NPZ file, whole and not encrypted") from error


def _head(file: IO[bytes]) -> _Head:
    """The header at the beginning of an NPY file or member. Raises ValueError for what is none."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array of NPY version {version[0]}.{version[1]}, which holds no plain numbers")
    # NumPy asks for as much memory as the header says that it is long.
    size = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(size, "little")
    if length > _LONGEST:
        raise ValueError(f"a header of {length:,} bytes; expected {_LONGEST:,} at most")
    header = BytesIO(size + file.read(length))
    shape, _, dtype = npy.read_array_header_1_0(header) if version == (1, 0) else npy.read_array_header_2_0(header)
    return _Head(tuple(int(length) for length in shape), dtype)


def _member(path: Path, archive: zipfile.ZipFile, name: str, head: _Head) -> npt.NDArray[Any]:
    if head.n_bytes > _MOST_BYTES:
        raise ReadError(
            f"{path}: {name} has {head.n_bytes >> 20:,} MiB; expected {_MOST_BYTES >> 20} at most, save it as NPY"
        )
    with archive.open(f"{name}.npy") as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def _said(path: Path, archive: zipfile.ZipFile, heads: Mapping[str, _Head], how: str = "") -> Description:
    """What the small arrays of an archive say."""
    small = [n for n, head in heads.items() if np.dtype(head.dtype).kind in "iufUS" and head.n_bytes <= _TOLD]
    return _description.described(path, {name: _member(path, archive, name, heads[name]) for name in small}, how)
