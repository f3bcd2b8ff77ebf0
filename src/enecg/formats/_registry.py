"""Which reader a file belongs to, told by its content. A format is one file of this folder and one line here."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from enecg.errors import EnECGError, ReadError
from enecg.formats import (
    aecg,
    alivecor,
    apple,
    arrays,
    cardiosoft,
    dicom,
    edf,
    hdf5,
    ishne,
    kardia,
    matlab,
    mfer,
    muse,
    philips,
    scp,
    table,
    viatom,
    wfdb,
)
from enecg.formats._ask import Ask, asked
from enecg.formats._candidate import Candidate
from enecg.recording import LazyRecording, Recording, legible

READERS: tuple[ModuleType, ...] = (
    *(wfdb, aecg, muse, cardiosoft, philips, scp, ishne, mfer, alivecor, edf, dicom),
    *(kardia, apple, viatom, matlab, hdf5, arrays, table),
)
"""Each has

NAME, EXPECTED : of the format, and what its files look like;
recognise(candidate) -> bool : whether a file is one of its own, by content; quick, for it is asked of every file;
read(path, ask) -> Recording : raises ReadError, LeadError or UnitError, each naming the file;
and where a plain file that holds one recording is not all there is to say
likely(candidate) -> bool : whether a file met in a folder is one, where files of that kind hold other things as well
    (tables, arrays): stricter than `recognise`, which a file that is asked for by name has to pass;
parts(path) : the files that a recording consists of;
listed(files of a folder) -> (those that stand for a recording, those that belong to one) : without it, each file that
    is recognised stands for itself;
items(path) -> names of the recordings in a file that may hold several.
"""


def reader_of(path: Path) -> ModuleType:
    """The reader for this file. Raises ReadError if there is no such file, or none knows it."""
    try:
        candidate = Candidate(path)
        for reader in READERS:
            if reader.recognise(candidate):
                return reader
        is_folder, is_link, there = path.is_dir(), path.is_symlink(), path.exists()
        seen = candidate.seen if there else ""
    except (OSError, ValueError) as error:
        raise ReadError(f"{path}: cannot be looked at ({error}); expected a file that can be read") from error
    if is_folder:
        raise ReadError(f"{path}: a folder; expected one file (find() lists the recordings of a folder)")
    if not there:
        raise ReadError(f"{path}: {'a link to a file that is not there' if is_link else 'no such file'}")
    raise ReadError(f"{path}: not a recording of a known format ({seen}); `enecg read --formats` lists those that are")


def read(
    path: str | Path,
    *,
    unit: str | None = None,
    rate: float | None = None,
    leads: Sequence[str] | None = None,
    item: str | int | None = None,
    start: float = 0.0,
    seconds: float | None = None,
) -> Recording:
    """The recording in a file.

    path : of any file of a recording (of a WFDB record its `.hea`, its signal file, or its name without ending).
    unit, rate, leads : V, mV, uV or nV; Hz; names in the file's order: for files that do not say theirs.
    item : which recording of a file that holds several.
    start, seconds : the part that is wanted, so that a day's recording need not be held whole.
    Raises ReadError, LeadError or UnitError, each naming the file, for anything that is not a whole recording.
    """
    return _read(Path(path), asked(unit, rate, leads, item, start, seconds))


def find(folder: str | Path) -> list[Path]:
    """All recordings below a folder, sorted by path; links are followed, hidden files and folders are not.

    Damaged files, and folders that cannot be opened, are listed too, so that reading them says what is wrong.
    Raises ReadError if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ReadError(f"{folder}: no such folder; expected one that holds recordings")
    closed: list[Path] = []
    found = [path for files in _folders(folder, closed) for path in _listed(files)]
    return sorted(found + closed)


def recordings_of(path: str | Path, **asks: object) -> list["RecordingFile"]:
    """The recordings of one file, to be read later: one, or each of those that a file with several holds.

    asks : as in `read`. Raises ReadError for a file that is none.
    """
    path = Path(path)
    items = getattr(reader_of(path), "items", None)
    if items is None or asks.get("item") is not None:
        return [RecordingFile(path, **asks)]  # type: ignore[arg-type]
    return [RecordingFile(path, **asks | {"item": item}) for item in items(path)]  # type: ignore[arg-type]


class RecordingFile(LazyRecording):
    """A file that is read when its samples are needed. Arguments as in `read`."""

    def __init__(
        self,
        path: str | Path,
        *,
        unit: str | None = None,
        rate: float | None = None,
        leads: Sequence[str] | None = None,
        item: str | int | None = None,
        start: float = 0.0,
        seconds: float | None = None,
    ) -> None:
        self.path = Path(path)
        self.ask = asked(unit, rate, leads, item, start, seconds)
        self.id = legible(self.path.stem) if item is None else f"{legible(self.path.stem)}#{item}"
        self.subject = None

    @property
    def key(self) -> str:
        """Path, size and time of every file that the recording consists of. Raises ReadError if one is missing."""
        stats = []
        parts = getattr(reader_of(self.path), "parts", None)
        for part in [self.path] if parts is None else parts(self.path):
            try:
                stat = part.stat()
            except (OSError, ValueError) as error:  # ValueError: a name that no file can have
                why = getattr(error, "strerror", None) or error
                raise ReadError(f"{part}: cannot be read ({why}); copy all files of {self.path.name} again") from error
            stats.append(f"{part.resolve()} {stat.st_size} {stat.st_mtime_ns}")
        return "\n".join([*stats, self.ask.key()])

    def read(self) -> Recording:
        """Read it. Raises ReadError, LeadError or UnitError."""
        return _read(self.path, self.ask)


def _read(path: Path, ask: Ask) -> Recording:
    reader = reader_of(path)
    try:
        found: Recording = reader.read(path, ask)
    except EnECGError:
        raise
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:
        # What a library or a reader did not foresee of a damaged file: told as such, with the cause kept.
        raise ReadError(
            f"{path}: damaged, or not quite {reader.NAME} ({type(error).__name__}: {error}); copy it again"
        ) from error
    return found


def _listed(files: Sequence[Path]) -> list[Path]:
    """Which files of one folder stand for a recording."""
    found: list[Path] = []
    taken: set[Path] = set()
    for reader in READERS:
        if hasattr(reader, "listed"):
            own, belonging = reader.listed([path for path in files if path not in taken])
            found += own
            taken |= {*own, *belonging}
    for path in files:
        if path not in taken:
            candidate = Candidate(path)
            known = next((one for one in READERS if not hasattr(one, "listed") and one.recognise(candidate)), None)
            if known is not None and getattr(known, "likely", known.recognise)(candidate):
                found.append(path)
    return found


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
