"""Training the gate's encoder on out-of-fold answers, with the experts' heads fixed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.ensemble._gate import Encoder, Gate
from enecg.ensemble._targets import TargetSpace, torch_loss

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

CHANNELS = (8, 16, 16)
TAPS = (11, 7, 5)


@dataclass(frozen=True)
class GateSettings:
    """How the encoder is trained."""

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    batch: int = 256
    max_epochs: int = 15
    patience: int = 3


def train_gate(
    prior: Mapping[str, Array],
    x: Array,
    n_leads: int,
    outputs: Mapping[str, Array],
    present: npt.NDArray[np.bool_],
    targets: Mapping[str, Array],
    spaces: Mapping[str, TargetSpace],
    rows: Rows,
    validation: Rows,
    settings: GateSettings,
    seed: int,
) -> tuple[Gate, int]:
    """The gate of the epoch that served `validation` best, and that epoch; epoch 0 is the prior alone.

    prior : by task, logits [expert];  x : the gate's input [recording, n_leads * sample];
    outputs : by task, the experts' answers [recording, expert, output];  present : [recording, expert].
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    names = list(spaces)
    n_experts = present.shape[1]
    if n_experts == 1:
        return Gate(dict(prior)), 0
    convolutions, heads = _untrained(n_leads, names, n_experts, generator)
    leads = torch.from_numpy(np.nan_to_num(x)).reshape(len(x), n_leads, -1)
    there = torch.from_numpy(present)
    start = {name: torch.from_numpy(prior[name]) for name in names}
    wanted = {name: torch.from_numpy(np.ascontiguousarray(targets[name])) for name in names}
    answers = {name: torch.from_numpy(np.nan_to_num(outputs[name])) for name in names}

    def loss(batch: "torch.Tensor") -> "torch.Tensor":
        h = leads[batch]
        for layer in convolutions:
            h = torch.relu(layer(h))
        features = torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1)
        total = torch.zeros(())
        for name in names:
            usable = ~torch.isnan(wanted[name][batch]).any(dim=1) & there[batch].any(dim=1)
            if usable.any():
                logits = (start[name] + heads[name](features))[usable]
                weights = torch.softmax(logits.masked_fill(~there[batch][usable], -torch.inf), dim=1)
                mixed = torch.einsum("neo,ne->no", answers[name][batch][usable], weights)
                rows_loss = torch_loss(spaces[name].task, mixed, wanted[name][batch][usable])
                total = total + rows_loss.mean() / spaces[name].trivial
        return total

    parameters = [*convolutions.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    held = torch.from_numpy(validation)
    with torch.no_grad():
        best_loss, best_epoch, best = float(loss(held)), 0, Gate(dict(prior))
    order = torch.from_numpy(rows)
    for epoch in range(1, settings.max_epochs + 1):
        shuffled = order[torch.randperm(len(order), generator=generator)]
        for begin in range(0, len(shuffled), settings.batch):
            optimiser.zero_grad()
            value = loss(shuffled[begin : begin + settings.batch])
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        with torch.no_grad():
            now = float(loss(held))
        if now < best_loss - 1e-5:
            best_loss, best_epoch, best = now, epoch, _gate(prior, convolutions, heads, n_leads)
        elif epoch - best_epoch >= settings.patience:
            break
    return best, best_epoch


def _untrained(
    n_leads: int, names: Sequence[str], n_experts: int, generator: "torch.Generator"
) -> "tuple[torch.nn.ModuleList, torch.nn.ModuleDict]":
    """Convolutions with random weights, and a layer for each task that says nothing yet."""
    import torch
    from torch import nn

    convolutions = nn.ModuleList()
    width = n_leads
    for channels, taps in zip(CHANNELS, TAPS, strict=True):
        convolutions.append(nn.Conv1d(width, channels, taps, stride=Encoder.STRIDE))
        width = channels
    heads = nn.ModuleDict({name: nn.Linear(2 * width, n_experts) for name in names})
    with torch.no_grad():
        for layer in convolutions:
            fan = layer.weight[0].numel()  # type: ignore[index]
            layer.weight.uniform_(-(fan**-0.5), fan**-0.5, generator=generator)  # type: ignore[operator]
            layer.bias.zero_()  # type: ignore[operator]
        for head in heads.values():
            head.weight.zero_()  # type: ignore[operator]
            head.bias.zero_()  # type: ignore[operator]
    return convolutions, heads


def _gate(
    prior: Mapping[str, Array], convolutions: "torch.nn.ModuleList", heads: "torch.nn.ModuleDict", n: int
) -> Gate:
    layers = [tuple(part.detach().numpy().copy() for part in layer.parameters()) for layer in convolutions]
    rows = {name: tuple(part.detach().numpy().copy() for part in head.parameters()) for name, head in heads.items()}
    encoder = Encoder("conv", layers, n)  # type: ignore[arg-type]
    return Gate(dict(prior), [encoder], dict.fromkeys(rows, 0), rows)  # type: ignore[arg-type]
