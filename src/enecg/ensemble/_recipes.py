"""How an ensemble is trained, by recipe's name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.ensemble._ensemble import Ensemble
from enecg.ensemble._joint import JointSettings, add_task, fit_joint
from enecg.ensemble._paper import PaperSettings, fit_paper
from enecg.errors import FitError
from enecg.store import Embedded
from enecg.tasks import Task

Array = npt.NDArray[np.float32]

RECIPES = ("joint", "paper")
Settings = JointSettings | PaperSettings
Watch = Callable[[str, float], None]
"""Told what a fit does next (an expert's name, "gate", "calibration") and which share of it is done."""


def unwatched(step: str, done: float) -> None:
    """A Watch that does nothing."""


@contextmanager
def _numbers_of_our_own() -> Iterator[None]:
    """New layers of torch draw from the generator that everybody shares, before they get their weights from ours."""
    import torch

    with torch.random.fork_rng(devices=[]):
        yield


@_numbers_of_our_own()
def fit_ensemble(
    embedded: Embedded,
    targets: Mapping[str, Array],
    tasks: Sequence[Task],
    *,
    experts: Sequence[str],
    gate: str,
    validation: npt.NDArray[np.bool_] | None = None,
    seen: npt.NDArray[np.bool_] | None = None,
    recipe: str = "joint",
    seed: int = 0,
    settings: Settings | None = None,
    watch: Watch = unwatched,
) -> Ensemble:
    """Train an ensemble.

    targets : by task, encoded labels [recording, output], NaN rows where missing;  experts : names of embeddings;
    gate : name of the gate's input;  validation : bool [recording], those that make choices (default: a share);
    seen : bool [recording], those that an expert has learned from: where others are there, they alone decide how much
    experts count and how sure answers are (recipe "joint"; "paper" is as published).
    watch : told of every step.
    Raises FitError for data that cannot be fitted and for an unknown recipe.
    """
    if not len(embedded):
        raise FitError("0 recordings; expected some to learn from")
    if not tasks or not experts:
        raise FitError("no task or no expert was given; expected one of each at least")
    shared: dict[str, Any] = {
        "experts": experts,
        "gate": gate,
        "validation": validation,
        "seed": seed,
        "watch": watch,
    }
    if recipe == "joint" and (settings is None or isinstance(settings, JointSettings)):
        return fit_joint(embedded, targets, tasks, settings=settings or JointSettings(), seen=seen, **shared)
    if recipe == "paper" and (settings is None or isinstance(settings, PaperSettings)):
        return fit_paper(embedded, targets, tasks, settings=settings or PaperSettings(), **shared)
    raise FitError(f"recipe {recipe!r} with settings {settings!r}; expected one of {', '.join(RECIPES)} with its own")


@_numbers_of_our_own()
def extend_ensemble(
    ensemble: Ensemble,
    task: Task,
    embedded: Embedded,
    column: Array,
    *,
    seen: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
    settings: Settings | None = None,
) -> Ensemble:
    """The ensemble with one task more, all else unchanged. Raises FitError."""
    if ensemble.notes.get("recipe") == "paper":
        raise FitError("recipe 'paper' has no trunk that tasks share; fit again with the new task, or use 'joint'")
    made = settings if isinstance(settings, JointSettings) else JointSettings()
    return add_task(ensemble, task, embedded, column, seen=seen, seed=seed, settings=made)
