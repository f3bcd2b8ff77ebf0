"""Experts `merl-resnet18` and `merl-vit`: the two ECG encoders of MERL, aligned with the reports of MIMIC-IV-ECG.

Liu et al., ICML 2024, arXiv 2403.06659; github.com/cheliu-computation/MERL-ICML2024 (MIT).
The embedding is what its authors probe: the mean over time of the residual network's last map, or the transformer's
normed mean. The heads that compare an ECG with text are left out; they are in other files (`*_ckpt.pth`), of which the
encoder can be taken as well. Easy to get wrong: aVF comes before aVL; ten seconds are scaled to 0..1 over all leads
together, after they are cut and padded with zeros; the residual network's stem has no pooling; the transformer takes
the mean over its patches before the last norm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from enecg.experts._card import Card
from enecg.experts._contract import Inputs
from enecg.experts._published import Published
from enecg.experts._registry import register_expert
from enecg.experts.published._mimic import LEADS, RATE, SECONDS, unit_windows
from enecg.experts.published._vit import ATTENTION, Block
from enecg.recording import Recording
from enecg.weights import Origin


@dataclass(frozen=True)
class ResNetSize:
    """Settings of the residual network: channels and blocks of each stage, classes of the layer that nobody uses."""

    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    in_leads: int = 12
    classes: int = 10

    @property
    def dim(self) -> int:
        """Channels of the last stage."""
        return self.widths[-1]


@dataclass(frozen=True)
class ViTSize:
    """Settings of the transformer, as its authors name them."""

    width: int = 192
    depth: int = 12
    heads: int = 3
    dim_head: int = 64
    mlp_dim: int = 768
    patch: int = 50
    seq_len: int = 5000
    in_leads: int = 12

    @property
    def dim(self) -> int:
        """The width."""
        return self.width


class _BasicBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm1d(n_out)
        self.conv2 = nn.Conv1d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm1d(n_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or n_in != n_out:
            self.shortcut = nn.Sequential(nn.Conv1d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm1d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        found = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(found + self.shortcut(x))


class ResNet(nn.Module):
    """[window, lead, sample] -> [window, dim]; any length."""

    def __init__(self, size: ResNetSize) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(size.in_leads, size.widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm1d(size.widths[0])
        self.stages = len(size.widths)
        n_in = size.widths[0]
        for number, (width, n_blocks) in enumerate(zip(size.widths, size.blocks, strict=True)):
            strides = [1 if number == 0 else 2, *[1] * (n_blocks - 1)]
            blocks = []
            for stride in strides:
                blocks.append(_BasicBlock(n_in, width, stride))
                n_in = width
            self.add_module(f"layer{number + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(size.dim, size.classes)

    def feature_map(self, x: Tensor) -> Tensor:
        """[window, dim, time]."""
        x = relu(self.bn1(self.conv1(x)))
        for number in range(self.stages):
            x = self.get_submodule(f"layer{number + 1}")(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Mean over time of the last map."""
        return self.feature_map(x).mean(-1)


class ViT(nn.Module):
    """[window, lead, sample] -> [window, dim]; of one length, which the position table has."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        self.to_patch_embedding = nn.Conv1d(size.in_leads, size.width, size.patch, size.patch, bias=False)
        self.pos_embedding = nn.Parameter(0.02 * torch.randn(1, size.seq_len // size.patch, size.width))
        self.depth = size.depth
        for number in range(size.depth):
            self.add_module(f"block{number}", Block(size.width, size.heads, size.dim_head, size.mlp_dim))
        self.norm = nn.LayerNorm(size.width)

    def forward(self, x: Tensor) -> Tensor:
        """Mean of the tokens, then the norm."""
        x = self.to_patch_embedding(x).transpose(1, 2) + self.pos_embedding
        for number in range(self.depth):
            x = self.get_submodule(f"block{number}")(x)
        found: Tensor = self.norm(x.mean(1))
        return found


class _MERL(Published):
    tiny: ClassVar[Any]

    def prepare(self, recordings: Sequence[Recording]) -> Inputs:
        """Ten seconds at 500 Hz, each window scaled to 0..1; short recordings end in zeros."""
        return unit_windows(recordings)


def _origin(file: str, sha256: str = "") -> Origin:
    # Names and checksum: as others say who have read the files.
    return Origin(
        file=file,
        page="https://drive.google.com/drive/folders/13wb4DppUciMn-Y_qC2JRWTbZdz3xX0w2",
        # In the files with the heads; in the encoders' own files no name begins so.
        prefix="ecg_encoder.",
        sha256=sha256,
    )


def _card(name: str, kind: str, dim: int, parameters: int) -> Card:
    return Card(
        name=name,
        summary=f"a {kind} aligned with the reports of MIMIC-IV-ECG",
        dim=dim,
        leads=LEADS,
        rate=RATE,
        seconds=SECONDS,
        min_seconds=2.0,
        parameters=parameters,
        licence="MIT (repository; none is stated for the weights)",
        citation="Liu et al., ICML 2024, arXiv 2403.06659",
        source="github.com/cheliu-computation/MERL-ICML2024",
        batch=1,
        seen=("mimic-iv-ecg",),
    )


@register_expert
class MERLResNet(_MERL):
    """The residual network."""

    size = ResNetSize()
    tiny = ResNetSize((16, 32, 32, 64))
    unused = ("linear.*",)
    origin = _origin("res18_best_encoder.pth", "38ba669c2cc319670c4172d8c292f123e86b8e7106b1a68bb7e10dd89f09daf5")
    card = _card("merl-resnet18", "residual network", 512, 3_853_962)

    @staticmethod
    def network(size: Any) -> ResNet:
        """ResNet."""
        return ResNet(size)


@register_expert
class MERLViT(_MERL):
    """The transformer."""

    size = ViTSize()
    tiny = ViTSize(width=32, depth=2, heads=2, dim_head=16, mlp_dim=64)
    attention = ATTENTION
    origin = _origin("vit_tiny_best_encoder.pth")
    card = _card("merl-vit", "small transformer", 192, 5_473_152)

    @staticmethod
    def network(size: Any) -> ViT:
        """ViT."""
        return ViT(size)
