"""Answers to questions about places of a window, from tokens: one block of cross-attention, thrown away afterwards.

As in CrossMAE (Fu et al., arXiv 2401.14391), each question looks at the tokens alone and at no other question, so that
nothing is needed of a network but its tokens and which of them are there, in whatever order.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from enecg.experts._layers import attend, sine_positions
from enecg.experts.learned import TokenNetwork

WIDTH, HEADS = 64, 4


class Decoder(nn.Module):
    """A question is of a kind (a lead, say), which is a learned vector, and of a time, which is a sine position.

    kinds : how many;  n_outputs : numbers in an answer;  about : samples around its time that a question is about.
    """

    def __init__(self, network: TokenNetwork, kinds: int, n_outputs: int, about: int) -> None:
        super().__init__()
        self.stride = network.stride
        # Each head begins by looking at its own part of what is asked about, and learns to look elsewhere, or
        # everywhere: a bias that falls with the distance (Press et al., arXiv 2108.12409). Without it, some hundred
        # steps teach nothing but the mean.
        self.offset = nn.Parameter(about / self.stride * ((torch.arange(HEADS) + 0.5) / HEADS - 0.5))
        self.slope = nn.Parameter(torch.ones(HEADS))
        self.kinds = nn.Parameter(torch.randn(kinds, 1, WIDTH))
        self.read = nn.Linear(network.width, WIDTH)
        self.query_norm, self.token_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key_value = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2 * WIDTH)
        self.output = nn.Linear(WIDTH, WIDTH)
        self.norm, self.up, self.down = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, n_outputs)
        nn.init.normal_(self.last.weight, std=0.02)  # it begins by saying little
        nn.init.zeros_(self.last.bias)

    def forward(self, tokens: Tensor, there: Tensor, own: Tensor, times: Tensor) -> Tensor:
        """Answers [window, kind, time, output].

        tokens, there, own : as `TokenNetwork.tokens` and `.times`;  times : of the questions, in samples, [time].
        """
        x = (self.kinds + self._positions(times, tokens)).flatten(0, 1)
        known = self.read(tokens) + self._positions(own.flatten(), tokens).reshape(*own.shape, -1)
        key, value = self.key_value(self.token_norm(known)).chunk(2, -1)
        query = self.query(self.query_norm(x)).expand(len(tokens), -1, -1)
        # Where no token is there all are looked at, since the softmax of nothing is NaN.
        seen = (there | ~there.any(1, keepdim=True))[:, None, None]
        mask = torch.where(seen, self._nearness(times.to(own.device), own), -torch.inf)
        x = x + self.output(attend(query, key, value, HEADS, mask=mask))
        x = x + self.down(gelu(self.up(self.norm(x))))
        found: Tensor = self.last(x)
        return found.reshape(len(tokens), len(self.kinds), len(times), -1)

    def _nearness(self, times: Tensor, own: Tensor) -> Tensor:
        """What is added to the scores, [window, head, question, token]: how far a token is from where a head looks."""
        apart = (own[:, None, None] - times[:, None]) / self.stride
        near = -self.slope[:, None, None] * (apart - self.offset[:, None, None]).abs()
        return near.repeat(1, 1, len(self.kinds), 1)

    def _positions(self, times: Tensor, like: Tensor) -> Tensor:
        return sine_positions(times.cpu() / self.stride, WIDTH).to(like.device)
