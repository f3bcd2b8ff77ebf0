"""The loop: a network, an objective, a corpus; the same weights whether or not it was killed on the way.

Everything that is done at random in a step follows from the seed and the step's number alone, so that a checkpoint
holds no generators, and a training that goes on from it does what it would have done.
"""

import hashlib
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from enecg.errors import FitError
from enecg.experts.learned import TokenNetwork
from enecg.files import write_whole
from enecg.pretraining._augment import Augmentation
from enecg.pretraining._batch import Batch
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._objective import Objective

Rows = npt.NDArray[np.intp]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained.

    steps : of one batch each;  learning_rate : at its highest, after a share `warm_up` of the steps; it then falls to
    nothing by a cosine;  clip : largest norm of the gradient;  check_every : steps between two looks at validation;
    averaging : what is looked at, and kept, are means of the weights over about 1 / (1 - averaging) steps (Polyak,
    Juditsky 1992; as arXiv 1703.01780 has it), 0 for the last weights;
    precision : "bf16" computes in bfloat16 where that does no harm.
    """

    steps: int = 2000
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warm_up: float = 0.05
    clip: float = 1.0
    check_every: int = 100
    averaging: float = 0.999
    precision: Precision = "fp32"
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Checked:
    """One look at validation. step : steps done;  train : mean loss since the last;  validation : mean loss now."""

    step: int
    train: float
    validation: float


Choose = Callable[[Objective, TokenNetwork, Batch], Tensor]
"""Which windows of a larger batch to learn from: their places in it."""


class Training:
    """A training that can be stopped and gone on with.

    checkpoint : the file that is written at every look at validation, and read by `resume`;  choose, of : from `of`
    times as many windows, those that are worth a step;  before : loss on validation windows before the first step.
    """

    def __init__(
        self,
        network: TokenNetwork,
        objective: Objective,
        corpus: Corpus,
        settings: TrainSettings,
        seed: int = 0,
        *,
        checkpoint: Path | None = None,
        device: str = "cpu",
        choose: Choose | None = None,
        of: int = 1,
    ) -> None:
        self.network, self.objective, self.corpus = network.to(device), objective.to(device), corpus
        self.settings, self.seed, self.checkpoint, self.device = settings, seed, checkpoint, device
        self.choose, self.of = choose, of
        self.step, self.history = 0, list[Checked]()
        self.before, self.best = math.nan, math.inf
        self.kept = self._state()
        self.start = _digest(self.kept["network"])
        parameters = [*network.parameters(), *objective.parameters()]
        self.parameters = parameters
        self.averages = [part.detach().clone() for part in parameters]
        self.optimiser = torch.optim.AdamW(
            [
                # Scales, biases and what a state-space layer is made of are not drawn to zero.
                {"params": [part for part in parameters if part.ndim > 1], "weight_decay": settings.weight_decay},
                {"params": [part for part in parameters if part.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
        )

    def run(self, watch: Callable[[Checked], None] = lambda _: None, until: int | None = None) -> Sequence[Checked]:
        """Train to the end, or until a step. At the end, network and objective have the weights that were best for
        validation subjects.

        watch : told of every look at validation.
        """
        settings = self.settings
        last = settings.steps if until is None else min(until, settings.steps)
        losses: list[float] = []
        with _own_randomness():
            if self.step == 0:
                self.before = self.validate()
            while self.step < last:
                losses.append(self._learn())
                self.step += 1
                if self.step % settings.check_every == 0 or self.step == settings.steps:
                    with self._averaged():
                        checked = Checked(self.step, _mean(losses), self.validate())
                        if checked.validation < self.best:
                            self.best, self.kept = checked.validation, self._state()
                    losses = []
                    self.history.append(checked)
                    if self.checkpoint is not None:
                        self._write(self.checkpoint)
                    watch(checked)
        if self.step == settings.steps:
            self.network.load_state_dict(self.kept["network"])
            self.objective.load_state_dict(self.kept["objective"])
        self.network.eval()
        return self.history

    def validate(self) -> float:
        """Mean loss over the validation windows, without augmentation; the same windows are hidden each time."""
        self.network.eval()
        self.objective.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for number, windows in enumerate(batches(self.corpus.validation, self.settings.batch)):
                batch = self.corpus.batch(windows, self._generator(2, number), self.device)
                found = self._loss(batch)
                there = ~torch.isnan(found)
                total += float(found[there].sum())
                count += int(there.sum())
        mean = total / count if count else math.nan
        if not math.isfinite(mean):
            if math.isnan(self.before):
                raise FitError("nothing can be learned from any validation recording; hold out more of them")
            raise FitError(f"after step {self.step} the loss is no number any more; take a lower learning rate")
        return mean

    def _learn(self) -> float:
        self.network.train()
        self.objective.train()
        settings = self.settings
        torch.manual_seed(int(np.random.default_rng([self.seed, 0, self.step]).integers(2**31)))
        generator = self._generator(1, self.step)
        batch = self.corpus.batch(self._windows(), generator, self.device)
        if self.choose is not None:
            batch = batch.take(self.choose(self.objective, self.network, batch))
        batch = replace(batch, x=settings.augmentation(batch.x, generator, self.network.stride))
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * _share(self.step / settings.steps, settings.warm_up)
        found = self._loss(batch)
        there = ~torch.isnan(found)
        if not there.any():
            return math.nan
        loss = found[there].mean()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, settings.clip)
        self.optimiser.step()
        # In the beginning over fewer steps, or the random weights would count for long.
        share = min(settings.averaging, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.averages, [part.detach() for part in self.parameters], 1 - share)
        return float(loss.detach())

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Inside, network and objective have the averaged weights."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for place, part in enumerate(self.parameters):
            part.data, self.averages[place] = self.averages[place], part.data

    def _state(self) -> Mapping[str, Mapping[str, Tensor]]:
        return {"network": _copy(self.network), "objective": _copy(self.objective)}

    def _loss(self, batch: Batch) -> Tensor:
        return window_losses(self.objective, self.network, batch, self.settings.precision)

    def _windows(self) -> Rows:
        """Those of this step: every training window once, in another order each time round."""
        size, train = self.settings.batch * self.of, self.corpus.train
        places = np.arange(self.step * size, (self.step + 1) * size)
        rounds = places // len(train)
        found = np.empty(size, np.intp)
        for number in np.unique(rounds):
            order = np.random.default_rng([self.seed, 3, number]).permutation(train)
            found[rounds == number] = order[places[rounds == number] % len(train)]
        return found

    def _generator(self, what: int, number: int) -> torch.Generator:
        return torch.Generator().manual_seed(int(np.random.default_rng([self.seed, what, number]).integers(2**31)))

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one. Raises FitError if it is of another training, or damaged."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return False
        written = self.checkpoint.read_bytes()
        digest, data = written[:32], written[32:]
        # torch itself does not look whether numbers are those that were written.
        if hashlib.sha256(data).digest() != digest:
            raise FitError(f"{self.checkpoint}: damaged, not as it was written; remove it to begin anew")
        found = torch.load(io.BytesIO(data), map_location=self.device, weights_only=True)
        said, own = found["training"], self._identity()
        if said != own:
            other = sorted(key for key in said | own if said.get(key) != own.get(key))
            raise FitError(
                f"{self.checkpoint}: of another training ({', '.join(other)} not the same); remove it to begin anew, "
                "or choose another name"
            )
        self.network.load_state_dict(found["network"])
        self.objective.load_state_dict(found["objective"])
        self.optimiser.load_state_dict(found["optimiser"])
        self.averages = [part.to(self.device) for part in found["averages"]]
        self.kept, self.step = found["kept"], found["step"]
        self.before, self.best = found["before"], found["best"]
        self.history = [Checked(*row) for row in found["history"]]
        return True

    def _write(self, path: Path) -> None:
        data = io.BytesIO()
        torch.save(
            {
                "training": self._identity(),
                "network": self.network.state_dict(),
                "objective": self.objective.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "averages": self.averages,
                "kept": self.kept,
                "before": self.before,
                "best": self.best,
                "step": self.step,
                "history": [(one.step, one.train, one.validation) for one in self.history],
            },
            data,
        )
        written = data.getvalue()
        write_whole(path, hashlib.sha256(written).digest() + written)

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a checkpoint to be gone on from."""
        return {
            "objective": self.objective.name,
            "seed": self.seed,
            "of": self.of,
            "recordings": self.corpus.digest,
            "weights at the start": self.start,
            **asdict(self.settings),
        }


