"""A task's adapters as folders that PEFT reads and writes, so that they can be trained on or shared elsewhere.

    folder/<expert>/<member>/adapter_config.json, adapter_model.safetensors

    base = base_network(ensemble.heads["rocket"], member=0, n_outputs=1)
    model = peft.PeftModel.from_pretrained(base, "folder/rocket/0", is_trainable=True)   # train it, then
    model.save_pretrained("folder/rocket/0")
    ensemble = load_adapters(ensemble, "age", "folder")

Neither saving nor loading imports PEFT. A task's linear path is no adapter: it stays in the ensemble.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from enecg.ensemble._ensemble import Ensemble
from enecg.ensemble._heads import ExpertHead
from enecg.ensemble._lora import RANK, SCALE, Adapter
from enecg.ensemble._trunk import Trunk
from enecg.errors import TaskError, WeightsError, WriteError

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

LAYERS = ("first", "second")
"""What is adapted, in the network of `base_network`; its `row` is trained whole."""

_UNKNOWN = ("use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "layer_replication", "lora_bias")
"""Options of PEFT that change what the numbers mean and that an Adapter cannot hold."""


def save_adapters(ensemble: Ensemble, task: str, folder: str | Path) -> None:
    """Write the task's adapters, one PEFT folder for each expert and member.

    Raises TaskError for a task it does not answer, WriteError if the folder cannot be written.
    """
    for expert, head in ensemble.heads.items():
        for number, member in enumerate(head.members):
            if task not in member.adapters:
                raise _no_task(ensemble, task)
            save_adapter(member.adapters[task], member.trunk, Path(folder) / expert / str(number))


def load_adapters(ensemble: Ensemble, task: str, folder: str | Path) -> Ensemble:
    """The ensemble with the task's adapters as PEFT wrote them; gate, linear paths and calibration stay as they were.

    Raises TaskError for a task it does not answer, WeightsError for what is no adapter of these networks.
    """
    heads = {}
    for expert, head in ensemble.heads.items():
        members = []
        for number, member in enumerate(head.members):
            if task not in member.adapters:
                raise _no_task(ensemble, task)
            n_outputs = len(member.adapters[task].row[1])
            adapter = load_adapter(Path(folder) / expert / str(number), member.trunk, n_outputs)
            members.append(replace(member, adapters={**member.adapters, task: adapter}))
        heads[expert] = replace(head, members=members)
    return replace(ensemble, heads=heads)


def save_adapter(adapter: Adapter, trunk: Trunk, folder: Path) -> None:
    """One PEFT folder. A layer that the task left alone is written as an adapter that adds nothing."""
    from safetensors.numpy import save

    rank = max(RANK if pair is None else len(pair[0]) for pair in (adapter.first, adapter.second))
    first, second = (_pair(adapter, trunk, name, rank) for name in LAYERS)
    full = Adapter(first, second, adapter.row)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": None,
        "task_type": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": round(SCALE * rank),
        "lora_dropout": 0.05,
        "bias": "none",
        "target_modules": list(LAYERS),
        "modules_to_save": ["row"],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / WEIGHTS).write_bytes(save({name: part.copy() for name, part in full.to_peft().items()}))
        (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
    except OSError as error:
        raise WriteError(f"{folder}: the adapter cannot be written ({error}); choose another folder") from error


def load_adapter(folder: Path, trunk: Trunk, n_outputs: int) -> Adapter:
    """The adapter in a PEFT folder, of any rank and alpha. Raises WeightsError if it does not fit the trunk."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        config = json.loads((folder / CONFIG).read_text())
        state = load((folder / WEIGHTS).read_bytes())
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"{folder}: cannot be read ({error}); expected {CONFIG} and {WEIGHTS} of PEFT") from error
    change = np.float32(_scale(config, folder) / SCALE)
    _check_shapes({name: part.shape for name, part in state.items()}, trunk, n_outputs, folder)
    whole = {name: np.asarray(part, dtype=np.float32) for name, part in state.items()}
    adapter = Adapter.from_peft(whole)

    def scaled(pair: tuple[Array, Array] | None) -> tuple[Array, Array] | None:
        return (pair[0], pair[1] * change) if pair is not None and pair[1].any() else None

    return Adapter(scaled(adapter.first), scaled(adapter.second), adapter.row)


