"""The space in which heads answer, and the loss there.

Heads give numbers that mixing may add: standardised (and logarithmic, where the task says so) values for a regression,
logits for the rest. Here they become values and probabilities, and labels become what losses compare with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from enecg.errors import FitError
from enecg.tasks import Task

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]

_MIN_SHARE = 1e-4
"""Classes without an example in the training set start at this probability instead of none."""


@dataclass(frozen=True)
class TargetSpace:
    """How one task's labels and answers relate to the numbers that heads give.

    base : float32 [output], the answer that knows no recording: mean of a regression (in its space), else log-odds or
        log-probabilities of the classes.
    scale : standard deviation of a regression's labels, 1 otherwise.
    trivial : loss of that answer, by which losses are divided so that tasks weigh alike.
    """

    task: Task
    base: Array
    scale: float
    trivial: float

    @classmethod
    def of(cls, task: Task, column: Array) -> "TargetSpace":
        """From encoded labels [recording, output] of the training set.

        Raises FitError if nothing is labelled, or if all labels are the same.
        """
        labels = column[~np.isnan(column).any(axis=1)].astype(np.float64)
        if not len(labels):
            raise FitError(
                f"task {task.name}: no recording has a label; leave the task out, or check the column's name"
            )
        if (labels == labels[0]).all():
            raise FitError(
                f"task {task.name}: all {len(labels)} labels are the same; expected two different ones at least"
            )
        if task.kind == "regression":
            if task.log:
                labels = np.log(labels)
            base, scale = labels.mean(axis=0), float(labels.std())
            found = cls(task, base.astype(np.float32), scale, 1.0)
        else:
            # A label that allows several classes counts in part for each.
            share = labels / labels.sum(axis=1, keepdims=True) if task.kind == "multiclass" else labels
            p = np.clip(share.mean(axis=0), _MIN_SHARE, 1 - _MIN_SHARE)
            base = np.log(p) if task.kind == "multiclass" else np.log(p / (1 - p))
            found = cls(task, base.astype(np.float32), 1.0, 1.0)
        constant = np.tile(found.start, (len(labels), 1))
        targets = found.targets(column[~np.isnan(column).any(axis=1)])
        return cls(task, found.base, found.scale, float(found.loss(constant, targets).mean()))

    @property
    def start(self) -> Array:
        """The constant answer as heads give it: float32 [output]."""
        return np.zeros_like(self.base) if self.task.kind == "regression" else self.base

    def targets(self, column: Array) -> Array:
        """Encoded labels as losses compare them: [recording, output], NaN where missing."""
        if self.task.kind != "regression":
            return column
        values = np.log(column) if self.task.log else column
        return np.asarray((values - self.base) / self.scale, dtype=np.float32)

    def values(self, outputs: Array) -> Array:
        """Heads' numbers [..., output] as values in the task's unit, or as probabilities."""
        outputs = outputs.astype(np.float64)
        if self.task.kind == "regression":
            with np.errstate(over="ignore"):  # Beyond what 32 bits hold is infinite, as an end of an interval may be.
                value = outputs * self.scale + self.base
                return np.asarray(np.exp(value) if self.task.log else value, dtype=np.float32)
        if self.task.kind == "multiclass":
            shifted = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
            return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), dtype=np.float32)
        return np.asarray(expit(outputs), dtype=np.float32)

    def loss(self, outputs: npt.NDArray[Any], targets: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Loss of each row [recording], NaN where the label is missing; `torch_loss` in numpy."""
        import torch

        with torch.no_grad():
            rows = torch_loss(
                self.task, torch.from_numpy(outputs.astype(np.float64)), torch.from_numpy(targets.astype(np.float64))
            )
        return np.asarray(rows.numpy(), dtype=np.float64)

    def to_state(self) -> dict[str, Any]:
        """Plain values."""
        return {"base": [float(value) for value in self.base], "scale": self.scale, "trivial": self.trivial}

    @classmethod
    def from_state(cls, task: Task, state: Mapping[str, Any]) -> "TargetSpace":
        """The inverse of `to_state`."""
        return cls(task, np.array(state["base"], dtype=np.float32), state["scale"], state["trivial"])


def torch_loss(task: Task, outputs: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Loss of each row: [..., recording] from [..., recording, output].

    regression: Huber's, absolute error but within a tenth of a deviation, so that one odd recording decides nothing;
    binary and multilabel: cross-entropy, mean over labels;
    multiclass: -log of the probability that the label's classes have together.
    """
    import torch
    from torch.nn import functional

    if task.kind == "regression":
        return functional.smooth_l1_loss(outputs, targets.expand_as(outputs), reduction="none", beta=0.1).squeeze(-1)
    if task.kind == "multiclass":
        log_p = functional.log_softmax(outputs, dim=-1)
        barred = torch.where(targets > 0, torch.zeros_like(targets), torch.full_like(targets, -torch.inf))
        missing = torch.isnan(targets).any(dim=-1)
        barred = torch.where(missing.unsqueeze(-1), torch.full_like(targets, torch.nan), barred)
        return -torch.logsumexp(log_p + barred, dim=-1)
    rows = functional.binary_cross_entropy_with_logits(outputs, targets.expand_as(outputs), reduction="none")
    return rows.mean(dim=-1)
