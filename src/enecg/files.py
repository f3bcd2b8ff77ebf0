"""Files that are whole or not there: written aside, flushed to the disk, renamed. Imports nothing of the package."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = ".part-"
_LEFTOVER_SECONDS = 24 * 3600.0
"""No writing takes this long: an older part was left by a process that was killed."""


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what was written there takes the place of `path` when the block ends.

    Raises OSError if the disk refuses; nothing has changed then, nor after any other error inside the block.
    """
    # Not by tempfile, whose files only their owner may read: a folder may be shared by several users.
    aside = path.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, which holds its old content until it holds all of the new.

    Raises OSError if the disk refuses; nothing has changed then.
    """
    with written_aside(path) as aside, aside.open("xb") as file:
        file.write(data)


def sweep(folder: Path, older: float = _LEFTOVER_SECONDS) -> None:
    """Remove what killed writers left in a folder; what cannot be removed harms nobody.

    older : seconds, by default a day; 0 where nobody else can be writing there.
    """
    for part in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime >= older:
                part.unlink()
