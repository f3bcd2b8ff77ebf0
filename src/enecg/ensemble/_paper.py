"""Recipe "paper": the ensemble as published (arXiv 2511.22935), without what its script gets wrong (docs/paper.md).

One ensemble for each task: for each expert a feed-forward network dim -> 256 -> 256 -> out whose base is left at its
initialisation, with LoRA (r 8, alpha 32, dropout 0.05) on its layers and trained output rows; a gate
sample -> 256 -> experts on one lead, adapted the same way; all trained together by AdamW (1e-4, batch 16, 5 epochs) on
squared error or cross-entropy. An eighth of the subjects is kept aside for calibration only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.ensemble._calibration import Calibration, calibrate
from enecg.ensemble._ensemble import Ensemble, disagreement_of
from enecg.ensemble._gate import Encoder, Gate, choose, softmax
from enecg.ensemble._heads import ExpertHead, Linear, Member
from enecg.ensemble._linear import Scaler
from enecg.ensemble._lora import RANK, SCALE, Adapter
from enecg.ensemble._mixing import mix
from enecg.ensemble._splits import check_whole, hold_out, subject_codes
from enecg.ensemble._targets import TargetSpace, torch_loss
from enecg.ensemble._trunk import Trunk, dropout
from enecg.errors import FitError
from enecg.store import Embedded
from enecg.tasks import Task

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PaperSettings:
    """The published figures."""

    width: int = 256
    learning_rate: float = 1e-4
    batch: int = 16
    epochs: int = 5
    lora_dropout: float = 0.05
    calibration_share: float = 1 / 8


def fit_paper(
    embedded: Embedded,
    targets: Mapping[str, Array],
    tasks: Sequence[Task],
    *,
    experts: Sequence[str],
    gate: str,
    validation: Mask | None,
    seed: int,
    settings: PaperSettings,
    watch: Callable[[str, float], None],
) -> Ensemble:
    """Train one ensemble for each task; `validation` recordings only calibrate.

    Raises FitError for data that cannot be fitted.
    """
    present = np.column_stack([embedded.present[name] for name in experts])
    labelled = np.column_stack([~np.isnan(targets[task.name]).any(axis=1) for task in tasks])
    usable: Mask = np.asarray(present.any(axis=1) & labelled.any(axis=1))
    if not usable.any():
        raise FitError("no recording has both a label and an expert that could take it; see the refusals")
    aside: Mask = np.zeros(len(usable), dtype=np.bool_)
    codes = subject_codes(embedded.subjects)
    if validation is None:
        aside[usable] = hold_out(codes[usable], labelled[usable], settings.calibration_share, seed)
    else:
        aside = validation & usable
        check_whole(codes, aside, usable & ~aside, embedded.subjects)
    fitted = usable & ~aside
    for name in experts:
        if not (fitted & embedded.present[name]).any():
            raise FitError(f"expert {name} could take no recording of the training set; leave it out")
    scalers = {name: Scaler.of(embedded.embeddings[name][fitted & embedded.present[name]]) for name in experts}
    x = {name: np.nan_to_num(scalers[name](embedded.embeddings[name])) for name in experts}
    leads = np.nan_to_num(embedded.embeddings[gate])
    spaces: dict[str, TargetSpace] = {}
    members: dict[str, list[Member]] = {name: [] for name in experts}
    encoders, rows, calibrations, trained = [], {}, {}, {}
    for number, task in enumerate(tasks):
        watch(task.name, number / len(tasks))
        space = spaces[task.name] = TargetSpace.of(task, targets[task.name][fitted])
        wanted = space.targets(targets[task.name])
        network = _Network([x[name].shape[1] for name in experts], leads.shape[1], space, settings, seed + number)
        trained[task.name] = sum(part.numel() for part in network.trained())
        network.train([x[name] for name in experts], leads, present, wanted, fitted)
        for name, member in zip(experts, network.members(), strict=True):
            members[name].append(member)
        encoder, rows[task.name] = network.gate()
        encoders.append(encoder)
    names = list(spaces)
    made = Gate(
        prior={name: np.zeros(len(experts), np.float32) for name in names},
        encoders=encoders,
        which={name: number for number, name in enumerate(names)},
        rows=rows,
    )
    heads = {
        expert: ExpertHead(scalers[expert], members[expert], {n: _no_path(x[expert], spaces[n]) for n in names})
        for expert in experts
    }
    notes = {"recipe": "paper", "trained_parameters": trained}
    ensemble = Ensemble(spaces, heads, made, gate, {}, dict.fromkeys(names, names), notes)
    checked = embedded.take(aside)
    here = present[aside]
    outputs = ensemble.outputs(checked, names, here)
    logits = made.logits(leads[aside], names)
    for name, space in spaces.items():
        wanted = space.targets(targets[name])[aside]
        calibrations[name] = _calibrate(space, outputs[name], logits, name, here, wanted)
    return replace(ensemble, calibrations=calibrations)


def _no_path(x: Array, space: TargetSpace) -> Linear:
    return Linear(np.zeros((x.shape[1], len(space.base)), np.float32), np.zeros_like(space.base), 0.0)


def _calibrate(
    space: TargetSpace, outputs: Array, logits: Mapping[str, Array], name: str, present: Mask, wanted: Array
) -> dict[int, Calibration]:
    found = {}
    for k in range(1, present.shape[1] + 1):
        chosen = choose(logits, present, k)
        weights = softmax(logits[name], chosen)
        # Where fewer than k could run, fewer will answer, and theirs is another number's calibration.
        full = chosen.sum(axis=1) == k
        mixed, apart = mix(outputs, weights), disagreement_of(outputs, weights)
        found[k] = calibrate(space, mixed[full], apart[full], wanted[full])
    return found


def _published_loss(task: Task, outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Squared error (of standardised values) or cross-entropy, mean over recordings."""
    if task.kind == "regression":
        return ((outputs - targets) ** 2).mean()
    return torch_loss(task, outputs, targets).mean()


