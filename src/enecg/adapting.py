"""Adapting a published expert: LoRA inside its attention, trained on a cohort's tasks, kept as an expert of its own.

The mission's default is heads only: experts stay frozen. Where a cohort is large enough, and a published network far
from it, adapting the network itself may be worth its cost. What comes out is another expert, with its own name
(`ecg-jepa+mine`), weights' digest and therefore its own place in every store, and a card that knows whom it has seen:
`evaluate` refuses to test it on them. Imports ensemble, inputs; imported by cli.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from enecg.ensemble import TargetSpace, hold_out, subject_codes, sum_losses
from enecg.errors import ExpertError, FitError
from enecg.experts import Published, get_expert
from enecg.experts._adapter import keep_adapter
from enecg.experts._variant import Note, check_free
from enecg.inputs import Item, Targets, encode_targets, labelled_rows, subject_digest
from enecg.prepared import Prepared
from enecg.progress import progress_bar
from enecg.store import as_items
from enecg.tasks import Task, get_task

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class AdaptSettings:
    """How an expert is adapted.

    rank, alpha : of LoRA;  learning_rate : of LoRA;  head_learning_rate : of the linear head on the embedding.
    validation : share of the subjects that decide when to stop, and whether LoRA helped at all.
    """

    rank: int = 8
    alpha: int = 16
    learning_rate: float = 2e-3
    head_learning_rate: float = 1e-3
    head_steps: int = 300
    batch: int = 8
    max_epochs: int = 8
    patience: int = 8
    validation: float = 0.15


def adapt_expert(
    expert: str,
    name: str,
    recordings: Sequence[Item],
    targets: Targets | None = None,
    tasks: Sequence[str | Task] = ("age", "sex"),
    subjects: Sequence[str | None] | None = None,
    *,
    settings: AdaptSettings | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Note:
    """Train LoRA inside an expert's attention and keep it as expert `<expert>+<name>`.

    recordings, targets, subjects : as in `EnECG.fit`. First a linear head is trained on the frozen embedding, then LoRA
    and head together, from which on validation subjects take the best epoch.
    Raises ExpertError for an expert without attention or a name that is taken, FitError if there is too little to learn
    from, or if LoRA served the validation subjects no better than the head alone: nothing is kept then.
    """
    settings = settings or AdaptSettings()
    full = f"{expert}+{name}"
    check_free(full)
    base = get_expert(expert)
    if not isinstance(base, Published) or not base.attention:
        raise ExpertError(f"{expert} has no attention to adapt; use it frozen, heads only")
    digest = base.weights_digest
    items = as_items(recordings)
    table = getattr(recordings, "targets", None) if targets is None else targets
    if table is None:
        raise FitError("adapting needs targets: a table with a column for each task")
    asked = [get_task(task) for task in tasks]
    columns = {task.name: encode_targets(task, table, len(items)) for task in asked}
    labelled = np.stack([labelled_rows(column) for column in columns.values()], axis=1)
    with tempfile.TemporaryDirectory() as folder, progress_bar(progress, f"adapting {expert}", 1.0) as bar:
        bar.step("reading", 0.0)
        windows = Prepared.of(base, items, np.flatnonzero(labelled.any(axis=1)), folder)
        rows = windows.rows
        people = [windows.subjects[row] for row in rows] if subjects is None else [subjects[row] for row in rows]
        held = hold_out(subject_codes(people), labelled[rows], settings.validation, seed)
        learned = {name: column[rows] for name, column in columns.items()}
        work = _Work(base, windows, learned, asked, held, settings, seed)
        bar.step("head", 0.1)
        alone = work.train_head()
        before, adapted, losses = float(alone.mean()), alone, [float(alone.mean())]
        while len(losses) <= settings.max_epochs and not _stale(losses, settings.patience):
            bar.step(f"epoch {len(losses)}", 0.2 + 0.8 * (len(losses) - 1) / settings.max_epochs)
            found = work.train_epoch()
            losses.append(float(found.mean()))
            if losses[-1] < min(losses[:-1]):
                adapted = found
                work.keep()
    after, gain = min(losses[1:]), alone - adapted
    # One standard error, of recordings that are paired: less is what chance gives.
    if gain.mean() <= gain.std() / len(gain) ** 0.5:
        raise FitError(
            f"{full}: LoRA did not help on {len(gain)} validation recordings (loss {before:.4f} with the head alone, "
            f"{after:.4f} with LoRA; 1 is the trivial answer). Nothing was kept; use {expert} frozen"
        )
    known = sorted({person for person in people if person is not None})
    return keep_adapter(
        full,
        work.config(),
        work.kept,
        {
            "base": digest,
            "tasks": tuple(columns),
            "n_recordings": len(rows),
            "refused": tuple(windows.refused),
            "cohorts": tuple(sorted({person.partition(":")[0] for person in known if ":" in person})),
            "subjects": tuple(sorted(map(subject_digest, known))),
            "chosen_by": tuple(
                sorted({subject_digest(who) for who, out in zip(people, held, strict=True) if who and out})
            ),
            "anonymous": None in people,
            "before": before,
            "after": after,
            "settings": asdict(settings) | {"seed": seed},
        },
    )


class _Work:
    """Network, head and what they learn from."""

    def __init__(
        self,
        expert: Published,
        windows: Prepared,
        columns: Mapping[str, Array],
        tasks: Sequence[Task],
        held: npt.NDArray[np.bool_],
        settings: AdaptSettings,
        seed: int,
    ) -> None:
        import torch

        self.windows, self.settings = windows, settings
        self.train, self.validation = np.flatnonzero(~held), np.flatnonzero(held)
        self.spaces = {task.name: TargetSpace.of(task, columns[task.name][self.train]) for task in tasks}
        self.targets = {name: torch.from_numpy(space.targets(columns[name])) for name, space in self.spaces.items()}
        self.shares = {
            name: float((~part[self.train].isnan().any(dim=1)).float().mean()) for name, part in self.targets.items()
        }
        self.generator = torch.Generator().manual_seed(seed)
        self.model = self._with_lora(expert, seed)
        frozen = self._embed(np.arange(len(windows.rows)))
        mean, deviation = frozen[self.train].mean(0), frozen[self.train].std(0, correction=0)
        self.mean, self.inverse = mean, 1 / deviation.clamp_min(1e-6)
        self.frozen = (frozen - mean) * self.inverse
        self.heads = {name: _row(frozen.shape[1], torch.from_numpy(space.start)) for name, space in self.spaces.items()}
        self.kept: dict[str, torch.Tensor] = {}
        lora = [part for part in self.model.parameters() if part.requires_grad]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": lora, "lr": settings.learning_rate, "weight_decay": 0.0},
                {"params": self._rows(), "lr": settings.head_learning_rate, "weight_decay": 0.01},
            ]
        )
        # Slowly at first: full steps would throw away the head that was just fitted.
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser,
            max_lr=[settings.learning_rate, settings.head_learning_rate],
            total_steps=max(11, settings.max_epochs * -(-len(self.train) // settings.batch)),
        )

    def train_head(self) -> npt.NDArray[np.float64]:
        """Fit the head to the frozen embedding; its loss on each validation recording."""
        import torch

        optimiser = torch.optim.AdamW(self._rows(), lr=5e-3, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=self.settings.head_steps)
        best, kept = self._losses(self.frozen[self.validation]), self._head_state()
        for step in range(self.settings.head_steps):
            places = self._draw(min(256, len(self.train)))
            self._step(optimiser, self.frozen[places], places)
            schedule.step()
            if step % 25 == 24:
                losses = self._losses(self.frozen[self.validation])
                if losses.mean() < best.mean():
                    best, kept = losses, self._head_state()
        with torch.no_grad():
            for row, value in zip(self._rows(), kept, strict=True):
                row.copy_(value)
        return best

    def train_epoch(self) -> npt.NDArray[np.float64]:
        """One pass over the training recordings; the loss on each validation recording after it."""
        order = self.train[self._permutation()]
        size = self.settings.batch
        for start in range(0, len(order), size):
            places = order[start : start + size]
            self._step(self.optimiser, (self._forward(places) - self.mean) * self.inverse, places)
            self.schedule.step()
        found = (self._embed(self.validation) - self.mean) * self.inverse
        return self._losses(found)

    def keep(self) -> None:
        """Remember the adapters as they are."""
        from peft import get_peft_model_state_dict

        self.kept = {name: part.detach().clone() for name, part in get_peft_model_state_dict(self.model).items()}

    def config(self) -> dict[str, Any]:
        """PEFT's settings, for its own format."""
        found = self.model.peft_config["default"].to_dict()
        return {key: sorted(part) if isinstance(part, set) else part for key, part in found.items()} | {
            "inference_mode": True
        }

    def _with_lora(self, expert: Published, seed: int) -> Any:
        import torch
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(r=self.settings.rank, lora_alpha=self.settings.alpha, target_modules=expert.attention)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # Evaluation mode throughout: what a published network drops at random is not trained here.
            return get_peft_model(expert.fresh_network(), config).eval()

    def _forward(self, places: Rows) -> "torch.Tensor":
        """Embeddings of recordings: the mean over their windows'."""
        import torch

        x, owner = self.windows.of_places(places)
        found = self.model(x)
        total = torch.zeros(len(places), found.shape[1]).index_add(0, owner, found)
        return total / torch.bincount(owner, minlength=len(places))[:, None]

    def _embed(self, places: Rows) -> "torch.Tensor":
        import torch

        with torch.no_grad():
            parts = [self._forward(part) for part in _batches(places, self.settings.batch)]
        return torch.cat(parts)

    def _step(self, optimiser: Any, x: "torch.Tensor", places: Rows) -> None:
        targets = {name: part[places] for name, part in self.targets.items()}
        loss = sum_losses(self._outputs(x), targets, self.spaces, self.shares)
        if not loss.requires_grad:
            return  # No recording of the batch has a label.
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    def _outputs(self, x: "torch.Tensor") -> "dict[str, torch.Tensor]":
        return {name: x @ weight + bias for name, (weight, bias) in self.heads.items()}

    def _losses(self, x: "torch.Tensor") -> npt.NDArray[np.float64]:
        """Of each validation recording: mean over the tasks it has a label for, relative to the trivial answer."""
        import torch

        with torch.no_grad():
            outputs = self._outputs(x)
        found = [
            space.loss(outputs[name].numpy(), self.targets[name][self.validation].numpy()) / space.trivial
            for name, space in self.spaces.items()
        ]
        return np.asarray(np.nanmean(np.stack(found), axis=0))

    def _rows(self) -> "list[torch.Tensor]":
        return [part for pair in self.heads.values() for part in pair]

    def _head_state(self) -> "list[torch.Tensor]":
        return [part.detach().clone() for part in self._rows()]

    def _permutation(self) -> npt.NDArray[np.int64]:
        import torch

        return np.asarray(torch.randperm(len(self.train), generator=self.generator).numpy())

    def _draw(self, n: int) -> Rows:
        import torch

        return np.asarray(self.train[torch.randint(len(self.train), (n,), generator=self.generator).numpy()])


def _row(dim: int, start: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    return torch.zeros(dim, len(start), requires_grad=True), start.clone().requires_grad_()


def _batches(places: Rows, size: int) -> Iterator[Rows]:
    for start in range(0, len(places), size):
        yield places[start : start + size]


def _stale(losses: Sequence[float], patience: int) -> bool:
    """Whether the last `patience` losses were no better than one before them."""
    return len(losses) > patience and min(losses[-patience:]) >= min(losses[:-patience])
