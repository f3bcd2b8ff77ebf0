"""What a cohort is: recordings that are read when needed, and a table of targets beside them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from enecg.errors import CohortError
from enecg.formats import RecordingFile
from enecg.recording import LazyRecording, Recording

if TYPE_CHECKING:
    import polars


class CohortRecording(LazyRecording):
    """A recording's file with what the cohort's table knows of it.

    change : applied to the recording after reading, described by `changed` (which is part of the key).
    """

    def __init__(
        self,
        path: Path,
        *,
        id: str,  # noqa: A002  the name that recordings give it
        subject: str | None,
        age: float | None = None,
        sex: str | None = None,
        change: Callable[[Recording], Recording] | None = None,
        changed: str = "",
        unit: str | None = None,
    ) -> None:
        self.id, self.subject = id, subject
        self.file = RecordingFile(path, unit=unit)
        self._facts = {"age": age, "sex": sex}
        self._change, self._changed = change, changed

    @property
    def key(self) -> str:
        """The file's key, and what was done after reading."""
        return f"{self.file.key}\n{self._changed}"

    def read(self) -> Recording:
        """Read the file; the table's subject, age and sex count before the file's."""
        recording = self.file.read()
        known = {name: value for name, value in self._facts.items() if value is not None}
        recording = replace(recording, id=self.id, subject=self.subject or recording.subject, **known)  # type: ignore[arg-type]
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

    @property
    def subjects(self) -> list[str | None]:
        """Of each recording."""
        return self.targets["subject"].to_list()

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


def require(folder: str | Path | None, cohort: str, *expected: str) -> Path:
    """The cohort's folder, after a look at what must be in it. Raises CohortError."""
    if folder is None:
        raise CohortError(f"cohort {cohort} needs its folder: load_cohort({cohort!r}, FOLDER)")
    root = Path(folder)
    missing = [name for name in expected if not (root / name).exists()]
    if missing:
        raise CohortError(f"{root}: not a folder of {cohort}: no {', '.join(missing)}; expected the publisher's layout")
    return root
