"""Windows as pieces of time, some of which are hidden, and how wrong an answer about what was there is."""

import torch
from torch import Tensor
from torch.nn.functional import pad, smooth_l1_loss

PIECE = 50
"""Samples of a piece, about: half a second, as in ST-MEM (arXiv 2402.09450); long enough to hide a wave whole."""

FLOOR = 1e-3
"""Error per sample that is expected of a lead without any signal, so that noise on it is not worth learning: 10 uV."""


def piece_of(stride: int) -> int:
    """Samples of a piece: about PIECE, in whole tokens of a network (`TokenNetwork.stride`)."""
    return stride * max(1, round(PIECE / stride))


def in_pieces(x: Tensor, size: int) -> Tensor:
    """[window, lead, sample] -> [window, lead, piece, size]; NaN where the last piece is beyond the end."""
    return pad(x, (0, -x.shape[-1] % size), value=torch.nan).reshape(*x.shape[:-1], -1, size)


def some(there: Tensor, share: float, generator: torch.Generator, among: Tensor | None = None) -> Tensor:
    """A random share of what is there, one at least, of each window: bool [window, ...], as `there`.

    among : what may be chosen (default: all that is there); a window with less of it than its share has all of it.
    """
    among = (there if among is None else among).flatten(1)
    count = (share * there.flatten(1).sum(1)).round().clamp_min(1)
    score = torch.rand(among.shape, generator=generator).to(there.device).masked_fill(~among, -1.0)
    rank = score.argsort(dim=1, descending=True).argsort(dim=1)
    return ((rank < count[:, None]) & among).view_as(there)


def hide(x: Tensor, seen: Tensor, size: int) -> Tensor:
    """NaN in all pieces of `size` samples that are not `seen`: bool [window, lead or 1, piece]."""
    return x.masked_fill(~seen.repeat_interleave(size, dim=-1)[..., : x.shape[-1]], torch.nan)


def relative_error(answer: Tensor, truth: Tensor, asked: Tensor) -> Tensor:
    """Error of the answers, relative to that of answering zero everywhere, [window]; NaN where nothing is asked.

    answer, truth : [window, ...], in units of a quarter of a millivolt (`experts.learned`);  asked : bool, same shape.
    Squared below one unit and absolute above, so that neither an artefact nor the QRS complex alone rules a window.
    Samples are taken as they are: scaled patch by patch, the noise between two beats would count as much as a beat,
    and how high a wave is would not count at all. Relative by window, each recording counts alike.
    """
    truth, answer = truth.masked_fill(~asked, 0.0), answer.float().masked_fill(~asked, 0.0)
    count = asked.flatten(1).sum(1)
    error = smooth_l1_loss(answer, truth, reduction="none").flatten(1).sum(1)
    trivial = smooth_l1_loss(torch.zeros_like(truth), truth, reduction="none").flatten(1).sum(1)
    return torch.where(count > 0, error / (trivial + FLOOR * count.clamp_min(1)), torch.nan)
