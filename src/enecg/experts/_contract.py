"""What every expert is: frozen, deterministic, never fitted on a user's data.

    recordings -- prepare --> Inputs -- embed --> float32 [recording, dim]

A recording's embedding depends on that recording alone. Write `card`, `prepare` and `embed_windows`; the rest is here.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from enecg.errors import ExpertError
from enecg.experts._card import Card
from enecg.recording import Recording
from enecg.signal.leads import derivable

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Inputs:
    """What an expert reads: windows of one or more recordings.

    windows : float32 [window, ...], in the expert's own scale.
    owner : int [window], the recording (row of the embedding) that each window belongs to, in rising order.
    n_recordings : how many recordings.
    """

    windows: Array
    owner: npt.NDArray[np.intp]
    n_recordings: int


class Expert(ABC):
    """A frozen model that turns a recording into an embedding."""

    card: Card
    backend: str = "numpy"
    """What computes it ("numpy", "torch fp32", ...): part of the fingerprint, since bits differ between them."""

    def refusal(self, recording: Recording) -> str | None:
        """Why this expert cannot take the recording, or None if it can.

        Limb leads that follow from others count as there. Where leads are missing, the experts that would do are named.
        """
        card = self.card
        missing = [name for name in card.leads if name not in (*recording.leads, *derivable(recording.leads))]
        if missing and (not card.any_leads or len(missing) == len(card.leads)):
            found = ", ".join(recording.leads)
            needed = "one of " if card.any_leads else ""
            return f"{card.name} needs {needed}lead {', '.join(missing)} (found {found}){_others(recording.leads)}"
        if recording.seconds < card.min_seconds:
            return f"{card.name} needs {card.min_seconds:g} s at least (found {recording.seconds:g} s)"
        return None

    @abstractmethod
    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """The exact preprocessing, vectorised over recordings. Only recordings without a `refusal` may be given."""

    @abstractmethod
    def embed_windows(self, windows: Array) -> Array:
        """Embeddings [window, dim] of exactly `card.batch` windows; must treat each window by itself."""

    def embed(self, inputs: Inputs) -> Array:
        """Embeddings, float32 [recording, dim], always finite: the mean over each recording's windows.

        Raises ExpertError if a value is not finite: the expert, not the recording, is then at fault.
        """
        return self.pool(self.window_embeddings(inputs), inputs)

    def window_embeddings(self, inputs: Inputs) -> Array:
        """Embeddings of the windows, float32 [window, dim], computed in whole batches."""
        return in_batches(self.embed_windows, inputs.windows, self.card.batch, self.card.dim)

    def pool(self, found: Array, inputs: Inputs) -> Array:
        """What was found of the windows, [window, ...], as the mean over each recording's. Raises ExpertError."""
        total = np.zeros((inputs.n_recordings, found.shape[1]), dtype=np.float64)
        np.add.at(total, inputs.owner, found.astype(np.float64))
        counts = np.bincount(inputs.owner, minlength=inputs.n_recordings)
        pooled = (total / np.maximum(counts, 1)[:, None]).astype(np.float32)
        if not np.isfinite(pooled).all():
            raise ExpertError(
                f"{self.card.name} gave values that are not finite; please report this with the recording"
            )
        return pooled

    def release(self) -> None:  # noqa: B027  not abstract: most experts have nothing to let go of
        """Let go of what embedding loaded, such as a network; embedding again loads it again. By default nothing.

        Called when an expert's turn is over, so that large experts are in memory one at a time.
        """

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits of what decides the embedding's bits: name, weights, preprocessing version, backend."""
        card = self.card
        text = f"{card.name} {self.weights_digest} {card.prepare_version} {self.backend} {card.dim} {card.batch}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def weights_digest(self) -> str:
        """SHA-256 of the weights in use; by default the card's."""
        return self.card.weights_sha256


def in_batches(compute: Callable[[Array], Array], windows: Array, batch: int, width: int) -> Array:
    """What is computed of windows, [window, width], in batches that are filled up with the last window."""
    parts = [np.empty((0, width), dtype=np.float32)]
    for start in range(0, len(windows), batch):
        chunk = windows[start : start + batch]
        short = batch - len(chunk)
        if short:
            chunk = np.concatenate([chunk, np.repeat(chunk[-1:], short, axis=0)])
        parts.append(compute(np.ascontiguousarray(chunk))[: batch - short])
    return np.concatenate(parts)


def _others(leads: tuple[str, ...]) -> str:
    """Which experts would do with these leads."""
    from enecg.experts._registry import experts_for

    here, to_pull = experts_for(leads)
    said = f"; with these leads: {', '.join(here) or 'none that is here'}"
    return f"{said}; after `enecg experts pull NAME` also {', '.join(to_pull)}" if to_pull else said
