"""Recordings in, embeddings out: each file is read at most once, and what the store holds is not computed again."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg.errors import EnECGError, ExpertError
from enecg.experts import Expert
from enecg.formats import RecordingFile
from enecg.recording import LazyRecording, Recording
from enecg.store._disk import KnownFile, Store
from enecg.store._embedded import Array, Embedded, Refusal

Item = Recording | LazyRecording | str | Path

_CHUNK_RECORDINGS = 1024
_CHUNK_SECONDS = 30.0
"""What is computed is written this often, so that a killed run loses half a minute."""


def embed(
    recordings: Sequence[Item],
    experts: Sequence[Expert],
    store: Store | None = None,
    *,
    progress: bool = False,
    only: Mapping[str, npt.NDArray[np.bool_]] | None = None,
) -> Embedded:
    """Every expert's embedding of every recording.

    only : by expert, bool [recording]: the rows it has to run on; an expert that is not named runs on all.
    A recording that cannot be read, or that an expert cannot take, becomes a Refusal; the others get their rows.
    Raises ExpertError if two experts share a name, StoreError if the store cannot be written.
    """
    names = [expert.card.name for expert in experts]
    if len(set(names)) != len(names):
        raise ExpertError(f"experts {', '.join(names)}: a name is there twice; give each expert once")
    work = _Work.of(recordings, experts, store, only or {})
    with _bar(progress, len(recordings)) as advance:
        for rows in work.chunks():
            work.do(rows)
            advance(len(rows))
    return work.result()


@dataclass
class _Work:
    """The state of one call of `embed`."""

    items: Sequence[Item]
    experts: Sequence[Expert]
    store: Store | None
    wanted: dict[str, npt.NDArray[np.bool_]]
    embeddings: dict[str, Array]
    present: dict[str, npt.NDArray[np.bool_]]
    ids: list[str]
    subjects: list[str | None]
    seconds: dict[str, float]
    refusals: list[Refusal] = field(default_factory=list)
    known: Mapping[str, KnownFile] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        experts: Sequence[Expert],
        store: Store | None,
        only: Mapping[str, npt.NDArray[np.bool_]],
    ) -> "_Work":
        n = len(items)
        return cls(
            items=items,
            experts=experts,
            store=store,
            wanted={expert.card.name: only.get(expert.card.name, np.ones(n, dtype=bool)) for expert in experts},
            embeddings={expert.card.name: np.full((n, expert.card.dim), np.nan, np.float32) for expert in experts},
            present={expert.card.name: np.zeros(n, dtype=bool) for expert in experts},
            ids=[""] * n,
            subjects=[None] * n,
            seconds={expert.card.name: 0.0 for expert in experts},
            known=store.known_files() if store is not None else {},
        )

    def chunks(self) -> Iterator[range]:
        """Rows to work on together: few at first, then as many as fill the time between two writings."""
        start, size = 0, 64
        while start < len(self.items):
            began = time.monotonic()
            rows = range(start, min(start + size, len(self.items)))
            yield rows
            start = rows.stop
            pace = (time.monotonic() - began) / len(rows)
            size = int(np.clip(_CHUNK_SECONDS / max(pace, 1e-6), 16, _CHUNK_RECORDINGS))

    def do(self, rows: range) -> None:
        """Read what has to be read of these rows, run what has to be run, keep what is new."""
        digests = {row: known for row in rows if (known := self._known_digest(row)) is not None}
        self._from_store(digests)
        recordings = self._read([row for row in rows if row not in digests or self._lacks(row)])
        fresh = {row: recording.digest for row, recording in recordings.items()}
        self._from_store(fresh)
        for expert in self.experts:
            self._run(expert, recordings, fresh)

    def result(self) -> Embedded:
        """What was found."""
        refusals = sorted(self.refusals, key=lambda refusal: refusal.row)
        return Embedded(self.ids, self.subjects, self.embeddings, self.present, refusals, self.seconds)

    def _known_digest(self, row: int) -> str | None:
        """The recording's digest where it is known without reading a file."""
        item = _lazy(self.items[row])
        if isinstance(item, Recording):
            return None
        try:
            file = self.known.get(item.key)
        except EnECGError:
            return None  # Reading it will say what is wrong.
        if file is None:
            return None
        self.ids[row], self.subjects[row] = file.id, file.subject
        return file.digest

    def _lacks(self, row: int) -> bool:
        return any(self.wanted[name][row] and not self.present[name][row] for name in self.wanted)

    def _from_store(self, digests: Mapping[int, str]) -> None:
        if self.store is None or not digests:
            return
        for expert in self.experts:
            name = expert.card.name
            rows = [row for row in digests if self.wanted[name][row] and not self.present[name][row]]
            if not rows:
                continue
            found = np.empty((len(rows), expert.card.dim), np.float32)
            there = self.store.read(_kind(expert), [digests[row] for row in rows], found)
            index = np.array(rows, dtype=np.intp)[there]
            self.embeddings[name][index] = found[there]
            self.present[name][index] = True

    def _read(self, rows: Sequence[int]) -> dict[int, Recording]:
        recordings, learned = {}, {}
        for row in rows:
            item = _lazy(self.items[row])
            self.ids[row] = item.id or f"#{row}"
            self.subjects[row] = item.subject
            try:
                recording = item if isinstance(item, Recording) else item.read()
                if not isinstance(item, Recording):
                    self.subjects[row] = recording.subject
                    learned[item.key] = KnownFile(recording.digest, self.ids[row], recording.subject)
            except EnECGError as error:
                self.refusals.append(Refusal(row, self.ids[row], None, str(error)))
                continue
            recordings[row] = recording
        if self.store is not None:
            self.store.remember_files(learned)
        return recordings

    def _run(self, expert: Expert, recordings: Mapping[int, Recording], digests: Mapping[int, str]) -> None:
        """Run an expert on the rows it has no embedding of, and keep what comes out."""
        name = expert.card.name
        rows = []
        for row, recording in recordings.items():
            if not self.wanted[name][row] or self.present[name][row]:
                continue
            reason = expert.refusal(recording)
            if reason is None:
                rows.append(row)
            else:
                self.refusals.append(Refusal(row, self.ids[row], name, reason))
        if not rows:
            return
        began = time.monotonic()
        rows, out = self._embed(expert, rows, recordings)
        self.seconds[name] += time.monotonic() - began
        self.embeddings[name][rows] = out
        self.present[name][rows] = True
        if self.store is not None and rows:
            self.store.write(_kind(expert), [digests[row] for row in rows], out)

    def _embed(self, expert: Expert, rows: list[int], recordings: Mapping[int, Recording]) -> tuple[list[int], Array]:
        """Embeddings of those rows that the expert manages; where it fails, each is tried by itself and named."""
        try:
            return rows, expert.embed(expert.prepare([recordings[row] for row in rows]))
        except EnECGError as error:
            if len(rows) == 1:
                self.refusals.append(Refusal(rows[0], self.ids[rows[0]], expert.card.name, str(error)))
                return [], np.empty((0, expert.card.dim), np.float32)
        parts = [self._embed(expert, [row], recordings) for row in rows]
        return [row for part, _ in parts for row in part], np.concatenate([out for _, out in parts])


def _lazy(item: Item) -> Recording | LazyRecording:
    return RecordingFile(item) if isinstance(item, (str, Path)) else item


def _kind(expert: Expert) -> str:
    """The store's name for an expert's rows: safe in a file name whatever the expert is called."""
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in expert.card.name)
    return f"{safe}-{expert.fingerprint}"


@contextmanager
def _bar(shown: bool, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error with rate and time left, or nothing."""
    if not shown:
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("embedding", total=total)
        yield lambda n: bar.advance(task, n)
