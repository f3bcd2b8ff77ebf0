"""Experts `ecgfounder` (12 leads) and `ecgfounder-1lead` (lead I): ECGFounder.

Li et al., NEJM AI 2025, arXiv 2410.04133; github.com/PKUDigitalHealth/ECGFounder.
A grouped residual convolution network ("Net1D") with squeeze-and-excitation, trained on 150 labels. Its batch norms are
in the published file but were switched off, in training and since: nothing reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool1d, pad, silu

from enecg.experts._card import Card
from enecg.experts._contract import Inputs
from enecg.experts._published import Labels, Published
from enecg.experts._registry import register_expert
from enecg.experts._windows import windows_of
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.scale import PER_RECORDING, zscore
from enecg.weights import Origin

RATE, SECONDS = 500.0, 10.0


@dataclass(frozen=True)
class Size:
    """Settings of a Net1D, as its authors name them."""

    in_channels: int = 12
    base_filters: int = 64
    filter_list: tuple[int, ...] = (64, 160, 160, 400, 400, 1024, 1024)
    m_blocks_list: tuple[int, ...] = (2, 2, 2, 3, 3, 4, 4)
    kernel_size: int = 16
    groups_width: int = 16
    n_classes: int = 150

    @property
    def dim(self) -> int:
        """Channels of the last stage."""
        return self.filter_list[-1]


class _Conv(nn.Module):
    """A convolution whose output has ceil(length / stride) samples; an odd one of padding goes to the right."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_in, n_out, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        total = max(0, (-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1])
        found: Tensor = self.conv(pad(x, (total // 2, total - total // 2)))
        return found


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int, first: bool, size: Size) -> None:
        super().__init__()
        self.stride, self.first, self.grown = stride, first, n_out - n_in
        self.bn1 = nn.BatchNorm1d(n_in)
        self.conv1 = _Conv(n_in, n_out, 1)
        self.bn2 = nn.BatchNorm1d(n_out)
        self.conv2 = _Conv(n_out, n_out, size.kernel_size, stride, n_out // size.groups_width)
        self.bn3 = nn.BatchNorm1d(n_out)
        self.conv3 = _Conv(n_out, n_out, 1)
        self.se_fc1 = nn.Linear(n_out, n_out // 2)
        self.se_fc2 = nn.Linear(n_out // 2, n_out)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x if self.first else silu(x))
        out = self.conv3(silu(self.conv2(silu(out))))
        scale = torch.sigmoid(self.se_fc2(silu(self.se_fc1(out.mean(-1)))))
        if self.stride > 1:
            # The pooling sees zeros, not "nothing", after the end.
            x = max_pool1d(pad(x, (0, x.shape[-1] % 2)), 2)
        if self.grown:
            x = pad(x, (0, 0, self.grown // 2, self.grown - self.grown // 2))
        found: Tensor = out * scale[..., None] + x
        return found


class _Stage(nn.Module):
    def __init__(self, n_in: int, n_out: int, n_blocks: int, first: bool, size: Size) -> None:
        super().__init__()
        self.block_list = nn.ModuleList(
            _Block(n_out if number else n_in, n_out, 1 if number else 2, first and not number, size)
            for number in range(n_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block_list:
            x = block(x)
        return x


class Net1D(nn.Module):
    """[window, lead, sample] -> [window, dim]; any length."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.first_conv = _Conv(size.in_channels, size.base_filters, size.kernel_size, 2)
        self.first_bn = nn.BatchNorm1d(size.base_filters)
        widths = (size.base_filters, *size.filter_list)
        self.stage_list = nn.ModuleList(
            _Stage(widths[number], widths[number + 1], n_blocks, number == 0, size)
            for number, n_blocks in enumerate(size.m_blocks_list)
        )
        self.dense = nn.Linear(size.dim, size.n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Mean over time of the last stage."""
        x = silu(self.first_conv(x))
        for stage in self.stage_list:
            x = stage(x)
        return x.mean(-1)

    def answer(self, embedding: Tensor) -> Tensor:
        """Logits, [window, label]."""
        found: Tensor = self.dense(embedding)
        return found


def filtered(signal: npt.NDArray[np.floating], rate: float) -> npt.NDArray[np.float64]:
    """Published filters, per lead, in double precision: [..., sample].

    A notch at 50 Hz (Q 30) and a Butterworth band-pass of order 4 from 0.67 to 40 Hz, both forwards and backwards with
    scipy's defaults, then minus the running median of 0.4 s, with zeros beyond the ends.
    """
    from scipy.ndimage import median_filter
    from scipy.signal import butter, filtfilt, iirnotch

    signal = filtfilt(*iirnotch(50.0, 30.0, rate), signal.astype(np.float64))
    signal = filtfilt(*butter(4, (0.67, 40.0), "bandpass", fs=rate), signal)
    flat = signal.reshape(-1, signal.shape[-1])
    # Lead by lead: scipy's median of a single line is some fifty times faster than that of a table.
    baseline = np.stack([median_filter(line, int(0.4 * rate) + 1, mode="constant") for line in flat])
    return np.asarray(signal - baseline.reshape(signal.shape), dtype=np.float64)


class _ECGFounder(Published):
    labels = Labels("ecgfounder.txt", "github.com/PKUDigitalHealth/ECGFounder, tasks.txt")
    unused = ("first_bn.*", "*.bn[123].*")
    tiny: ClassVar[Size]

    @staticmethod
    def network(size: Any) -> Net1D:
        """Net1D."""
        return Net1D(size)

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds at 500 Hz, filtered, z-scored over all leads together; missing samples are zero."""
        inputs = windows_of(recordings, self.card.leads, RATE, SECONDS, gaps="zero")
        if not len(inputs.windows):
            return inputs
        # Published: standard deviation + 1e-8, on the signal in double precision.
        scaled = zscore(filtered(inputs.windows, RATE), PER_RECORDING, epsilon=1e-8)
        return Inputs(scaled, inputs.owner, inputs.n_recordings)


def _card(name: str, summary: str, leads: tuple[str, ...], parameters: int) -> Card:
    return Card(
        name=name,
        summary=summary,
        dim=1024,
        leads=leads,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=parameters,
        licence="MIT (code; none is stated for the weights)",
        citation="Li et al., NEJM AI 2025, arXiv 2410.04133",
        source="github.com/PKUDigitalHealth/ECGFounder",
        batch=4,
        seen=("heedb",),
    )


@register_expert
class ECGFounder(_ECGFounder):
    """Twelve leads."""

    size = Size()
    tiny = Size(12, 16, (16, 16, 16, 32, 32, 64, 64))
    origin = Origin(repository="PKUDigitalHealth/ECGFounder", file="12_lead_ECGFounder.pth", inside=("state_dict",))
    card = _card("ecgfounder", "150 labels learned from ten million twelve-lead ECGs", STANDARD_LEADS, 30_819_014)


@register_expert
class ECGFounderOneLead(_ECGFounder):
    """Lead I."""

    size = Size(in_channels=1)
    tiny = Size(1, 16, (16, 16, 16, 32, 32, 64, 64))
    origin = Origin(repository="PKUDigitalHealth/ECGFounder", file="1_lead_ECGFounder.pth", inside=("state_dict",))
    card = _card("ecgfounder-1lead", "150 labels learned from lead I of ten million ECGs", ("I",), 30_807_750)
