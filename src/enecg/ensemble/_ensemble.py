"""The ensemble: heads, gate and calibration of a fit. Embeddings in, answers out; no files, formats or cohorts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.ensemble._answers import Answers
from enecg.ensemble._calibration import Calibration, interval, members
from enecg.ensemble._gate import Gate, choose, softmax
from enecg.ensemble._heads import ExpertHead
from enecg.ensemble._mixing import mix
from enecg.ensemble._targets import TargetSpace
from enecg.store import Embedded
from enecg.tasks import Task

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ensemble:
    """A trained ensemble.

    spaces, heads : by task's and expert's name;  gate_name : of the gate's input among the embeddings.
    calibrations : by task, by number of experts that answer;  beside : by task, those whose mean weight chose them.
    notes : what the fit decided, by task (weights, shares, epochs), for people to read.
    """

    spaces: Mapping[str, TargetSpace]
    heads: Mapping[str, ExpertHead]
    gate: Gate
    gate_name: str
    calibrations: Mapping[str, Mapping[int, Calibration]]
    beside: Mapping[str, Sequence[str]]
    notes: Mapping[str, Any]

    @property
    def experts(self) -> tuple[str, ...]:
        """Names, in the order of every experts' axis."""
        return tuple(self.heads)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks it answers."""
        return tuple(space.task for space in self.spaces.values())

    @property
    def n_parameters(self) -> int:
        """How many numbers were trained or fitted: heads, gate, linear paths; not a frozen base."""
        trained = self.notes.get("trained_parameters")
        return sum(part.size for part in self.to_state()[1].values()) if trained is None else sum(trained.values())

    def head_parameters(self) -> dict[str, int]:
        """The same for the head of each expert."""
        return {name: sum(part.size for part in head.to_state("")[1].values()) for name, head in self.heads.items()}

    def choose(self, context: Embedded, tasks: Sequence[str], top_k: int, able: Mask | None = None) -> Mask:
        """Which experts each recording needs for these tasks: bool [recording, expert].

        context : holds the gate's input;  able : bool [recording, expert], which can take it (default: all).
        """
        there = np.tile(context.present[self.gate_name][:, None], (1, len(self.heads)))
        there = there if able is None else there & able
        return choose(self.gate.logits(_gate_input(context, self.gate_name), tasks), there, top_k)

    def predict(
        self,
        embedded: Embedded,
        tasks: Sequence[str] | None = None,
        *,
        top_k: int | None = None,
        coverage: float = 0.9,
    ) -> dict[str, Answers]:
        """Answers by task. Experts that did not run count as absent; with `top_k` only that many answer."""
        names = list(self.spaces) if tasks is None else list(tasks)
        present = self.present(embedded)
        x = _gate_input(embedded, self.gate_name)
        logits = self.gate.logits(x, names)
        chosen = choose(logits, present, top_k)
        k = len(self.heads) if top_k is None else min(top_k, len(self.heads))
        every = self.gate.logits(x, list(self.spaces))
        everyone = np.ones_like(present)
        expected = {name: choose({other: every[other] for other in self.beside[name]}, everyone, k) for name in names}
        outputs = self.outputs(embedded, names, chosen)
        return {
            name: self._answers(name, outputs[name], softmax(logits[name], chosen), chosen, expected[name], coverage)
            for name in names
        }

    def present(self, embedded: Embedded) -> Mask:
        """Which experts ran: bool [recording, expert]."""
        return np.column_stack([embedded.present[name] for name in self.heads])

    def outputs(self, embedded: Embedded, tasks: Sequence[str], wanted: Mask) -> dict[str, Array]:
        """Experts' answers as losses see them, by task: [recording, expert, output], NaN where not wanted."""
        shape = (len(embedded), len(self.heads))
        made = {name: np.full((*shape, len(self.spaces[name].base)), np.nan, np.float32) for name in tasks}
        for column, (expert, head) in enumerate(self.heads.items()):
            rows = np.flatnonzero(wanted[:, column])
            if len(rows):
                for name, part in head.outputs(embedded.embeddings[expert][rows], tasks).items():
                    made[name][rows, column] = part
        return made

    def _answers(
        self, name: str, outputs: Array, weights: Array, chosen: Mask, expected: Mask, coverage: float
    ) -> Answers:
        space, found = self.spaces[name], self.calibrations[name]
        mixed, disagreement = mix(outputs, weights), disagreement_of(outputs, weights)
        counts = chosen.sum(axis=1)
        answered = counts > 0
        shape = (len(mixed), space.task.n_outputs)
        value, own = np.full(shape, np.nan, np.float32), np.full(outputs.shape, np.nan, np.float32)
        ends = np.full((2, len(mixed)), np.nan, np.float32)
        marks = np.zeros((len(mixed), len(space.task.classes) if space.task.n_outputs > 1 else 1), np.int8)
        for count in np.unique(counts[answered]):
            rows = counts == count
            own_found = found[int(count)]
            heat = np.float32(own_found.temperature)
            answer = mixed[rows] / heat
            value[rows], own[rows] = space.values(answer), space.values(outputs[rows] / heat)
            if space.task.kind == "regression":
                ends[:, rows] = interval(space, own_found, answer, disagreement[rows], coverage)
            else:
                marks[rows] = members(space, own_found, value[rows], coverage)
        regression = space.task.kind == "regression"
        return Answers(
            task=space.task,
            value=value,
            experts=own,
            weights=weights,
            coverage=coverage,
            calibrated=answered & (chosen == expected).all(axis=1),
            low=ends[0] if regression else None,
            high=ends[1] if regression else None,
            members=None if regression else marks,
        )

    def to_state(self, *, halves: bool = False) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values and arrays, for a bundle; `halves` keeps the heads' weights in 16 bits."""
        gate, arrays = self.gate.to_state()
        heads = {}
        for name, head in self.heads.items():
            heads[name], own = head.to_state(f"heads.{name}")
            arrays |= {key: _half(key, part) for key, part in own.items()} if halves else own
        state = {
            "tasks": [_task_state(task) for task in self.tasks],
            "spaces": {name: space.to_state() for name, space in self.spaces.items()},
            "heads": heads,
            "gate": gate,
            "gate_name": self.gate_name,
            "calibrations": {
                name: {str(k): found.to_state() for k, found in by_k.items()}
                for name, by_k in self.calibrations.items()
            },
            "beside": {name: list(others) for name, others in self.beside.items()},
            "notes": dict(self.notes),
        }
        return state, arrays

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> "Ensemble":
        """The inverse of `to_state`."""
        whole = {name: np.asarray(part, dtype=np.float32) for name, part in arrays.items()}
        tasks = {one["name"]: _task_from(one) for one in state["tasks"]}
        return cls(
            spaces={name: TargetSpace.from_state(task, state["spaces"][name]) for name, task in tasks.items()},
            heads={name: ExpertHead.from_state(one, whole, f"heads.{name}") for name, one in state["heads"].items()},
            gate=Gate.from_state(state["gate"], whole),
            gate_name=state["gate_name"],
            calibrations={
                name: {int(k): Calibration.from_state(one) for k, one in by_k.items()}
                for name, by_k in state["calibrations"].items()
            },
            beside=state.get("beside", dict.fromkeys(tasks, tuple(tasks))),
            notes=state["notes"],
        )


