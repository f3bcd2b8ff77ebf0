"""A trained ensemble on disk: a folder with `bundle.json` and `tensors-<sha256>.safetensors`, and no pickle.

`bundle.json` says what the ensemble is, what trained it and by which experts (by fingerprint; their weights are not in
the bundle), and holds the SHA-256 of the tensors and of itself. Reading checks all of that: what was altered, cut short
or made by another expert is refused. The tensors are written first, under a name of their own; the bundle is the new
one from the moment in which the new `bundle.json` takes the place of the old one, whatever is killed when.
"""

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from enecg._version import __version__
from enecg.ensemble import Ensemble
from enecg.errors import BundleError, ExpertError, MissingPackageError, WeightsError
from enecg.experts import Expert, get_expert, is_registered
from enecg.files import sweep, write_whole
from enecg.store import Embedded

if TYPE_CHECKING:
    from enecg.estimator import EnECG

    E = TypeVar("E", bound=EnECG)

FORMAT = 1
"""Raised when bundles change; `_READERS` keeps one reader for each format ever released."""

PARAMS = ("recipe", "top_k", "coverage", "min_quality", "seed")
"""The estimator's parameters that a bundle keeps as they are."""

CARD = "bundle.json"


class BackendWarning(UserWarning):
    """An expert computes on another backend than at fit: answers may differ in the last digits."""


def save_bundle(estimator: "EnECG", folder: Path, *, halves: bool = False) -> None:
    """Write a bundle into `folder`, in the place of one that is there. halves : weights as float16, where they allow.

    Raises BundleError if the folder cannot be written or holds something that is not a bundle.
    """
    from safetensors.numpy import save

    unknown = [name for name in estimator.expert_names() if not is_registered(name)]
    if unknown:
        raise BundleError(
            f"{folder}: expert {unknown[0]} is not registered, and bundles know their experts by name; register it"
        )
    state, tensors = estimator.ensemble_.to_state(halves=halves)
    data = save(tensors)
    params = estimator.get_params()
    card: dict[str, Any] = {
        "format": FORMAT,
        "enecg": __version__,
        "params": {name: params[name] for name in PARAMS} | {"gate_leads": list(estimator.gate_input().card.leads)},
        "experts": {expert.card.name: _identity(expert) for expert in estimator.fitted_experts()},
        "simulated_tasks": sorted(estimator.simulated_tasks_),
        "training": estimator.training_,
        "seen_subjects": sorted(estimator.seen_subjects_),
        "results": estimator.results_,
        "ensemble": state,
        "tensors_sha256": hashlib.sha256(data).hexdigest(),
    }
    card = json.loads(json.dumps(card, default=_plain))
    card["sha256"] = _digest(card)
    try:
        if not _may_hold_bundle(folder):
            raise BundleError(f"{folder}: holds other files than a bundle; give the name of a new folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / _tensors(card), data)
        write_whole(folder / CARD, (json.dumps(card, indent=1) + "\n").encode())
        for path in folder.glob("tensors-*.safetensors"):
            if path.name != _tensors(card):
                path.unlink(missing_ok=True)
        sweep(folder)
    except OSError as error:
        raise BundleError(
            f"{folder}: the bundle cannot be written ({error}). A bundle that was here before is intact; "
            "make room, or choose another folder"
        ) from error


def load_bundle(kind: "type[E]", folder: Path) -> "E":
    """The estimator that `save_bundle` wrote, of class `kind`. Raises BundleError for anything that is not that."""
    card = read_card(folder)
    path = folder / _tensors(card)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error}); save the bundle again") from error
    if hashlib.sha256(data).hexdigest() != card["tensors_sha256"]:
        raise BundleError(f"{path}: not the file that {CARD} describes (altered or cut short); save the bundle again")
    try:
        return _READERS[card["format"]](kind, folder, card, data)
    except BundleError:
        raise
    except (WeightsError, MissingPackageError) as error:
        raise BundleError(f"{folder}: an expert of this bundle cannot run here: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BundleError(
            f"{folder}: cannot be used ({type(error).__name__}: {error}). It was written by enecg "
            f"{card.get('enecg')}; install that version with the experts that it had, or fit again"
        ) from error


def read_card(folder: Path) -> dict[str, Any]:
    """`bundle.json`, checked. Raises BundleError if it is missing, altered or of an unknown format."""
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(
            f"{folder}: no bundle (there is no {CARD}); expected a folder written by EnECG.save"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); save the bundle again") from error
    found = card.get("format") if isinstance(card, dict) else None
    if type(found) is not int or found not in _READERS:
        known = ", ".join(map(str, _READERS))
        raise BundleError(f"{path}: bundle of format {found!r}; enecg {__version__} reads {known}. Update enecg")
    if card.get("sha256") != _digest(card) or not re.fullmatch("[0-9a-f]{64}", str(card.get("tensors_sha256"))):
        raise BundleError(f"{path}: altered since it was written; save the bundle again")
    return dict(card)


