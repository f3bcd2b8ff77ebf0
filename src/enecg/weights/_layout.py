"""A published file -> tensors by name, and whether they are the ones that a network has.

Files are safetensors, or pickles of torch, which are read with `weights_only`: a pickle can then name nothing but
tensors and the harmless types below, and nothing in it is run.
"""

import argparse
import pickle
import pickletools
import re
import struct
import zipfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg.errors import WeightsError

if TYPE_CHECKING:
    import torch

    State = dict[str, torch.Tensor]

Layout = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape and type ("float32") of each tensor of a file, by name."""

ANY = -1
"""In a layout's shape: as long as the file has it."""

_SPELLINGS = (
    # torch before and after parametrizations replaced its weight norm.
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
    # PEFT before and since 0.7 for the layer that LoRA wraps.
    (".weight", ".base_layer.weight"),
    (".bias", ".base_layer.bias"),
)
"""Endings that mean the same tensor."""

_SHOWN = 6
"""So many names of each kind are told in an error."""


def layout_of(tensors: Mapping[str, "torch.Tensor"]) -> Layout:
    """The layout of a state dict; of a network on the meta device it costs nothing."""
    return {name: (tuple(part.shape), str(part.dtype).removeprefix("torch.")) for name, part in tensors.items()}


def read_state(
    path: Path,
    inside: Sequence[str] = (),
    prefix: str = "",
    beside: Sequence[str] = (),
    wanted: Collection[str] = (),
) -> "State":
    """Tensors by name from a safetensors file or a pickle of torch.

    inside, prefix, beside : as in Origin;  wanted : names that tell whether the prefix is there to be dropped, since a
    part of the network may be called the same.
    Raises WeightsError for a file that is neither, is cut short, holds what no file of weights should, or has nothing
    where the tensors should be.
    """
    found = _read(path, beside)
    for key in inside:
        # A file that someone has unwrapped already is as good.
        if isinstance(found, Mapping) and key not in found and _all_tensors(found):
            break
        if not isinstance(found, Mapping) or key not in found:
            held = _some(map(str, found)) if isinstance(found, Mapping) else type(found).__name__
            raise WeightsError(f"{path}: nothing under {key!r}, where the weights should be (found {held})")
        found = found[key]
    if not isinstance(found, Mapping) or not found:
        raise WeightsError(f"{path}: holds a {type(found).__name__}, expected tensors by name")
    # What a network that was trained on several devices adds to every name.
    found = _without("module.", found, everywhere=True)
    inner = _without("module.", _without(prefix, found), everywhere=True)
    if sum(name in wanted for name in inner) >= sum(name in wanted for name in found):
        found = inner
    odd = [f"{name!r} is a {type(part).__name__}" for name, part in found.items() if not _all_tensors({name: part})]
    if odd:
        raise WeightsError(f"{path}: {_some(odd)}; expected tensors by name and nothing else")
    return dict(found)


def fit_state(state: Mapping[str, "torch.Tensor"], layout: Layout, unused: Sequence[str], where: str) -> "State":
    """The tensors that a network needs, under its own spelling and in its types.

    layout : of the whole published network;  unused : patterns of names that nothing reads: left out, and not missed
    where a file lacks them;  where : the file, for the error.
    Raises WeightsError that lists what is missing, unexpected or of another shape.
    """
    import torch

    named = dict(_respelled(state, layout))
    missing = [name for name in layout if name not in named and not _matches(name, unused)]
    unexpected = [name for name in named if name not in layout]
    there = [(name, part, *layout[name]) for name, part in named.items() if name in layout]
    misshaped = [
        f"{name} {list(part.shape)} for {[n if n != ANY else 'any' for n in shape]}"
        for name, part, shape, _ in there
        if not _has_shape(part, shape)
    ]
    # Half precision is as good; integers in the place of numbers are something else.
    mistyped = [
        f"{name} {str(part.dtype).removeprefix('torch.')} for {kind}"
        for name, part, _, kind in there
        if not _has_kind(part, getattr(torch, kind))
    ]
    faults = [
        f"{len(names)} {what}: {_some(names)}"
        for what, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", misshaped),
            ("of another type", mistyped),
        )
        if names
    ]
    if faults:
        raise WeightsError(f"{where}: not the weights of this network; {'; '.join(faults)}")
    return {
        name: named[name].to(getattr(torch, kind)).contiguous()
        for name, (_, kind) in layout.items()
        if not _matches(name, unused)
    }


