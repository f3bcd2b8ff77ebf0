"""Columns of Parquet files, read by polars in a process of its own.

Where a damaged file asks polars for absurd amounts of memory, polars does not raise an error but ends the process. So
another one reads, which is started when it is first needed, kept, and replaced if it ends: the file is refused then.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import ReadError

_PROGRAM = "from enecg.formats._parquet import serve; serve()"
_MOST_MEMORY = 4 * 2**30
"""Bytes that the other process may ask for, where the system can hold it to that."""
_UNITS = {"ms": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Head:
    """What a file says of its columns: their names, how many rows, the metadata.

    numeric : which columns are numbers;  second : of those that are times by their type, seconds in one unit.
    """

    names: list[str]
    n_rows: int
    said: dict[str, str]
    numeric: list[bool]
    second: list[float | None]


def head(path: Path) -> Head:
    """Of a Parquet file. Raises ReadError for one that is damaged."""
    return Head(**_asked(path, {"want": "head"})[0])


def values(path: Path, columns: Sequence[int], first: int, last: int) -> npt.NDArray[np.float64]:
    """Rows `first` to `last` of some columns [column, row], NaN where there is no number. Raises ReadError."""
    reply, data = _asked(path, {"want": "values", "columns": list(columns), "first": first, "last": last})
    return np.frombuffer(data).reshape(reply["shape"])


# -- this side -------------------------------------------------------------------------------------------------------

_lock = threading.Lock()
_reader: tuple[int, "subprocess.Popen[bytes]"] | None = None
"""The other process, and which process started it: a fork must not talk into its parent's pipes."""


def _asked(path: Path, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    with _lock:
        process = _started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"path": os.fspath(path), **request}).encode() + b"\n")
            process.stdin.flush()
            reply = json.loads(process.stdout.readline() or b"null")
            data = process.stdout.read(reply.get("bytes", 0)) if reply else b""
        except (OSError, ValueError):
            reply = None
        if reply is None:
            _ended()
            raise ReadError(f"{path}: damaged Parquet, which cannot be read without harm; copy it again")
    if "error" in reply:
        raise ReadError(f"{path}: damaged, or not quite Parquet ({reply['error']}); copy it again")
    reply.pop("bytes", None)
    return reply, data


def _started() -> "subprocess.Popen[bytes]":
    global _reader
    if _reader is not None and _reader[0] == os.getpid() and _reader[1].poll() is not None:
        _ended()
    if _reader is None or _reader[0] != os.getpid():
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", _PROGRAM]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment)
        _reader = os.getpid(), process
    return _reader[1]


@atexit.register
def _ended() -> None:
    """End the other process, if there is one."""
    global _reader
    if _reader is not None and _reader[0] == os.getpid():
        process = _reader[1]
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
    _reader = None


# -- the other side --------------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer requests, one to a line of JSON: a line of JSON, and the bytes that it announces."""
    _limit_memory()
    import polars as pl

    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        data = b""
        try:
            request = json.loads(line)
            if request["want"] == "head":
                reply = _head(request["path"])
            else:
                array = _values(**{name: request[name] for name in ("path", "columns", "first", "last")})
                data = array.tobytes()
                reply = {"shape": array.shape, "bytes": len(data)}
        except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001  told to the other side
            reply, data = {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.200}"}, b""
        out.write(json.dumps(reply).encode() + b"\n")
        out.write(data)
        out.flush()


def _head(path: str) -> dict[str, Any]:
    import polars as pl

    schema = pl.read_parquet_schema(path)
    return {
        "names": list(schema),
        "n_rows": pl.scan_parquet(path, glob=False).select(pl.len()).collect().item(),
        "said": pl.read_parquet_metadata(path),
        "numeric": [kind.is_numeric() for kind in schema.values()],
        "second": [_UNITS.get(getattr(kind, "time_unit", "")) for kind in schema.values()],
    }


def _values(path: str, columns: Sequence[int], first: int, last: int) -> npt.NDArray[np.float64]:
    import polars as pl

    wanted = [pl.nth(at).cast(pl.Float64, strict=False).alias(str(at)) for at in columns]
    frame = pl.scan_parquet(path, glob=False).select(wanted).slice(first, last - first).collect()
    return np.ascontiguousarray(frame.to_numpy().T, dtype=np.float64)


def _limit_memory() -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
