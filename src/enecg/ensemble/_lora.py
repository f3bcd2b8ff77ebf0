"""Adapters: what one task adds to a frozen trunk. LoRA (Hu et al., ICLR 2022) in PEFT's format and meaning.

A layer with weight W and bias b, adapted, gives  W x + b + (alpha / r) B A x,  with A [r, in], B [out, r]. The output
rows belong to the task alone and are trained whole, as PEFT's `modules_to_save`. Adapters of many tasks are trained in
one pass: their arrays are stacked, their losses, optimiser states and stopping do not touch each other, and all see the
same batches, dropout and start, so that a task's adapter is the same whichever others are trained beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.ensemble._targets import TargetSpace, torch_loss
from enecg.ensemble._trunk import Rows, Trunk, dropout

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]

RANK = 8
ALPHA = 32.0
SCALE = ALPHA / RANK


@dataclass(frozen=True)
class Adapter:
    """One task on one trunk.

    first, second : (A [r, in], B [out, r]) of the trunk's layers, None where the task left them as they are.
    row : (weight [output, width], bias [output]).
    """

    first: tuple[Array, Array] | None
    second: tuple[Array, Array] | None
    row: tuple[Array, Array]

    def outputs(self, trunk: Trunk, x: Array, hidden: tuple[Array, Array]) -> Array:
        """The task's answer [recording, output]; hidden : `trunk.hidden(x)`, shared by all tasks."""
        one, two = hidden
        if self.first is not None:
            one = np.asarray(one + SCALE * (x @ self.first[0].T) @ self.first[1].T, dtype=np.float32)
            two = np.maximum(one, 0) @ trunk.second[0].T + trunk.second[1]
        if self.second is not None:
            low = SCALE * (np.maximum(one, 0) @ self.second[0].T) @ self.second[1].T
            two = np.asarray(two + low, dtype=np.float32)
        return np.asarray(np.maximum(two, 0) @ self.row[0].T + self.row[1], dtype=np.float32)

    def to_peft(self) -> dict[str, Array]:
        """The names and shapes that PEFT writes in `adapter_model.safetensors`."""
        made = {"base_model.model.row.weight": self.row[0], "base_model.model.row.bias": self.row[1]}
        for name, pair in (("first", self.first), ("second", self.second)):
            if pair is not None:
                made[f"base_model.model.{name}.lora_A.weight"] = pair[0]
                made[f"base_model.model.{name}.lora_B.weight"] = pair[1]
        return made

    @classmethod
    def from_peft(cls, state: Mapping[str, Array]) -> "Adapter":
        """The inverse of `to_peft`."""

        def pair(name: str) -> tuple[Array, Array] | None:
            key = f"base_model.model.{name}.lora_"
            return (state[f"{key}A.weight"], state[f"{key}B.weight"]) if f"{key}A.weight" in state else None

        row = (state["base_model.model.row.weight"], state["base_model.model.row.bias"])
        return cls(pair("first"), pair("second"), row)


@dataclass(frozen=True)
class AdapterSettings:
    """How adapters are trained; `lora_dropout` is on the input of A, as PEFT's, `dropout` on hidden units."""

    learning_rate: float = 3e-4
    weight_decay: float = 0.05
    lora_dropout: float = 0.05
    dropout: float = 0.5
    batch: int = 128
    max_epochs: int = 6
    patience: int = 2
    min_steps: int = 0


