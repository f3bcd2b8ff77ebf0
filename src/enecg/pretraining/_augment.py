"""Changes that leave an ECG the ECG of the same person, made while a network is trained."""

from dataclasses import dataclass

import torch
from torch import Tensor

from enecg.pretraining._hiding import hide, in_pieces, piece_of, some


@dataclass(frozen=True)
class Augmentation:
    """What is done to each window, by chance.

    gain : standard deviation of the logarithm of a factor for all leads;  noise : of white noise, in the input's unit;
    fewer_leads : share of the batches that keep only some leads, the same ones and from one to all but one
    (in half of the batches, the same loss cost twice the steps);
    shift : whether a window is turned in time: what leaves at one end comes in at the other;
    hidden : share of the pieces of lead and time that are hidden, other ones in each window (PatchDropout,
    arXiv 2208.07220): a transformer computes, and learns from, only what it sees.
    """

    gain: float = 0.1
    noise: float = 0.05
    fewer_leads: float = 0.2
    shift: bool = True
    hidden: float = 0.0

    def __call__(self, x: Tensor, generator: torch.Generator, stride: int = 1) -> Tensor:
        """Another [window, lead, sample]. stride : the samples of a shift are a multiple of it."""
        n, n_leads, n_samples = x.shape
        if self.shift:
            by = int(torch.randint(n_samples // stride, (), generator=generator)) * stride
            x = x.roll(by, dims=-1)
        # Drawn by the processor, so that a device of another kind trains on the same numbers.
        x = x * (self.gain * torch.randn(n, 1, 1, generator=generator)).exp().to(x.device)
        x = x + self.noise * torch.randn(x.shape, generator=generator).to(x.device)
        if float(torch.rand((), generator=generator)) < self.fewer_leads:
            count = int(torch.randint(1, n_leads, (), generator=generator))
            lost = torch.randperm(n_leads, generator=generator)[count:]
            x = x.index_fill(1, lost.to(x.device), torch.nan)
        if self.hidden:
            size = piece_of(stride)
            seen = some(~in_pieces(x, size).isnan().all(-1), 1 - self.hidden, generator)
            x = hide(x, seen, size)
        return x
