"""Damage files of every format in every way, and see that each is read or refused by name, and nothing else happens.

    .venv/bin/python scripts/fuzz_formats.py [--files 20000 | --seconds 60] [--seed 0] [--folder FOLDER] [--save]

Begins with the small files of tests/formats/seeds.py, or with every file below FOLDER. Each mutated file is read in a
process of its own (scripts/fuzzing/worker.py) and has to be read, or refused with a ReadError, LeadError or UnitError
that names the file. A fault is any other error, the end of the process, over 5 s of the processor's time, over 1 GiB of
memory, a file that is written, or one that is opened outside the folder. What made one is kept in build/fuzz, and the
exit code is 1. A file depends on the seed and its number alone. `--save` writes the figures to results/fuzz.json.
"""

import argparse
import importlib.util
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from enecg.errors import ReadError
from enecg.formats._registry import reader_of
from enecg.recording import STANDARD_LEADS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))
from fuzzing.mutations import LARGEST, mutated  # noqa: E402  found only now

RESULTS = ROOT / "results" / "fuzz.json"
SECONDS, MEBIBYTES = 5.0, 1024
PATIENCE = 120.0
"""Seconds by the clock after which a process that uses no time of the processor is ended."""
RENEWED = 4000
"""Files after which the process is started anew, so that what is left behind by one file cannot add up."""

Seed = dict[str, bytes]


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


# -- what is mutated -------------------------------------------------------------------------------------------------


def seeds_of(folder: Path) -> Iterator[tuple[str, Seed]]:
    """Every recording below a folder: the name of the folder it is in, and its files, the one to be read first."""
    seen = set()
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and one.parent != folder):
        files = {name: one for name, one in files_of(path).items() if one.stat().st_size <= LARGEST}
        if files and frozenset(files.values()) not in seen:
            seen.add(frozenset(files.values()))
            yield path.relative_to(folder).parts[0], {name: one.read_bytes() for name, one in files.items()}


def files_of(path: Path) -> dict[str, Path]:
    """All files of a recording that lie in one folder, by name."""
    try:
        parts = getattr(reader_of(path), "parts", lambda one: [one])(path)
    except ReadError:
        parts = []
    return {one.name: one for one in [path, *parts] if one.parent == path.parent and one.is_file()}


def ask_of(rng: random.Random) -> dict[str, Any]:
    """What a caller may say of a file."""
    ask: dict[str, Any] = {}
    names = (*STANDARD_LEADS, "V7", "V8", "V9", "X", "Y", "Z")
    said = {"unit": "mV", "rate": 500, "leads": names[: rng.choice((1, 2, 3, 3, 8, 10, 12, 12, 12))]}
    ask |= {key: value for key, value in said.items() if rng.random() < 0.6}
    if rng.random() < 0.3:
        ask |= {"start": rng.choice((0.0, 0.1, 1e6)), "seconds": rng.choice((0.001, 0.2, 1e9))}
    if rng.random() < 0.1:
        ask |= {"item": rng.choice(("1", "2", "11", "1169160", "x" * 10_000))}
    return ask


# -- the process that reads ------------------------------------------------------------------------------------------


