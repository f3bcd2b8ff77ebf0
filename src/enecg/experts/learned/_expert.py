"""What the experts of our own share: how a recording is prepared, and where the weights are from.

Preparation: 100 Hz, ten seconds, twelve leads; a lead that is not there is missing, as is the end of a short recording.
Baseline is taken away (0.5 Hz), and millivolts are divided by SCALE_MV alone: how high a wave is stays to be seen.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from enecg.data import shipped, shipped_subjects, tensors
from enecg.errors import WeightsError
from enecg.experts._card import Card
from enecg.experts._contract import Inputs
from enecg.experts._network import RANDOM, RANDOM_CAVEAT, NetworkExpert
from enecg.experts._published import Size
from enecg.experts._variant import Note, read_weights, variant_card
from enecg.experts._windows import joined
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.filters import highpass
from enecg.signal.leads import derive
from enecg.signal.resample import resample
from enecg.signal.windows import cut

if TYPE_CHECKING:
    from enecg.experts.learned._tokens import TokenNetwork

RATE, SECONDS = 100.0, 10.0
SAMPLES = round(RATE * SECONDS)
SCALE_MV = 0.25
"""About the standard deviation of a lead."""

LARGEST = 20.0
"""In units of SCALE_MV: 5 mV. What is larger is cut off."""


class Learned(NetworkExpert):
    """An expert that this package has trained (`scripts/make_experts.py`), or its user with `enecg pretrain`.

    weights : "shipped", "random" or "tiny";  backend : as every network's (`NetworkExpert`).
    variant : name under which other weights of the same network were trained: the expert `<name>+<variant>`.
    """

    size: ClassVar[Size]
    tiny: ClassVar[Size]

    def __init__(self, weights: str = "shipped", backend: str = "torch fp32", variant: str = "") -> None:
        super().__init__(weights, "shipped", backend)
        self.card = type(self).card
        if weights in RANDOM:
            self.card = replace(
                self.card,
                name=f"{self.card.name}:{weights}",
                dim=self.built.dim,
                caveats=(RANDOM_CAVEAT,),
                seen_subjects=frozenset(),
                chosen_by=frozenset(),
                weights_sha256="",
            )
        self._note: Note | None = None
        if variant:
            name = f"{self.card.name}+{variant}"
            self._note = Note.read(name)
            # The variant began with these weights, so it has seen what they have.
            begun = (
                self.card if self._note.base else replace(self.card, seen_subjects=frozenset(), chosen_by=frozenset())
            )
            self.card = replace(variant_card(begun, name, self._note, "trained"), caveats=(), weights_sha256="")

    @staticmethod
    @abstractmethod
    def network(size: Any) -> "TokenNetwork":
        """The network in this size, with random weights."""

    @property
    def built(self) -> Size:
        """The size of its network."""
        return self.tiny if self.weights == "tiny" else self.size

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Windows [window, 12, 1000], NaN where missing."""
        parts = [
            cut(resample(self._leads(recording), recording.rate, RATE), SAMPLES, "missing") for recording in recordings
        ]
        inputs = joined(parts, (len(STANDARD_LEADS), SAMPLES))
        scaled = np.clip(highpass(inputs.windows, RATE, 0.5) / np.float32(SCALE_MV), -LARGEST, LARGEST)
        return Inputs(scaled, inputs.owner, inputs.n_recordings)

    @property
    def weights_digest(self) -> str:
        """Of the file of weights, or the word for random ones."""
        if self._note is not None:
            return self._note.sha256
        if self.weights in RANDOM:
            return self.weights
        if not self.card.weights_sha256:
            name = self.card.name
            raise WeightsError(
                f"{name}: no weights of it ship; train some with `enecg pretrain {name} --as mine`, and use {name}+mine"
            )
        return self.card.weights_sha256

    def fresh_network(self) -> "TokenNetwork":
        """The network with its weights, in evaluation mode; nobody else's. Raises WeightsError."""
        import torch
        from safetensors.torch import load

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = self.network(self.built)
        if self._note is not None:
            state = load(read_weights(self.card.name, self._note))
        elif self.weights in RANDOM:
            return network.eval()
        else:
            file = tensors(f"{self.card.name}.safetensors", self.weights_digest)
            state = {name: torch.from_numpy(part) for name, part in file.items()}
        network.load_state_dict({name: part.to(torch.float32) for name, part in state.items()})
        return network.eval()

    @staticmethod
    def _leads(recording: Recording) -> Any:
        """Twelve leads [12, sample]; those that are not there and do not follow from others are missing."""
        signal, names, _ = derive(recording.signal, recording.leads)
        found = np.full((len(STANDARD_LEADS), signal.shape[1]), np.nan, np.float32)
        for row, lead in enumerate(STANDARD_LEADS):
            if lead in names:
                found[row] = signal[names.index(lead)]
        return found


def card(name: str, summary: str, dim: int, parameters: int, citation: str) -> Card:
    """The card of a network of our own, with what is known of the weights that ship, if any."""
    note = shipped().get(name, {})
    taught, chose = shipped_subjects() if note else (frozenset[str](), frozenset[str]())
    if note:
        summary += f"; taught {', '.join(note['tasks'])} by {note['recordings']:,} recordings of {note['source']}"
        summary += f" ({len(chose):,} of {len(taught | chose):,} people only chose among its weights)"
    return Card(
        name=name,
        summary=summary,
        dim=dim,
        leads=STANDARD_LEADS,
        any_leads=True,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=parameters,
        licence="Apache-2.0",
        citation=citation,
        source="scripts/make_experts.py",
        batch=1,
        weights_sha256=note.get("sha256", ""),
        seen_subjects=taught | chose,
        chosen_by=chose,
    )
