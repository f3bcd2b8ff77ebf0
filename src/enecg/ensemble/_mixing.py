"""The convex weights of experts' answers that serve out-of-fold answers best: where the gate's prior starts."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from enecg.ensemble._targets import TargetSpace, torch_loss

Array = npt.NDArray[np.float32]

_SMALLEST = 1e-4
"""A weight below this becomes this, so that an expert can still answer where the others cannot; it is also that of an
expert that no label has judged."""


def mix(outputs: Array, weights: Array) -> Array:
    """Weighted sums of experts' answers: [recording, output].

    outputs : [recording, expert, output], anything where the weight is 0;  weights : [recording, expert].
    """
    used = np.where(weights[:, :, None] > 0, outputs, np.float32(0))
    return np.asarray(np.einsum("neo,ne->no", used, weights), dtype=np.float32)


def convex_weights(outputs: Array, present: npt.NDArray[np.bool_], targets: Array, space: TargetSpace) -> Array:
    """Weights [expert], non-negative, of sum 1, that minimise the task's loss of the mixed answers.

    outputs : [recording, expert, output];  present : [recording, expert];  targets : [recording, output], NaN missing.
    Sequential quadratic programming on at most a dozen numbers (scipy's SLSQP), started at equal weights, and compared
    with each expert alone; experts that are absent for a recording leave their weight to the others. Of a regression
    the absolute error counts: Huber's loss would let a hundredth of a bad answer into one that is exact.
    """
    import torch

    n_experts = outputs.shape[1]
    rows = ~np.isnan(targets).any(axis=1) & present.any(axis=1)
    if n_experts == 1 or not rows.any():
        return np.full(n_experts, 1 / n_experts, dtype=np.float32)
    there = torch.from_numpy(present[rows].astype(np.float64))
    answers = torch.from_numpy(np.where(present[rows][:, :, None], outputs[rows], 0).astype(np.float64))
    wanted = torch.from_numpy(targets[rows].astype(np.float64))

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        w = torch.from_numpy(np.maximum(weights, 1e-9)).requires_grad_()
        share = there * w
        share = share / share.sum(dim=1, keepdim=True)
        mixed = torch.einsum("neo,ne->no", answers, share)
        regression = space.task.kind == "regression"
        value = (mixed - wanted).abs().mean() if regression else torch_loss(space.task, mixed, wanted).mean()
        value = value / space.trivial
        value.backward()  # type: ignore[no-untyped-call]
        assert w.grad is not None
        return float(value.detach()), w.grad.numpy()

    start = np.full(n_experts, 1 / n_experts)
    found = minimize(
        loss,
        start,
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * n_experts,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)},
        options={"maxiter": 200, "ftol": 1e-8},
    )
    tried = [found.x / found.x.sum(), start, *np.eye(n_experts)]
    weights = np.maximum(min(tried, key=lambda weights: loss(weights)[0]), _SMALLEST)
    weights = np.where(present[rows].any(axis=0), weights, _SMALLEST)
    return np.asarray(weights / weights.sum(), dtype=np.float32)
