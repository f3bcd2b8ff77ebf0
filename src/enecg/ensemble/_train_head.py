"""Training one expert's head by cross-fitting: every training recording is answered by a member that never saw it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from enecg.ensemble._heads import ExpertHead, Linear, Member
from enecg.ensemble._linear import Gram, Scaler, average, few_features
from enecg.ensemble._lora import Adapter, AdapterSettings, train_adapters
from enecg.ensemble._span import WORTH_IT, Span
from enecg.ensemble._targets import TargetSpace
from enecg.ensemble._trunk import Trunk, TrunkSettings, train_trunk

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]
Double = npt.NDArray[np.float64]
Path = tuple[Array, Array]

_RARE = 0.02
"""A class rarer than this gets the slope of one as rare: least squares says little about it."""

SHARES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
SLOPES = (0.4, 0.7, 1.0, 1.5, 2.5)


@dataclass(frozen=True)
class HeadSettings:
    """How a head is trained: its trunks, their tasks' adapters, and adapters of tasks that are added later."""

    trunk: TrunkSettings = field(default_factory=TrunkSettings)
    adapters: AdapterSettings = field(default_factory=AdapterSettings)
    new_task: AdapterSettings = field(
        default_factory=lambda: AdapterSettings(learning_rate=1e-3, max_epochs=30, patience=5, min_steps=300)
    )


@dataclass(frozen=True)
class Split:
    """Which rows do what, for one expert.

    fold : int [recording], -1 for recordings that are not trained on;  validation : rows that make choices;
    asked : rows that do neither, and are only answered.
    """

    fold: Rows
    validation: Rows
    asked: Rows = field(default_factory=lambda: np.empty(0, np.intp))

    def rows(self, left_out: int) -> Rows:
        """Training rows of a fold's member."""
        return np.flatnonzero((self.fold >= 0) & (self.fold != left_out))

    def teaches(self, targets: Array) -> bool:
        """Whether every member, and whoever chooses, find a label; else the expert can only say what is usual."""
        there = np.asarray(~np.isnan(targets).any(axis=1))
        return bool(there[self.validation].any() and all(there[self.rows(fold)].any() for fold in range(self.n_folds)))

    @property
    def n_folds(self) -> int:
        """How many folds."""
        return int(self.fold.max()) + 1


def train_head(
    embedding: Array,
    targets: Mapping[str, Array],
    spaces: Mapping[str, TargetSpace],
    split: Split,
    settings: HeadSettings,
    seed: int,
    existing: ExpertHead | None = None,
) -> tuple[ExpertHead, dict[str, Array]]:
    """A head for the tasks of `spaces`, and its honest answers.

    embedding : [recording, dim];  targets : by task, as TargetSpace.targets gives them.
    existing : a head whose scaler and trunks are kept; only adapters, rows and linear paths are trained.
    Returns the head and, by task, [recording, output]: out-of-fold answers on training rows, those of all members on
    rows that validate or are asked, NaN elsewhere.
    """
    import torch

    used = np.flatnonzero(split.fold >= 0)
    used = np.sort(np.concatenate([used, split.validation, split.asked]))
    if len(used) < len(embedding):
        inner = Split(split.fold[used], *(np.searchsorted(used, own) for own in (split.validation, split.asked)))
        head, part = train_head(
            embedding[used],
            {name: targets[name][used] for name in spaces},
            spaces,
            inner,
            settings,
            seed,
            existing,
        )
        spread = {name: np.full((len(embedding), own.shape[1]), np.nan, np.float32) for name, own in part.items()}
        for name, own in part.items():
            spread[name][used] = own
        return head, spread
    scaler = Scaler.of(embedding[split.fold >= 0]) if existing is None else existing.scaler
    x = scaler(embedding)
    wanted = {name: torch.from_numpy(np.ascontiguousarray(targets[name])) for name in spaces}
    members = []
    for fold in range(split.n_folds):
        trunk = None if existing is None else existing.members[fold].trunk
        rows = split.rows(fold)
        members.append(_member(x, wanted, spaces, rows, split.validation, settings, seed * 1000 + fold, trunk))
    taught = {name: space for name, space in spaces.items() if split.teaches(targets[name])}
    paths = _linear_paths(x, targets, taught, split)
    linear, honest = {}, {}
    answers = [_member_outputs(member, x, list(spaces)) for member in members]
    for name, space in spaces.items():
        if name not in taught:
            linear[name] = Linear(np.zeros((x.shape[1], len(space.base)), np.float32), space.start, 1.0)
            honest[name] = np.tile(space.start, (len(x), 1))
            continue
        by_member = [outputs[name] for outputs in answers]
        linear[name], honest[name] = _blend(x, targets[name], space, split, paths[name], by_member)
    return ExpertHead(scaler, members, linear), honest


