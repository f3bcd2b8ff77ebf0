"""Prepared windows of many recordings in a file that is mapped into memory: what a network is trained on.

Imports experts and store; imported by adapting and pretraining.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.errors import EnECGError, FitError
from enecg.experts import Expert
from enecg.inputs import Item
from enecg.recording import LazyRecording, Recording

if TYPE_CHECKING:
    import torch

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Prepared:
    """Windows of those recordings that could be read and that the expert takes.

    data : float32 [window, ...];  rows : of the recordings, in rising order;  first : where each one's windows begin,
    and the end;  subjects : by row;  refused : why the others were not.
    """

    data: npt.NDArray[np.float32]
    rows: Rows
    first: Rows
    subjects: Mapping[int, str | None]
    refused: Sequence[str]

    @classmethod
    def of(
        cls,
        expert: Expert,
        items: Sequence[Item],
        wanted: Rows,
        folder: str,
        done: Callable[[], None] = lambda: None,
    ) -> "Prepared":
        """Read the `wanted` items one by one and write their windows into a file in `folder`.

        done : called after each. Raises FitError if the expert can take none of them.
        """
        rows, first, subjects, refused, shape = [], [0], {}, [], None
        with open(f"{folder}/windows", "wb") as file:
            for row in wanted.tolist():
                try:
                    recording = _read(items[row])
                    reason = expert.refusal(recording)
                    part = expert.prepare([recording]).windows if reason is None else np.empty(0, np.float32)
                except (EnECGError, OSError) as error:
                    reason = str(error)
                done()
                if reason is not None:
                    refused.append(reason)
                    continue
                file.write(np.ascontiguousarray(part, dtype=np.float32).data)
                rows.append(row)
                first.append(first[-1] + len(part))
                subjects[row], shape = recording.subject, part.shape[1:]
        if shape is None:
            why = f": {refused[0]}" if refused else ""
            raise FitError(f"{expert.card.name} can take none of the {len(wanted)} recordings{why}")
        data = np.memmap(f"{folder}/windows", np.float32, "r", shape=(first[-1], *shape))
        return cls(data, np.array(rows, np.intp), np.array(first, np.intp), subjects, refused)

    def of_places(self, places: Rows) -> "tuple[torch.Tensor, torch.Tensor]":
        """Windows of these recordings, and the place in `places` that each belongs to."""
        import torch

        spans = [np.arange(self.first[place], self.first[place + 1]) for place in places]
        owner = np.repeat(np.arange(len(places)), [len(span) for span in spans])
        return torch.from_numpy(np.array(self.data[np.concatenate(spans)])), torch.from_numpy(owner)

    @property
    def owner(self) -> Rows:
        """The place in `rows` that each window belongs to, [window]."""
        return np.repeat(np.arange(len(self.rows)), np.diff(self.first))


def _read(item: Item) -> Recording:
    from enecg.formats import RecordingFile

    if isinstance(item, Recording):
        return item
    return (item if isinstance(item, LazyRecording) else RecordingFile(item)).read()