def train_adapters(
    trunk: Trunk,
    x: "torch.Tensor",
    targets: Mapping[str, "torch.Tensor"],
    spaces: Mapping[str, TargetSpace],
    rows: Rows,
    validation: Rows,
    settings: AdapterSettings,
    seed: int,
    base: "torch.Tensor | None" = None,
) -> dict[str, Adapter]:
    """Adapters of all tasks in `spaces`, each kept at the epoch that served its validation best.

    Epoch 0 counts: there an adapter is nothing and the output rows are the trunk's (or the constant answer, for a task
    that the trunk does not know), so a task is adapted only where that helps.

    base : what the trunk's first layer gives [recording, width], where `x` is not what that layer reads.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    stack = _Stack(trunk, spaces, x.shape[1], settings, generator)
    optimiser = torch.optim.AdamW(stack.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    if base is None:
        with torch.no_grad():
            base = torch.addmm(stack.base_first[1], x, stack.base_first[0].T)
    start = stack.losses(x, base, targets, validation)
    best = {name: (start[name], stack.adapter(name, used=False)) for name in spaces}
    best_epoch = dict.fromkeys(spaces, 0)
    running = set(spaces)
    steps = max(1, len(rows) // settings.batch)
    order = torch.from_numpy(rows)
    for epoch in range(max(settings.max_epochs, -(-settings.min_steps // steps))):
        shuffled = order[torch.randperm(len(order), generator=generator)]
        for step in range(steps):
            batch = shuffled[step * settings.batch : (step + 1) * settings.batch]
            outputs = stack.forward(x[batch], base[batch], training=True)
            loss = stack.loss(outputs, {name: targets[name][batch] for name in spaces})
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        for name, now in stack.losses(x, base, targets, validation).items():
            if name in running and now < best[name][0] - 1e-5:
                best[name], best_epoch[name] = (now, stack.adapter(name, used=True)), epoch
        if (epoch + 1) * steps >= settings.min_steps:
            running = {name for name in running if epoch - best_epoch[name] < settings.patience}
        if not running:
            break
    return {name: adapter for name, (_, adapter) in best.items()}


class _Stack:
    """The adapters of several tasks side by side: arrays [task, ...]."""

    def __init__(
        self,
        trunk: Trunk,
        spaces: Mapping[str, TargetSpace],
        dim: int,
        settings: AdapterSettings,
        generator: "torch.Generator",
    ) -> None:
        import torch

        self.spaces, self.settings, self.generator = spaces, settings, generator
        self.names = list(spaces)
        self.base_first = tuple(torch.from_numpy(part) for part in trunk.first)
        self.base_second = tuple(torch.from_numpy(part) for part in trunk.second)
        n, width = len(spaces), len(trunk.second[1])

        def start(*shape: int) -> torch.Tensor:
            # PEFT's start: A uniform with bound 1 / sqrt(in), B zero.
            bound = shape[-1] ** -0.5
            one = torch.empty(*shape).uniform_(-bound, bound, generator=generator)
            return one.repeat(n, 1, 1).requires_grad_()

        self.first = (start(RANK, dim), torch.zeros(n, width, RANK, requires_grad=True))
        self.second = (start(RANK, width), torch.zeros(n, width, RANK, requires_grad=True))
        self.rows = {}
        for name, space in spaces.items():
            weight, bias = trunk.rows.get(name, (np.zeros((len(space.base), width), np.float32), space.start))
            self.rows[name] = (
                torch.from_numpy(weight.copy()).requires_grad_(),
                torch.from_numpy(bias.copy()).requires_grad_(),
            )

    def parameters(self) -> "list[torch.Tensor]":
        return [*self.first, *self.second, *(part for row in self.rows.values() for part in row)]

    def forward(self, x: "torch.Tensor", base: "torch.Tensor", training: bool) -> "dict[str, torch.Tensor]":
        """x : [recording, dim];  base : the trunk's first layer of it;  by task [recording, output]."""
        import torch

        thin, hidden = (self.settings.lora_dropout, self.settings.dropout) if training else (0.0, 0.0)

        def dropped(h: torch.Tensor, share: float) -> torch.Tensor:
            return h * dropout(torch.ones(h.shape[-2:]), share, self.generator) if share else h

        low = torch.einsum("bd,trd->tbr", dropped(x, thin), self.first[0])
        one = torch.relu(base + SCALE * torch.einsum("tbr,twr->tbw", low, self.first[1]))
        one = dropped(one, hidden)
        low = torch.einsum("tbw,trw->tbr", dropped(one, thin), self.second[0])
        two = one @ self.base_second[0].T + self.base_second[1]
        two = dropped(torch.relu(two + SCALE * torch.einsum("tbr,twr->tbw", low, self.second[1])), hidden)
        return {name: two[place] @ self.rows[name][0].T + self.rows[name][1] for place, name in enumerate(self.names)}

    def loss(self, outputs: "Mapping[str, torch.Tensor]", targets: "Mapping[str, torch.Tensor]") -> "torch.Tensor":
        import torch

        total = torch.zeros(())
        for name, space in self.spaces.items():
            # A task without a label in the batch adds nothing, but its optimiser steps all the same.
            there = ~torch.isnan(targets[name]).any(dim=1)
            own = torch_loss(space.task, outputs[name][there], targets[name][there]).sum()
            total = total + own / (max(1, int(there.sum())) * space.trivial)
        return total

    def losses(
        self, x: "torch.Tensor", base: "torch.Tensor", targets: "Mapping[str, torch.Tensor]", rows: Rows
    ) -> dict[str, float]:
        """Each task's mean loss on its labelled rows, infinite where there are none."""
        import torch

        index = torch.from_numpy(rows)
        found = dict.fromkeys(self.names, float("inf"))
        with torch.no_grad():
            outputs = self.forward(x[index], base[index], training=False)
        for name, space in self.spaces.items():
            wanted = targets[name][index]
            there = ~torch.isnan(wanted).any(dim=1)
            if there.any():
                found[name] = float(torch_loss(space.task, outputs[name][there], wanted[there]).mean())
        return found

    def adapter(self, name: str, *, used: bool) -> Adapter:
        place = self.names.index(name)

        def pair(pair: "tuple[torch.Tensor, torch.Tensor]") -> tuple[Array, Array]:
            a, b = (part[place].detach().numpy().copy() for part in pair)
            return a, b

        weight, bias = (part.detach().numpy().copy() for part in self.rows[name])
        if not used:
            return Adapter(None, None, (weight, bias))
        return Adapter(pair(self.first), pair(self.second), (weight, bias))
