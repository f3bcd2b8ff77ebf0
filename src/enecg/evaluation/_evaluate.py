"""Train on some subjects, test on others, and compare: cross-validation, fixed splits, a finished model elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from enecg.cohorts import Cohort
from enecg.ensemble import Watch, subject_codes
from enecg.errors import CohortError, LeakageError
from enecg.estimator import EnECG
from enecg.evaluation._costs import Costs, costs_of
from enecg.evaluation._curves import OutOfFold
from enecg.evaluation._folds import Fold, check_fold, cross_validation
from enecg.evaluation._score import score
from enecg.evaluation._systems import BEST, ENSEMBLE, PAPER, PEER, Tested, answers_of, best_expert, values
from enecg.experts import get_expert
from enecg.inputs import encode_targets, subject_digest
from enecg.progress import Bar, progress_bar
from enecg.store import Embedded

Array = npt.NDArray[np.float32]


@dataclass
class Evaluation:
    """Rows of a table, and what they were made from.

    rows : {"task", "system", "metric", "value", "low", "high", "n", ...};  about : cohort, counts, settings.
    models : the estimators that were trained and tested, one for each fold.
    roles : by recording's id, a letter for each fold: t(rained), v(alidated), e(xamined), - (left out).
    held : by task, the ensemble's answers to recordings that it had not learned from, and the truth, for curves.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)
    models: list[EnECG] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    held: dict[str, OutOfFold] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {"about": self.about, "rows": self.rows}


def evaluate(
    estimator: EnECG,
    cohort: Cohort,
    *,
    folds: int = 5,
    rounds: Sequence[Sequence[Fold]] | None = None,
    paper: bool = False,
    peer: Sequence[Mapping[str, Array]] | None = None,
    allow_seen: bool = False,
    seed: int = 0,
) -> Evaluation:
    """Train and test clones of an estimator, every subject on one side of each split.

    folds : of a cross-validation by subject.
    rounds : splits given instead; the folds of a round test different recordings, and figures are means over rounds.
    paper : whether recipe "paper" is compared.
    peer : for each round another system's answers by task [recording, output], NaN where it has none.
    Raises LeakageError for an expert that has seen tested subjects (unless allow_seen, which flags every row) and for a
    subject on both sides of a split; FitError where a fold cannot be trained; CohortError for a peer's answers to other
    recordings.
    """
    seen = _seen(estimator, cohort, _tested(cohort, rounds), allow_seen)
    read = [*estimator.fitted_experts(), *estimator.context()]
    if paper:
        read.append(_paper_of(estimator).gate_input())
    embedded = estimator.embed(cohort, experts=read)
    targets = {task.name: encode_targets(task, cohort.targets, len(cohort)) for task in estimator.task_list()}
    plan = rounds if rounds is not None else [cross_validation(cohort, estimator.task_list(), folds, seed)]
    if peer is not None:
        _check_peer(peer, plan, targets)
    costs = Costs()
    models: list[EnECG] = []
    tested: list[list[Tested]] = []
    n_folds = sum(len(round_) for round_ in plan)
    with progress_bar(estimator.progress, "evaluating", n_folds) as bar:
        for number, round_ in enumerate(plan):
            tested.append([])
            for fold in round_:
                check_fold(cohort.subjects, fold)
                model = estimator.clone()
                place = len(models)
                tell = partial(_tell, bar, place, n_folds)
                part = _one_fold(model, embedded, targets, fold, paper, costs, tell)
                models.append(model)
                if peer is not None:
                    known = {name: own for name, own in peer[number].items() if name in targets}
                    part.answers[PEER] = {name: own[part.places] for name, own in known.items()}
                tested[number].append(part)
    about = {
        "trained": [int(fold.train.sum()) for round_ in plan for fold in round_],
        "validated": [int(fold.validation.sum()) for round_ in plan for fold in round_],
        "used": [_used(fold, subject_codes(cohort.subjects)) for round_ in plan for fold in round_],
    }
    found = _evaluation(estimator, cohort, embedded, targets, tested, seen, seed, about, costs)
    found.models = models
    found.roles = _roles(plan, embedded.ids)
    return found


