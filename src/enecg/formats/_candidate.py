"""A file that a reader is shown, to say whether it is one of its own."""

from functools import cached_property
from pathlib import Path

HEAD = 2**16
"""So many bytes of the beginning are enough to tell a format."""

_KINDS = {
    b"%PDF": "a PDF",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"\x1f\x8b": "compressed by gzip; unpack it",
    b"\xd0\xcf\x11\xe0": "an old file of Microsoft Office",
}
"""What users have beside or instead of recordings, by its first bytes."""


class Candidate:
    """A path, and the beginning of what is there, read once for all readers."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def head(self) -> bytes:
        """The first bytes; none where there is no such file, or it cannot be read."""
        try:
            if not self.path.is_file():
                return b""
            with self.path.open("rb") as file:
                return file.read(HEAD)
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return b""

    @cached_property
    def text(self) -> str:
        """The beginning as text."""
        return decoded(self.head, cut=True)

    @property
    def seen(self) -> str:
        """What kind of file it is, as far as its size and its first bytes tell; for an error."""
        size = self.path.stat().st_size
        kind = next((kind for magic, kind in _KINDS.items() if self.head.startswith(magic)), None)
        return f"{size:,} bytes{f', {kind}' if kind else f' that begin {self.head[:8]!r}' if size else ''}"


def decoded(data: bytes, *, cut: bool = False) -> str:
    """Text by its byte order mark, as UTF-8, else as Latin-1, in which every byte is a letter.

    cut : whether the data end anywhere; a letter cut in two is no reason to take it for another encoding.
    """
    for mark, encoding in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xef\xbb\xbf", "utf-8")):
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "ignore" if cut else "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        only_the_end = cut and error.start >= len(data) - 4
        return data.decode("utf-8", "ignore") if only_the_end else data.decode("latin-1")
