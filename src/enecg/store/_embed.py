"""Recordings in, embeddings out: each file is read at most once, and what the store holds is not computed again.

Recordings are read in blocks that fit in memory. On a block the experts run one after the other, each let go of before
the next is loaded; what one has computed is written every half minute.
"""

import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from enecg._version import __version__
from enecg.errors import BackendError, EnECGError, ExpertError, MissingPackageError, RecordingError, WeightsError
from enecg.experts import Expert
from enecg.formats import RecordingFile
from enecg.progress import progress_bar
from enecg.recording import LazyRecording, Recording
from enecg.signal.doubts import doubts
from enecg.signal.leads import derive
from enecg.store._disk import KnownFile, Store
from enecg.store._embedded import Array, Embedded, Refusal

Item = Recording | LazyRecording | str | Path
Advance = Callable[[float], None]

_BLOCK_RECORDINGS = 1024
_BLOCK_BYTES = 2**28
"""So many samples are held at a time (one recording at least, however long)."""

_FIRST = 64
_WRITE_SECONDS = 30.0
"""What is computed is written this often, so that a killed run loses half a minute."""


class FaultWarning(UserWarning):
    """A reader or an expert failed in a way that it never should; the recording is refused, the others are not."""


def embed(
    recordings: Iterable[Item],
    experts: Sequence[Expert],
    store: Store | None = None,
    *,
    progress: bool = False,
    only: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    given: Embedded | None = None,
    doubting: bool = False,
) -> Embedded:
    """Every expert's embedding of every recording.

    only : by expert, bool [recording]: the rows it has to run on; an expert that is not named runs on all.
    given : what was found of the same recordings before; it is part of the result and not computed again.
    doubting : whether to look for what may be wrong with a recording (`Embedded.doubts`).
    Limb leads that follow from others are computed first, as they are when a file is read.
    A recording that cannot be read, or that an expert cannot take, becomes a Refusal; the others get their rows.
    Raises ExpertError if two experts share a name or `only` does not fit, WeightsError or MissingPackageError if an
    expert cannot run at all, RecordingError for what is no recording, StoreError if the store cannot be written.
    """
    items = as_items(recordings)
    names = [expert.card.name for expert in experts]
    if len(set(names)) != len(names):
        raise ExpertError(f"experts {', '.join(names)}: a name is there twice; give each expert once")
    check_weights(experts)
    work = _Work.of(items, experts, store, _wanted(names, only or {}, len(items)), given, doubting)
    with progress_bar(progress, "embedding", len(items)) as bar:
        for start in range(0, len(items), _BLOCK_RECORDINGS):
            work.do(range(start, min(start + _BLOCK_RECORDINGS, len(items))), bar.advance)
    return work.result()


def check_weights(experts: Sequence[Expert]) -> None:
    """Raises WeightsError now, rather than after files were read, if an expert's weights are missing or not allowed."""
    for expert in experts:
        expert.fingerprint  # noqa: B018  knows the weights


def as_items(recordings: Iterable[Item]) -> Sequence[Item]:
    """Recordings as a sequence; one alone is a sequence of one. Raises RecordingError for what is no recording."""
    if isinstance(recordings, Item):
        return [recordings]
    if not isinstance(recordings, Iterable):
        raise RecordingError(f"recordings: a {type(recordings).__name__}; expected Recordings or paths")
    items = recordings if isinstance(recordings, Sequence) else list(recordings)
    for row, item in enumerate(items):
        if not isinstance(item, Item):
            raise RecordingError(
                f"recordings, row {row}: a {type(item).__name__}; expected a Recording or a path "
                "(Recording.from_array makes one from an array)"
            )
    return items


