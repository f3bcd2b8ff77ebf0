"""A trained ensemble on disk: a folder with `bundle.json` and `tensors.safetensors`, and no pickle.

`bundle.json` says what the ensemble is, what trained it and by which experts (by fingerprint; their weights are not in
the bundle), and holds the SHA-256 of the tensors and of itself. Reading checks all of that: what was altered, cut short
or made by another expert is refused. The folder is written aside and renamed, so a bundle is whole or not there.
"""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from enecg._version import __version__
from enecg.ensemble import Ensemble
from enecg.errors import BundleError
from enecg.experts import Expert, get_expert

if TYPE_CHECKING:
    from enecg.estimator import EnECG

    E = TypeVar("E", bound=EnECG)

FORMAT = 1
"""Raised when bundles change; `_READERS` keeps one reader for each format ever released."""

CARD, TENSORS = "bundle.json", "tensors.safetensors"


class BackendWarning(UserWarning):
    """An expert computes on another backend than at fit: answers may differ in the last digits."""


def save_bundle(estimator: "EnECG", folder: Path, *, halves: bool = False) -> None:
    """Write `folder` anew. halves : weights as float16, where the answers allow.

    Raises BundleError if the folder cannot be written or holds something that is not a bundle.
    """
    from safetensors.numpy import save

    if folder.exists() and not (folder / CARD).exists() and any(folder.iterdir()):
        raise BundleError(f"{folder}: holds other files than a bundle; give the name of a new folder")
    state, tensors = estimator.ensemble_.to_state(halves=halves)
    data = save(tensors)
    params = estimator.get_params()
    card = {
        "format": FORMAT,
        "enecg": __version__,
        "params": {name: params[name] for name in ("recipe", "top_k", "coverage", "min_quality", "seed")}
        | {"gate_leads": list(params["gate_leads"])},
        "experts": {expert.card.name: _identity(expert) for expert in estimator.fitted_experts()},
        "simulated_tasks": sorted(estimator.simulated_tasks_),
        "training": estimator.training_,
        "seen_subjects": sorted(estimator.seen_subjects_),
        "results": estimator.results_,
        "ensemble": state,
        "tensors_sha256": hashlib.sha256(data).hexdigest(),
    }
    card["sha256"] = _digest(card)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write(aside / TENSORS, data)
            _write(aside / CARD, (json.dumps(card, indent=1) + "\n").encode())
            _replace(aside, folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise BundleError(
            f"{folder}: the bundle cannot be written ({error}); choose a folder with free space"
        ) from error


def load_bundle(kind: "type[E]", folder: Path) -> "E":
    """The estimator that `save_bundle` wrote, of class `kind`. Raises BundleError for anything that is not that."""
    card = read_card(folder)
    path = folder / TENSORS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error}); save the bundle again") from error
    if hashlib.sha256(data).hexdigest() != card["tensors_sha256"]:
        raise BundleError(f"{path}: not the file that {CARD} describes (altered or cut short); save the bundle again")
    return _READERS[card["format"]](kind, folder, card, data)


def read_card(folder: Path) -> dict[str, Any]:
    """`bundle.json`, checked. Raises BundleError if it is missing, altered or of an unknown format."""
    path = folder / CARD
    try:
        card = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder}: no bundle (there is no {CARD}); expected a folder written by EnECG.save"
        ) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); save the bundle again") from error
    if not isinstance(card, dict) or card.get("format") not in _READERS:
        found = card.get("format") if isinstance(card, dict) else None
        known = ", ".join(map(str, _READERS))
        raise BundleError(f"{path}: bundle of format {found!r}; enecg {__version__} reads {known}. Update enecg")
    if card.get("sha256") != _digest(card):
        raise BundleError(f"{path}: altered since it was written; save the bundle again")
    return card


def _read_1(kind: "type[E]", folder: Path, card: Mapping[str, Any], data: bytes) -> "E":
    from safetensors.numpy import load

    ensemble = Ensemble.from_state(card["ensemble"], load(data))
    for name, then in card["experts"].items():
        _check_expert(folder, name, then, _identity(get_expert(name)))
    params = card["params"] | {"gate_leads": tuple(card["params"]["gate_leads"])}
    estimator = kind(experts=tuple(card["experts"]), tasks=tuple(ensemble.tasks), **params)
    estimator.ensemble_ = ensemble
    estimator.simulated_tasks_ = frozenset(card["simulated_tasks"])
    estimator.training_ = card["training"]
    estimator.seen_subjects_ = frozenset(card["seen_subjects"])
    estimator.results_ = card["results"]
    return estimator


_READERS = {1: _read_1}


def _identity(expert: Expert) -> dict[str, Any]:
    return {
        "fingerprint": expert.fingerprint,
        "weights_sha256": expert.weights_digest,
        "prepare_version": expert.card.prepare_version,
        "backend": expert.backend,
    }


def _check_expert(folder: Path, name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if then["fingerprint"] == now["fingerprint"]:
        return
    changed = [key for key in ("weights_sha256", "prepare_version") if then[key] != now[key]]
    if changed or then["backend"] == now["backend"]:
        what = " and ".join(changed) or "its card"
        raise BundleError(f"{folder}: expert {name} is not the one that the heads were trained on ({what}); fit again")
    warnings.warn(
        f"{folder}: expert {name} was fitted on backend {then['backend']} and runs on {now['backend']}",
        BackendWarning,
        stacklevel=4,
    )


def _digest(card: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in card.items() if key != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(aside: Path, folder: Path) -> None:
    """Put `aside` in the place of `folder`; the old one goes last."""
    aside.chmod(0o755)
    if not folder.exists():
        aside.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent)) / folder.name
    folder.rename(old)
    aside.rename(folder)
    shutil.rmtree(old.parent)
