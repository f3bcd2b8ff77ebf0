"""Quick experts and files that count what is asked of them, and disks that refuse."""

import contextlib
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from enecg import Recording
from enecg.errors import ReadError
from enecg.experts import Card, Expert, Inputs
from enecg.recording import LazyRecording

LEADS = ("I", "V1")


class Moments(Expert):
    """Mean, deviation and largest value of each of two leads."""

    def __init__(self, name: str = "moments", *, weights: str = "", version: int = 1, batch: int = 4) -> None:
        self.card = Card(
            name=name,
            summary="moments of two leads",
            dim=6,
            leads=LEADS,
            rate=0,
            seconds=0,
            licence="Apache-2.0",
            citation="",
            source="computed",
            weights_sha256=weights,
            prepare_version=version,
            batch=batch,
        )
        self.n_prepared = 0
        self.asked: list[str | None] = []

    def refusal(self, recording: Recording) -> str | None:
        self.asked.append(recording.id)
        return super().refusal(recording)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        self.n_prepared += len(recordings)
        rows = []
        for recording in recordings:
            signal = recording.select(LEADS).signal.astype(np.float64)
            rows.append(np.concatenate([signal.mean(axis=1), signal.std(axis=1), signal.max(axis=1)]))
        windows = np.array(rows, np.float32).reshape(len(rows), 6)
        return Inputs(windows, np.arange(len(rows)), len(rows))

    def embed_windows(self, windows):
        assert len(windows) == self.card.batch
        return windows * 3


class ArrayFile(LazyRecording):
    """A file of two leads that counts how often it is read."""

    def __init__(self, path: Path, subject: str | None = None) -> None:
        self.path, self.id, self.subject, self.n_reads = path, path.stem, subject, 0

    @property
    def key(self) -> str:
        try:
            stat = self.path.stat()
        except OSError as error:
            raise ReadError(f"{self.path}: cannot be read") from error
        return f"{self.path} {stat.st_size} {stat.st_mtime_ns}"

    def read(self) -> Recording:
        self.n_reads += 1
        try:
            signal = np.load(self.path)
        except (OSError, ValueError) as error:
            raise ReadError(f"{self.path}: not an array") from error
        return Recording(signal=signal, rate=100.0, leads=LEADS, id=self.id, subject=self.subject or "file:own")


def made(n: int, seed: int = 0, n_samples: int = 50) -> list[Recording]:
    rng = np.random.default_rng(seed)
    return [
        Recording(
            signal=rng.normal(size=(2, n_samples)).astype(np.float32),
            rate=100.0,
            leads=LEADS,
            id=f"r{i}",
            subject=f"c:{i}",
        )
        for i in range(n)
    ]


@pytest.fixture
def moments() -> type[Moments]:
    return Moments


@pytest.fixture
def recordings() -> Callable[..., list[Recording]]:
    return made


@pytest.fixture
def files(tmp_path) -> Callable[..., list[ArrayFile]]:
    """Recordings as files: `files(n)`."""

    def write(n: int) -> list[ArrayFile]:
        folder = tmp_path / "arrays"
        folder.mkdir(exist_ok=True)
        found = []
        for recording in made(n):
            path = folder / f"{recording.id}.npy"
            np.save(path, recording.signal)
            found.append(ArrayFile(path))
        return found

    return write


@pytest.fixture
def limit() -> Callable[[int, int], contextlib.AbstractContextManager[None]]:
    """`with limit(resource.RLIMIT_FSIZE, 4096):` the operating system refuses what is larger, as a full disk does."""

    @contextlib.contextmanager
    def limited(what: int, amount: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(what)
        resource.setrlimit(what, (amount, hard))
        try:
            yield
        finally:
            resource.setrlimit(what, (soft, hard))

    return limited


@pytest.fixture
def nobody() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """`with nobody():` whatever belongs to the user that runs the tests cannot be written (nor removed)."""

    @contextlib.contextmanager
    def dropped() -> Iterator[None]:
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)

    return dropped


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder whose content anybody may read (pytest's own are the user's alone)."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        place.chmod(0o755)
    shutil.rmtree(folder)