class Reader:
    """Reads files in another process, which is started when it is needed and again when it has ended."""

    def __init__(self, warm: list[Path], readers: Path | None = None, seconds: float = SECONDS) -> None:
        self.warm = warm
        worker = ROOT / "scripts" / "fuzzing" / "worker.py"
        self.command = [sys.executable, str(worker), str(seconds), str(MEBIBYTES), *([str(readers)] if readers else [])]
        self.seconds = seconds
        self.process: subprocess.Popen[str] | None = None
        self.n_read = 0

    def read(self, path: Path, ask: dict[str, Any], every: bool) -> dict[str, Any]:
        if self.n_read >= RENEWED:
            self.end()
        if self.process is None:
            self.start()
        self.n_read += 1
        return self.asked({"path": str(path), "ask": ask, "all": every})

    def start(self) -> None:
        """Files as they are, so that all packages are there; then memory is bounded."""
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
        self.process = subprocess.Popen(
            self.command,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | single,
        )
        self.n_read = 0
        for path in self.warm:
            if self.process is not None:
                self.asked({"path": str(path), "ask": {}, "all": True})
        if self.process is None:
            sys.exit(f"{path}: ends the process that reads it, unchanged as it is")
        self.asked({"limit": True})

    def asked(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        ready = select.select([process.stdout], [], [], PATIENCE)[0]
        answer = process.stdout.readline() if ready else ""
        if answer:
            found: dict[str, Any] = json.loads(answer)
            return found
        self.end()
        code = process.returncode
        if not ready:
            fault = f"no answer after {PATIENCE:g} s"
        elif code == -signal.SIGPROF:
            fault = f"takes over {self.seconds:g} s"
        else:
            fault = f"ends the process ({signal.Signals(-code).name if code < 0 else code})"
        return {"outcome": "fault", "fault": fault, "seconds": self.seconds, "MiB": 0}

    def end(self) -> None:
        """Its pipes are closed, at which it ends, unless it is still at work on a file."""
        process, self.process = self.process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


# -- where it happens ------------------------------------------------------------------------------------------------


class Place:
    """A folder for the file that is read, and one beside it that must not be looked at."""

    def __init__(self, root: Path, canaries: Seed) -> None:
        self.root, self.folder, self.outside = root, root / "work", root / "outside"
        self.folder.mkdir()
        self.outside.mkdir()
        self.canary = self.outside / "canary.dat"
        for name, content in canaries.items():
            (self.outside / name).write_bytes(content)
        self.reset()
        self.canary.read_bytes()
        self.tells = bool(self.looked_at())  # not where the file system keeps no times of access
        self.reset()

    def put(self, files: Seed) -> Path:
        """These files and no others. Returns the path of the first."""
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        self.state = self.now()
        return self.folder / next(iter(files))

    def now(self) -> list[tuple[str, int, int]]:
        found = [(one.path, one.stat()) for place in (self.root, self.folder) for one in os.scandir(place)]
        return sorted((path, stat.st_size, stat.st_mtime_ns) for path, stat in found if path != str(self.folder))

    def reset(self) -> None:
        for path in self.outside.iterdir():
            os.utime(path, ns=(0, path.stat().st_mtime_ns))

    def looked_at(self) -> list[str]:
        """The files outside that were read, by whatever library: Python is told of what it opens itself only."""
        return [path.name for path in self.outside.iterdir() if path.stat().st_atime_ns]

    def fault(self) -> str:
        """What has changed, or was looked at."""
        if self.now() != self.state:
            return f"files were written: {sorted(set(self.now()) ^ set(self.state))}"
        seen = self.looked_at() if self.tells else []
        if seen:
            self.reset()
        return f"{', '.join(seen)} outside the folder was read" if seen else ""


# -- all of it -------------------------------------------------------------------------------------------------------


class Figures:
    """What has come of the files so far, by format."""

    def __init__(self) -> None:
        self.rows: dict[str, Counter[str]] = defaultdict(Counter)
        self.worst: dict[str, dict[str, float]] = defaultdict(lambda: {"seconds": 0.0, "MiB": 0.0})
        self.others: Counter[str] = Counter()

    def add(self, kind: str, answer: dict[str, Any]) -> None:
        row = self.rows[kind]
        row["files"] += 1
        row["fault" if "fault" in answer else answer["outcome"]] += 1
        for name in self.worst[kind]:
            self.worst[kind][name] = max(self.worst[kind][name], answer[name])
        if "unforeseen" in answer:
            row["unforeseen"] += 1
            self.others[f"{kind}: {answer['unforeseen']}"] += 1
        self.others.update(f"{kind}: {one}" for one in answer.get("warnings", ()))

    def table(self) -> list[dict[str, Any]]:
        names = ("files", "read", "refused", "unforeseen", "fault")
        return [
            {"format": kind, **{name: self.rows[kind][name] for name in names}}
            | {name: round(value, 2) for name, value in self.worst[kind].items()}
            for kind in sorted(self.rows)
        ]


def fuzz(asked: argparse.Namespace, root: Path, as_they_are: Path) -> tuple[Figures, bool]:
    own = module(ROOT / "tests/formats/seeds.py")
    found = list(seeds_of(asked.folder) if asked.folder else own.seeds())
    by_kind: dict[str, list[Seed]] = defaultdict(list)
    for kind, seed in found:
        if not asked.only or kind in asked.only:
            by_kind[kind].append(seed)
    kinds = sorted(by_kind)
    spliced = {kind: [data for seed in by_kind[kind] for data in seed.values()] for kind in kinds}
    place = Place(root, own.outside())
    reader = Reader(warm(as_they_are, [seed for kind in kinds for seed in by_kind[kind]]), asked.readers)
    figures, begun, number = Figures(), time.monotonic(), asked.first
    while number < asked.first + asked.files and time.monotonic() - begun < asked.seconds:
        rng = random.Random(f"{asked.seed} {number}")
        kind = kinds[number % len(kinds)]
        files = dict(rng.choice(by_kind[kind]))
        name = rng.choice([next(iter(files)), *files])
        changed = mutated(files[name], spliced[kind], str(place.canary), rng)
        files[name] = own.sealed(changed) if rng.random() < 0.7 else changed
        ask, every = ask_of(rng), rng.random() < 0.4
        answer = reader.read(place.put(files), ask, every)
        fault = answer.get("fault") or place.fault()
        if answer["MiB"] > MEBIBYTES:
            fault = fault or f"takes {answer['MiB']} MiB"
        if fault:
            answer["fault"] = fault
            keep(asked.keep / f"{kind}-{asked.seed}-{number}", files, {"ask": ask, "all": every, "fault": fault})
            print(f"{kind}, file {number}: {fault[:300]}", flush=True)
        figures.add(kind, answer)
        number += 1
        if not sum(row["files"] for row in figures.rows.values()) % 2000:
            print(f"{number} files, {time.monotonic() - begun:.0f} s", flush=True)
    reader.end()
    return figures, place.tells


def warm(folder: Path, found: list[Seed]) -> list[Path]:
    """The files as they are, each recording in a folder of its own."""
    paths = []
    for number, seed in enumerate(found):
        keep(folder / str(number), seed)
        paths.append(folder / str(number) / next(iter(seed)))
    return paths


def keep(folder: Path, files: Seed, what: dict[str, Any] | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if what is not None:
        (folder / "what.txt").write_text("\n".join(f"{key}: {value}" for key, value in what.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=None, help="how many; 20,000 unless --seconds is given")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="how long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file, to make one again")
    parser.add_argument("--folder", type=Path, default=None, help="mutate the files below it instead of small ones")
    parser.add_argument("--only", nargs="*", default=(), help="these formats")
    parser.add_argument("--keep", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--readers", type=Path, default=None, help="a Python file with `read`, `recordings_of`, `find`")
    parser.add_argument("--save", action="store_true", help="write the figures to results/fuzz.json")
    asked = parser.parse_args()
    asked.files = asked.files or (20_000 if asked.seconds == float("inf") else sys.maxsize)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as as_they_are:
        figures, tells = fuzz(asked, Path(root), Path(as_they_are))
    for what, n in figures.others.most_common(40):
        print(f"  {n} x {what}")
    rows = figures.table()
    for row in rows:
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    n_files, n_faults = sum(row["files"] for row in rows), sum(row["fault"] for row in rows)
    seconds = time.monotonic() - begun
    print(
        f"{n_files} files in {seconds:.0f} s, {n_faults} faults{'' if tells else '; reads by C libraries not watched'}"
    )
    if asked.save:
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        about = {"seed": asked.seed, "files": n_files, "seconds": round(seconds), "faults": n_faults, "watched": tells}
        results["a folder of real files" if asked.folder else "small files"] = {"about": about, "rows": rows}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(1 if n_faults else 0)


if __name__ == "__main__":
    main()
