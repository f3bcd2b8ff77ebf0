"""TimesNet (Wu et al., ICLR 2023, arXiv 2210.02186) as EnECG publishes it, under the same names of weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Size:
    """seq_len samples in, pred_len forecast; top_k periods in each of e_layers blocks."""

    seq_len: int
    pred_len: int
    d_model: int
    d_ff: int
    num_kernels: int
    top_k: int
    e_layers: int
    enc_in: int = 1
    c_out: int = 1


class _TokenConv(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.tokenConv = nn.Conv1d(size.enc_in, size.d_model, 3, padding=1, padding_mode="circular", bias=False)


class _TimeMarks(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embed = nn.Linear(4, size.d_model, bias=False)


class _Position(nn.Module):
    pe: torch.Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        place = torch.arange(5000, dtype=torch.float32).unsqueeze(1)
        even = torch.arange(0, size.d_model, 2, dtype=torch.float32)
        angle = place * torch.exp(even * -(torch.log(torch.tensor(10000.0)) / size.d_model))
        table = torch.zeros(5000, size.d_model)
        table[:, 0::2], table[:, 1::2] = torch.sin(angle), torch.cos(angle)[:, : size.d_model // 2]
        self.register_buffer("pe", table.unsqueeze(0))


class _Embedding(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.value_embedding = _TokenConv(size)
        self.position_embedding = _Position(size)
        self.temporal_embedding = _TimeMarks(size)

    def forward(self, x: torch.Tensor, marks: torch.Tensor | None) -> torch.Tensor:
        h: torch.Tensor = self.value_embedding.tokenConv(x.transpose(1, 2)).transpose(1, 2)
        h = h + self.position_embedding.pe[:, : x.shape[1]]
        return h if marks is None else h + self.temporal_embedding.embed(marks)


class _Inception(nn.Module):
    def __init__(self, n_in: int, n_out: int, count: int) -> None:
        super().__init__()
        self.kernels = nn.ModuleList(nn.Conv2d(n_in, n_out, 2 * k + 1, padding=k) for k in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = torch.stack([kernel(x) for kernel in self.kernels], dim=-1).mean(-1)
        return total


class _Block(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        self.top_k = size.top_k
        self.conv = nn.Sequential(
            _Inception(size.d_model, size.d_ff, size.num_kernels),
            nn.GELU(),
            _Inception(size.d_ff, size.d_model, size.num_kernels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        periods, weights = self.periods(x)
        total = x.shape[1]
        parts = []
        for period in periods:
            rows = -(-total // period)
            padded = functional.pad(x, (0, 0, 0, rows * period - total))
            grid = padded.reshape(x.shape[0], rows, period, x.shape[2]).permute(0, 3, 1, 2)
            flat = self.conv(grid).permute(0, 2, 3, 1).reshape(x.shape[0], rows * period, x.shape[2])
            parts.append(flat[:, :total])
        share = functional.softmax(weights, dim=1).unsqueeze(1).unsqueeze(1)
        return (torch.stack(parts, dim=-1) * share).sum(-1) + x

    def periods(self, x: torch.Tensor) -> tuple[list[int], torch.Tensor]:
        """The periods of the batch, and each sample's amplitudes there.

        The published code casts the spectrum to float16, which drops its imaginary part: amplitudes are those of the
        real part, in half precision.
        """
        spectrum = torch.fft.rfft(x, dim=1).real.half().abs()
        strength = spectrum.mean(0).mean(-1)
        strength[0] = 0
        top = torch.topk(strength, self.top_k).indices
        found = [int(x.shape[1] // index) for index in top.tolist()]
        return found, spectrum.mean(-1)[:, top]


class TimesNet(nn.Module):
    """Forecasts, and the features that EnECG takes from it."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        self.model = nn.ModuleList(_Block(size) for _ in range(size.e_layers))
        self.enc_embedding = _Embedding(size)
        self.layer_norm = nn.LayerNorm(size.d_model)
        self.predict_linear = nn.Linear(size.seq_len, size.seq_len + size.pred_len)
        self.projection = nn.Linear(size.d_model, size.c_out)

    def features(self, x: torch.Tensor, marks: torch.Tensor | None = None) -> torch.Tensor:
        """The last normalised layer [batch, seq_len + pred_len, d_model]; x : [batch, seq_len, channel]."""
        mean, deviation = self._moments(x)
        h = self.enc_embedding((x - mean) / deviation, marks)
        h = self.predict_linear(h.transpose(1, 2)).transpose(1, 2)
        for block in self.model:
            h = self.layer_norm(block(h))
        return torch.as_tensor(h)

    def forward(self, x: torch.Tensor, marks: torch.Tensor | None = None) -> torch.Tensor:
        """The forecast [batch, pred_len, channel]."""
        mean, deviation = self._moments(x)
        out = self.projection(self.features(x, marks)) * deviation + mean
        return torch.as_tensor(out[:, -self.size.pred_len :])

    @staticmethod
    def _moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = x.mean(1, keepdim=True)
        return mean, torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5)


PUBLISHED = Size(500, 1, 16, 32, 6, 3, 3)
"""As EnECG uses it."""

SMALL = Size(500, 50, 8, 12, 3, 3, 2)
"""The shipped one: two blocks of three kernels, forecasting one second."""


def windows_alone(network: TimesNet, windows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean over time of the features of windows [seq_len, 1], one by one: periods are a recording's, not a batch's."""
    return torch.stack([network.features(window[None]).mean(dim=1)[0] for window in windows])
