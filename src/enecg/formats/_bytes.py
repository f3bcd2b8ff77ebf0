"""Bytes read in order and within bounds: whatever lengths a damaged file tells, nothing beyond its end is looked at."""

import binascii
from mmap import mmap
from pathlib import Path
from typing import Literal, Self

from enecg.errors import ReadError

Order = Literal["little", "big"]
Buffer = bytes | memoryview | mmap


class Cursor:
    """A place in a part of a file, which moves on with what is read.

    data : the bytes of that part;  what : its name in errors;  offset : its first byte's place in the file.
    order : of the bytes in a number; may be changed as one reads on.
    Every reading raises ReadError, naming the file, the part and the byte, if there are not so many left.
    """

    def __init__(self, data: Buffer, path: Path, what: str, *, order: Order = "little", offset: int = 0) -> None:
        self._data = memoryview(data).cast("B")
        self._last = self._next = 0
        self.path, self.what, self.order, self.offset = path, what, order, offset

    @property
    def at(self) -> int:
        """The next byte's place in the file, from 0."""
        return self.offset + self._next

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._next

    def view(self, n: int) -> memoryview:
        """The next `n` bytes, not copied."""
        self._last = self._next
        if not 0 <= n <= self.left:
            raise self.wrong(f"{n} bytes expected, {self.left} left; it is cut short or damaged: copy it again")
        self._next += n
        return self._data[self._next - n : self._next]

    def take(self, n: int) -> bytes:
        """The next `n` bytes."""
        return bytes(self.view(n))

    def part(self, n: int, what: str) -> Self:
        """The next `n` bytes as a part of its own."""
        offset = self.at
        return type(self)(self.view(n), self.path, what, order=self.order, offset=offset)

    def unsigned(self, n: int) -> int:
        """A number of `n` bytes, 0 or more."""
        return int.from_bytes(self.view(n), self.order)

    def signed(self, n: int) -> int:
        """A number of `n` bytes in two's complement."""
        return int.from_bytes(self.view(n), self.order, signed=True)

    def text(self, n: int, encoding: str = "latin-1") -> str:
        """The text in a field of `n` bytes, up to the first zero; what is no text in this encoding is marked."""
        return self.take(n).decode(encoding, "replace").partition("\0")[0].strip()

    def wrong(self, problem: str) -> ReadError:
        """An error that says where in the file was read last."""
        return ReadError(f"{self.path}: {self.what}, byte {self.offset + self._last:,}: {problem}")


def contents(path: Path, largest: int, what: str) -> Cursor:
    """All of a file. Raises ReadError for one of more than `largest` bytes, which no file of this kind has."""
    with path.open("rb") as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise ReadError(f"{path}: over {largest >> 20} MiB, which no {what} is; is it another kind of file?")
    return Cursor(data, path, what)


def crc_ccitt(data: Buffer) -> int:
    """The checksum of SCP-ECG and ISHNE: 16 bits, polynomial 0x1021, begun with 0xFFFF."""
    return binascii.crc_hqx(data, 0xFFFF)
