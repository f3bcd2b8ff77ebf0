"""Experts whose network and weights others have published.

A family's file says the card, the origin of the weights, how a recording is prepared and how the network is built; the
network has the published names, so that the published weights fit it one by one. What is here: the weights are found,
checked and loaded when they are first needed, let go of after, and never replaced by anything but what was asked for.

    network(size)                           # on any device; its state dict has the published names and shapes
    network(windows) -> [window, dim]       # the embedding
    network.answer(embedding) -> logits     # where the model was published with answers of its own (`labels`)
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from enecg.errors import ExpertError, WeightsError
from enecg.experts._adapter import merge_adapter
from enecg.experts._contract import Array, Inputs, in_batches
from enecg.experts._network import RANDOM, RANDOM_CAVEAT, NetworkExpert
from enecg.experts._variant import Note, variant_card
from enecg.weights import Kept, Layout, Origin, find_kept, fit_state, layout_of, load_kept, pull_weights

if TYPE_CHECKING:
    from torch import nn


class Size(Protocol):
    """The settings of a network: one frozen dataclass for each family."""

    @property
    def dim(self) -> int:
        """Length of the embedding."""


@dataclass(frozen=True)
class Labels:
    """A model's own answers, independent of each other.

    file : their names, a line each, in `enecg/data/labels`, in the order of the network's outputs.
    source : where the names are from.
    sporadic : names of what one window may show and the others not: their probability for a recording is the largest of
    its windows'; that of the others is the mean.
    """

    file: str
    source: str
    sporadic: frozenset[str] = frozenset()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """In the order of the network's outputs."""
        text = (files("enecg.data") / "labels" / self.file).read_text(encoding="utf-8")
        return tuple(line for line in text.splitlines() if not line.startswith("#"))


