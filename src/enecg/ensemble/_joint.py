"""Recipe "joint": cross-fitted heads on all tasks together, convex prior, gate, calibration; one task more later."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.ensemble._calibration import Calibration, calibrate
from enecg.ensemble._ensemble import Ensemble, disagreement_of
from enecg.ensemble._gate import choose, softmax
from enecg.ensemble._heads import ExpertHead
from enecg.ensemble._mixing import convex_weights, mix
from enecg.ensemble._splits import check_whole, folds_of, hold_out, subject_codes
from enecg.ensemble._targets import TargetSpace
from enecg.ensemble._train_gate import GateSettings, train_gate
from enecg.ensemble._train_head import HeadSettings, Split, train_head
from enecg.errors import FitError
from enecg.store import Embedded
from enecg.tasks import Task

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

VALIDATION_SHARE = 1 / 8

ENOUGH = 200
"""Labels of a task, of subjects that no expert has seen, that suffice to weigh and calibrate by them alone."""


class SeenWarning(UserWarning):
    """Experts have learned from all subjects that could say how good they are."""


@dataclass(frozen=True)
class JointSettings:
    """Recipe "joint": how many folds cross-fit a head, and how its parts are trained."""

    n_folds: int = 4
    head: HeadSettings = field(default_factory=HeadSettings)
    gate: GateSettings = field(default_factory=GateSettings)


@dataclass(frozen=True)
class _Roles:
    """What each recording does.

    fold : of those that heads are trained on, else -1;  validation : bool, makes choices;
    weighed : fold of those whose honest answers decide prior, gate and calibration, else -1: those that heads are
    trained on, unless an expert has seen them; then some that only ever answer.
    """

    fold: Rows
    validation: Mask
    weighed: Rows

    def split(self, present: Mask) -> Split:
        asked = (self.weighed >= 0) & (self.fold < 0)
        return Split(
            np.where(present, self.fold, -1), np.flatnonzero(self.validation & present), np.flatnonzero(asked & present)
        )

    @property
    def fitted(self) -> Mask:
        return self.fold >= 0

    @property
    def weighing(self) -> Mask:
        return self.weighed >= 0


def fit_joint(
    embedded: Embedded,
    targets: Mapping[str, Array],
    tasks: Sequence[Task],
    *,
    experts: Sequence[str],
    gate: str,
    validation: Mask | None,
    seen: Mask | None,
    seed: int,
    settings: JointSettings,
    watch: Callable[[str, float], None],
) -> Ensemble:
    """Train heads, prior, gate and calibration.

    targets : by task, encoded [recording, output];  seen : bool [recording], whether an expert has learned from it.
    """
    present = np.column_stack([embedded.present[name] for name in experts])
    roles = _roles(embedded, targets, np.asarray(present.any(axis=1)), validation, seen, settings.n_folds, seed)
    spaces = {task.name: TargetSpace.of(task, targets[task.name][roles.fitted]) for task in tasks}
    wanted = {name: space.targets(targets[name]) for name, space in spaces.items()}
    _check_validation(wanted, roles)
    heads: dict[str, ExpertHead] = {}
    honest = {name: np.full((*present.shape, len(space.base)), np.nan, np.float32) for name, space in spaces.items()}
    for column, expert in enumerate(experts):
        watch(expert, column / (len(experts) + 1))
        split = roles.split(present[:, column])
        _check_rows(expert, split)
        rows = np.nan_to_num(embedded.embeddings[expert])
        heads[expert], own = train_head(rows, wanted, spaces, split, settings.head, seed + column)
        for name, answers in own.items():
            honest[name][:, column] = answers
    watch("gate and calibration", len(experts) / (len(experts) + 1))
    prior = {
        name: np.log(
            convex_weights(honest[name][roles.weighing], present[roles.weighing], wanted[name][roles.weighing], space)
        )
        for name, space in spaces.items()
    }
    x = np.nan_to_num(embedded.embeddings[gate])
    n_leads = gate.count(",") + 1
    parts = (prior, x, n_leads, honest, present, wanted, spaces)
    there = present.any(axis=1)
    checked = np.flatnonzero(roles.validation & there)
    final, epoch = train_gate(*parts, np.flatnonzero(roles.weighing & there), checked, settings.gate, seed)
    logits = final.logits(x, list(spaces))
    if epoch > 0:
        # The gate has seen these answers: for calibration, each fold is weighed by a gate that has not.
        for fold in range(settings.n_folds):
            rest = np.flatnonzero(roles.weighing & there & (roles.weighed != fold))
            other, _ = train_gate(*parts, rest, checked, settings.gate, seed)
            for name, own_logits in other.logits(x, list(spaces)).items():
                logits[name][roles.weighed == fold] = own_logits[roles.weighed == fold]
    calibrations = _calibrations(honest, logits, present, wanted, spaces, roles.weighing)
    notes: dict[str, Any] = {
        "experts": {
            name: {
                "weights": {expert: round(float(np.exp(p)), 4) for expert, p in zip(experts, prior[name], strict=True)},
                "linear_share": {expert: heads[expert].linear[name].share for expert in experts},
            }
            for name in spaces
        },
        "gate_epoch": epoch,
    }
    return Ensemble(spaces, heads, final, gate, calibrations, dict.fromkeys(spaces, tuple(spaces)), notes)


def add_task(
    ensemble: Ensemble,
    task: Task,
    embedded: Embedded,
    column: Array,
    *,
    seen: Mask | None,
    seed: int,
    settings: JointSettings,
) -> Ensemble:
    """One more task on the same scalers, trunks and gate encoder; nothing of the others changes.

    column : encoded labels [recording, output];  seen : as in `fit_joint`.
    """
    experts = ensemble.experts
    present = ensemble.present(embedded)
    n_folds = len(next(iter(ensemble.heads.values())).members)
    roles = _roles(embedded, {task.name: column}, np.asarray(present.any(axis=1)), None, seen, n_folds, seed)
    space = TargetSpace.of(task, column[roles.fitted])
    wanted = {task.name: space.targets(column)}
    heads = {}
    honest = np.full((*present.shape, len(space.base)), np.nan, np.float32)
    for place, (expert, head) in enumerate(ensemble.heads.items()):
        split = roles.split(present[:, place])
        _check_rows(expert, split)
        rows = np.nan_to_num(embedded.embeddings[expert])
        new, own = train_head(rows, wanted, {task.name: space}, split, settings.head, seed + place, existing=head)
        heads[expert] = head.joined(new)
        honest[:, place] = own[task.name]
    weighing = roles.weighing
    weights = convex_weights(honest[weighing], present[weighing], wanted[task.name][weighing], space)
    gate = replace(ensemble.gate, prior={**ensemble.gate.prior, task.name: np.log(weights)})
    logits = {task.name: np.tile(np.log(weights), (len(embedded), 1))}
    found = _calibrations({task.name: honest}, logits, present, wanted, {task.name: space}, weighing)
    note = {
        "weights": {expert: round(float(w), 4) for expert, w in zip(experts, weights, strict=True)},
        "linear_share": {expert: heads[expert].linear[task.name].share for expert in experts},
    }
    return Ensemble(
        spaces={**ensemble.spaces, task.name: space},
        heads=heads,
        gate=gate,
        gate_name=ensemble.gate_name,
        calibrations={**ensemble.calibrations, **found},
        beside={**ensemble.beside, task.name: (task.name,)},
        notes={**ensemble.notes, "experts": {**ensemble.notes["experts"], task.name: note}},
    )


def _roles(
    embedded: Embedded,
    targets: Mapping[str, Array],
    usable: Mask,
    validation: Mask | None,
    seen: Mask | None,
    n_folds: int,
    seed: int,
) -> _Roles:
    if n_folds < 2:
        raise FitError(f"n_folds {n_folds}; expected 2 at least, so that every recording is answered by a stranger")
    labelled = np.column_stack([~np.isnan(column).any(axis=1) for column in targets.values()])
    usable = usable & labelled.any(axis=1)
    if not usable.any():
        raise FitError("no recording has both a label and an expert that could take it; see the refusals")
    codes = subject_codes(embedded.subjects)
    held = np.zeros(len(usable), dtype=bool)
    if validation is None:
        held[usable] = hold_out(codes[usable], labelled[usable], VALIDATION_SHARE, seed)
    else:
        held = validation & usable
        check_whole(codes, held, usable & ~held, embedded.subjects)
    fold = np.full(len(usable), -1, dtype=np.intp)
    fitted = usable & ~held
    n_subjects = len(np.unique(codes[fitted]))
    if n_subjects < n_folds:
        raise FitError(f"{n_subjects} subjects are left to train on; expected {n_folds} at least, one for each fold")
    fold[fitted] = folds_of(codes[fitted], n_folds, seed, labelled[fitted])
    if seen is None or not (seen & fitted).any():
        return _Roles(fold, held, fold)
    weighed = np.where(seen, -1, fold)
    if (labelled[weighed >= 0].sum(axis=0) >= np.minimum(ENOUGH, labelled[fitted].sum(axis=0))).all():
        return _Roles(fold, held, weighed)
    # Too few are left: half of those that validate, whom no expert may have seen, weigh instead of choosing.
    able = held & ~seen
    asked = np.zeros(len(usable), dtype=bool)
    if len(np.unique(codes[able])) >= 4:  # fewer cannot be parted
        asked[able] = hold_out(codes[able], labelled[able], 0.5, seed)
    if not (labelled[asked].any(axis=0) & labelled[held & ~asked].any(axis=0)).all():
        warnings.warn(
            "experts have learned from (nearly) all of these subjects, so how much each counts, and how sure answers "
            "are, is taken from answers about people whom they know: both are too optimistic. Pass validation= with "
            "subjects that no expert has seen",
            SeenWarning,
            stacklevel=2,
        )
        return _Roles(fold, held, fold)
    weighed = np.full(len(usable), -1, dtype=np.intp)
    weighed[asked] = folds_of(codes[asked], n_folds, seed, labelled[asked])
    return _Roles(fold, held & ~asked, weighed)


def _check_validation(wanted: Mapping[str, Array], roles: _Roles) -> None:
    for name, column in wanted.items():
        if np.isnan(column[roles.validation]).any(axis=1).all():
            raise FitError(
                f"task {name}: no validation recording has a label, so nothing can be chosen for it; label more "
                "subjects, or pass a validation mask that includes some"
            )


def _check_rows(expert: str, split: Split) -> None:
    counts = np.bincount(split.fold[split.fold >= 0], minlength=2)
    if not len(split.validation) or (counts == 0).any():
        raise FitError(f"expert {expert} could take too few recordings to be trained on; leave it out")


def _calibrations(
    honest: Mapping[str, Array],
    logits: Mapping[str, Array],
    present: Mask,
    wanted: Mapping[str, Array],
    spaces: Mapping[str, TargetSpace],
    weighing: Mask,
) -> dict[str, dict[int, Calibration]]:
    """By task and number of experts, from out-of-fold answers weighed as they will be."""
    found: dict[str, dict[int, Calibration]] = {name: {} for name in spaces}
    rows = np.flatnonzero(weighing & present.any(axis=1))
    here = present[rows]
    for k in range(1, present.shape[1] + 1):
        chosen = choose({name: own[rows] for name, own in logits.items()}, here, k)
        for name, space in spaces.items():
            weights = softmax(logits[name][rows], chosen)
            outputs = honest[name][rows]
            mixed, apart = mix(outputs, weights), disagreement_of(outputs, weights)
            # Where fewer than k could run, fewer will answer, and theirs is another number's calibration.
            full = chosen.sum(axis=1) == k
            found[name][k] = calibrate(space, mixed[full], apart[full], wanted[name][rows][full])
    return found