@dataclass
class _Work:
    """The state of one call of `embed`."""

    items: Sequence[Item]
    experts: Sequence[Expert]
    store: Store | None
    wanted: Mapping[str, npt.NDArray[np.bool_]]
    embeddings: dict[str, Array]
    present: dict[str, npt.NDArray[np.bool_]]
    ids: list[str]
    subjects: list[str | None]
    seconds: dict[str, float]
    refusals: list[Refusal]
    known: Mapping[str, KnownFile]
    read_before: bool
    doubting: bool
    doubts: list[tuple[str, ...] | None]
    refused: set[tuple[int, str | None]]
    sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        experts: Sequence[Expert],
        store: Store | None,
        wanted: Mapping[str, npt.NDArray[np.bool_]],
        given: Embedded | None,
        doubting: bool,
    ) -> "_Work":
        n = len(items)
        before = Embedded([""] * n, [None] * n, {}, {}) if given is None else given
        new = [expert for expert in experts if expert.card.name not in before.present]
        return cls(
            items=items,
            experts=experts,
            store=store,
            wanted=wanted,
            embeddings={name: rows.copy() for name, rows in before.embeddings.items()}
            | {expert.card.name: np.full((n, expert.card.dim), np.nan, np.float32) for expert in new},
            present={name: there.copy() for name, there in before.present.items()}
            | {expert.card.name: np.zeros(n, dtype=bool) for expert in new},
            ids=list(before.ids),
            subjects=list(before.subjects),
            seconds={expert.card.name: 0.0 for expert in experts} | dict(before.seconds),
            refusals=list(before.refusals),
            known=store.known_files() if store is not None else {},
            read_before=given is not None,
            doubting=doubting,
            doubts=list(before.doubts) or [None] * n,
            refused={(refusal.row, refusal.expert) for refusal in before.refusals},
        )

    def do(self, rows: range, advance: Advance) -> None:
        """Read what has to be read of these rows, run what has to be run, keep what is new."""
        digests = {row: known for row in rows if (known := self._known_digest(row)) is not None}
        self._from_store(digests)
        unread = [row for row in rows if self._lacks(row) or not (row in digests or self.read_before)]
        advance(len(rows) - len(unread))
        for recordings in self._blocks(unread):
            fresh = {row: recording.digest for row, recording in recordings.items()}
            self._from_store(fresh)
            for expert in self.experts:
                self._run(expert, recordings, fresh)
                expert.release()
                advance(len(recordings) / len(self.experts))
            recordings.clear()  # before the next block is read

    def result(self) -> Embedded:
        """What was found."""
        refusals = sorted(self.refusals, key=lambda refusal: refusal.row)
        return Embedded(self.ids, self.subjects, self.embeddings, self.present, refusals, self.seconds, self.doubts)

    def _known_digest(self, row: int) -> str | None:
        """The recording's digest where it is known without reading a file."""
        item = _lazy(self.items[row])
        if isinstance(item, Recording) or self.store is None:
            return None
        try:
            file = self.known.get(_key(item))
        except (EnECGError, OSError):
            return None  # Reading it will say what is wrong.
        if file is None:
            return None
        self.ids[row], self.subjects[row] = item.id or f"#{row}", file.subject
        if self._to_doubt(row):
            self.doubts[row] = file.doubts
        return file.digest

    def _to_doubt(self, row: int) -> bool:
        """Whether it is still to be found out what may be wrong with a recording."""
        return self.doubting and self.doubts[row] is None

    def _lacks(self, row: int) -> bool:
        """Whether a recording is still to be read: for an expert that has not tried it, or for its doubts."""
        if (row, None) in self.refused:
            return False
        return self._to_doubt(row) or any(
            rows[row] and not self.present[name][row] and (row, name) not in self.refused
            for name, rows in self.wanted.items()
        )

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

    def _blocks(self, rows: Sequence[int]) -> Iterator[dict[int, Recording]]:
        """Recordings by row, as many at a time as memory is meant for; those that cannot be read are refused."""
        block: dict[int, Recording] = {}
        learned: dict[str, KnownFile] = {}
        size = 0
        for place, row in enumerate(rows):
            recording = self._read(row, learned)
            if recording is not None:
                block[row] = recording
                size += recording.signal.nbytes
            if size >= _BLOCK_BYTES or place == len(rows) - 1:
                if self.store is not None:
                    self.store.remember_files(learned)
                yield block
                block, learned, size = {}, {}, 0

    def _read(self, row: int, learned: dict[str, KnownFile]) -> Recording | None:
        item = _lazy(self.items[row])
        self.ids[row] = item.id or f"#{row}"
        self.subjects[row] = item.subject
        if isinstance(item, Recording):
            return self._looked_at(row, _completed(item))
        try:
            # The key comes first: a file that changes meanwhile is then read again next time.
            key = _key(item)
            recording = _completed(item.read())
        except (EnECGError, OSError) as error:
            self._refuse(row, None, str(error))
            return None
        except Exception as error:  # noqa: BLE001  one bad file, or one bad reader, never costs the others their answers
            self._refuse(row, None, _fault(f"{self.ids[row]}: cannot be read", error))
            return None
        self.subjects[row] = recording.subject
        self._looked_at(row, recording)
        learned[key] = KnownFile(recording.digest, recording.subject, self.doubts[row])
        return recording

    def _looked_at(self, row: int, recording: Recording) -> Recording:
        """The same; what is doubtful in it is then known, where that is asked for."""
        if self._to_doubt(row):
            try:
                found = doubts(recording.signal, recording.rate, recording.leads)
                self.doubts[row] = tuple(map(str, found))
            except Exception as error:  # noqa: BLE001  what is only told never costs a recording its answers
                self.doubts[row] = (_fault("what may be wrong with it could not be looked for", error),)
        return recording

    def _run(self, expert: Expert, recordings: Mapping[int, Recording], digests: Mapping[int, str]) -> None:
        """Run an expert on the rows it has no embedding of, and keep what comes out."""
        name = expert.card.name
        rows = [row for row in recordings if self.wanted[name][row] and not self.present[name][row]]
        rows = [row for row in rows if self._takes(expert, row, recordings[row])]
        while rows:
            size = self.sizes.get(name, _FIRST)
            part, rows = rows[:size], rows[size:]
            began = time.monotonic()
            done, out = self._embed(expert, part, recordings)
            spent = time.monotonic() - began
            self.seconds[name] += spent
            if done:
                self.embeddings[name][done] = out
                self.present[name][done] = True
                if self.store is not None:
                    self.store.write(_kind(expert), [digests[row] for row in done], out)
            self.sizes[name] = int(np.clip(_WRITE_SECONDS * len(part) / max(spent, 1e-6), 16, _BLOCK_RECORDINGS))

    def _takes(self, expert: Expert, row: int, recording: Recording) -> bool:
        reason = expert.refusal(recording)
        if reason is not None:
            self._refuse(row, expert.card.name, reason)
        return reason is None

    def _embed(self, expert: Expert, rows: list[int], recordings: Mapping[int, Recording]) -> tuple[list[int], Array]:
        """Embeddings of the rows that the expert manages; where it fails, halves are tried, down to one to blame."""
        none = np.empty((0, expert.card.dim), np.float32)
        try:
            return rows, expert.embed(expert.prepare([recordings[row] for row in rows]))
        except (BackendError, WeightsError, MissingPackageError):
            raise  # No recording is at fault.
        except EnECGError as error:
            if len(rows) == 1:
                self._refuse(rows[0], expert.card.name, str(error))
                return [], none
        except Exception as error:  # noqa: BLE001  one recording, or one expert, never costs the others their answers
            if len(rows) == 1:
                self._refuse(rows[0], expert.card.name, _fault(f"{expert.card.name} failed", error))
                return [], none
        half = len(rows) // 2
        parts = [self._embed(expert, part, recordings) for part in (rows[:half], rows[half:])]
        return [row for done, _ in parts for row in done], np.concatenate([out for _, out in parts])

    def _refuse(self, row: int, expert: str | None, reason: str) -> None:
        if (row, expert) not in self.refused:
            self.refused.add((row, expert))
            self.refusals.append(Refusal(row, self.ids[row], expert, reason))


