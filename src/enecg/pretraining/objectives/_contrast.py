"""InfoNCE (van den Oord et al., arXiv 1807.03748), relative to guessing."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

TEMPERATURE = 0.1
"""Cosines are divided by it."""


def info_nce(right: Tensor, wrong: Tensor, might: Tensor) -> Tensor:
    """-log of the share of exp(score) that a right answer has, among itself and the wrong ones; guessing is 1.

    right : scores [..., right];  wrong : scores [..., wrong];  might : bool, as `wrong`, which of them count. Returns
    [..., right]; 0 where there is no wrong answer.
    """
    against = wrong.masked_fill(~might, torch.finfo(wrong.dtype).min).logsumexp(-1, keepdim=True)
    chance = (1 + might.sum(-1, keepdim=True)).clamp_min(2).log()
    return softplus(against - right) / chance
