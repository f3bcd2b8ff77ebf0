"""Experts that are a network: loaded when it is first needed, computed by a backend, let go of after."""

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from enecg.errors import ExpertError
from enecg.experts._contract import Array, Expert
from enecg.experts._torch import denormals_flushed

if TYPE_CHECKING:
    from torch import nn

    from enecg.experts._backends import Compute

RANDOM = ("random", "tiny")
RANDOM_CAVEAT = "random weights: it knows nothing"
BACKENDS = ("torch fp32", "torch bf16", "compile fp32", "compile bf16", "openvino fp32", "openvino bf16")


class NetworkExpert(Expert):
    """An expert whose embedding a network computes: `network(windows) -> [window, dim]`.

    weights : as it is (each kind says what it is then called), or, to try what is around the weights, "random" ones in
    the same size or "tiny" ones in a size that costs nothing. The expert then bears another name, `<name>:random`, so
    that nothing made with it can be taken for the real one.
    backend : what computes it, one of `backends`. All but plain torch are made ready when it first embeds after it was
    loaded, which takes seconds, or minutes where torch compiles it for the first time on a machine.
    """

    backends: ClassVar[tuple[str, ...]] = BACKENDS

    def __init__(self, weights: str, real: str, backend: str) -> None:
        """real : what `weights` is called where they are not random. Raises ExpertError for unknown ones."""
        name = type(self).card.name
        if weights not in (real, *RANDOM):
            raise ExpertError(f"{name}: weights={weights!r}; expected {real!r}, 'random' or 'tiny'")
        if backend not in self.backends:
            raise ExpertError(f"{name}: backend {backend!r}; expected one of {', '.join(self.backends)}")
        self.weights, self.backend = weights, backend
        self._compute: Compute | None = None

    @abstractmethod
    def fresh_network(self) -> "nn.Module":
        """The network with its weights, in evaluation mode; nobody else's. Raises WeightsError."""

    def embed_windows(self, windows: Array) -> Array:
        """Embeddings [window, dim]."""
        import torch

        with torch.inference_mode(), denormals_flushed():
            if self._compute is None:
                # Imported now, since it imports torch.
                from enecg.experts._backends import computed_by

                self._compute = computed_by(self.backend, self._network, windows.shape)
            return np.asarray(self._compute(torch.from_numpy(windows)).numpy(), dtype=np.float32)

    def release(self) -> None:
        """Let go of the network, and of what computes it."""
        self._compute = None
        self.__dict__.pop("_network", None)

    @cached_property
    def _network(self) -> Any:
        return self.fresh_network().requires_grad_(False)
