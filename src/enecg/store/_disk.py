"""Rows of float32 on disk, found by what they were computed from.

    folder/rows/<name>-<fingerprint>/<sha256>.safetensors     embeddings and the digests of their recordings
    folder/files/<sha256>.parquet                              key of a file -> digest, id, subject

Every file is named by the SHA-256 of its bytes, written aside and renamed: it is whole or it is not there, its name is
its checksum, nothing is ever changed in place, and any number of processes may add at the same time. What a killed
process had written stays; the file it was writing is an unnamed leftover that nobody reads.
"""

import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg.errors import StoreError

Array = npt.NDArray[np.float32]

_DIGEST_BYTES = 16


class DamagedShardWarning(UserWarning):
    """A file of the store is not what was written; what it held is computed again."""


@dataclass(frozen=True)
class KnownFile:
    """What was learned of a file when it was read: the digest of its recording, and whose it is."""

    digest: str
    id: str
    subject: str | None


class Store:
    """Embeddings kept in a folder. Raises StoreError if the folder cannot be made, written or read."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            for part in ("rows", "files"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{self.folder}: no store can be kept here ({error}); give another folder") from error
        self._shards: dict[str, dict[Path, dict[str, int]]] = {}
        self._opened: dict[Path, Array] = {}
        self._files: dict[str, KnownFile] = {}
        self._read_files: set[Path] = set()

    # -- rows ----------------------------------------------------------------------------------------------------

    def has(self, kind: str, digests: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which recordings have a row of this kind (`name-fingerprint`): bool [recording]."""
        known: set[str] = set().union(*self._refresh(kind).values())
        return np.array([digest in known for digest in digests], dtype=bool)

    def read(self, kind: str, digests: Sequence[str], out: Array) -> npt.NDArray[np.bool_]:
        """Copy rows into `out` [recording, dim]; returns which were there. Damaged files are named, removed, absent."""
        found = np.zeros(len(digests), dtype=bool)
        for path, rows in self._refresh(kind).items():
            wanted = [(place, rows[digest]) for place, digest in enumerate(digests) if digest in rows]
            wanted = [pair for pair in wanted if not found[pair[0]]]
            if not wanted:
                continue
            shard = self._open(kind, path, out.shape[1])
            if shard is None:
                continue
            places, sources = np.array(wanted, dtype=np.intp).T
            out[places] = shard[sources]
            found[places] = True
        return found

    def write(self, kind: str, digests: Sequence[str], rows: Array) -> None:
        """Keep rows [recording, dim]. Raises StoreError if the disk refuses; what was there before stays."""
        from safetensors.numpy import save

        codes = np.frombuffer(bytes.fromhex("".join(digests)), dtype=np.uint8).reshape(len(digests), _DIGEST_BYTES)
        data = save({"digests": codes.copy(), "rows": np.ascontiguousarray(rows, dtype=np.float32)})
        path = self._publish(self.folder / "rows" / kind, data, ".safetensors")
        self._shards.setdefault(kind, {})[path] = {digest: row for row, digest in enumerate(digests)}

    def _refresh(self, kind: str) -> dict[Path, dict[str, int]]:
        """The digests in every shard of a kind, those of other processes included."""
        from safetensors import SafetensorError, safe_open

        known = self._shards.setdefault(kind, {})
        for path in sorted((self.folder / "rows" / kind).glob("*.safetensors")):
            if path in known:
                continue
            try:
                with safe_open(path, framework="numpy") as file:
                    codes = file.get_tensor("digests")
            except (OSError, SafetensorError) as error:
                self._discard(path, str(error))
                continue
            known[path] = {bytes(code).hex(): row for row, code in enumerate(codes)}
        return known

    def _open(self, kind: str, path: Path, dim: int) -> Array | None:
        """The rows of a shard, memory-mapped; its bytes are checked against its name when it is first opened."""
        if path in self._opened:
            return self._opened[path]
        data = np.memmap(path, dtype=np.uint8, mode="r")
        if hashlib.sha256(data.data).hexdigest() != path.stem:
            self._discard(path, "its bytes do not fit its checksum")
            del self._shards[kind][path]
            return None
        header = int.from_bytes(data[:8].tobytes(), "little")
        n = len(self._shards[kind][path])
        begin = 8 + header + _offset(data[8 : 8 + header].tobytes(), "rows")
        self._opened[path] = np.frombuffer(data, dtype="<f4", count=n * dim, offset=begin).reshape(n, dim)
        return self._opened[path]

    # -- files ---------------------------------------------------------------------------------------------------

    def known_files(self) -> Mapping[str, KnownFile]:
        """Files read before, by key (path, size and time: a changed file has another)."""
        import polars

        for path in sorted((self.folder / "files").glob("*.parquet")):
            if path in self._read_files:
                continue
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != path.stem:
                self._discard(path, "its bytes do not fit its checksum")
                continue
            for row in polars.read_parquet(data).iter_rows(named=True):
                self._files[row["key"]] = KnownFile(row["digest"], row["id"], row["subject"])
            self._read_files.add(path)
        return self._files

    def remember_files(self, files: Mapping[str, KnownFile]) -> None:
        """Keep what was learned of files, by key."""
        import io

        import polars

        if not files:
            return
        rows = [(key, file.digest, file.id, file.subject) for key, file in files.items()]
        schema = dict.fromkeys(("key", "digest", "id", "subject"), polars.String)
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
            handle, aside = tempfile.mkstemp(prefix=".part-", dir=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(aside, path)
            finally:
                Path(aside).unlink(missing_ok=True)
        except OSError as error:
            free = shutil.disk_usage(self.folder).free / 2**20
            raise StoreError(
                f"{path}: cannot be written ({error}; {free:.0f} MiB free). What was stored before is intact; "
                "make room or give another folder, and run again"
            ) from error
        return path

    def _discard(self, path: Path, why: str) -> None:
        warnings.warn(f"{path}: damaged ({why}); removed, and computed again", DamagedShardWarning, stacklevel=4)
        path.unlink(missing_ok=True)


def _offset(header: bytes, name: str) -> int:
    """Where a tensor begins after the header of a safetensors file (github.com/huggingface/safetensors, Format)."""
    import json

    return int(json.loads(header)[name]["data_offsets"][0])
