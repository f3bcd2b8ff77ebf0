"""A process that reads one file after the other for the fuzzer and says of each what happened.

    python worker.py SECONDS MEBIBYTES [READERS]

Lines of JSON come in and go out. `{"path": ..., "ask": {...}, "all": ...}` is a file to be read; `{"limit": true}` is
sent once what reading needs has been imported, and bounds the memory from there on. The process is ended by its system
after SECONDS of its processor's time with one file. READERS is a Python file whose `read`, `recordings_of` and
`find` are called instead of enecg's, by which the fuzzer itself is tested.
"""

import importlib.util
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from enecg import formats
from enecg.errors import EnECGError, LeadError, ReadError, UnitError
from enecg.recording import Recording

PACKAGE = Path(formats.__file__).parents[1]

KINDS = (ReadError, LeadError, UnitError)

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
CHANGES += ("os.utime", "os.system", "os.exec", "os.fork", "os.posix_spawn", "socket.connect", "socket.getaddrinfo")
CHANGES += ("subprocess.Popen", "tempfile.mkstemp", "tempfile.mkdtemp", "shutil.copyfile", "urllib.Request")
LOOKS = ("open", "os.listdir", "os.scandir")


class Watch:
    """Notes what is opened or changed elsewhere while a file is read."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        own = [sys.prefix, sys.base_prefix, str(Path(formats.__file__).parents[1]), "/usr/share/zoneinfo", "/usr/lib"]
        self.own = tuple(os.path.realpath(place) + os.sep for place in own)
        sys.addaudithook(self.heard)

    @contextmanager
    def over(self, folder: Path) -> Iterator[None]:
        """Nothing outside this folder may be opened until the end."""
        self.folder = os.path.realpath(folder)
        try:
            yield
        finally:
            self.folder = None

    def heard(self, event: str, args: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in LOOKS and isinstance(args[0], str | bytes | os.PathLike):
            place = os.path.realpath(os.fsdecode(args[0]))
            if event == "open" and args[2] & WRITES and place != os.devnull:
                self.seen.append(f"opened {place} for writing")
            elif not f"{place}{os.sep}".startswith((self.folder + os.sep, *self.own)) and place != os.devnull:
                self.seen.append(f"opened {place}")
        elif event == "subprocess.Popen" and args[0] == sys.executable:
            return  # Parquet is read by a process of its own
        elif event in CHANGES:
            self.seen.append(f"{event} {args[:2]}")


class Memory:
    """Peaks of this process and of those that it started, in MiB."""

    def __init__(self) -> None:
        self.before = 0

    def processes(self) -> list[int]:
        return [os.getpid(), *map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())]

    def _total(self, what: str) -> int:
        total = 0
        for process in self.processes():
            try:
                for line in Path(f"/proc/{process}/status").read_text().splitlines():
                    if line.startswith(what):
                        total += int(line.split()[1])
            except OSError:  # it has ended
                continue
        return total >> 10

    def begin(self) -> None:
        for process in self.processes():
            Path(f"/proc/{process}/clear_refs").write_text("5")
        self.before = self._total("VmRSS")

    def peak(self) -> int:
        """Above what there was at the beginning."""
        return max(0, self._total("VmHWM") - self.before)


def loaded(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("readers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def examined(readers: Any, watch: Watch, path: Path, ask: dict[str, Any], every: bool) -> dict[str, Any]:
    """What reading a file comes to. `fault` is there if it is anything but a recording or a refusal by name."""
    try:
        with watch.over(path.parent):
            if every:
                readers.find(path.parent)
                found = [one.read() for one in readers.recordings_of(path, **ask)[:3] if one.key]
            else:
                found = [readers.read(path, **ask)]
    except EnECGError as error:
        return {"outcome": "refused"} | refused_wrongly(error, path)
    except BaseException as error:  # noqa: BLE001  whatever it is, it is what is looked for
        return {"outcome": "fault", "fault": where(error)}
    strange = [one for one in found if not isinstance(one, Recording)]
    return {"outcome": "fault", "fault": f"{strange[0]!r} is no recording"} if strange else {"outcome": "read"}


def refused_wrongly(error: EnECGError, path: Path) -> dict[str, Any]:
    """What is wrong with a refusal, and where it came from if no reader foresaw it."""
    causes = []
    cause: BaseException | None = error
    while cause is not None and len(causes) < 20:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if not isinstance(error, KINDS):
        return {"fault": f"{type(error).__name__} is not among the kinds of a refusal"}
    if any(isinstance(one, MemoryError) for one in causes):
        return {"fault": where(causes[-1])}
    names = [one.name for one in path.parent.iterdir()]
    if not any(name in str(error) for name in names):
        return {"fault": f"the refusal names no file: {error}"}
    if "damaged, or not quite" in str(error) and error.__cause__ is not None:
        return {"unforeseen": where(error.__cause__)}
    return {}


def where(error: BaseException) -> str:
    """What was raised, and the last line of enecg that led there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if PACKAGE in Path(frame.filename).parents] or frames
    place = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}{place}: {str(error)[:100]}"


def limit(mebibytes: int) -> None:
    """Of memory, above what the process has now; those that it starts inherit it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    seconds, mebibytes = float(sys.argv[1]), int(sys.argv[2])
    readers: Any = loaded(sys.argv[3]) if len(sys.argv) > 3 else formats
    # What a reader prints must not end among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    watch, memory = Watch(), Memory()
    for line in sys.stdin:
        asked = json.loads(line)
        if "limit" in asked:
            limit(mebibytes)
            answer: dict[str, Any] = {}
        else:
            path = Path(asked["path"])
            memory.begin()
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                # The processor's time, not the clock's: other processes may keep it busy. No handler is set, so that
                # nothing, and no loop in C, can catch what comes.
                signal.setitimer(signal.ITIMER_PROF, seconds)
                begun = time.process_time()
                answer = examined(readers, watch, path, asked["ask"], asked["all"])
                signal.setitimer(signal.ITIMER_PROF, 0)
            answer |= {"seconds": time.process_time() - begun, "MiB": memory.peak()}
            answer["warnings"] = sorted({f"{one.category.__name__}: {one.message}"[:200] for one in warned})
            if watch.seen:
                answer |= {"outcome": "fault", "fault": "; ".join(watch.seen[:5])}
                watch.seen = []
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
