"""LoRA inside a published network's attention: kept in PEFT's format, merged into the weights when they are loaded.

<weights folder>/<expert>+<name>/adapter_config.json, adapter_model.safetensors, adapted.json
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg.errors import WeightsError
from enecg.experts._card import Card
from enecg.files import write_whole
from enecg.weights import weights_folder

if TYPE_CHECKING:
    import torch
    from torch import nn

CONFIG, WEIGHTS, NOTE = "adapter_config.json", "adapter_model.safetensors", "adapted.json"
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Adapted:
    """The note beside an adapter.

    base : digest of the weights that it was trained on;  sha256 : of the adapter's own.
    tasks, cohorts, n_recordings : what it learned, and from what;  refused : why other recordings were not used.
    subjects : digests of who it learned from.
    anonymous : whether recordings without a subject were among them.
    before, after : loss on validation subjects relative to the trivial answer, with the head alone and with LoRA.
    settings : how it was trained.
    """

    base: str
    sha256: str
    tasks: tuple[str, ...]
    cohorts: tuple[str, ...]
    n_recordings: int
    refused: tuple[str, ...]
    subjects: tuple[str, ...]
    anonymous: bool
    before: float
    after: float
    settings: Mapping[str, Any]


def adapter_folder(name: str) -> Path:
    """Of the adapted expert with this full name."""
    return weights_folder() / name


def adapted_names() -> tuple[str, ...]:
    """The adapted experts that are here, sorted."""
    return tuple(sorted(path.parent.name for path in weights_folder().glob(f"*+*/{NOTE}")))


def write_adapter(
    name: str, config: Mapping[str, Any], tensors: "Mapping[str, torch.Tensor]", note: Mapping[str, Any]
) -> Adapted:
    """Keep an adapter, the note last: without it the adapter is not there. Raises WeightsError if one is there."""
    from safetensors.torch import save

    folder = adapter_folder(name)
    if (folder / NOTE).exists():
        raise WeightsError(f"{folder}: an adapted expert of this name is there; choose another name, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    data = save({key: part.detach().contiguous().clone() for key, part in tensors.items()})
    adapted = Adapted(sha256=hashlib.sha256(data).hexdigest(), **note)
    write_whole(folder / WEIGHTS, data)
    write_whole(folder / CONFIG, (json.dumps(config, indent=1) + "\n").encode())
    write_whole(folder / NOTE, (json.dumps(asdict(adapted), indent=1) + "\n").encode())
    return adapted


def read_note(name: str) -> Adapted:
    """Raises WeightsError where there is no such adapter, or its note is damaged."""
    path = adapter_folder(name) / NOTE
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        lists = {key: tuple(part) for key, part in found.items() if isinstance(part, list)}
        return Adapted(**found | lists)
    except FileNotFoundError as error:
        raise WeightsError(
            f"{name}: no such adapted expert ({path} is not there); `enecg experts adapt` makes one"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: cannot be used ({error}); adapt the expert again") from error


def adapted_card(card: Card, note: Adapted) -> Card:
    """The card of an adapted expert: it has seen what its base has, and whom it learned from."""
    return replace(
        card,
        summary=f"{card.summary}; adapted to {', '.join(note.tasks)} on {', '.join(note.cohorts) or 'recordings'}",
        seen=(*card.seen, *(("unknown",) if note.anonymous else ())),
        seen_subjects=card.seen_subjects | frozenset(note.subjects),
    )


def merge_adapter(network: "nn.Module", name: str, base: str) -> None:
    """Add the adapter's products to the weights of the layers it adapts: W + alpha / r * B A (arXiv 2106.09685).

    base : digest of the network's weights. Raises WeightsError if the adapter is altered or of other weights.
    """
    import torch
    from safetensors.torch import load

    folder, note = adapter_folder(name), read_note(name)
    try:
        data = (folder / WEIGHTS).read_bytes()
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder}: cannot be read ({error}); adapt the expert again") from error
    if hashlib.sha256(data).hexdigest() != note.sha256:
        raise WeightsError(f"{folder / WEIGHTS}: altered since it was written; adapt the expert again")
    if note.base != base:
        raise WeightsError(f"{folder}: made for other weights of this expert than those that are here; adapt it again")
    pairs = load(data)
    scale = config["lora_alpha"] / config["r"]
    for key in [key for key in pairs if key.endswith(".lora_A.weight")]:
        path = key.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
        layer = network.get_submodule(path)
        product = pairs[f"{_PREFIX}{path}.lora_B.weight"] @ pairs[key]
        # A new tensor: the old one is mapped from a file that others read too.
        layer.weight = torch.nn.Parameter(layer.weight + scale * product, requires_grad=False)
