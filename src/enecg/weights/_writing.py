"""Tensors -> a safetensors file, one tensor after the other, and the digest of what they hold.

Not by the package of that name: it makes its own file beside the one it is told, which only its owner may read and
which stays if the process is killed. It reads what is written here.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_KINDS = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "complex64": "C64",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def write_safetensors(state: "Mapping[str, torch.Tensor]", path: Path) -> None:
    """As huggingface.co/docs/safetensors describes it. Raises OSError if the disk refuses."""
    # The widest types first, so that each tensor lies at a multiple of its type's width.
    order = sorted(state, key=lambda name: (-state[name].element_size(), name))
    header, end = {}, 0
    for name in order:
        part = state[name]
        start, end = end, end + part.numel() * part.element_size()
        kind = _KINDS[str(part.dtype).removeprefix("torch.")]
        header[name] = {"dtype": kind, "shape": list(part.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(_bytes(state[name]))


def content_digest(state: "Mapping[str, torch.Tensor]") -> str:
    """SHA-256 of the tensors' names, types, shapes and values, whatever their order."""
    sha = hashlib.sha256()
    for name in sorted(state):
        part = state[name]
        sha.update(f"{name} {part.dtype} {list(part.shape)}\n".encode())
        sha.update(_bytes(part))
    return sha.hexdigest()


def _bytes(part: "torch.Tensor") -> memoryview:
    import torch

    return part.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