def evaluate_fitted(model: EnECG, cohort: Cohort, *, allow_seen: bool = False, seed: int = 0) -> Evaluation:
    """Test a fitted estimator, such as a loaded bundle, on a cohort that it has not seen, for the tasks they share.

    Raises LeakageError if a subject of the cohort was in the training set, or as `evaluate` does.
    """
    seen = _seen(model, cohort, np.ones(len(cohort), dtype=bool), allow_seen)
    digests = {subject_digest(subject) for subject in cohort.subjects if subject is not None}
    both = digests & model.seen_subjects_
    if both and not allow_seen:
        raise LeakageError(
            f"{len(both)} of {len(digests)} subjects of cohort {cohort.name} trained this ensemble: results would be "
            "too good. Leave them out, or allow it and have every row flagged"
        )
    embedded = model.embed(cohort)
    tasks = [task for task in model.ensemble_.tasks if task.name in cohort.targets.columns]
    targets = {task.name: encode_targets(task, cohort.targets, len(cohort)) for task in tasks}
    part = answers_of(model.ensemble_, embedded, np.arange(len(cohort)))
    flags = [*seen, *(["the ensemble"] if both else [])]
    tested = {"recordings": len(cohort), "subjects": len(np.unique(subject_codes(cohort.subjects)))}
    about = {
        "trained on": model.training_["cohorts"],
        "trained": model.training_["n_recordings"],
        "used": [{"tested": tested}],
    }
    found = _evaluation(model, cohort, embedded, targets, [[part]], flags, seed, about, Costs())
    found.roles = dict.fromkeys(embedded.ids, "e")
    return found


def unmet(experts: Sequence[str], cohort: Cohort, rounds: Sequence[Sequence[Fold]] | None = None) -> list[str]:
    """Of these experts, those that `evaluate` may test there: they have met no subject that the splits test."""
    tested = _tested(cohort, rounds)
    return [name for name in experts if not _met(get_expert(name).card, cohort, tested)]


def _tested(cohort: Cohort, rounds: Sequence[Sequence[Fold]] | None) -> npt.NDArray[np.bool_]:
    """bool [recording]; all, where no splits are given."""
    asked = [fold.test for round_ in rounds or () for fold in round_] or [np.ones(len(cohort), dtype=bool)]
    return np.asarray(np.logical_or.reduce(asked))


def _seen(estimator: EnECG, cohort: Cohort, tested: npt.NDArray[np.bool_], allowed: bool) -> list[str]:
    """Experts that have seen tested subjects, or do not say. tested : bool [recording]."""
    found = [expert.card.name for expert in estimator.fitted_experts() if _met(expert.card, cohort, tested)]
    if found and not allowed:
        raise LeakageError(
            f"{', '.join(found)} was trained on subjects of cohort {cohort.name} (or does not say): results would "
            "be too good. Leave it out, or allow it and have every row flagged"
        )
    return found


def _met(card: Any, cohort: Cohort, tested: npt.NDArray[np.bool_]) -> bool:
    people = (cohort.subjects[row] for row in np.flatnonzero(tested).tolist())
    if card.seen_subjects and any(subject_digest(person) in card.seen_subjects for person in people if person):
        return True
    # Simulated people of other seeds are other people: whoever learned from the simulator has not met these.
    real = set(cohort.origins) - {"simulated"}
    return bool(real) and ("unknown" in card.seen or bool(real & set(card.seen)))


def _check_peer(
    peer: Sequence[Mapping[str, Array]], plan: Sequence[Sequence[Fold]], targets: Mapping[str, Array]
) -> None:
    """Raises CohortError for answers that cannot be to these recordings and tasks."""
    if len(peer) != len(plan):
        raise CohortError(f"a peer's answers of {len(peer)} rounds for {len(plan)}; expected those to the same split")
    for own in peer:
        for name in own.keys() & targets.keys():
            if own[name].shape != targets[name].shape:
                raise CohortError(
                    f"a peer's answers to {name} are {own[name].shape}, expected {targets[name].shape} [recording, "
                    "output]: they are of another data set or another part of it; make them again from this one"
                )


