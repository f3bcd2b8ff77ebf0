"""An expert's head: its embedding in, its answer to every task out.

    answer = share * linear path + (1 - share) * mean over members of (trunk + the task's adapter)

Members are trunks trained on different subjects (one left-out fold each); the linear paths of the folds merge into one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.ensemble._chunks import in_chunks
from enecg.ensemble._linear import Scaler
from enecg.ensemble._lora import Adapter
from enecg.ensemble._trunk import Trunk

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Member:
    """A trunk and what each task adds to it."""

    trunk: Trunk
    adapters: Mapping[str, Adapter]


@dataclass(frozen=True)
class Linear:
    """One task's linear path and how much of the answer it is.

    weight : float32 [dim, output];  intercept : [output];  share : 0 (only members) to 1 (only this).
    """

    weight: Array
    intercept: Array
    share: float


@dataclass(frozen=True)
class ExpertHead:
    """Everything trained for one expert."""

    scaler: Scaler
    members: Sequence[Member]
    linear: Mapping[str, Linear]

    def outputs(self, embedding: Array, tasks: Sequence[str]) -> dict[str, Array]:
        """Answers as losses see them (TargetSpace), by task: float32 [recording, output]."""
        return in_chunks(embedding, lambda rows: self._chunk(self.scaler(rows), tasks))

    def _chunk(self, x: Array, tasks: Sequence[str]) -> dict[str, Array]:
        made = {}
        totals: dict[str, list[Array]] = {name: [] for name in tasks}
        for member in self.members:
            wanted = [name for name in tasks if name in member.adapters and self.linear[name].share < 1]
            if not wanted:
                continue
            hidden = member.trunk.hidden(x)
            for name in wanted:
                totals[name].append(member.adapters[name].outputs(member.trunk, x, hidden))
        for name in tasks:
            path = self.linear[name]
            total = np.zeros((len(x), len(path.intercept)), dtype=np.float32)
            if path.share > 0:
                total += np.float32(path.share) * (x @ path.weight + path.intercept)
            if totals[name]:
                total += np.float32(1 - path.share) * np.mean(totals[name], axis=0, dtype=np.float32)
            made[name] = total
        return made

    def joined(self, other: "ExpertHead") -> "ExpertHead":
        """This head with another's tasks; both share scaler and trunks."""
        members = [
            replace(mine, adapters={**mine.adapters, **theirs.adapters})
            for mine, theirs in zip(self.members, other.members, strict=True)
        ]
        return replace(self, members=members, linear={**self.linear, **other.linear})

    def to_state(self, prefix: str) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values, and arrays by name."""
        arrays: dict[str, Array] = {f"{prefix}.mean": self.scaler.mean, f"{prefix}.inverse": self.scaler.inverse}
        for number, member in enumerate(self.members):
            place = f"{prefix}.members.{number}"
            for layer, (weight, bias) in (("first", member.trunk.first), ("second", member.trunk.second)):
                arrays |= {f"{place}.{layer}.weight": weight, f"{place}.{layer}.bias": bias}
            for name, adapter in member.adapters.items():
                arrays |= {f"{place}.adapters.{name}.{key}": part for key, part in adapter.to_peft().items()}
        for name, path in self.linear.items():
            if path.share > 0:
                arrays[f"{prefix}.linear.{name}.weight"] = path.weight
            arrays[f"{prefix}.linear.{name}.intercept"] = path.intercept
        state = {
            "shares": {name: path.share for name, path in self.linear.items()},
            "members": [sorted(member.adapters) for member in self.members],
        }
        return state, arrays

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Mapping[str, Array], prefix: str) -> "ExpertHead":
        """The inverse of `to_state`."""
        scaler = Scaler(arrays[f"{prefix}.mean"], arrays[f"{prefix}.inverse"])
        members = []
        for number, names in enumerate(state["members"]):
            place = f"{prefix}.members.{number}"
            layers = [(arrays[f"{place}.{layer}.weight"], arrays[f"{place}.{layer}.bias"]) for layer in _LAYERS]
            adapters = {name: Adapter.from_peft(_below(arrays, f"{place}.adapters.{name}.")) for name in names}
            members.append(Member(Trunk(layers[0], layers[1], {}), adapters))
        linear = {}
        for name, share in state["shares"].items():
            intercept = arrays[f"{prefix}.linear.{name}.intercept"]
            none = np.zeros((len(scaler.mean), len(intercept)), dtype=np.float32)
            linear[name] = Linear(arrays.get(f"{prefix}.linear.{name}.weight", none), intercept, share)
        return cls(scaler, members, linear)


_LAYERS = ("first", "second")


def _below(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): part for name, part in arrays.items() if name.startswith(prefix)}
