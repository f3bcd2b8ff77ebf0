"""Answers that published models were made with: ECGFounder's 150 labels, ECG-FM's 17 and 26, by name.

They come as published, next to the expert's embedding: independent probabilities that nothing here has calibrated. The
questions that an ensemble answers, with honest uncertainty, are another matter (estimator.py).

Imports inputs, predictions and store; imported by report and cli.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from enecg.errors import ExpertError, WriteError
from enecg.experts import Expert, Inputs, Published, get_expert, names_with_answers
from enecg.experts._context import QualityGrade
from enecg.files import write_whole
from enecg.inputs import Item, path_of
from enecg.predictions import write_answers
from enecg.recording import Recording, legible
from enecg.store import Store, as_items, embed

if TYPE_CHECKING:
    import polars

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class NativeAnswers:
    """What an expert says by itself about some recordings.

    expert, labels, source : its name, what its answers are called, and where these names are from.
    notes : what has to be known of it (random weights, terms of use).
    ids, paths : of the recordings;  refused : why there is nothing for one, or None.
    quality : float32 [recording], grade from 0 to 1;  abstained : why no answer is given, or None.
    doubts : of each recording, what may be wrong with it (gain, rate, electrodes), a sentence each.
    probabilities : float32 [recording, label], NaN where refused or abstained.
    embeddings : float32 [recording, dim], NaN where refused.
    """

    expert: str
    labels: tuple[str, ...]
    source: str
    notes: tuple[str, ...]
    ids: tuple[str, ...]
    paths: tuple[Path | None, ...]
    refused: tuple[str | None, ...]
    quality: Array
    doubts: tuple[tuple[str, ...], ...]
    abstained: tuple[str | None, ...]
    probabilities: Array
    embeddings: Array

    def __len__(self) -> int:
        return len(self.ids)

    def likeliest(self, row: int) -> list[tuple[str, float]]:
        """All labels of a recording with their probabilities, the likeliest first; none where there is no answer."""
        own = self.probabilities[row]
        order = [] if np.isnan(own).any() else np.argsort(-own, kind="stable").tolist()
        return [(self.labels[place], float(own[place])) for place in order]

    def record(self, row: int) -> dict[str, Any]:
        """Everything about one recording, as plain values for JSON."""
        answered, embedded = not np.isnan(self.probabilities[row]).any(), self.refused[row] is None
        return self._facts(row) | {
            "doubts": [legible(doubt) for doubt in self.doubts[row]],
            "notes": list(self.notes),
            "answers": dict(zip(self.labels, self.probabilities[row].tolist(), strict=True)) if answered else {},
            "embedding": self.embeddings[row].tolist() if embedded else None,
        }

    def records(self) -> list[dict[str, Any]]:
        """Everything, as plain values for JSON."""
        return [self.record(row) for row in range(len(self))]

    def table(self, *, embedding: bool = True) -> "polars.DataFrame":
        """One row for each recording, a column for each label, and one that holds the embedding."""
        import polars

        text, number = polars.String, polars.Float32
        facts = {"id": text, "path": text, "refused": text, "quality": number, "doubts": text}
        facts |= {"abstained": text, "expert": text}
        made = polars.DataFrame([self._facts(row) for row in range(len(self))], schema=facts, orient="row")
        made = made.with_columns(polars.lit("; ".join(self.notes)).alias("notes"))
        made = made.hstack(polars.DataFrame(self.probabilities, schema=dict.fromkeys(self.labels, number)))
        made = made.with_columns(polars.col(self.labels).fill_nan(None))
        if not embedding:
            return made
        vectors = polars.Series("embedding", self.embeddings, polars.Array(number, self.embeddings.shape[1]))
        return made.with_columns(polars.when(polars.col("refused").is_null()).then(vectors).alias("embedding"))

    def write(self, path: str | Path) -> None:
        """Write a table (.csv, .parquet) or the whole (.jsonl, .json), by the name's ending; .csv has no embeddings.

        Raises WriteError for another ending, or if the file cannot be written; then what was there before stays.
        """
        write_answers(Path(path), partial(self.table, embedding=Path(path).suffix.lower() != ".csv"), self.records)

    def write_embeddings(self, path: str | Path) -> None:
        """Write the embeddings as an array of numpy [recording, dim] (.npy). Raises WriteError."""
        path = Path(path)
        check_array(path)
        buffer = io.BytesIO()
        np.save(buffer, self.embeddings)
        try:
            write_whole(path, buffer.getvalue())
        except OSError as error:
            raise WriteError(f"{path}: cannot be written ({error}); choose a folder that has room") from error

    def _facts(self, row: int) -> dict[str, Any]:
        path, refused, quality = self.paths[row], self.refused[row], float(self.quality[row])
        return {
            "id": legible(self.ids[row]),
            "path": None if path is None else legible(str(path)),
            "refused": None if refused is None else legible(refused),
            "quality": None if np.isnan(quality) else quality,
            "doubts": "; ".join(map(legible, self.doubts[row])),
            "abstained": self.abstained[row],
            "expert": self.expert,
        }


def answer(
    recordings: Iterable[Item],
    expert: str | Published,
    *,
    store: Store | str | Path | None = None,
    abstain: bool = True,
    min_quality: float = 0.3,
    progress: bool = False,
) -> NativeAnswers:
    """What a published expert says by itself about each recording.

    recordings : Recordings, paths or a cohort.
    expert : a name such as "ecgfounder" or "ecg-fm-mimic", or the Expert.
    store : keeps what was computed, for the next time.
    abstain : whether a recording whose quality grade (0 to 1) is below `min_quality` gets no answers.
    What cannot be read or taken is refused with its reason, the others get their answers. Raises ExpertError if the
    expert has no answers of its own, WeightsError if its weights are not here.
    """
    own = _Answering(get_expert(expert) if isinstance(expert, str) else expert)
    items = as_items(recordings)
    kept = Store(store) if isinstance(store, (str, Path)) else store
    found = embed(items, [own, QualityGrade()], kept, progress=progress, doubting=True)
    name, dim = own.card.name, own.expert.card.dim
    rows, grades = found.embeddings[name], found.embeddings[QualityGrade.card.name]
    complaints = [QualityGrade.complaint(numbers, min_quality) if abstain else None for numbers in grades]
    reasons: list[str | None] = [None] * len(items)
    for refusal in found.refusals:
        if refusal.expert in (None, name):
            reasons[refusal.row] = refusal.reason
    abstained = tuple(None if reason else said for reason, said in zip(reasons, complaints, strict=True))
    silent = np.array([said is not None for said in abstained], dtype=bool)
    return NativeAnswers(
        expert=name,
        labels=own.labels.names,
        source=own.labels.source,
        notes=tuple(f"{name}: {said}" for said in own.card.caveats),
        ids=tuple(found.ids),
        paths=tuple(path_of(item) for item in items),
        refused=tuple(reasons),
        quality=grades[:, 0],
        doubts=tuple(said or () for said in found.doubts),
        abstained=abstained,
        probabilities=np.where(silent[:, None], np.float32(np.nan), rows[:, dim:]),
        embeddings=rows[:, :dim],
    )


def check_array(path: Path) -> None:
    """Raises WriteError if the name is not that of an array of numpy."""
    if path.suffix.lower() != ".npy":
        raise WriteError(f"{path}: embeddings are written as .npy; choose this ending")


class _Answering(Expert):
    """An expert whose embedding ends with its answers, so that all that is promised of embeddings holds for both."""

    def __init__(self, expert: Expert) -> None:
        name = expert.card.name
        if not isinstance(expert, Published) or expert.labels is None:
            raise ExpertError(
                f"{name} has no answers of its own; {', '.join(names_with_answers())} have. `enecg fit --experts "
                f"{name}` makes an ensemble that answers by it"
            )
        base, _, adapter = name.partition("+")
        if adapter:
            raise ExpertError(f"{name}: adapted weights have no answers of their own; the published ones have: {base}")
        self.expert, self.labels = expert, expert.labels
        self.card = replace(expert.card, dim=expert.card.dim + len(self.labels.names))
        self.backend = expert.backend

    @property
    def weights_digest(self) -> str:
        return self.expert.weights_digest

    def refusal(self, recording: Recording) -> str | None:
        return self.expert.refusal(recording)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        return self.expert.prepare(recordings)

    def embed_windows(self, windows: Array) -> Array:
        found = self.expert.embed_windows(windows)
        return np.concatenate([found, self.expert.answer_windows(found)], axis=1)

    def pool(self, found: Array, inputs: Inputs) -> Array:
        dim = self.expert.card.dim
        pooled = self.expert.pool(found[:, :dim], inputs), self.expert.pool_answers(found[:, dim:], inputs)
        return np.concatenate(pooled, axis=1)

    def release(self) -> None:
        self.expert.release()
