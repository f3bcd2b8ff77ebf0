"""Variables of MATLAB files of versions 4 and 5: numbers, texts, structs and cells.

Source: "MAT-File Format" (The MathWorks). Read here because scipy.io takes the lengths in a damaged file at their word,
and then ends the whole process.
"""

import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from enecg.formats._bytes import Cursor

V5 = b"MATLAB 5.0 MAT-file"

LARGEST = 320 * 2**20
"""Bytes of a file, and of what is in it when decompressed; a day of one lead at 400 Hz has 276 million."""

_HEADER = 128
_PEEK = 2**12
"""Bytes of a compressed variable by which its name and shape are known."""
_DEEPEST = 8
"""Structs and cells within each other."""
_MOST_PARTS = 1000
"""Fields of a struct, elements of a cell."""

_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_KINDS = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single", 8: "int8", 9: "uint8"}
_KINDS |= {10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64"}
_LOGICAL, _COMPLEX = 0x200, 0x800

_V4_STORED = {0: "f8", 1: "f4", 2: "i4", 3: "i2", 4: "u2", 5: "u1"}
_V4_KINDS = {0: "double", 1: "single", 2: "int32", 3: "int16", 4: "uint16", 5: "uint8"}
_V4_NAME = re.compile(rb"[A-Za-z]\w{0,62}\0")


@dataclass(frozen=True, eq=False)
class Variable:
    """Its name, MATLAB's name for its class (`double`, `char`, `struct`, ...), its shape; its values when asked for."""

    name: str
    kind: str
    shape: tuple[int, ...]
    decode: Callable[[], Any]

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Of its values; object where they are no numbers."""
        return np.dtype({"double": "f8", "single": "f4"}.get(self.kind, self.kind if "int" in self.kind else object))

    @cached_property
    def value(self) -> Any:
        """Numbers as an array, text as text or texts, a struct as a dict, a cell as a list; None for anything else.

        Raises ReadError for one that is damaged.
        """
        return self.decode()


def is_v4(head: bytes) -> bool:
    """Whether a file begins as one of version 4, which has no signature: five numbers, then a variable's name."""
    for order in ("<i4", ">i4"):
        if len(head) >= 22:
            kind, rows, columns, imaginary, length = np.frombuffer(head, order, 5).tolist()
            fits = _is_v4_kind(kind) and rows > 0 and columns > 0 and imaginary in (0, 1) and 1 < length <= 64
            if fits and _V4_NAME.fullmatch(head[20 : 20 + length]):
                return True
    return False


def variables(file: Cursor, *, whole: bool = True) -> Iterator[Variable]:
    """One after the other. whole : False for the beginning of a file, where values may be missing.

    Raises ReadError where the file is cut short or damaged.
    """
    head = file.take(min(file.left, _HEADER))
    start = Cursor(head, file.path, file.what)
    if head.startswith(V5):
        file.order = "big" if head[126:] == b"MI" else "little"
        return _v5(file, whole)
    file = Cursor(head + file.take(file.left), file.path, file.what)
    file.order = "little" if _is_v4_kind(start.unsigned(4)) else "big"
    return _v4(file, whole)


def _is_v4_kind(kind: int) -> bool:
    order, zero, stored, what = kind // 1000, kind // 100 % 10, kind // 10 % 10, kind % 10
    return kind >= 0 and order in (0, 1) and zero == 0 and stored in _V4_STORED and what <= 2


def _v4(file: Cursor, whole: bool) -> Iterator[Variable]:
    while file.left >= 20:
        kind, rows, columns, imaginary, length = (file.unsigned(4) for _ in range(5))
        if not _is_v4_kind(kind) or imaginary > 1 or not 1 < length <= 64:
            raise file.wrong("no variable of MATLAB version 4 where one begins; damaged, copy the file again")
        name = file.text(length)
        dtype = np.dtype(_V4_STORED[kind // 10 % 10]).newbyteorder("<" if file.order == "little" else ">")
        n_bytes = rows * columns * dtype.itemsize * (1 + imaginary)
        values = file.part(n_bytes if whole else min(n_bytes, file.left), name)
        is_text = kind % 10 == 1
        told = (
            "char"
            if is_text
            else "sparse"
            if kind % 10 == 2
            else "complex"
            if imaginary
            else _V4_KINDS[kind // 10 % 10]
        )

        def decode(
            values: Cursor = values,
            dtype: "np.dtype[Any]" = dtype,
            shape: tuple[int, int] = (rows, columns),
            told: str = told,
        ) -> Any:
            if told in ("sparse", "complex"):
                return None
            numbers = np.frombuffer(values.view(values.left), dtype).reshape(shape, order="F")
            return _texts(numbers) if told == "char" else numbers

        yield Variable(name, told, (rows, columns), decode)


def _v5(file: Cursor, whole: bool) -> Iterator[Variable]:
    left = LARGEST
    while file.left >= 8:
        kind, length = file.unsigned(4), file.unsigned(4)
        element = file.part(length if whole else min(length, file.left), "variable")
        if kind == _COMPRESSED:
            element = _inflated(element, left if whole else _PEEK, whole)
            left -= element.left
            kind, _ = element.unsigned(4), element.unsigned(4)
        if kind == _MATRIX:
            variable = _matrix(element, 0)
            if variable.name:  # without one: what MATLAB keeps for itself
                yield variable


def _inflated(element: Cursor, most: int, whole: bool) -> Cursor:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(element.view(element.left), most)
    except zlib.error as error:
        raise element.wrong(f"{error}; damaged, copy the file again") from error
    if whole and not unpacker.eof:
        many = f"over {most >> 20} MiB when decompressed; expected less" if len(data) == most else "cut short"
        raise element.wrong(f"{many}; copy the file again")
    return Cursor(data, element.path, element.what, order=element.order)


def _element(inside: Cursor) -> tuple[int, Cursor]:
    """The type and content of the next element; up to four bytes stand in the element's head itself."""
    word = inside.unsigned(4)
    if word >> 16:
        small = inside.part(4, inside.what)
        return word & 0xFFFF, small.part(word >> 16, inside.what)
    length = inside.unsigned(4)
    content = inside.part(length, inside.what)
    inside.view(min(-length % 8, inside.left))
    return word, content


def _matrix(element: Cursor, depth: int) -> Variable:
    """The variable in an element; only what tells of it is read here."""
    if depth > _DEEPEST:
        raise element.wrong(f"structs and cells more than {_DEEPEST} deep; expected fewer")
    _, flags = _element(element)
    word = flags.unsigned(4)
    _, lengths = _element(element)
    shape = tuple(lengths.signed(4) for _ in range(lengths.left // 4))
    if not 2 <= len(shape) <= 32 or min(shape) < 0:
        raise lengths.wrong(f"a shape of {shape}; damaged, copy the file again")
    _, letters = _element(element)
    name = letters.text(letters.left)
    kind = "logical" if word & _LOGICAL else "complex" if word & _COMPLEX else _KINDS.get(word & 0xFF, "other")
    element.what = name or element.what

    def decode() -> Any:
        if kind == "char":
            return _char(element, shape)
        if kind == "struct" and math.prod(shape) == 1:
            return {field: _next(element, depth).value for field in _fields(element)}
        if kind == "cell" and math.prod(shape) <= _MOST_PARTS:
            return [_next(element, depth).value for _ in range(math.prod(shape))]
        return _numbers(element, shape) if kind in ("double", "single") or "int" in kind else None

    return Variable(name, kind, shape, decode)


def _next(inside: Cursor, depth: int) -> Variable:
    kind, element = _element(inside)
    if kind != _MATRIX:
        raise inside.wrong(f"an element of type {kind}; expected {_MATRIX}, a variable. Copy the file again")
    return _matrix(element, depth + 1)


def _numbers(element: Cursor, shape: Sequence[int]) -> "np.ndarray[Any, np.dtype[Any]]":
    kind, values = _element(element)
    if kind not in _STORED:
        raise values.wrong(f"values of type {kind}; expected numbers, copy the file again")
    dtype = np.dtype(_STORED[kind]).newbyteorder("<" if element.order == "little" else ">")
    if values.left != math.prod(shape) * dtype.itemsize:
        raise values.wrong(f"{values.left} bytes for {shape} numbers of {dtype.itemsize}; damaged, copy the file again")
    return np.frombuffer(values.view(values.left), dtype).reshape(shape, order="F")


def _char(element: Cursor, shape: Sequence[int]) -> Any:
    kind, letters = _element(element)
    encoding = _ENCODINGS.get(kind, "latin-1")
    if encoding == "utf-16":
        encoding = "utf-16-le" if element.order == "little" else "utf-16-be"
    text = letters.take(letters.left).decode(encoding, "replace")
    if len(text) != math.prod(shape) or len(shape) != 2:
        return text
    return _texts(np.array([ord(letter) for letter in text]).reshape(shape, order="F"))


def _texts(letters: "np.ndarray[Any, np.dtype[Any]]") -> str | list[str]:
    """Rows of letters' numbers as texts, as one where there is one row."""
    rows = ["".join(chr(int(letter)) for letter in row if 0 < letter < 0x110000).strip() for row in letters]
    return rows[0] if len(rows) == 1 else rows


def _fields(element: Cursor) -> list[str]:
    """Names of a struct's fields."""
    _, size = _element(element)
    length = size.unsigned(4)
    _, names = _element(element)
    if not 1 <= length <= 64 or names.left // length > _MOST_PARTS:
        raise names.wrong(f"fields' names of {length} letters; damaged, copy the file again")
    return [names.text(length) for _ in range(names.left // length)]
