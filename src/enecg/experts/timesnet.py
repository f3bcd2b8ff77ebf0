"""Expert `timesnet`: features of a small TimesNet forecaster on lead II (see `_timesnet_network.py`)."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from enecg.data import tensors
from enecg.experts._card import Card
from enecg.experts._contract import Array, Expert, Inputs
from enecg.experts._registry import register_expert
from enecg.experts._torch import denormals_flushed
from enecg.experts._windows import windows_of
from enecg.recording import Recording
from enecg.signal.scale import zscore

if TYPE_CHECKING:
    from enecg.experts._timesnet_network import TimesNet as Network

FILE = "timesnet.safetensors"
_POSITIONS = "enc_embedding.position_embedding.pe"
SHA256 = "28c040cf72e935d19d6be6043ac4ce2787ae670c4f74e11cdd6cf7e91fbe020f"


@register_expert
class TimesNet(Expert):
    """Mean over time of the last normalised layer."""

    backend = "torch fp32"
    card = Card(
        name="timesnet",
        summary="a small TimesNet forecaster's features of lead II",
        dim=8,
        leads=("II",),
        rate=50.0,
        seconds=10.0,
        min_seconds=2.0,
        parameters=289_191,
        licence="Apache-2.0",
        citation="Wu et al., ICLR 2023, arXiv 2210.02186; EnECG, arXiv 2511.22935",
        source="scripts/make_forecasters.py",
        weights_sha256=SHA256,
        batch=1,
        seen=("simulated",),
    )

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds of lead II as 500 samples, z-scored."""
        inputs = windows_of(recordings, self.card.leads, self.card.rate, self.card.seconds)
        return Inputs(zscore(inputs.windows), inputs.owner, inputs.n_recordings)

    def embed_windows(self, windows: Array) -> Array:
        """[window, 8]."""
        import torch

        from enecg.experts._timesnet_network import windows_alone

        with torch.no_grad(), denormals_flushed():
            parts = windows_alone(self._network, list(torch.from_numpy(windows).transpose(1, 2)))
        return np.asarray(parts.numpy(), dtype=np.float32)

    def release(self) -> None:
        """Let go of the network."""
        self.__dict__.pop("_network", None)

    @cached_property
    def _network(self) -> "Network":
        import torch

        from enecg.experts._timesnet_network import SMALL
        from enecg.experts._timesnet_network import TimesNet as Network

        with torch.random.fork_rng(devices=[]):
            network = Network(SMALL)
        state = {name: torch.from_numpy(part.astype(np.float32)) for name, part in tensors(FILE, SHA256).items()}
        # The file has all but the position table, which is computed; a missing or an unknown name is an error.
        network.load_state_dict({_POSITIONS: network.state_dict()[_POSITIONS], **state})
        return network.eval().requires_grad_(False)
