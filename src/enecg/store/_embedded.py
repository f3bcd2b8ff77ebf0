"""What embedding gives: all that fitting and answering need to know of some recordings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Refusal:
    """Why an expert (or, with `expert` None, every expert) has no embedding of recording `row`."""

    row: int
    id: str
    expert: str | None
    reason: str


@dataclass(frozen=True)
class Embedded:
    """Embeddings of recordings, in the order in which they were given.

    ids, subjects : of each recording; a subject is None where unknown.
    embeddings : by expert, float32 [recording, dim]; rows of NaN where it did not run.
    present : by expert, bool [recording].
    refusals : in the order of the rows.
    doubts : of each recording, sentences on what may be wrong with it (signal/doubts.py); None where nobody looked.
    seconds : spent computing, by expert; what came from the store cost nothing.
    """

    ids: Sequence[str]
    subjects: Sequence[str | None]
    embeddings: Mapping[str, Array]
    present: Mapping[str, npt.NDArray[np.bool_]]
    refusals: Sequence[Refusal] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    doubts: Sequence[tuple[str, ...] | None] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.ArrayLike) -> "Embedded":
        """The same for some rows (indices or a mask), in that order."""
        chosen = np.asarray(rows)
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen.astype(np.intp)
        place: dict[int, list[int]] = {}
        for new, old in enumerate(index):
            place.setdefault(int(old), []).append(new)
        moved = [
            Refusal(new, refusal.id, refusal.expert, refusal.reason)
            for refusal in self.refusals
            for new in place.get(refusal.row, ())
        ]
        return Embedded(
            ids=[self.ids[row] for row in index],
            subjects=[self.subjects[row] for row in index],
            embeddings={name: rows[index] for name, rows in self.embeddings.items()},
            present={name: there[index] for name, there in self.present.items()},
            refusals=sorted(moved, key=lambda refusal: refusal.row),
            seconds=dict(self.seconds),
            doubts=[self.doubts[row] for row in index] if self.doubts else (),
        )
