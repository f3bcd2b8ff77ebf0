"""Small tables and weights that ship with the package, each made by a script of `scripts/` (data/README.md)."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.errors import WeightsError


@cache
def shipped() -> Mapping[str, Mapping[str, Any]]:
    """By network of ours, the note of the weights that ship, with their sha256 (scripts/make_experts.py)."""
    found: dict[str, Mapping[str, Any]] = _learned()["networks"]
    return found


@cache
def shipped_subjects() -> tuple[frozenset[str], frozenset[str]]:
    """Digests of the subjects who taught them, and of those who only chose among their weights."""
    found = tensors("learned-subjects.safetensors", _learned()["subjects"])
    taught, chose = (frozenset(f"{one:016x}" for one in found[name].tolist()) for name in ("taught", "chosen_by"))
    return taught, chose


@cache
def _learned() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("enecg.data") / "learned.json").read_text(encoding="utf-8"))
    return found


@lru_cache(maxsize=8)
def tensors(name: str, sha256: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a shipped safetensors file. Raises WeightsError if it is not the file with this SHA-256."""
    from safetensors.numpy import load

    path = files("enecg.data") / name
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise WeightsError(f"{path}: SHA-256 {found[:12]}..., expected {sha256[:12]}...; install enecg again")
    return {key: np.asarray(part) for key, part in load(data).items()}
