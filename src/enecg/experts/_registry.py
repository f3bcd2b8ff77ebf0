"""Experts by name. Other packages add theirs by the entry point `enecg.experts`, which names their class or module."""

import difflib
import inspect
import warnings
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeVar

from enecg.data import shipped
from enecg.errors import ExpertError, WeightsError
from enecg.experts._contract import Expert
from enecg.experts._network import NetworkExpert
from enecg.experts._published import Published
from enecg.signal.leads import derivable
from enecg.weights import find_kept

HOMES = {
    "chronos-bolt-base": "published.chronos_bolt",
    "chronos-bolt-mini": "published.chronos_bolt",
    "chronos-bolt-small": "published.chronos_bolt",
    "chronos-bolt-tiny": "published.chronos_bolt",
    "dlinear": "dlinear",
    "ecg-cpc": "published.ecg_cpc",
    "ecg-fm": "published.ecg_fm",
    "ecg-fm-mimic": "published.ecg_fm",
    "ecg-fm-physionet": "published.ecg_fm",
    "ecg-jepa": "published.ecg_jepa",
    "ecgfounder": "published.ecgfounder",
    "ecgfounder-1lead": "published.ecgfounder",
    "hubert-ecg-base": "published.hubert_ecg",
    "hubert-ecg-large": "published.hubert_ecg",
    "hubert-ecg-small": "published.hubert_ecg",
    "measurements": "measurements",
    "melp": "published.melp",
    "merl-resnet18": "published.merl",
    "merl-vit": "published.merl",
    "moment-base": "published.moment",
    "moment-large": "published.moment",
    "moment-small": "published.moment",
    "rocket": "rocket",
    "rocket-small": "rocket",
    "st-mem": "published.st_mem",
    "tempo-80m": "published.tempo",
    "timesnet": "timesnet",
}
"""The module of this folder that registers each name; it is imported when the expert is asked for."""

NETWORKS = {"s4d": "learned.s4d", "s4d-small": "learned.s4d", "vit": "learned.vit"}
"""Networks of our own, likewise. Those whose weights ship are experts; any can be trained (`enecg pretrain`)."""

E = TypeVar("E", bound=Expert)

_experts: dict[str, type[Expert]] = {}


def register_expert(expert: type[E]) -> type[E]:
    """Class decorator: make an expert known by its card's name. Raises ExpertError for a name that is taken."""
    name = expert.card.name
    own = expert.__module__.removeprefix("enecg.experts.")
    if name in _experts or (_home(name) or own) != own:
        raise ExpertError(f"an expert named {name!r} is registered already; give yours another name")
    _experts[name] = expert
    return expert


def expert_names() -> tuple[str, ...]:
    """All experts that can be asked for, sorted."""
    _load_others()
    return _names()


def published_names() -> tuple[str, ...]:
    """The experts of this package whose weights are others' and have to be pulled, sorted."""
    return tuple(sorted(name for name, home in HOMES.items() if home.startswith("published.")))


def names_with_answers() -> tuple[str, ...]:
    """The experts that were published with answers of their own (`Published.labels`), sorted."""
    kinds = {name: _find(name) for name in expert_names()}
    return tuple(name for name, kind in kinds.items() if kind and issubclass(kind, Published) and kind.labels)


@lru_cache(maxsize=1024)
def experts_for(leads: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which experts can take a recording with these leads: those that are here, and those whose weights are to pull.

    What was known when it was first asked for these leads.
    """
    there = {*leads, *derivable(leads)}
    kinds = {name: _find(name) for name in _names()}
    able = {name: kind for name, kind in kinds.items() if kind and _takes(kind, there)}
    here = tuple(name for name, kind in able.items() if not issubclass(kind, Published) or _pulled(name))
    return here, tuple(name for name in able if name not in here)


def get_expert(name: str, **options: Any) -> Expert:
    """A new instance of the expert with this name; `<name>:random`, `<name>:tiny`, `<name>+<variant>` as in Published.

    options : of an expert with published weights, such as `backend` and `accept_licence`.
    Raises ExpertError, with the nearest names, if there is none, or for an option that the expert does not have.
    """
    base, weights, variant = split_name(name)
    kind = _find(base)
    if kind is None or (base != name and not issubclass(kind, NetworkExpert)):
        names = expert_names()
        near = difflib.get_close_matches(base, names, n=3) or names
        raise ExpertError(f"unknown expert {name!r}. Did you mean {', '.join(near)}? `enecg experts` lists all")
    if weights:
        options["weights"] = weights
    if variant:
        options["variant"] = variant
    unknown = [option for option in options if option not in inspect.signature(kind).parameters]
    if unknown:
        raise ExpertError(f"{name}: has no option {unknown[0]}")
    return kind(**options)


def split_name(name: str) -> tuple[str, str, str]:
    """`<base>:<weights>+<variant>` as its three parts; those that are not said are empty."""
    front, _, variant = name.partition("+")
    base, _, weights = front.partition(":")
    return base, weights, variant


def is_registered(name: str) -> bool:
    """Whether another process would find an expert by this name."""
    base, weights, variant = split_name(name)
    kind = _find(base)
    return kind is not None and (not (weights or variant) or issubclass(kind, NetworkExpert))


def _names() -> tuple[str, ...]:
    return tuple(sorted({*HOMES, *_experts, *NETWORKS} - {name for name in NETWORKS if name not in shipped()}))


def _takes(kind: type[Expert], leads: set[str]) -> bool:
    return (any if kind.card.any_leads else all)(lead in leads for lead in kind.card.leads)


def _pulled(name: str) -> bool:
    try:
        return find_kept(name) is not None
    except WeightsError:  # Whoever asks for this expert is told what is wrong.
        return False


def _home(name: str) -> str | None:
    return HOMES.get(name) or NETWORKS.get(name)


def _find(name: str) -> type[Expert] | None:
    home = _home(name)
    if home is not None:
        import_module(f"enecg.experts.{home}")
    elif name not in _experts:
        _load_others()
    return _experts.get(name)


@cache
def _load_others() -> None:
    for point in entry_points(group="enecg.experts"):
        try:
            point.load()
        except Exception as error:  # noqa: BLE001  a package of others costs nobody the experts that work
            warnings.warn(
                f"the experts of {point.value} cannot be loaded ({type(error).__name__}: {error}); update or remove "
                "the package that brings them",
                stacklevel=3,
            )
