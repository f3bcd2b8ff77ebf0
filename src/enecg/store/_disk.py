"""Rows of float32 on disk, found by what they were computed from.

    folder/rows/<name>-<fingerprint>/<sha256>.safetensors     embeddings and the digests of their recordings
    folder/files/<sha256>.parquet                              key of a file -> digest, subject, doubts

Every file is named by the SHA-256 of its bytes, written aside and renamed: it is whole or it is not there, its name is
its checksum, nothing is ever changed in place, and any number of processes may add at the same time. What a killed
process had written stays; the file it was writing is a leftover that nobody reads and that is removed after a day.
"""

import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from enecg.errors import StoreError
from enecg.files import sweep, write_whole

Array = npt.NDArray[np.float32]

_DIGEST_BYTES = 16


class DamagedShardWarning(UserWarning):
    """A file of the store is not what was written; what it held is computed again."""


@dataclass(frozen=True)
class KnownFile:
    """What was learned of a file when it was read: the digest of its recording, whose it is, what is doubtful in it.

    doubts : sentences; None where nobody has looked for any.
    """

    digest: str
    subject: str | None
    doubts: tuple[str, ...] | None = None


@dataclass(frozen=True)
class _Shard:
    """What a shard holds: the row of each digest, and where in the file the rows begin."""

    rows: Mapping[str, int]
    n_rows: int
    begin: int