def _read_1(kind: "type[E]", folder: Path, card: Mapping[str, Any], data: bytes) -> "E":
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        ensemble = Ensemble.from_state(card["ensemble"], load(data))
    except SafetensorError as error:
        raise ValueError(f"tensors: {error}") from error
    experts = [_expert(name, then["backend"]) for name, then in card["experts"].items()]
    for expert in experts:
        _check_expert(folder, expert.card.name, card["experts"][expert.card.name], _identity(expert))
    # By name: a bundle from elsewhere must not set a store, settings or anything else.
    params = {name: card["params"][name] for name in PARAMS} | {"gate_leads": tuple(card["params"]["gate_leads"])}
    # A name stands for the default backend; the expert itself for the one that it was fitted on.
    given = [
        name if get_expert(name).backend == own.backend else own
        for name, own in zip(card["experts"], experts, strict=True)
    ]
    estimator = kind(experts=tuple(given), tasks=tuple(ensemble.tasks), **params)
    estimator.check_params()
    estimator.ensemble_ = ensemble
    estimator.simulated_tasks_ = frozenset(card["simulated_tasks"])
    estimator.training_ = card["training"]
    estimator.seen_subjects_ = frozenset(card["seen_subjects"])
    estimator.results_ = card["results"]
    _try_out(ensemble, [*experts, estimator.gate_input()])
    return estimator


_READERS = {1: _read_1}


def _try_out(ensemble: Ensemble, experts: list[Expert]) -> None:
    """Answer one empty recording: what does not fit together is found now. Raises ValueError or whatever it meets."""
    names = [expert.card.name for expert in experts]
    if [*ensemble.experts, ensemble.gate_name] != names:
        raise ValueError(f"heads of {', '.join(ensemble.experts)} for {', '.join(names)}")
    zeros = {expert.card.name: np.zeros((1, expert.card.dim), np.float32) for expert in experts}
    answers = ensemble.predict(Embedded([""], [None], zeros, {name: np.ones(1, dtype=bool) for name in names}))
    if not all(np.isfinite(own.value).all() for own in answers.values()):
        raise ValueError("its answers are not finite")
    for name, found in ensemble.calibrations.items():
        if sorted(found) != list(range(1, len(names))):
            raise ValueError(f"calibrations of {name} for {sorted(found)} experts")


def _expert(name: str, backend: str) -> Expert:
    """The expert on the backend that it was fitted on; on its default one where it has no other that runs here."""
    try:
        return get_expert(name, backend=backend)
    except WeightsError:
        raise
    except (ExpertError, MissingPackageError):
        return get_expert(name)


def _identity(expert: Expert) -> dict[str, Any]:
    return {
        "fingerprint": expert.fingerprint,
        "weights_sha256": expert.weights_digest,
        "prepare_version": expert.card.prepare_version,
        "backend": expert.backend,
        "caveats": list(expert.card.caveats),
    }


def _check_expert(folder: Path, name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if then["fingerprint"] == now["fingerprint"]:
        return
    changed = [key for key in ("weights_sha256", "prepare_version") if then[key] != now[key]]
    if changed or then["backend"] == now["backend"]:
        what = " and ".join(changed) or "its card"
        raise BundleError(
            f"{folder}: expert {name} is not the one that the heads were trained on ({what} differ); fit again, or "
            "install what it was fitted with"
        )
    warnings.warn(
        f"{folder}: expert {name} was fitted on backend {then['backend']} and runs on {now['backend']}",
        BackendWarning,
        stacklevel=4,
    )


def _may_hold_bundle(folder: Path) -> bool:
    """Whether a folder is new, empty, or holds a bundle or what was left of one."""
    if not folder.is_dir():
        return True
    names = {path.name for path in folder.iterdir()}
    if any(re.fullmatch(r"tensors-[0-9a-f]{16}\.safetensors", name) for name in names):
        return True
    if CARD not in names:
        return all(name.startswith(".part-") for name in names)
    try:
        return "tensors_sha256" in json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (TypeError, ValueError):
        return False


def _tensors(card: Mapping[str, Any]) -> str:
    """The name of the file that holds the tensors."""
    return f"tensors-{card['tensors_sha256'][:16]}.safetensors"


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept in a bundle")


def _digest(card: Mapping[str, Any]) -> str:
    text = json.dumps({key: value for key, value in card.items() if key != "sha256"}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