def _tell(bar: Bar, fold: int, folds: int, step: str, done: float) -> None:
    bar.step(f"fold {fold + 1} of {folds}, {step}", fold + done)


def _roles(plan: Sequence[Sequence[Fold]], ids: Sequence[str]) -> dict[str, str]:
    folds = [fold for round_ in plan for fold in round_]
    letters = np.full((len(ids), len(folds)), "-")
    for column, fold in enumerate(folds):
        for letter, side in zip("tve", (fold.train, fold.validation, fold.test), strict=True):
            letters[side, column] = letter
    return {name: "".join(row) for name, row in zip(ids, letters, strict=True)}


def _used(fold: Fold, codes: npt.NDArray[np.intp]) -> dict[str, dict[str, int]]:
    """Recordings and subjects on each side of a fold."""
    sides = {"trained": fold.train, "validated": fold.validation, "tested": fold.test}
    return {
        name: {"recordings": int(side.sum()), "subjects": len(np.unique(codes[side]))} for name, side in sides.items()
    }


def _paper_of(estimator: EnECG) -> EnECG:
    return estimator.clone().set_params(recipe="paper", settings=None)


def _one_fold(
    model: EnECG,
    embedded: Embedded,
    targets: Mapping[str, Array],
    fold: Fold,
    paper: bool,
    costs: Costs,
    tell: Watch,
) -> Tested:
    rows = np.flatnonzero(fold.learned)
    part, own = embedded.take(rows), {name: column[rows] for name, column in targets.items()}
    places = np.flatnonzero(fold.test)
    with costs.watch(ENSEMBLE, tell) as watch:
        ensemble = model.fit_encoded(part, own, fold.validation[rows], watch=watch).ensemble_
    costs.parameters(ENSEMBLE, ensemble)
    made = answers_of(ensemble, embedded, places)
    checked = embedded.take(fold.validation)
    made.best = best_expert(ensemble, checked, {name: column[fold.validation] for name, column in targets.items()})
    made.answers[BEST] = {name: made.answers[f"{expert} alone"][name] for name, expert in made.best.items()}
    if paper:
        other = _paper_of(model)
        with costs.watch(PAPER, tell) as watch:
            fitted = other.fit_encoded(part, own, fold.validation[rows], watch=watch).ensemble_
        costs.parameters(PAPER, fitted)
        made.answers[PAPER] = values(fitted.predict(embedded.take(places)))
    return made


def _evaluation(
    model: EnECG,
    cohort: Cohort,
    embedded: Embedded,
    targets: Mapping[str, Array],
    rounds: Sequence[Sequence[Tested]],
    seen: Sequence[str],
    seed: int,
    about: Mapping[str, Any],
    costs: Costs,
) -> Evaluation:
    codes = subject_codes(cohort.subjects)
    rows, held = [], {}
    for task in model.task_list():
        if task.name in targets:
            rows += score(task, targets[task.name], rounds, codes, cohort, seed)
            held[task.name] = OutOfFold.of(task, targets[task.name], rounds, codes)
    systems = {row["system"] for row in rows}
    rows += costs_of(costs, model.fitted_experts(), systems)
    flags = {"seen_by": list(seen)} if seen else {}
    tested = np.concatenate([part.places for part in rounds[0]])
    present = np.column_stack([embedded.present[name] for name in model.expert_names()])
    best = [part.best for round_ in rounds for part in round_ if part.best]
    return Evaluation(
        rows=[row | flags for row in rows],
        held=held,
        about={
            "cohort": cohort.name,
            "licence": cohort.licence,
            "citation": cohort.citation,
            "simulated": cohort.simulated,
            "recordings": len(cohort),
            "subjects": len(set(codes.tolist())),
            "without a subject": sum(subject is None for subject in cohort.subjects),
            "tested": len(tested),
            "refused": int((~present[tested].any(axis=1)).sum()),
            "rounds": len(rounds),
            "folds": len(rounds[0]),
            "experts": list(model.expert_names()),
            "caveats": model.caveats(),
            "best experts": best,
            **about,
        },
    )
