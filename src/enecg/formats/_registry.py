"""Which reader a file belongs to, told by its content. A format is one file of this folder and one line here."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from enecg.errors import ReadError
from enecg.formats import wfdb
from enecg.recording import LazyRecording, Recording, legible

READERS: tuple[ModuleType, ...] = (wfdb,)
"""Each has `NAME`, `EXPECTED` (what its files look like), `recognise(path) -> bool`, `parts(path) -> files it consists
of`, `read(path, unit) -> Recording`, and `listed(files of a folder) -> those that stand for a recording`."""


def reader_of(path: Path) -> ModuleType:
    """The reader for this file. Raises ReadError if there is no such file, or none knows it."""
    expected = "expected " + ", or ".join(reader.EXPECTED for reader in READERS)
    try:
        for reader in READERS:
            if reader.recognise(path):
                return reader
        is_folder, is_link, there = path.is_dir(), path.is_symlink(), path.exists()
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: cannot be looked at ({error}); {expected}") from error
    if is_folder:
        raise ReadError(f"{path}: a folder; expected one file (find() lists the recordings of a folder)")
    if not there:
        raise ReadError(f"{path}: {'a link to a file that is not there' if is_link else 'no such file'}; {expected}")
    raise ReadError(f"{path}: not a recording of a known format; {expected}")


def read(path: str | Path, *, unit: str | None = None) -> Recording:
    """The recording in a file.

    path : of any file of a recording (of a WFDB record its `.hea`, its signal file, or its name without ending).
    unit : V, mV, uV or nV, for files that do not say theirs.
    Raises ReadError, LeadError or UnitError, each naming the file, for anything that is not a whole recording.
    """
    path = Path(path)
    found: Recording = reader_of(path).read(path, unit)
    return found


def find(folder: str | Path) -> list[Path]:
    """All recordings below a folder, sorted by path; links are followed, hidden files and folders are not.

    Damaged files, and folders that cannot be opened, are listed too, so that reading them says what is wrong.
    Raises ReadError if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReadError(f"{folder}: no such folder; expected one that holds recordings")
    closed: list[Path] = []
    found = [path for files in _folders(folder, closed) for reader in READERS for path in reader.listed(files)]
    return sorted(found + closed)


def _folders(root: Path, closed: list[Path]) -> Iterator[list[Path]]:
    """The files of each folder below, each folder once even where links lead in circles; `closed` collects those that
    cannot be opened.
    """
    seen = set()
    for place, below, names in os.walk(
        root, followlinks=True, onerror=lambda error: closed.append(Path(error.filename))
    ):
        stat = os.stat(place)
        if (stat.st_dev, stat.st_ino) in seen:
            below.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield [Path(place, name) for name in names if not name.startswith(".")]


class RecordingFile(LazyRecording):
    """A file that is read when its samples are needed."""

    def __init__(self, path: str | Path, *, unit: str | None = None) -> None:
        self.path = Path(path)
        self.unit = unit
        self.id = legible(self.path.stem)
        self.subject = None

    @property
    def key(self) -> str:
        """Path, size and time of every file that the recording consists of. Raises ReadError if one is missing."""
        stats = []
        for part in reader_of(self.path).parts(self.path):
            try:
                stat = part.stat()
            except (OSError, ValueError) as error:  # ValueError: a name that no file can have
                why = getattr(error, "strerror", None) or error
                raise ReadError(f"{part}: cannot be read ({why}); copy all files of {self.path.name} again") from error
            stats.append(f"{part.resolve()} {stat.st_size} {stat.st_mtime_ns}")
        return "\n".join([*stats, f"unit={self.unit}"])

    def read(self) -> Recording:
        """Read it. Raises ReadError, LeadError or UnitError."""
        return read(self.path, unit=self.unit)
