"""Files that are whole or not there: written aside, flushed to the disk, renamed.

Used by store, bundle and predictions.
"""

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

_PREFIX = ".part-"
_LEFTOVER_SECONDS = 24 * 3600.0
"""No writing takes this long: an older part was left by a process that was killed."""


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` at `path`, which holds its old content until it holds all of the new.

    Raises OSError if the disk refuses; nothing has changed then.
    """
    aside = path.with_name(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(8)}")
    try:
        # Not by tempfile, whose files only their owner may read: a folder may be shared by several users.
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder a day ago or more; what cannot be removed harms nobody."""
    for part in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _LEFTOVER_SECONDS:
                part.unlink()