def disagreement_of(outputs: Array, weights: Array) -> Array:
    """Weighted standard deviation between the experts' answers, mean over outputs: [recording]."""
    there = weights[:, :, None] > 0
    filled = np.where(there, outputs, np.float32(0))
    mean = np.einsum("neo,ne->no", filled, weights)
    square = np.where(there, (filled - mean[:, None]) ** 2, np.float32(0))
    return np.asarray(np.sqrt(np.einsum("neo,ne->no", square, weights)).mean(axis=1), dtype=np.float32)


def _gate_input(embedded: Embedded, name: str) -> Array:
    return np.nan_to_num(embedded.embeddings[name])


def _half(key: str, part: Array) -> npt.NDArray[Any]:
    """Weights in 16 bits; scalers and intercepts, which are few and in large units, stay."""
    small = part.ndim == 2 and np.abs(part).max(initial=0) < 6e4
    return part.astype(np.float16) if small else part


def _task_state(task: Task) -> dict[str, Any]:
    plain = {field.name: getattr(task, field.name) for field in fields(task)}
    merged = {group: list(names) for group, names in task.merged.items()}
    return {
        **plain,
        "classes": list(task.classes),
        "cuts": list(task.cuts),
        "codes": dict(task.codes),
        "merged": merged,
    }


def _task_from(state: Mapping[str, Any]) -> Task:
    merged = {group: tuple(names) for group, names in state["merged"].items()}
    return Task(**{**state, "classes": tuple(state["classes"]), "cuts": tuple(state["cuts"]), "merged": merged})
