"""What a cohort is: recordings that are read when needed, and a table of targets beside them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from enecg.cohorts._about import About
from enecg.cohorts._tables import as_number, as_text
from enecg.errors import CohortError
from enecg.formats import RecordingFile
from enecg.recording import LazyRecording, Recording

if TYPE_CHECKING:
    import polars


OLDEST = 125
"""Years; the oldest person known became 122."""


class CohortRecording(LazyRecording):
    """A recording's file with what the cohort's table knows of it. Small, for a cohort may have a million.

    change : applied to the recording after reading, described by `changed` (which is part of the key).
    asks : what the file does not say (`unit`, ...), as in `enecg.read`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        id: str,  # noqa: A002  the name that recordings give it
        subject: str | None,
        age: float | None = None,
        sex: str | None = None,
        change: Callable[[Recording], Recording] | None = None,
        changed: str = "",
        **asks: Any,
    ) -> None:
        self.id, self.subject = id, subject
        self._path, self._asks = str(path), asks or None
        self._age, self._sex = age, sex
        self._change, self._changed = change, changed

    @property
    def file(self) -> RecordingFile:
        """The file alone, without the table."""
        return RecordingFile(self._path, **self._asks or {})

    @property
    def key(self) -> str:
        """The file's key, what the table says, and what was done after reading."""
        facts = {"age": self._age, "sex": self._sex}
        return f"{self.file.key}\n{self.id} {self.subject} {facts}\n{self._changed}"

    def read(self) -> Recording:
        """Read the file; the table's subject, age and sex count before the file's."""
        found = self.file.read()
        recording = replace(
            found,
            id=self.id,
            subject=self.subject or found.subject,
            age=found.age if self._age is None else self._age,
            sex=self._sex or found.sex,
        )
        return recording if self._change is None else self._change(recording)


@dataclass(frozen=True)
class Cohort(Sequence[LazyRecording]):
    """Recordings and targets of a data set.

    targets : one row for each recording: `id`, `subject`, a column for each task, and the cohort's own (`fold`, ...).
    notes : counts found against counts published, what was left out and why.
    """

    name: str
    recordings: Sequence[LazyRecording]
    targets: "polars.DataFrame"
    licence: str = "unknown"
    citation: str = ""
    simulated: bool = False
    notes: Sequence[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len(self.recordings) != len(self.targets):
            raise CohortError(f"cohort {self.name}: {len(self.recordings)} recordings for {len(self.targets)} rows")
        for column in ("id", "subject"):
            if column not in self.targets.columns:
                raise CohortError(f"cohort {self.name}: no column {column!r} in its targets; expected one")
        told = zip(self.targets["id"], self.targets["subject"], strict=True)
        for recording, row in zip(self.recordings, told, strict=True):
            if (recording.id, recording.subject) != row:
                raise CohortError(
                    f"cohort {self.name}: recording {recording.id} of {recording.subject} stands beside the row of "
                    f"{row[0]} of {row[1]}; expected recordings and rows in one order"
                )

    @property
    def subjects(self) -> list[str | None]:
        """Of each recording."""
        return self.targets["subject"].to_list()

    @property
    def origins(self) -> frozenset[str]:
        """Every data set that its recordings are of: its name, or those that were joined, and its subjects' prefixes.

        An expert that was trained on one of them has seen recordings of this cohort.
        """
        joined = self.targets["cohort"].unique().to_list() if "cohort" in self.targets.columns else [self.name]
        return frozenset(joined) | {subject.partition(":")[0] for subject in self.subjects if subject is not None}

    def take(self, rows: npt.ArrayLike) -> "Cohort":
        """Some of the recordings (indices or a mask), in that order, with their rows of the table."""
        chosen = np.asarray(rows)
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.intp)
        return replace(self, recordings=[self.recordings[row] for row in index], targets=self.targets[index.tolist()])

    def __len__(self) -> int:
        return len(self.recordings)

    @overload
    def __getitem__(self, index: int) -> LazyRecording: ...
    @overload
    def __getitem__(self, index: slice) -> "Cohort": ...
    def __getitem__(self, index: int | slice) -> "LazyRecording | Cohort":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return self.recordings[index]

    def __iter__(self) -> Iterator[LazyRecording]:
        return iter(self.recordings)

    def __repr__(self) -> str:
        return f"Cohort({self.name}, {len(self)} recordings, {len(set(self.subjects))} subjects)"


def table(rows: Sequence[dict[str, Any]], columns: "dict[str, Any]") -> "polars.DataFrame":
    """Rows as a table with these columns and types, so that an empty column still has its type."""
    import polars

    return polars.DataFrame([{name: row.get(name) for name in columns} for row in rows], schema=columns)


def cohort_of(
    about: About,
    recordings: Sequence[LazyRecording],
    rows: Sequence[dict[str, Any]],
    columns: "dict[str, Any]",
    notes: list[str],
    *,
    simulated: bool = False,
) -> Cohort:
    """A data set's recordings with their rows, in columns of these types."""
    return Cohort(
        name=about.name,
        recordings=recordings,
        targets=table(rows, columns),
        licence=about.licence,
        citation=about.citation,
        notes=notes,
        simulated=simulated,
    )


def recording_of(row: Mapping[str, Any], path: str | Path, **more: Any) -> CohortRecording:
    """The file at this path with what a row says of it; more : as CohortRecording takes it."""
    return CohortRecording(path, **{name: row[name] for name in ("id", "subject", "age", "sex")}, **more)


def require(folder: str | Path | None, cohort: str, *expected: str) -> Path:
    """The cohort's folder, after a look at what must be in it. Raises CohortError."""
    if folder is None:
        raise CohortError(f"cohort {cohort} needs its folder: load_cohort({cohort!r}, FOLDER)")
    root = Path(folder)
    if not root.is_dir():
        raise CohortError(f"{root}: no such folder; expected that of cohort {cohort}")
    missing = [name for name in expected if not (root / name).exists()]
    if missing:
        raise CohortError(f"{root}: not a folder of {cohort}: no {', '.join(missing)}; expected the publisher's layout")
    return root


def require_once(where: Path, what: str, names: Sequence[Any]) -> None:
    """Raises CohortError for a name that is there twice."""
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise CohortError(f"{where}: {what} {doubled[0]} is there more than once; expected one row for each recording")


class Oddities:
    """What a data set says that cannot be; counted by kind with the first place, and told in the cohort's notes."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, what: str, where: str) -> None:
        """One more of a kind."""
        self._places.setdefault(what, []).append(where)

    @property
    def notes(self) -> list[str]:
        """A sentence for each kind."""
        return [f"{len(places)} x {what} (first: {places[0]})" for what, places in self._places.items()]

    def age(self, value: Any, where: str) -> float | None:
        """Years, over 89 as 90; None for what is missing, and for what no one lives, which is an oddity."""
        number = as_number(value)
        if number is None and as_text(value) is None:
            return None
        if number is None or not 0 <= number <= OLDEST:
            self.add(f"age {as_text(value)}, which is none; left missing", where)
            return None
        return min(number, 90.0)

    def sex(self, value: Any, where: str, meaning: Mapping[Any, str]) -> str | None:
        """ "male" or "female" by `meaning`; None for what is missing, and for anything else, which is an oddity."""
        text = as_text(value)
        if text is None:
            return None
        if text not in meaning:
            self.add(f"sex {text!r}, expected {' or '.join(meaning)}; left missing", where)
            return None
        return meaning[text]
