"""Which writer a format has. A format is one file of this folder and one line here."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from enecg.errors import WriteError
from enecg.formats.writing import aecg, dicom, edf, parquet, wfdb
from enecg.recording import Recording

WRITERS: Mapping[str, ModuleType] = {"wfdb": wfdb, "edf": edf, "dicom": dicom, "aecg": aecg, "parquet": parquet}
"""Each has

NAME, ENDING : of the format, and of its files' names;
write(recording, path) : all of it, or nothing; raises WriteError, naming the file, for what the format cannot hold;
and, where one file is not all there is
files(path) : those that `write` makes.
"""


def write(recording: Recording, path: str | Path, format: str | None = None) -> Path:  # noqa: A002
    """Write a recording, whole or not at all. Returns the path, which `enecg.read` takes.

    format : wfdb, edf, dicom, aecg or parquet; without it, the one that the path's ending tells (.hea, .edf, .dcm,
    .xml, .parquet). A file of this name is replaced.
    Raises WriteError, naming the file, where the format cannot hold the recording, or the disk refuses.
    """
    path = Path(path)
    writer = WRITERS[format_of(path, format)]
    try:
        writer.write(recording, path)
    except WriteError:
        raise
    except (OSError, ValueError, OverflowError) as error:  # a name or a date that no file can have
        why = getattr(error, "strerror", None) or error
        raise WriteError(f"{path}: cannot be written ({why}); choose another name or folder") from error
    return path


def format_of(path: Path, format: str | None = None) -> str:  # noqa: A002
    """The format that is asked for, or else told by the path's ending. Raises WriteError if neither is known."""
    if format in WRITERS:
        return str(format)
    endings = {writer.ENDING: name for name, writer in WRITERS.items()}
    if format is None and path.suffix.lower() in endings:
        return endings[path.suffix.lower()]
    known = ", ".join(f"{name} ({ending})" for ending, name in endings.items())
    what = f"format {format!r}" if format else f"the ending {path.suffix!r}"
    raise WriteError(f"{path}: {what} is of no format that is written; expected one of {known}")


def files_of(path: Path, format: str | None = None) -> list[Path]:  # noqa: A002
    """The files that `write` would make. Raises WriteError as it does."""
    writer = WRITERS[format_of(path, format)]
    return list(writer.files(path)) if hasattr(writer, "files") else [path]