class Published(NetworkExpert):
    """An expert with published weights.

    weights : "pulled" (by `enecg experts pull`), "random" or "tiny";  backend : as every network's (`NetworkExpert`).
    accept_licence : the terms of weights that ask for it; not needed where they were accepted when pulled.
    variant : name under which LoRA inside its attention was trained (`adapting.adapt_expert`); it is merged when
    loaded, and the expert is another one, `<name>+<variant>`, that has seen what trained the adapter.
    """

    origin: ClassVar[Origin]
    size: ClassVar[Size]
    tiny: ClassVar[Size]
    unused: ClassVar[tuple[str, ...]] = ()
    """Patterns of published tensors that the embedding does not need; they are not kept."""
    labels: ClassVar[Labels | None] = None
    attention: ClassVar[str] = ""
    """Which linear layers are the attention's, a regular expression of their whole names; empty: none to adapt."""

    def __init__(
        self,
        weights: str = "pulled",
        backend: str = "torch fp32",
        accept_licence: bool = False,
        variant: str = "",
    ) -> None:
        super().__init__(weights, "pulled", backend)
        card, self._accepted = type(self).card, accept_licence
        self.card = card
        if weights in RANDOM:
            size = self.tiny if weights == "tiny" else self.size
            self.card = replace(
                card, name=f"{card.name}:{weights}", dim=size.dim, caveats=(RANDOM_CAVEAT,), seen=(), weights_sha256=""
            )
        elif self.origin.terms:
            self.card = replace(card, caveats=(*card.caveats, self.origin.terms))
        self._base = self.card.name
        self._note: Note | None = None
        if variant:
            name = f"{self._base}+{variant}"
            self._note = Note.read(name)
            self.card = variant_card(self.card, name, self._note, f"adapted to {', '.join(self._note.tasks)}")

    @staticmethod
    @abstractmethod
    def network(size: Any) -> "nn.Module":
        """The published network in this size, on whatever device is the default; its state dict is the file's."""

    @classmethod
    def layout(cls) -> Layout:
        """Names, shapes and types of the published tensors."""
        import torch

        with torch.device("meta"):
            return layout_of(cls.network(cls.size).state_dict())

    @classmethod
    def pull(
        cls, file: str | Path | None = None, accept_licence: bool = False, again: bool = False, progress: bool = False
    ) -> Kept:
        """Get its weights from where they were published, or from a `file` at hand, as `enecg experts pull` does.

        accept_licence : the terms of weights that ask for it;  again : in the place of those that are here.
        Raises WeightsError where they cannot be had or are not this network's; what was here before is here then.
        """
        return pull_weights(
            cls.card.name,
            cls.origin,
            cls.layout(),
            cls.unused,
            file=file,
            accept_licence=accept_licence,
            again=again,
            progress=progress,
        )

    @property
    def weights_digest(self) -> str:
        """Of the tensors' names and values, and the adapter's. Raises WeightsError where the weights are not here."""
        base = self._base_digest
        return base if self._note is None else f"{base}+{self._note.sha256}"

    @property
    def _base_digest(self) -> str:
        if self.weights in RANDOM:
            return self.weights
        kept = find_kept(self._base)
        if kept is None:
            raise WeightsError(
                f"{self._base}: its weights are not here; `enecg experts pull {self._base}` gets them "
                f"(from {self.origin.where})"
            )
        if self.origin.terms and not (self._accepted or kept.accepted == self.origin.terms):
            raise WeightsError(
                f"{self._base}: {self.origin.terms}. Read the licence; if you accept it, pull the weights with "
                "--accept-licence, or say accept_licence=True"
            )
        return kept.content

    def embed_and_answer(self, inputs: Inputs) -> tuple[Array, Array]:
        """Embeddings [recording, dim], and the model's own answers: probabilities [recording, label].

        Raises ExpertError if the model was published without answers (`labels` is None).
        """
        if self.labels is None:
            raise ExpertError(f"{self.card.name} has no answers of its own; fit an ensemble with it")
        found = self.window_embeddings(inputs)
        return self.pool(found, inputs), self.pool_answers(self.answer_windows(found), inputs)

    def answer_windows(self, embeddings: Array) -> Array:
        """The model's own answers to windows with these embeddings: probabilities [window, label]."""
        import torch

        assert self.labels is not None

        def one(embedding: Array) -> Array:
            return np.asarray(torch.sigmoid(self._network.answer(torch.from_numpy(embedding))).numpy())

        # One by one: it costs next to nothing, and no bit of a window depends on the others.
        with torch.inference_mode():
            return in_batches(one, embeddings, 1, len(self.labels.names))

    def pool_answers(self, found: Array, inputs: Inputs) -> Array:
        """Answers to windows, [window, label], as those to recordings (`Labels.sporadic`)."""
        assert self.labels is not None
        mean = self.pool(found, inputs)
        largest = np.zeros_like(mean)
        np.maximum.at(largest, inputs.owner, found)
        sporadic = np.array([name in self.labels.sporadic for name in self.labels.names])
        return np.where(sporadic, largest, mean)

    def fresh_network(self) -> "nn.Module":
        """The network with its weights, and the adapter's product in them, in evaluation mode; nobody else's.

        Raises WeightsError where the weights are not here, their terms were not accepted, or they were altered.
        """
        import torch

        digest = self._base_digest  # refuses weights that are not here, or whose terms were not accepted
        if self.weights in RANDOM:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                network = self.network(self.tiny if self.weights == "tiny" else self.size)
        else:
            # Checked anew: they may have been pulled by a version that kept others of the published tensors.
            state = fit_state(load_kept(self._base), self.layout(), self.unused, f"{self._base}, as it is kept")
            with torch.device("meta"):
                network = self.network(self.size)
            # What is not kept stays on the meta device and costs nothing; it is never read.
            network.load_state_dict(state, strict=False, assign=True)
        if self._note is not None:
            merge_adapter(network, self.card.name, digest)
        return network.eval()
