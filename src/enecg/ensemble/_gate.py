"""The gate: reads raw leads and weighs the experts, for each task.

    logits(task, expert) = prior(task, expert) + row(task, expert) . encoder(leads)

Order: experts absent for a recording are masked, then `top_k`, then softmax.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.ensemble._chunks import in_chunks
from enecg.errors import FitError

Array = npt.NDArray[np.float32]
Layer = tuple[Array, Array]


@dataclass(frozen=True)
class Encoder:
    """A small network from the gate's leads to features.

    kind : "conv" (three strided convolutions, mean and maximum over time) or "dense" (one hidden layer, as published).
    layers : (weight, bias); of a convolution [out, in, tap].
    n_leads : the input is [recording, n_leads * sample].
    """

    kind: str
    layers: Sequence[Layer]
    n_leads: int

    STRIDE = 4

    def __call__(self, x: Array) -> Array:
        """Features [recording, feature]."""
        if self.kind == "dense":
            weight, bias = self.layers[0]
            return np.asarray(np.maximum(x @ weight.T + bias, 0), dtype=np.float32)
        h = x.reshape(len(x), self.n_leads, x.shape[1] // self.n_leads)
        for weight, bias in self.layers:
            windows = np.lib.stride_tricks.sliding_window_view(h, weight.shape[2], axis=2)[:, :, :: self.STRIDE]
            h = np.maximum(np.einsum("bctk,ock->bot", windows, weight, optimize=True) + bias[:, None], 0)
        return np.concatenate([h.mean(axis=2), h.max(axis=2)], axis=1)


@dataclass(frozen=True)
class Gate:
    """Weights over experts, by task.

    prior : by task, logits [expert].
    encoders : networks;  which : by task, the one it reads (none: the prior alone);  rows : by task (weight, bias).
    """

    prior: Mapping[str, Array]
    encoders: Sequence[Encoder] = ()
    which: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, Layer] = field(default_factory=dict)

    def logits(self, x: Array, tasks: Sequence[str]) -> dict[str, Array]:
        """By task, [recording, expert]; x : the gate's input [recording, n_leads * sample]."""
        return in_chunks(x, lambda rows: self._chunk(rows, tasks)) if tasks else {}

    def _chunk(self, x: Array, tasks: Sequence[str]) -> dict[str, Array]:
        features = {number: self.encoders[number](x) for number in {self.which[t] for t in tasks if t in self.which}}
        made = {}
        for name in tasks:
            made[name] = np.tile(self.prior[name], (len(x), 1))
            if name in self.which:
                weight, bias = self.rows[name]
                made[name] += features[self.which[name]] @ weight.T + bias
        return made

    def to_state(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values, and arrays by name."""
        arrays = {f"gate.prior.{name}": prior for name, prior in self.prior.items()}
        for number, encoder in enumerate(self.encoders):
            for place, (weight, bias) in enumerate(encoder.layers):
                arrays[f"gate.encoders.{number}.{place}.weight"] = weight
                arrays[f"gate.encoders.{number}.{place}.bias"] = bias
        for name, (weight, bias) in self.rows.items():
            arrays |= {f"gate.rows.{name}.weight": weight, f"gate.rows.{name}.bias": bias}
        encoders = [
            {"kind": encoder.kind, "n_leads": encoder.n_leads, "n_layers": len(encoder.layers)}
            for encoder in self.encoders
        ]
        return {"encoders": encoders, "which": dict(self.which), "tasks": list(self.prior)}, arrays

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Mapping[str, Array]) -> "Gate":
        """The inverse of `to_state`."""

        def pair(place: str) -> Layer:
            return arrays[f"{place}.weight"], arrays[f"{place}.bias"]

        encoders = [
            Encoder(
                kind=one["kind"],
                layers=[pair(f"gate.encoders.{number}.{place}") for place in range(one["n_layers"])],
                n_leads=one["n_leads"],
            )
            for number, one in enumerate(state["encoders"])
        ]
        prior = {name: arrays[f"gate.prior.{name}"] for name in state["tasks"]}
        rows = {name: pair(f"gate.rows.{name}") for name in state["which"]}
        return cls(prior, encoders, dict(state["which"]), rows)


def choose(logits: Mapping[str, Array], present: npt.NDArray[np.bool_], top_k: int | None) -> npt.NDArray[np.bool_]:
    """Which experts a recording gets: bool [recording, expert].

    Those present, or the `top_k` of them with the largest mean weight over the tasks of `logits`.
    Raises FitError if `top_k` is not positive.
    """
    if top_k is not None and top_k < 1:
        raise FitError(f"top_k {top_k}: expected 1 at least, or None for all experts that can run")
    if top_k is None or top_k >= present.shape[1] or not logits:
        return present
    mean = np.mean([softmax(own, present) for own in logits.values()], axis=0)
    ranked = np.argsort(np.where(present, -mean, np.inf), axis=1, kind="stable")
    chosen = np.zeros_like(present)
    np.put_along_axis(chosen, ranked[:, :top_k], True, axis=1)
    return np.asarray(chosen & present)


def softmax(logits: Array, allowed: npt.NDArray[np.bool_]) -> Array:
    """Weights [recording, expert]: 0 where not allowed; rows of sum 1, or of zeros where nothing is allowed."""
    masked = np.where(allowed, logits, -np.inf)
    top = masked.max(axis=1, keepdims=True)
    shifted = np.where(allowed, np.exp(masked - np.where(np.isfinite(top), top, 0)), 0)
    total = shifted.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(shifted, total, out=np.zeros_like(shifted), where=total > 0), dtype=np.float32)