def base_network(head: ExpertHead, member: int, n_outputs: int) -> "torch.nn.Module":
    """The frozen base that adapters sit on, as PEFT wants it: embeddings [recording, dim] -> [recording, output].

    It standardises, then applies the layers `first`, `second` and `row`; the row is zero until an adapter brings its
    own. Without an adapter's linear path: see ExpertHead.
    """
    import torch
    from torch import nn

    trunk, scaler = head.members[member].trunk, head.scaler

    class Base(nn.Module):
        mean: torch.Tensor
        inverse: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mean", torch.from_numpy(scaler.mean.copy()))
            self.register_buffer("inverse", torch.from_numpy(scaler.inverse.copy()))
            self.first, self.second = (_linear(*layer) for layer in (trunk.first, trunk.second))
            width = len(trunk.second[1])
            self.row = _linear(np.zeros((n_outputs, width), np.float32), np.zeros(n_outputs, np.float32))

        def forward(self, embedding: torch.Tensor) -> torch.Tensor:
            x = ((embedding - self.mean) * self.inverse).clamp(-scaler.LIMIT, scaler.LIMIT)
            x = torch.relu(self.second(torch.relu(self.first(x))))
            return self.row(x)  # type: ignore[no-any-return]

    return Base().eval()


def _linear(weight: Array, bias: Array) -> "torch.nn.Linear":
    import torch

    # Made without torch's own start, which would draw from the global generator: that belongs to the user.
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        layer.bias.copy_(torch.from_numpy(bias.copy()))
    return layer


def _pair(adapter: Adapter, trunk: Trunk, name: str, rank: int) -> tuple[Array, Array]:
    pair: tuple[Array, Array] | None = getattr(adapter, name)
    n_out, n_in = getattr(trunk, name)[0].shape
    return pair or (np.zeros((rank, n_in), np.float32), np.zeros((n_out, rank), np.float32))


def _scale(config: Mapping[str, Any], folder: Path) -> float:
    """What PEFT multiplies B A by. Raises WeightsError for settings under which it computes something else."""
    unknown = [name for name in _UNKNOWN if config.get(name)]
    if config.get("peft_type") != "LORA" or unknown or config.get("bias", "none") != "none":
        what = ", ".join(unknown) or f"peft_type {config.get('peft_type')}, bias {config.get('bias')}"
        raise WeightsError(f"{folder / CONFIG}: {what}; expected plain LoRA with bias 'none'")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not rank or not alpha:
        raise WeightsError(f"{folder / CONFIG}: r and lora_alpha are {rank} and {alpha}; expected two positive numbers")
    return float(alpha / (rank**0.5 if config.get("use_rslora") else rank))


def _check_shapes(found: Mapping[str, tuple[int, ...]], trunk: Trunk, n_outputs: int, folder: Path) -> None:
    rank = {name: found.get(f"base_model.model.{name}.lora_A.weight", (0,))[0] for name in LAYERS}
    expected: dict[str, tuple[int, ...]] = {
        "base_model.model.row.weight": (n_outputs, len(trunk.second[1])),
        "base_model.model.row.bias": (n_outputs,),
    }
    for name in LAYERS:
        n_out, n_in = getattr(trunk, name)[0].shape
        if rank[name]:
            expected[f"base_model.model.{name}.lora_A.weight"] = (rank[name], n_in)
            expected[f"base_model.model.{name}.lora_B.weight"] = (n_out, rank[name])
    wrong = sorted(set(found.items()) ^ set(expected.items()))
    if wrong:
        name = wrong[0][0]
        raise WeightsError(
            f"{folder / WEIGHTS}: {name} is {found.get(name, 'missing')}, expected {expected.get(name, 'absent')}; "
            "adapters fit only the trunk that they were trained on"
        )


def _no_task(ensemble: Ensemble, task: str) -> TaskError:
    return TaskError(f"task {task} has no adapters; this ensemble answers {', '.join(ensemble.spaces)}")
