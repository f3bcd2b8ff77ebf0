"""Answers as a person or a program reads them: one Prediction for each recording, refusals and abstentions included.

Imports ensemble's Answers and store's Embedded; imported by estimator, evaluation, plot, report and cli.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from enecg.ensemble import Answers
from enecg.errors import WriteError
from enecg.files import write_whole
from enecg.recording import legible
from enecg.tasks import Task

if TYPE_CHECKING:
    import polars

Value = float | str | tuple[str, ...] | None

Cells = dict[str, tuple[type, Any]]

COLUMNS = ("id", "path", "refused", "quality", "doubts", "experts", "notes")
"""Of every table, before the tasks' own."""

ENDINGS = (".csv", ".parquet", ".jsonl", ".json")
"""Of files that hold answers: tables, and records."""


@dataclass(frozen=True, kw_only=True)
class TaskPrediction:
    """The answer to one task for one recording.

    value : a number (regression), a class (binary, multiclass), the classes found (multilabel); None if abstained.
    probabilities : of each class, and of each merged group of the task; empty for a regression.
    low, high : the interval that covers the truth with probability `coverage` (regression); None: no bound is known.
    members : classes that cannot be ruled out (binary, multiclass), or are found (multilabel), at that coverage.
    undecided : labels that are neither found nor ruled out (multilabel).
    weights : of each expert in this answer;  by_expert : each expert's own value or probabilities.
    calibrated : False where this choice of experts was not calibrated: `coverage` is then not promised.
    simulated : whether only simulated recordings taught it.
    abstained : why no answer is given.
    """

    task: Task
    value: Value
    probabilities: Mapping[str, float] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    members: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    coverage: float = 0.9
    weights: Mapping[str, float] = field(default_factory=dict)
    by_expert: Mapping[str, float | Mapping[str, float]] = field(default_factory=dict)
    calibrated: bool = True
    simulated: bool = False
    abstained: str | None = None

    def record(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        made: dict[str, Any] = {"value": list(self.value) if isinstance(self.value, tuple) else self.value}
        if self.task.kind == "regression":
            made |= {"unit": self.task.unit, "low": self.low, "high": self.high}
        else:
            made |= {"probabilities": dict(self.probabilities), "set": list(self.members)}
            if self.task.kind == "multilabel":
                made["undecided"] = list(self.undecided)
        by_expert = {name: dict(own) if isinstance(own, Mapping) else own for name, own in self.by_expert.items()}
        made |= {"coverage": self.coverage, "calibrated": self.calibrated, "simulated": self.simulated}
        return made | {"weights": dict(self.weights), "by_expert": by_expert, "abstained": self.abstained}


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """All answers for one recording; `refused` says why there are none.

    quality : grade from 0 to 1;  experts : that ran;  notes : why an expert was left out, and what has to be known of
    one that ran (random weights, terms of use).
    doubts : what may be wrong with the recording (gain, rate, electrodes), a sentence each; they change no answer.
    """

    id: str
    path: Path | None = None
    refused: str | None = None
    quality: float | None = None
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    experts: tuple[str, ...] = ()
    answers: Mapping[str, TaskPrediction] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "id": legible(self.id),
            "path": None if self.path is None else legible(str(self.path)),
            "refused": None if self.refused is None else legible(self.refused),
            "quality": self.quality,
            "doubts": [legible(doubt) for doubt in self.doubts],
            "notes": [legible(note) for note in self.notes],
            "experts": list(self.experts),
            "answers": {name: answer.record() for name, answer in self.answers.items()},
        }

    def row(self) -> dict[str, Any]:
        """One row of a table: a few columns for each task."""
        return {name: value for name, (_, value) in self.cells().items()}

    def cells(self) -> Cells:
        """The same with the type of each column, which a row without a value has too."""
        plain = self.record()
        made: Cells = {
            "id": (str, plain["id"]),
            "path": (str, plain["path"]),
            "refused": (str, plain["refused"]),
            "quality": (float, self.quality),
            "doubts": (str, "; ".join(plain["doubts"])),
            "experts": (str, " ".join(self.experts)),
            "notes": (str, "; ".join(plain["notes"])),
        }
        for name, answer in self.answers.items():
            made |= _cells(name, answer)
        return made


def _cells(name: str, answer: TaskPrediction) -> Cells:
    value = ";".join(answer.value) or "-" if isinstance(answer.value, tuple) else answer.value
    made: Cells = {name: (float if answer.task.kind == "regression" else str, value)}
    if answer.task.kind == "regression":
        made |= {f"{name}_low": (float, answer.low), f"{name}_high": (float, answer.high)}
    else:
        made |= {f"{name}_p_{label}": (float, p) for label, p in answer.probabilities.items()}
        made[f"{name}_set"] = (str, ";".join(answer.members))
        if answer.task.kind == "multilabel":
            made[f"{name}_undecided"] = (str, ";".join(answer.undecided))
    made |= {f"{name}_weight_{expert}": (float, weight) for expert, weight in answer.weights.items()}
    made |= {f"{name}_calibrated": (bool, answer.calibrated), f"{name}_simulated": (bool, answer.simulated)}
    return made | {f"{name}_abstained": (str, answer.abstained)}


_NOTHING = Prediction(id="")
"""Whose columns every table has."""


