"""What the networks of our own have in common: twelve leads with gaps in, tokens out, their mean and largest on top.

Missing samples are NaN, whatever is missing: a lead that the recording does not have, an electrode that fell off, the
end of a short recording, or what a training has hidden. A network never sees more of them than that they are missing.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class TokenNetwork(nn.Module, ABC):
    """[window, lead, sample], NaN where missing -> [window, 2 * width]; any length that is a multiple of `stride`.

    width : of a token;  stride : samples from one token of a lead to the next.
    """

    width: int
    stride: int
    causal: ClassVar[bool] = False
    """Whether a token knows nothing of later samples."""

    @abstractmethod
    def tokens(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [window, token, width], and which of them are of samples that are there: bool [window, token]."""

    def times(self, x: Tensor) -> Tensor:
        """The middle of each token of `tokens(x)`, in samples: float [window, token]."""
        middles = self.stride * (torch.arange(x.shape[-1] // self.stride, device=x.device) + 0.5)
        return middles.expand(len(x), -1)

    def forward(self, x: Tensor) -> Tensor:
        """Mean and largest of the tokens that are there; zeros where none is."""
        return summary(*self.tokens(x))


def summary(tokens: Tensor, there: Tensor) -> Tensor:
    """[window, token, width] -> [window, 2 * width]: mean and largest over the tokens that are there."""
    seen = there.unsqueeze(-1)
    count = seen.sum(1)
    mean = (tokens * seen).sum(1) / count.clamp_min(1)
    largest = tokens.masked_fill(~seen, -torch.inf).amax(1).masked_fill(count == 0, 0.0)
    return torch.cat([mean, largest], dim=-1)


def filled(x: Tensor) -> tuple[Tensor, Tensor]:
    """Zeros in the place of what is missing, and where something is there: both [window, lead, sample]."""
    missing = torch.isnan(x)
    return x.masked_fill(missing, 0.0), ~missing