class Store:
    """Embeddings kept in a folder. Raises StoreError if the folder cannot be made, written or read."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            for part in ("rows", "files"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            for kept in (self.folder / "files", *(self.folder / "rows").iterdir()):
                sweep(kept)
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.folder}: no store can be kept here ({error}); give another folder") from error
        self._shards: dict[str, dict[Path, _Shard]] = {}
        self._verified: set[Path] = set()
        self._files: dict[str, KnownFile] = {}
        self._read_files: set[Path] = set()

    # -- rows ----------------------------------------------------------------------------------------------------

    def has(self, kind: str, digests: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which recordings have a row of this kind (`name-fingerprint`): bool [recording]."""
        known: set[str] = set().union(*(shard.rows for shard in self._refresh(kind).values()))
        return np.array([digest in known for digest in digests], dtype=bool)

    def read(self, kind: str, digests: Sequence[str], out: Array) -> npt.NDArray[np.bool_]:
        """Copy rows into `out` [recording, dim]; returns which were there. Damaged files are named, removed, absent."""
        found = np.zeros(len(digests), dtype=bool)
        wanted: dict[str, list[int]] = {}
        for place, digest in enumerate(digests):
            wanted.setdefault(digest, []).append(place)
        for path, shard in self._refresh(kind).items():
            here = sorted(shard.rows.keys() & wanted.keys(), key=shard.rows.__getitem__)
            rows = self._open(path, shard, out.shape[1]) if here else None
            if rows is None:
                continue
            pairs = [(place, shard.rows[digest]) for digest in here for place in wanted.pop(digest)]
            places, sources = np.array(pairs, dtype=np.intp).T
            out[places] = rows[sources]
            found[places] = True
        return found

    def write(self, kind: str, digests: Sequence[str], rows: Array) -> None:
        """Keep rows [recording, dim]. Raises StoreError if the disk refuses; what was there before stays."""
        from safetensors.numpy import save

        codes = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(len(digests), _DIGEST_BYTES)
        data = save({"digests": codes.copy(), "rows": np.ascontiguousarray(rows, dtype=np.float32)})
        path = self._publish(self.folder / "rows" / kind, data, ".safetensors")
        self._shards.setdefault(kind, {})[path] = _shard(io.BytesIO(data))
        self._verified.discard(path)

    def _refresh(self, kind: str) -> dict[Path, _Shard]:
        """The shards of a kind that are there now, those of other processes included."""
        known = self._shards.get(kind, {})
        now = {}
        for path in sorted((self.folder / "rows" / kind).glob("*.safetensors")):
            if path in known:
                now[path] = known[path]
                continue
            try:
                with path.open("rb") as file:
                    now[path] = _shard(file)
            except FileNotFoundError:
                continue  # Another process found it damaged.
            except OSError as error:
                raise _unreadable(path, error) from error
            except ValueError as error:
                self._discard(path, str(error))
        self._shards[kind] = now
        return now

    def _open(self, path: Path, shard: _Shard, dim: int) -> Array | None:
        """The rows of a shard, memory-mapped; its bytes are checked against its name when it is first opened."""
        # Not kept open: a store may have more shards than a process may have open files.
        try:
            data = np.memmap(path, dtype=np.uint8, mode="r")
        except FileNotFoundError:
            return None  # Another process found it damaged.
        except OSError as error:
            raise _unreadable(path, error) from error
        except ValueError as error:  # Nothing is left in it.
            self._discard(path, str(error))
            return None
        if path not in self._verified:
            if hashlib.sha256(data.data).hexdigest() != path.stem:
                self._discard(path, "its bytes do not fit its checksum")
                return None
            self._verified.add(path)
        return np.frombuffer(data, dtype="<f4", count=shard.n_rows * dim, offset=shard.begin).reshape(-1, dim)

    # -- files ---------------------------------------------------------------------------------------------------

    def known_files(self) -> Mapping[str, KnownFile]:
        """Files read before, by key (path, size and time: a changed file has another)."""
        import polars

        for path in sorted((self.folder / "files").glob("*.parquet")):
            if path in self._read_files:
                continue
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue  # Another process found it damaged.
            except OSError as error:
                raise _unreadable(path, error) from error
            if hashlib.sha256(data).hexdigest() != path.stem:
                self._discard(path, "its bytes do not fit its checksum")
                continue
            for row in polars.read_parquet(data).iter_rows(named=True):
                said = row.get("doubts")  # Stores of earlier versions have no such column.
                before = self._files.get(row["key"])
                if said is not None or before is None or before.doubts is None:
                    doubts = None if said is None else tuple(said)
                    self._files[row["key"]] = KnownFile(row["digest"], row["subject"], doubts)
            self._read_files.add(path)
        return self._files

    def remember_files(self, files: Mapping[str, KnownFile]) -> None:
        """Keep what was learned of files, by key."""
        import polars

        if not files:
            return
        rows = [(key, file.digest, file.subject, file.doubts) for key, file in files.items()]
        schema = dict.fromkeys(("key", "digest", "subject"), polars.String) | {"doubts": polars.List(polars.String)}
        buffer = io.BytesIO()
        polars.DataFrame(rows, schema=schema, orient="row").write_parquet(buffer)
        self._read_files.add(self._publish(self.folder / "files", buffer.getvalue(), ".parquet"))
        self._files.update(files)

    # -- both ----------------------------------------------------------------------------------------------------

    def _publish(self, folder: Path, data: bytes, ending: str) -> Path:
        """Write bytes under the name that is their checksum."""
        path = folder / f"{hashlib.sha256(data).hexdigest()}{ending}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be written ({error}; {_free(self.folder)}). What was stored before is intact; "
                "make room or give another folder, and run again"
            ) from error
        return path

    def _discard(self, path: Path, why: str) -> None:
        done = "removed"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            done = f"cannot be removed: {error}"
        warnings.warn(
            f"{path}: damaged ({why}); {done}. What it held is computed again", DamagedShardWarning, stacklevel=4
        )


def _shard(file: BinaryIO) -> _Shard:
    """What the head of a shard says (github.com/huggingface/safetensors, Format). Raises ValueError if it cannot be."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if length > size:
        raise ValueError("cut short")
    try:
        header = json.loads(file.read(length))
        (start, stop), (begin, end) = (header[name]["data_offsets"] for name in ("digests", "rows"))
        n = header["rows"]["shape"][0]
        whole = isinstance(n, int) and start >= 0 and stop - start == n * _DIGEST_BYTES
        whole = whole and 8 + length + max(stop, end) == size
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"its header says nothing of rows and digests: {error}") from error
    if not whole:
        raise ValueError("its header does not fit its size")
    file.seek(8 + length + start)
    codes = [file.read(_DIGEST_BYTES).hex() for _ in range(n)]
    return _Shard({code: row for row, code in enumerate(codes)}, n, 8 + length + begin)


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be read ({error}); see to its permissions and its disk, or give another folder")


def _free(folder: Path) -> str:
    with suppress(OSError):
        return f"{shutil.disk_usage(folder).free / 2**20:.0f} MiB free"
    return "the folder is gone"
