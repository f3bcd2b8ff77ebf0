"""What fit and predict are given, as the rest of the package wants it: recordings, targets, subjects, masks.

Imports store, predictions and tasks; imported by estimator and evaluation.
"""

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import FitError, RecordingError, TaskError
from enecg.experts import Card, Expert
from enecg.predictions import COLUMNS
from enecg.recording import LazyRecording, Recording
from enecg.store import Embedded, as_items
from enecg.tasks import Task, is_missing

SIMULATED = "simulated:"
"""With which the subjects of simulated recordings begin."""

Item = Recording | LazyRecording | str | Path
Targets = Mapping[str, Iterable[Any]] | Any  # a mapping of columns, or a data frame of polars or pandas


class SubjectWarning(UserWarning):
    """Recordings without a subject: two of one person may stand on both sides of a split."""


def as_recordings(
    recordings: Iterable[Item] | npt.ArrayLike, rate: float | None, leads: Sequence[str] | None, unit: str | None
) -> Sequence[Item]:
    """Whatever `predict` takes, as a sequence that `embed` takes."""
    if rate is None and leads is None and unit is None and not isinstance(recordings, np.ndarray):
        return as_items(recordings)  # type: ignore[arg-type]
    if rate is None or leads is None or unit is None:
        raise RecordingError(
            "an array says neither its rate, its leads nor its unit: pass rate= (Hz), leads= and unit="
        )
    try:
        batch = np.asarray(recordings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RecordingError(
            f"rate=, leads= and unit= go with an array of numbers, which this is not ({error})"
        ) from None
    if batch.ndim not in (2, 3):
        raise RecordingError(f"array of shape {batch.shape}; expected [lead, sample] or [recording, lead, sample]")
    made: list[Item] = []
    errors = []
    for row, signal in enumerate(batch[None] if batch.ndim == 2 else batch):
        try:
            made.append(Recording.from_array(signal, rate=rate, leads=leads, unit=unit, id=str(row)))
        except RecordingError as error:
            made.append(_Unusable(str(row), error))
            errors.append(error)
    if errors and len(errors) == len(made):
        raise errors[0]
    return made


def path_of(item: Item) -> Path | None:
    """The file of a recording, where it has one."""
    if isinstance(item, (str, Path)):
        return Path(item)
    found: Path | None = getattr(item, "path", None) or getattr(getattr(item, "source", None), "path", None)
    return found


class _Unusable(LazyRecording):
    """A row of an array that is no recording: refused when it is read, so that the other rows get their answers."""

    def __init__(self, id: str, error: RecordingError) -> None:  # noqa: A002  the name that recordings give it
        self.id, self.subject, self._error = id, None, error

    @property
    def key(self) -> str:
        """Raises what is wrong."""
        raise self._error

    def read(self) -> Recording:
        """Raises what is wrong."""
        raise self._error


def encode_targets(task: Task, targets: Targets, n: int) -> npt.NDArray[np.float32]:
    """The task's column of a table as an array [recording, n_outputs] (`Task.encode`).

    targets : a table with the column, or the column itself. Raises TaskError.
    """
    if hasattr(targets, "columns") or isinstance(targets, Mapping):
        names = [str(name) for name in getattr(targets, "columns", targets)]
        if task.name not in names:
            raise TaskError(f"the targets have no column {task.name} (found {', '.join(names)})")
        column = targets[task.name]
    else:
        column = targets
    if isinstance(column, str) or not isinstance(column, Iterable):
        raise TaskError(f"targets of {task.name}: {column!r}; expected a table, or a column with a label for each row")
    encoded = task.encode(column)
    if len(encoded) != n:
        raise TaskError(f"column {task.name} has {len(encoded)} rows for {n} recordings")
    return encoded


def with_subjects(embedded: Embedded, subjects: Sequence[str | None]) -> Embedded:
    """The same with other subjects, one for each recording. Raises FitError for another number of them."""
    if len(subjects) != len(embedded.ids):
        raise FitError(f"{len(subjects)} subjects for {len(embedded.ids)} recordings; expected one for each")
    found = zip(embedded.subjects, subjects, strict=True)
    return replace(embedded, subjects=[_subject(own, given) for own, given in found])


def _subject(own: str | None, given: Any) -> str | None:
    """A subject as text, None where missing; what was simulated keeps saying so."""
    if is_missing(given):
        return None
    name = str(given)
    simulated = own is not None and own.startswith(SIMULATED)
    return f"{SIMULATED}{name}" if simulated and not name.startswith(SIMULATED) else name


def as_mask(rows: npt.ArrayLike, n: int) -> npt.NDArray[np.bool_]:
    """bool [recording]. Raises FitError for anything else, such as row numbers."""
    mask = np.asarray(rows)
    if mask.shape != (n,) or mask.dtype != bool:
        raise FitError(f"validation: {mask.dtype} {mask.shape}; expected bool ({n},), True for those that make choices")
    return mask


def several(one_or_more: Any) -> tuple[Any, ...]:
    """A name alone as a tuple of one, not as letters."""
    return (one_or_more,) if isinstance(one_or_more, (str, Task, Expert)) else tuple(one_or_more)


def nameable(task: Task) -> Task:
    """The task, if predictions can have a column of its name. Raises TaskError otherwise."""
    if task.name in COLUMNS:
        raise TaskError(f"task {task.name}: predictions have a column of this name already; give it another")
    return task


def warn_of_subjects(embedded: Embedded) -> None:
    """Say how many recordings have no subject, and what follows."""
    unknown = sum(subject is None for subject in embedded.subjects)
    if unknown:
        warnings.warn(
            f"{unknown} of {len(embedded.ids)} recordings have no subject, and each is taken for another person: if "
            "some are of one person, validation and calibration are too optimistic. Pass subjects=",
            SubjectWarning,
            stacklevel=3,
        )


def subject_digest(subject: str) -> str:
    """16 hexadecimal digits that stand for a subject (`cohort:patient`) where its name need not be known."""
    return hashlib.sha256(subject.encode()).hexdigest()[:16]


def seen_rows(subjects: Sequence[str | None], cards: Iterable[Card]) -> npt.NDArray[np.bool_]:
    """Whose recordings one of these experts is known to have learned from, with or without labels: bool [recording].

    Not those of people who only chose among its weights.

    Simulated people of other seeds are other people: who learned from the simulator has not met these.
    """
    known = list(cards)
    cohorts = {name for card in known for name in card.seen} - {"simulated"}
    people = frozenset[str]().union(*(card.seen_subjects - card.chosen_by for card in known))
    return np.array(
        [
            subject is not None
            and (subject.partition(":")[0] in cohorts or (bool(people) and subject_digest(subject) in people))
            for subject in subjects
        ],
        dtype=bool,
    )


def subject_digests(embedded: Embedded) -> frozenset[str]:
    """Of all subjects that are known."""
    return frozenset(subject_digest(subject) for subject in embedded.subjects if subject is not None)


def only_simulated(embedded: Embedded, labelled: npt.NDArray[np.bool_]) -> bool:
    """Whether all labels come from the simulator, whose subjects are called `simulated:...`."""
    subjects = [embedded.subjects[row] for row in np.flatnonzero(labelled).tolist()]
    return bool(subjects) and all(subject is not None and subject.startswith(SIMULATED) for subject in subjects)


def training_summary(
    embedded: Embedded, encoded: Mapping[str, npt.NDArray[np.float32]], experts: Sequence[str]
) -> dict[str, Any]:
    """What the training set was, for the bundle's card: the recordings that some expert could take."""
    taken = np.logical_or.reduce([embedded.present[name] for name in experts])
    embedded, encoded = embedded.take(taken), {name: column[taken] for name, column in encoded.items()}
    subjects = np.array([f"?{row}" if s is None else s for row, s in enumerate(embedded.subjects)])
    cohorts = sorted({subject.partition(":")[0] for subject in subjects if ":" in subject})
    labelled = {name: labelled_rows(column) for name, column in encoded.items()}
    return {
        "n_recordings": len(subjects),
        "n_subjects": len(set(subjects)),
        "cohorts": cohorts,
        "tasks": {
            name: {"n_recordings": int(rows.sum()), "n_subjects": len(set(subjects[rows]))}
            for name, rows in labelled.items()
        },
    }


def labelled_rows(column: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which recordings have a label: bool [recording], of encoded labels [recording, output]."""
    return np.asarray(~np.isnan(column).any(axis=1))