def _respelled(state: Mapping[str, "torch.Tensor"], layout: Layout) -> "Iterator[tuple[str, torch.Tensor]]":
    for name, part in state.items():
        if name in layout:
            yield name, part
            continue
        others = (
            name.removesuffix(one) + other
            for pair in _SPELLINGS
            for one, other in (pair, pair[::-1])
            if name.endswith(one)
        )
        yield next((other for other in others if other in layout and other not in state), name), part


def _has_shape(part: "torch.Tensor", shape: Sequence[int]) -> bool:
    return part.ndim == len(shape) and all(wanted in (n, ANY) for n, wanted in zip(part.shape, shape, strict=True))


def _has_kind(part: "torch.Tensor", wanted: "torch.dtype") -> bool:
    import torch

    same = part.dtype.is_floating_point == wanted.is_floating_point and part.dtype.is_complex == wanted.is_complex
    return same and part.layout == torch.strided and not part.is_quantized


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _read(path: Path, beside: Sequence[str]) -> Any:
    try:
        with path.open("rb") as file:
            head = file.read(9)
        if len(head) == 9 and head[8:] == b"{" and struct.unpack("<Q", head[:8])[0] < 2**28:
            return _read_safetensors(path)
        return _read_pickle(path, beside)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightsError(f"{path}: a damaged safetensors file ({error}); get it again") from error


def _read_pickle(path: Path, beside: Sequence[str]) -> Any:
    import torch

    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            with zipfile.ZipFile(path) as archive:
                held = archive.namelist()
            parts = {name.rpartition("/")[2] for name in held}
            if "data.pkl" not in parts or "constants.pkl" in parts:
                what = "a program of torch" if "constants.pkl" in parts else f"unpack it and give one of {_some(held)}"
                raise WeightsError(f"{path}: an archive, not a file of weights; {what}")
        with torch.serialization.safe_globals([*_harmless(), *(_stand_ins(path, beside) if beside and zipped else ())]):
            # Mapped, because files of a training hold more than the weights, such as the optimiser's moments.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except (OSError, WeightsError):
        raise
    except Exception as error:
        # A damaged pickle can break the reader anywhere.
        named = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if named:
            raise WeightsError(
                f"{path}: refused, since it names {named[1]}, which could run anything and is no part of weights; "
                "take a safetensors file where the publisher has one, or unpack this one where you trust it"
            ) from error
        raise WeightsError(f"{path}: neither safetensors nor a pickle of torch, or cut short; get it again") from error


def _harmless() -> list[Any]:
    """Types that published trainings leave beside their tensors: settings, plain types, and numbers of numpy."""
    import numpy as np

    numbers = [type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, np.bool_)]
    # The function that makes a number of numpy from its bytes has no public name.
    scalar = np.float64(0).__reduce__()[0]
    return [argparse.Namespace, defaultdict, dict, list, int, float, str, bool, np.dtype, scalar, *numbers]


def _stand_ins(path: Path, packages: Sequence[str]) -> list[type]:
    """For each type that the pickle names from these packages, one of that name that keeps nothing and does nothing."""
    with zipfile.ZipFile(path) as archive:
        data = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    named = {str(what) for operation, what, _ in pickletools.genops(data) if operation.name == "GLOBAL"}
    return [
        type(name, (_Empty,), {"__module__": module})
        for module, name in (one.split(" ", 1) for one in sorted(named))
        if module.partition(".")[0] in packages
    ]


class _Empty:
    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def _without(prefix: str, found: Mapping[Any, Any], everywhere: bool = False) -> Mapping[Any, Any]:
    """What is named with the prefix, named without it; all as it is if nothing, or not everything, has it."""
    with_it = {name: part for name, part in found.items() if isinstance(name, str) and name.startswith(prefix)}
    if not with_it or (everywhere and len(with_it) < len(found)):
        return found
    return {name.removeprefix(prefix): part for name, part in with_it.items()}


def _some(names: Iterable[str]) -> str:
    first = list(islice(names, _SHOWN + 1))
    return ", ".join(first[:_SHOWN]) + (", ..." if len(first) > _SHOWN else "")


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _all_tensors(found: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and _is_tensor(part) for name, part in found.items())
