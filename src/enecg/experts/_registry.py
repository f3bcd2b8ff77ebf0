"""Experts by name. A family's file registers its own; other packages add theirs by the entry point `enecg.experts`."""

import difflib
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar

from enecg.errors import ExpertError
from enecg.experts._contract import Expert

FAMILIES = ("dlinear", "measurements", "rocket", "timesnet")
"""One module of this folder each."""

E = TypeVar("E", bound=Expert)

_experts: dict[str, Callable[[], Expert]] = {}
_complete = False


def register_expert(expert: type[E]) -> type[E]:
    """Class decorator: make an expert known by its card's name. Raises ExpertError for a name that is taken."""
    name = expert.card.name
    if name in _experts:
        raise ExpertError(f"an expert named {name!r} is registered already; give yours another name")
    _experts[name] = expert
    return expert


def expert_names() -> tuple[str, ...]:
    """All experts that can be asked for, sorted."""
    return tuple(sorted(_all()))


def get_expert(name: str) -> Expert:
    """A new instance of the expert with this name. Raises ExpertError, with the nearest names, if there is none."""
    experts = _all()
    if name not in experts:
        near = difflib.get_close_matches(name, experts, n=3) or sorted(experts)
        raise ExpertError(f"unknown expert {name!r}. Did you mean {', '.join(near)}? `enecg experts` lists all")
    return experts[name]()


def _all() -> dict[str, Callable[[], Expert]]:
    global _complete
    if not _complete:
        for family in FAMILIES:
            import_module(f"enecg.experts.{family}")
        for point in entry_points(group="enecg.experts"):
            point.load()
        _complete = True
    return _experts
