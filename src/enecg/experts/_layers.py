"""What several published networks share: attention, patches, sine positions."""

import math

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, *, scale: float | None = None, mask: Tensor | None = None
) -> Tensor:
    """Multi-head attention of projected tokens: [..., token, width] -> [..., token, width].

    The width is cut into `heads` equal parts;  scale : of the dot products, by default 1 / sqrt(width of a head);
    mask : bool, True where a query may look, or float, added to the scaled dot products; broadcast to
    [..., head, query, key].
    """
    q, k, v = (part.reshape(*part.shape[:-1], heads, -1).transpose(-3, -2) for part in (query, key, value))
    found = scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    return found.transpose(-3, -2).flatten(-2)


def patches(x: Tensor, size: int) -> Tensor:
    """Consecutive pieces of `size` samples: [..., sample] -> [..., patch, size]; a shorter rest is dropped."""
    n = x.shape[-1] // size
    return x[..., : n * size].reshape(*x.shape[:-1], n, size)


def sine_positions(positions: Tensor, width: int, *, interleaved: bool = False) -> Tensor:
    """Fixed sine and cosine position vectors (Vaswani et al. 2017), wave lengths from 2 pi to 10000 * 2 pi.

    positions : [position]. Returns float32 [position, width]: all sines, then all cosines; or, interleaved, by turns.
    """
    rates = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    angles = positions.to(torch.float64)[:, None] * rates
    pair = torch.stack([angles.sin(), angles.cos()], dim=-1 if interleaved else -2)
    return pair.flatten(-2).to(torch.float32)
