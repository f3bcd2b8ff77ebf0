"""The recordings of a training: windows on disk, labels beside them, and who validates."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from enecg.ensemble import TargetSpace, hold_out, subject_codes
from enecg.ensemble._splits import check_whole
from enecg.errors import FitError
from enecg.experts import Expert
from enecg.inputs import Item, Targets, as_mask, encode_targets, labelled_rows
from enecg.prepared import Prepared
from enecg.pretraining._batch import Batch
from enecg.tasks import Task

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Corpus:
    """Windows [window, lead, sample] and what is known of them.

    owner : the place, among the recordings that could be used, that each window belongs to;
    people : of each such recording, a number for its subject;  subjects : its name, None where unknown;
    targets : by task, what losses compare with, [place, output], NaN where not known;  spaces : of the training part;
    train, validation : windows, of different subjects;
    taught : by task, what a teacher answers, as `targets`; NaN where it gives no answer.
    """

    prepared: Prepared
    owner: Rows
    people: Rows
    subjects: Sequence[str | None]
    targets: Mapping[str, npt.NDArray[np.float32]]
    spaces: Mapping[str, TargetSpace]
    train: Rows
    validation: Rows
    taught: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        expert: Expert,
        items: Sequence[Item],
        folder: str,
        *,
        targets: Targets | None = None,
        tasks: Sequence[Task] = (),
        taught: Mapping[str, npt.NDArray[np.float32]] | None = None,
        subjects: Sequence[str | None] | None = None,
        validation: Mask | float = 0.1,
        seed: int = 0,
        done: Callable[[], None] = lambda: None,
    ) -> "Corpus":
        """Read all recordings; their windows go into a file in `folder`.

        subjects : of each recording (default: as it says);  validation : which recordings, or a share of the subjects;
        taught : by task, a teacher's values or probabilities, [recording, output]; tasks not asked for are left out.
        Raises FitError where nothing can be read, too few subjects are there, or one is on both sides.
        """
        columns = {task.name: encode_targets(task, targets, len(items)) for task in tasks}
        prepared = Prepared.of(expert, items, np.arange(len(items)), folder, done)
        rows, owner = prepared.rows, prepared.owner
        known = [prepared.subjects[row] if subjects is None else subjects[row] for row in rows.tolist()]
        people = subject_codes(known)
        own = {name: column[rows] for name, column in columns.items()}
        labelled = [labelled_rows(column) for column in own.values()] or [np.ones(len(rows), dtype=bool)]
        if isinstance(validation, float):
            held = hold_out(people, np.stack(labelled, axis=1), validation, seed)
        else:
            held = as_mask(validation, len(items))[rows]
        check_whole(people, held, ~held, known)
        if held.all() or not held.any():
            raise FitError(f"{held.sum()} of {len(held)} recordings validate; expected some, and others to learn from")
        spaces = {task.name: TargetSpace.of(task, own[task.name][~held]) for task in tasks}
        return cls(
            prepared=prepared,
            owner=owner,
            people=people,
            subjects=known,
            targets={name: space.targets(own[name]) for name, space in spaces.items()},
            spaces=spaces,
            train=np.flatnonzero(~held[owner]),
            validation=np.flatnonzero(held[owner]),
            taught={
                name: _as_targets(spaces[name], column, len(items))[rows]
                for name, column in (taught or {}).items()
                if name in spaces
            },
        )

    @cached_property
    def digest(self) -> str:
        """Of all that can be learned: windows, people, labels, and who validates."""
        found = hashlib.sha256()
        for part in (self.prepared.data, self.owner, self.people, self.train, self.validation):
            found.update(np.ascontiguousarray(part).data)
        for name, column in (*sorted(self.targets.items()), *sorted(self.taught.items())):
            found.update(name.encode())
            found.update(np.ascontiguousarray(column).data)
        return found.hexdigest()

    @property
    def n_leads(self) -> int:
        """Of each window."""
        return int(self.prepared.data.shape[1])

    @property
    def n_samples(self) -> int:
        """Of each window."""
        return int(self.prepared.data.shape[2])

    @property
    def shares(self) -> Mapping[str, float]:
        """Of the training windows that have a label, by task."""
        places = self.owner[self.train]
        return {name: float(labelled_rows(column[places]).mean()) for name, column in self.targets.items()}

    def batch(self, windows: Rows, generator: torch.Generator, device: str = "cpu") -> Batch:
        """These windows, as they are."""
        places = self.owner[windows]
        return Batch(
            x=torch.from_numpy(np.array(self.prepared.data[windows])).to(device),
            windows=torch.from_numpy(windows).to(device),
            subjects=torch.from_numpy(self.people[places]).to(device),
            targets={name: torch.from_numpy(column[places]).to(device) for name, column in self.targets.items()},
            taught={name: torch.from_numpy(column[places]).to(device) for name, column in self.taught.items()},
            generator=generator,
        )


def _as_targets(space: TargetSpace, answers: npt.NDArray[np.float32], n: int) -> npt.NDArray[np.float32]:
    """A teacher's answers as losses compare them. Raises FitError unless there is a row for each recording."""
    expected = (n, len(space.base))
    if answers.shape != expected:
        raise FitError(f"a teacher's answers to {space.task.name} are {answers.shape}; expected {expected}")
    return space.targets(answers.astype(np.float32))
