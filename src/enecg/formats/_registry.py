"""Which reader a file belongs to, told by its content. A format is one file of this folder and one line here."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from enecg.errors import ReadError
from enecg.formats import wfdb
from enecg.recording import LazyRecording, Recording

READERS: tuple[ModuleType, ...] = (wfdb,)
"""Each has `NAME`, `recognise(path) -> bool`, `parts(path) -> files it consists of`, `read(path, unit) -> Recording`,
and `listed(path) -> bool`: whether a file found in a folder stands for a recording."""


def reader_of(path: Path) -> ModuleType:
    """The reader for this file. Raises ReadError if there is no such file, or none knows it."""
    for reader in READERS:
        if reader.recognise(path):
            return reader
    if not path.exists():
        raise ReadError(f"{path}: no such file; expected a recording ({', '.join(reader.NAME for reader in READERS)})")
    if path.is_dir():
        raise ReadError(f"{path}: a folder; expected one file (find() lists the recordings of a folder)")
    known = ", ".join(reader.NAME for reader in READERS)
    raise ReadError(f"{path}: not a recording of a known format; expected one of {known}")


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
    """All recordings below a folder, sorted by path. Raises ReadError if there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ReadError(f"{folder}: no such folder")
    return sorted(_walk(folder))


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and any(reader.listed(path) for reader in READERS):
            yield path


class RecordingFile(LazyRecording):
    """A file that is read when its samples are needed."""

    def __init__(self, path: str | Path, *, unit: str | None = None) -> None:
        self.path = Path(path)
        self.unit = unit
        self.id = self.path.with_suffix("").name
        self.subject = None

    @property
    def key(self) -> str:
        """Path, size and time of every file that the recording consists of. Raises ReadError if one is missing."""
        stats = []
        for part in reader_of(self.path).parts(self.path):
            try:
                stat = part.stat()
            except OSError as error:
                raise ReadError(f"{part}: cannot be read ({error.strerror})") from error
            stats.append(f"{part.resolve()} {stat.st_size} {stat.st_mtime_ns}")
        return "\n".join([*stats, f"unit={self.unit}"])

    def read(self) -> Recording:
        """Read it. Raises ReadError, LeadError or UnitError."""
        return read(self.path, unit=self.unit)