class Predictions(Sequence[Prediction]):
    """Predictions in the order of the recordings."""

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self._predictions = tuple(predictions)

    def __len__(self) -> int:
        return len(self._predictions)

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> "Predictions": ...
    def __getitem__(self, index: int | slice) -> "Prediction | Predictions":
        if isinstance(index, slice):
            return Predictions(self._predictions[index])
        return self._predictions[index]

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self._predictions)

    @property
    def refused(self) -> tuple[Prediction, ...]:
        """Those without any answer."""
        return tuple(prediction for prediction in self if prediction.refused is not None)

    def records(self) -> list[dict[str, Any]]:
        """Everything, as plain values for JSON."""
        return [prediction.record() for prediction in self]

    def table(self) -> "polars.DataFrame":
        """One row for each recording; a task's columns start with its name."""
        import polars

        rows = [prediction.cells() for prediction in (*self, _NOTHING)]
        types = {name: kind for row in rows[::-1] for name, (kind, _) in row.items()}
        columns = {name: [row[name][1] if name in row else None for row in rows[:-1]] for name in types}
        return polars.DataFrame(columns, schema=types)

    def write(self, path: str | Path) -> None:
        """Write a table (.csv, .parquet) or the whole (.jsonl, .json), by the name's ending.

        Raises WriteError for another ending, or if the file cannot be written; then what was there before stays.
        """
        write_answers(Path(path), self.table, self.records)


def write_answers(
    path: Path, table: "Callable[[], polars.DataFrame]", records: Callable[[], Sequence[Mapping[str, Any]]]
) -> None:
    """Write answers as a table or as records, by the name's ending (ENDINGS).

    Raises WriteError for another ending, or if the file cannot be written; then what was there before stays.
    """
    check_ending(path)
    writers: dict[str, Callable[[], str | bytes]] = {
        ".csv": lambda: table().write_csv(),
        ".parquet": lambda: _parquet(table()),
        ".jsonl": lambda: "".join(json.dumps(record) + "\n" for record in records()),
        ".json": lambda: json.dumps(records(), indent=1) + "\n",
    }
    made = writers[path.suffix.lower()]()
    try:
        write_whole(path, made if isinstance(made, bytes) else made.encode())
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error}); choose a folder that has room") from error


def check_ending(path: Path) -> None:
    """Raises WriteError for a name whose ending is not that of a form in which answers are written."""
    if path.suffix.lower() not in ENDINGS:
        raise WriteError(f"{path}: predictions are written as {', '.join(ENDINGS)}; choose one of these endings")


def _parquet(table: "polars.DataFrame") -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def task_prediction(
    answers: Answers, row: int, experts: Sequence[str], *, simulated: bool, abstained: str | None
) -> TaskPrediction:
    """One row of `answers` in words. experts : names along the experts' axis."""
    task, coverage = answers.task, answers.coverage
    weights = {name: float(w) for name, w in zip(experts, answers.weights[row], strict=True) if w > 0}
    if abstained is not None:
        return TaskPrediction(task=task, value=None, coverage=coverage, simulated=simulated, abstained=abstained)
    shown: dict[str, Any] = {
        "task": task,
        "coverage": coverage,
        "weights": weights,
        "by_expert": {
            name: float(own[0]) if task.kind == "regression" else probabilities(task, own)
            for name, own in zip(experts, answers.experts[row], strict=True)
            if name in weights and np.isfinite(own).all()
        },
        "calibrated": bool(answers.calibrated[row]),
        "simulated": simulated,
    }
    if task.kind == "regression":
        if answers.low is not None and answers.high is not None:
            ends = {"low": float(answers.low[row]), "high": float(answers.high[row])}
            shown |= {name: end for name, end in ends.items() if np.isfinite(end)}
        return TaskPrediction(value=float(answers.value[row, 0]), **shown)
    chances = probabilities(task, answers.value[row])
    yes, undecided = _members(task, answers, row)
    if task.kind == "multilabel":
        value: Value = tuple(name for name in task.classes if chances[name] >= 0.5)
        return TaskPrediction(value=value, probabilities=chances, members=yes, undecided=undecided, **shown)
    value = max(task.classes, key=lambda name: chances[name])
    return TaskPrediction(value=value, probabilities=chances, members=yes, **shown)


def probabilities(task: Task, outputs: "np.typing.NDArray[np.float32]") -> dict[str, float]:
    """A row of outputs by class name, with the merged groups of the task. outputs : [output]."""
    if task.kind == "binary":
        second = float(outputs[0])
        return {task.classes[0]: 1.0 - second, task.classes[1]: second}
    made = {name: float(p) for name, p in zip(task.classes, outputs, strict=True)}
    return made | {group: sum(made[name] for name in names) for group, names in task.merged.items()}


def _members(task: Task, answers: Answers, row: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes in the set (or found), and those undecided."""
    if answers.members is None:
        return (), ()
    marks = answers.members[row]
    if task.kind == "binary":
        second, first = task.classes[1], task.classes[0]
        return {1: (second,), 0: (first,)}.get(int(marks[0]), task.classes), ()
    chosen = tuple(name for name, mark in zip(task.classes, marks, strict=True) if mark == 1)
    return chosen, tuple(name for name, mark in zip(task.classes, marks, strict=True) if mark == -1)
