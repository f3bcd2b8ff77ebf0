"""What every objective is: heads of its own on a network, and a loss for each window."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeVar

from torch import Tensor, nn

from enecg.errors import FitError
from enecg.experts.learned import TokenNetwork
from enecg.pretraining._batch import Batch

if TYPE_CHECKING:
    from enecg.pretraining._corpus import Corpus

Kind = TypeVar("Kind", bound="type[Objective]")


class Objective(nn.Module, ABC):
    """One way to teach a network. Its parameters are the heads, which are thrown away when the training is done.

    name : by which users ask for it;  summary : one sentence;  labels : whether it needs targets.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    labels: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, network: TokenNetwork, corpus: "Corpus") -> None:
        """Heads for this network. Raises FitError for a network or recordings that cannot be taught so."""
        super().__init__()

    @abstractmethod
    def forward(self, network: TokenNetwork, batch: Batch) -> Tensor:
        """The loss of each window, [window]; NaN where there is nothing to learn from it."""


_objectives: "dict[str, type[Objective]]" = {}


def register_objective(kind: Kind) -> Kind:
    """Class decorator: make an objective known by its name."""
    _objectives[kind.name] = kind
    return kind


def objective_names() -> tuple[str, ...]:
    """All objectives, sorted."""
    return tuple(sorted(_objectives))


def find_objective(name: str) -> "type[Objective]":
    """Raises FitError, with the names that there are."""
    if name not in _objectives:
        raise FitError(f"unknown objective {name!r}; expected one of {', '.join(objective_names())}")
    return _objectives[name]