def window_losses(objective: Objective, network: TokenNetwork, batch: Batch, precision: Precision) -> Tensor:
    """The loss of each window, float32 [window]; NaN where there is nothing to learn from it."""
    half = precision == "bf16"
    with torch.autocast(batch.x.device.type, torch.bfloat16) if half else nullcontext():
        found: Tensor = objective(network, batch)
    return found.float()


def _share(done: float, warm_up: float) -> float:
    """Of the highest learning rate, after a share of the steps."""
    if done < warm_up:
        return (done + 1e-3) / (warm_up + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))


def _mean(losses: Sequence[float]) -> float:
    """Of the steps that had something to learn from; NaN if none had."""
    there = [loss for loss in losses if not math.isnan(loss)]
    return float(np.mean(there)) if there else math.nan


def _digest(state: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name, part in state.items():
        found.update(name.encode())
        found.update(part.cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _copy(network: nn.Module) -> Mapping[str, Tensor]:
    return {name: part.detach().clone() for name, part in network.state_dict().items()}


def batches(windows: Rows, size: int) -> Iterator[Rows]:
    """All of them, in order, so many at a time."""
    for start in range(0, len(windows), size):
        yield windows[start : start + size]


@contextmanager
def _own_randomness() -> Iterator[None]:
    """What is drawn here does not change what is drawn elsewhere in the process."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
