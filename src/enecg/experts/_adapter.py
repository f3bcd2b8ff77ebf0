"""LoRA inside a published network's attention: kept in PEFT's format, merged into the weights when they are loaded.

<weights folder>/<expert>+<name>/adapter_config.json, adapter_model.safetensors, variant.json
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from enecg.errors import WeightsError
from enecg.experts._variant import Note, keep_variant, read_weights, variant_folder

if TYPE_CHECKING:
    import torch
    from torch import nn

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."


def keep_adapter(
    name: str, config: Mapping[str, Any], tensors: "Mapping[str, torch.Tensor]", note: Mapping[str, Any]
) -> Note:
    """Keep an adapter as the variant of this full name. Raises ExpertError if one is there."""
    from safetensors.torch import save

    data = save({key: part.detach().contiguous().clone() for key, part in tensors.items()})
    return keep_variant(name, {WEIGHTS: data, CONFIG: (json.dumps(config, indent=1) + "\n").encode()}, note)


def merge_adapter(network: "nn.Module", name: str, base: str) -> None:
    """Add the adapter's products to the weights of the layers it adapts: W + alpha / r * B A (arXiv 2106.09685).

    base : digest of the network's weights. Raises WeightsError if the adapter is altered or of other weights.
    """
    import torch
    from safetensors.torch import load

    folder, note = variant_folder(name), Note.read(name)
    pairs = load(read_weights(name, note))
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder}: cannot be read ({error}); adapt the expert again") from error
    if note.base != base:
        raise WeightsError(f"{folder}: made for other weights of this expert than those that are here; adapt it again")
    scale = config["lora_alpha"] / config["r"]
    for key in [key for key in pairs if key.endswith(".lora_A.weight")]:
        path = key.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
        layer = network.get_submodule(path)
        product = pairs[f"{_PREFIX}{path}.lora_B.weight"] @ pairs[key]
        # A new tensor: the old one is mapped from a file that others read too.
        layer.weight = torch.nn.Parameter(layer.weight + scale * product, requires_grad=False)
