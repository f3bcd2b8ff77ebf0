"""The trunk of a head: a two-layer feed-forward network, trained on all tasks of a fit together, then frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.ensemble._targets import TargetSpace, torch_loss

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class TrunkSettings:
    """How a trunk is trained. Dropout and decay were chosen inside PTB-XL's folds 1 to 5 (docs/results.md)."""

    width: int = 256
    input_dropout: float = 0.0
    dropout: float = 0.3
    learning_rate: float = 1e-3
    weight_decay: float = 0.5
    batch: int = 64
    max_epochs: int = 20
    patience: int = 5
    min_steps: int = 400


@dataclass(frozen=True)
class Trunk:
    """A trained trunk: dim -> width -> width -> outputs of each task; the output rows are where adapters start.

    first, second : (weight [out, in], bias [out]) of the two layers;  rows : by task, of the last.
    """

    first: tuple[Array, Array]
    second: tuple[Array, Array]
    rows: Mapping[str, tuple[Array, Array]]

    def hidden(self, x: Array) -> tuple[Array, Array]:
        """What the two layers give before their rectifier: [recording, width] each."""
        one = x @ self.first[0].T + self.first[1]
        two = np.maximum(one, 0) @ self.second[0].T + self.second[1]
        return one, two


def train_trunk(
    x: "torch.Tensor",
    targets: Mapping[str, "torch.Tensor"],
    spaces: Mapping[str, TargetSpace],
    rows: Rows,
    validation: Rows,
    settings: TrunkSettings,
    seed: int,
) -> Trunk:
    """Train on `rows`, keep the weights that served `validation` best.

    x : standardised embeddings [recording, dim];  targets : by task [recording, output], NaN where missing.
    Losses are divided by that of the trivial answer, so tasks weigh alike; a missing label weighs nothing.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    network = _network(x.shape[1], settings, spaces, generator)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    steps = max(1, len(rows) // settings.batch)
    epochs = max(settings.max_epochs, -(-settings.min_steps // steps))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        # torch divides by the length of the rise less one, which must not be nothing.
        optimiser,
        max_lr=settings.learning_rate,
        total_steps=max(11, epochs * steps),
        pct_start=0.1,
    )
    shares = {name: _share(targets[name][rows]) for name in spaces}
    best, best_loss, best_epoch = _weights(network), np.inf, 0
    order = torch.from_numpy(rows)
    for epoch in range(epochs):
        network.train()
        shuffled = order[torch.randperm(len(order), generator=generator)]
        for step in range(steps):
            batch = shuffled[step * settings.batch : (step + 1) * settings.batch]
            outputs = network(x[batch])
            loss = sum_losses(outputs, {name: targets[name][batch] for name in spaces}, spaces, shares)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        loss_now = validation_loss(network, x, targets, spaces, validation)
        if loss_now < best_loss - 1e-5:
            best, best_loss, best_epoch = _weights(network), loss_now, epoch
        elif epoch - best_epoch >= settings.patience and (epoch + 1) * steps >= settings.min_steps:
            break
    return best


def sum_losses(
    outputs: Mapping[str, "torch.Tensor"],
    targets: Mapping[str, "torch.Tensor"],
    spaces: Mapping[str, TargetSpace],
    shares: Mapping[str, float],
) -> "torch.Tensor":
    """Sum over tasks of the loss relative to the trivial answer's.

    shares : of the recordings that carry a label, so that a batch with few labels does not shout.
    """
    import torch

    total = torch.zeros(())
    for name, space in spaces.items():
        there = ~torch.isnan(targets[name]).any(dim=1)
        if there.any():
            loss = torch_loss(space.task, outputs[name][there], targets[name][there]).sum()
            total = total + loss / (len(there) * max(shares[name], 1.0 / len(there)) * space.trivial)
    return total


def validation_loss(
    network: "torch.nn.Module",
    x: "torch.Tensor",
    targets: Mapping[str, "torch.Tensor"],
    spaces: Mapping[str, TargetSpace],
    rows: Rows,
) -> float:
    """Sum of the relative losses over tasks, without dropout. Tasks without a label among the rows do not count."""
    import torch

    network.eval()
    with torch.no_grad():
        outputs = network(x[torch.from_numpy(rows)])
        total = 0.0
        for name, space in spaces.items():
            wanted = targets[name][torch.from_numpy(rows)]
            there = ~torch.isnan(wanted).any(dim=1)
            if there.any():
                total += float(torch_loss(space.task, outputs[name][there], wanted[there]).mean()) / space.trivial
    return total


def _share(targets: "torch.Tensor") -> float:
    return float((~targets.isnan().any(dim=1)).float().mean())


def _network(
    dim: int, settings: TrunkSettings, spaces: Mapping[str, TargetSpace], generator: "torch.Generator"
) -> "torch.nn.Module":
    import torch
    from torch import nn

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(dim, settings.width)
            self.second = nn.Linear(settings.width, settings.width)
            self.rows = nn.ModuleDict({name: nn.Linear(settings.width, len(s.base)) for name, s in spaces.items()})

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            thin, hidden = (settings.input_dropout, settings.dropout) if self.training else (0.0, 0.0)
            # Whole features are dropped for a batch: as good as one by one, and ten thousand of them cost nothing.
            x = x * dropout(torch.ones(1, dim), thin, generator) if thin else x
            h = dropout(torch.relu(self.first(x)), hidden, generator)
            h = dropout(torch.relu(self.second(h)), hidden, generator)
            return {name: row(h) for name, row in self.rows.items()}

    network = Network()
    with torch.no_grad():
        for layer in (network.first, network.second):
            layer.weight.normal_(0, (2 / layer.in_features) ** 0.5, generator=generator)
            layer.bias.zero_()
        for name, row in network.rows.items():
            row.weight.zero_()  # type: ignore[operator]
            row.bias.copy_(torch.from_numpy(spaces[name].start))  # type: ignore[operator]
    return network


def dropout(x: "torch.Tensor", share: float, generator: "torch.Generator") -> "torch.Tensor":
    """Dropout from our own generator: torch's takes the global one, which belongs to the user."""
    import torch

    if share == 0:
        return x
    kept = torch.empty_like(x).bernoulli_(1 - share, generator=generator)
    return x * kept.div_(1 - share)


def _weights(network: "torch.nn.Module") -> Trunk:
    arrays = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}
    names: Sequence[str] = [
        name.split(".")[1] for name in arrays if name.startswith("rows.") and name.endswith("weight")
    ]
    return Trunk(
        first=(arrays["first.weight"], arrays["first.bias"]),
        second=(arrays["second.weight"], arrays["second.bias"]),
        rows={name: (arrays[f"rows.{name}.weight"], arrays[f"rows.{name}.bias"]) for name in names},
    )
