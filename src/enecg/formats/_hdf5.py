"""HDF5 through h5py, within bounds: nothing outside the file is followed, and nothing larger than the file can hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from enecg.errors import EnECGError, MissingPackageError, ReadError

_MOST_BYTES = 2**28
"""Of one chunk, which HDF5 holds in memory whole."""
_MOST_NAMES = 1000


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file, read only. Raises ReadError for a damaged one, MissingPackageError without h5py."""
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError(f"{path}: HDF5 needs the package h5py: pip install 'enecg[hdf5]'") from error
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except EnECGError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, UnicodeDecodeError) as error:
        raise ReadError(f"{path}: {error}; cut short, or damaged HDF5: copy it again") from error


def dataset(path: Path, group: Any, name: str) -> Any | None:
    """The array of this name; None if there is none, or if it is a link to somewhere else.

    Raises ReadError for one whose values lie outside the file, or that asks for more memory than any recording needs.
    """
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    found = group[name]
    if not isinstance(found, h5py.Dataset):
        return None
    if found.is_virtual or found.external:
        raise ReadError(f"{path}: {name} lies in another file; expected all in one, copy the values into it")
    chunk = found.dtype.itemsize
    for length in found.chunks or (1,):
        chunk *= length
    if chunk > _MOST_BYTES:
        raise ReadError(
            f"{path}: {name} is stored in pieces of {chunk >> 20:,} MiB; expected {_MOST_BYTES >> 20} at most"
        )
    return found


def datasets(path: Path, group: Any) -> dict[str, Any]:
    """All arrays directly in a group."""
    return {name: found for name in list(group)[:_MOST_NAMES] if (found := dataset(path, group, name)) is not None}


def groups(group: Any) -> list[str]:
    """Names of all groups directly in a group."""
    import h5py

    return [
        name
        for name in list(group)[:_MOST_NAMES]
        if isinstance(group.get(name, getlink=True), h5py.HardLink) and isinstance(group[name], h5py.Group)
    ]