class _Network:
    """All heads and the gate of one task, trained together."""

    def __init__(
        self, dims: Sequence[int], n_samples: int, space: TargetSpace, settings: PaperSettings, seed: int
    ) -> None:
        import torch

        self.space, self.settings = space, settings
        self.generator = torch.Generator().manual_seed(seed)
        width = settings.width
        self.experts = [
            {"first": self._adapted(dim, width), "second": self._adapted(width, width), "row": self._row(width)}
            for dim in dims
        ]
        self.encoder, self.choice = self._adapted(n_samples, width), self._adapted(width, len(dims))

    def _adapted(self, n_in: int, n_out: int) -> "tuple[torch.Tensor, ...]":
        """Weight, bias (both frozen, torch's initialisation), A, B (PEFT's)."""
        import torch

        bound = n_in**-0.5

        def uniform(*shape: int) -> torch.Tensor:
            return torch.empty(*shape).uniform_(-bound, bound, generator=self.generator)

        return (
            uniform(n_out, n_in),
            uniform(n_out),
            uniform(RANK, n_in).requires_grad_(),
            torch.zeros(n_out, RANK, requires_grad=True),
        )

    def _row(self, width: int) -> "tuple[torch.Tensor, ...]":
        import torch

        return (
            torch.zeros(len(self.space.base), width, requires_grad=True),
            torch.from_numpy(self.space.start.copy()).requires_grad_(),
        )

    def _layer(self, layer: "tuple[torch.Tensor, ...]", x: "torch.Tensor") -> "torch.Tensor":
        weight, bias, a, b = layer
        low = dropout(x, self.settings.lora_dropout, self.generator) @ a.T
        return x @ weight.T + bias + SCALE * (low @ b.T)

    def trained(self) -> "list[torch.Tensor]":
        """Adapters of all layers, and the experts' output rows."""
        layers = [layer for head in self.experts for layer in head.values()] + [self.encoder, self.choice]
        return [part for layer in layers for part in layer if part.requires_grad]

    def train(self, x: Sequence[Array], leads: Array, present: Mask, wanted: Array, fitted: Mask) -> None:
        """On the rows of `fitted` that are labelled."""
        import torch

        rows = np.flatnonzero(fitted & ~np.isnan(wanted).any(axis=1))
        deep, raw = [torch.from_numpy(part) for part in x], torch.from_numpy(leads)
        there, targets = torch.from_numpy(present), torch.from_numpy(wanted)
        optimiser = torch.optim.AdamW(self.trained(), lr=self.settings.learning_rate)
        order = torch.from_numpy(rows)
        for _ in range(self.settings.epochs):
            shuffled = order[torch.randperm(len(order), generator=self.generator)]
            for batch in torch.split(shuffled, self.settings.batch):
                answers = torch.stack(
                    [self._answer(head, part[batch]) for head, part in zip(self.experts, deep, strict=True)], 1
                )
                choice = self._layer(self.choice, torch.relu(self._layer(self.encoder, raw[batch])))
                weights = torch.softmax(choice.masked_fill(~there[batch], -torch.inf), dim=1)
                mixed = torch.einsum("neo,ne->no", answers, weights)
                loss = _published_loss(self.space.task, mixed, targets[batch])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()

    def _answer(self, head: "Mapping[str, tuple[torch.Tensor, ...]]", x: "torch.Tensor") -> "torch.Tensor":
        import torch

        h = torch.relu(self._layer(head["first"], x))
        h = torch.relu(self._layer(head["second"], h))
        return h @ head["row"][0].T + head["row"][1]

    def members(self) -> list[Member]:
        """What was trained, one for each expert."""
        made = []
        for head in self.experts:
            first, second, row = ([part.detach().numpy() for part in head[name]] for name in ("first", "second", "row"))
            trunk = Trunk((first[0], first[1]), (second[0], second[1]), {})
            adapter = Adapter((first[2], first[3]), (second[2], second[3]), (row[0], row[1]))
            made.append(Member(trunk, {self.space.task.name: adapter}))
        return made

    def gate(self) -> tuple[Encoder, tuple[Array, Array]]:
        """The gate with its adapters merged."""
        merged = []
        for layer in (self.encoder, self.choice):
            weight, bias, a, b = (part.detach().numpy() for part in layer)
            merged.append((np.asarray(weight + SCALE * (b @ a), dtype=np.float32), bias))
        return Encoder("dense", [merged[0]], 1), merged[1]