def _member(
    x: Array,
    targets: "Mapping[str, torch.Tensor]",
    spaces: Mapping[str, TargetSpace],
    rows: Rows,
    validation: Rows,
    settings: HeadSettings,
    seed: int,
    trunk: Trunk | None,
) -> Member:
    """A trunk (or the given one) with its adapters, trained on `rows`; on coordinates where they are few (_span.py)."""
    import torch

    span = Span.of(x[rows], seed) if x.shape[1] >= WORTH_IT * len(rows) else None
    seen = torch.from_numpy(x if span is None else span(x))
    plan, base = settings.adapters, None
    if trunk is None:
        trunk = own = train_trunk(seen, targets, spaces, rows, validation, settings.trunk, seed)
        if span is not None:
            trunk = Trunk((span.back(own.first[0]), own.first[1]), own.second, own.rows)
    else:
        plan, own = settings.new_task, trunk
        base = torch.from_numpy(trunk.hidden(x)[0])
    adapters = train_adapters(own, seen, targets, spaces, rows, validation, plan, seed + 500, base)
    if span is not None:
        adapters = {name: _back(span, adapter) for name, adapter in adapters.items()}
    return Member(Trunk(trunk.first, trunk.second, {}), adapters)


def _back(span: Span, adapter: Adapter) -> Adapter:
    """An adapter of coordinates as one of features."""
    if adapter.first is None:
        return adapter
    return replace(adapter, first=(span.back(adapter.first[0]), adapter.first[1]))


def _member_outputs(member: Member, x: Array, tasks: Sequence[str]) -> dict[str, Array]:
    hidden = member.trunk.hidden(x)
    return {name: member.adapters[name].outputs(member.trunk, x, hidden) for name in tasks}


def _linear_paths(
    x: Array, targets: Mapping[str, Array], spaces: Mapping[str, TargetSpace], split: Split
) -> dict[str, list[list[Path]]]:
    """By task, for each fold, every candidate's weights and intercepts in the task's space."""
    gram = Gram(x)
    found: dict[str, list[list[Path]]] = {name: [] for name in spaces}
    for fold in range(split.n_folds):
        rows = split.rows(fold)
        # Tasks labelled on the same rows share their factorisations.
        groups: dict[bytes, list[str]] = {}
        for name in spaces:
            there = ~np.isnan(targets[name][rows]).any(axis=1)
            groups.setdefault(there.tobytes(), []).append(name)
        for mask, names in groups.items():
            usable = rows[np.frombuffer(mask, dtype=bool)]
            wanted = [_regressed(spaces[name], targets[name][usable]) for name in names]
            ends = np.cumsum([part.shape[1] for part in wanted])
            solved = gram.ridge(usable, np.concatenate(wanted, axis=1))
            for name, part, end in zip(names, wanted, ends, strict=True):
                own = slice(end - part.shape[1], end)
                paths = [(weights[:, own], intercepts[own]) for weights, intercepts in solved]
                if part.shape[1] == 1:
                    paths += few_features(x[usable], part[:, 0])
                found[name].append([_in_space(spaces[name], path) for path in paths])
    return found


def _regressed(space: TargetSpace, targets: Array) -> Double:
    """What least squares aims at: the scaled value, or the share of the label that each class has."""
    if space.task.kind == "multiclass":
        return np.asarray(targets / targets.sum(axis=1, keepdims=True), dtype=np.float64)
    return targets.astype(np.float64)


def _in_space(space: TargetSpace, path: Path) -> Path:
    """Least squares on 0 and 1 as logits: the slope of linear discriminant analysis around the base rate."""
    if space.task.kind == "regression":
        return path
    p = np.exp(space.base) if space.task.kind == "multiclass" else 1 / (1 + np.exp(-space.base))
    slope = 1 / np.maximum(p * (1 - p), _RARE)
    return path[0] * slope, space.base + (path[1] - p) * slope


def _blend(
    x: Array, targets: Array, space: TargetSpace, split: Split, paths: list[list[Path]], members: list[Array]
) -> tuple[Linear, Array]:
    """Choose penalty, slope and share on validation rows; the merged path, and honest answers of the blend."""
    chosen = split.validation[~np.isnan(targets[split.validation]).any(axis=1)]
    slopes = (1.0,) if space.task.kind == "regression" else SLOPES
    start = space.start

    def sloped(outputs: Array, slope: float) -> Array:
        return start + np.float32(slope) * (outputs - start)

    def loss(answers: list[Array]) -> float:
        return float(np.mean([space.loss(answer, targets[chosen]).mean() for answer in answers]))

    seen = [[x[chosen] @ weight + intercept for weight, intercept in fold] for fold in paths]
    tried = [
        (loss([sloped(fold[number], slope) for fold in seen]), number, slope)
        for number in range(len(paths[0]))
        for slope in slopes
    ]
    _, number, slope = min(tried)
    mixed = []
    for share in SHARES:
        for again in slopes if share > 0 else slopes[:1]:
            answers = [
                np.float32(share) * sloped(fold[number], again) + np.float32(1 - share) * own[chosen]
                for fold, own in zip(seen, members, strict=True)
            ]
            mixed.append((loss(answers), share, again))
    _, share, slope = min(mixed)
    kept = []
    for candidates in paths:
        weight, intercept = candidates[number]
        kept.append((weight * np.float32(slope), start + np.float32(slope) * (intercept - start)))
    honest = np.full((len(x), len(start)), np.nan, dtype=np.float32)
    parts = [
        np.float32(share) * (x @ weight + intercept) + np.float32(1 - share) * own
        for (weight, intercept), own in zip(kept, members, strict=True)
    ]
    for fold, answer in enumerate(parts):
        honest[split.fold == fold] = answer[split.fold == fold]
    others = np.concatenate([split.validation, split.asked])
    honest[others] = np.mean([answer[others] for answer in parts], axis=0)
    weight, intercept = average(kept)
    return Linear(weight, intercept.astype(np.float32), share), honest