def _wanted(
    names: Sequence[str], only: Mapping[str, npt.NDArray[np.bool_]], n: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """By expert, bool [recording]: the rows it has to run on."""
    for name, rows in only.items():
        if name not in names or rows.shape != (n,) or rows.dtype != bool:
            raise ExpertError(
                f"only[{name!r}]: {rows.dtype} {rows.shape}; expected bool ({n},) for one of {', '.join(names)}"
            )
    return {name: only.get(name, np.ones(n, dtype=bool)) for name in names}


def _lazy(item: Item) -> Recording | LazyRecording:
    return RecordingFile(item) if isinstance(item, (str, Path)) else item


def _completed(recording: Recording) -> Recording:
    """With the limb leads that follow from others, so that every expert sees the same ECG whatever it was made from."""
    signal, leads, derived = derive(recording.signal, recording.leads)
    return replace(recording, signal=signal, leads=leads) if derived else recording


def _key(item: LazyRecording) -> str:
    """What a file is known by: its own key, and what else decides what is learned of it."""
    key = f"{item.key}\nsubject={item.subject}\nenecg={__version__}"
    return key.encode("utf-8", "backslashreplace").decode()  # A path may hold bytes that are no text.


def _kind(expert: Expert) -> str:
    """The store's name for an expert's rows: safe in a file name whatever the expert is called."""
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in expert.card.name)
    return f"{safe}-{expert.fingerprint}"


def _fault(what: str, error: Exception) -> str:
    """Say that something failed that should not have, and where; returns the reason for the refusal."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"{what} ({type(error).__name__}: {error})"
    warnings.warn(f"{reason} in {place.filename}, line {place.lineno}; please report this", FaultWarning, stacklevel=2)
    return reason
