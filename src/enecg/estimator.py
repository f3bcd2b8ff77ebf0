"""EnECG: fit, predict, add_task. The steps in order; the mathematics is in the rooms that it calls.

    recordings -> embed (experts, gate's input, quality) -> fit_ensemble -> predict -> Predictions

scikit-learn's conventions: parameters are stored as given, `fit` returns self, what it learned ends in `_`.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from enecg.ensemble import Answers, Ensemble, JointSettings, PaperSettings, Watch, extend_ensemble, fit_ensemble
from enecg.errors import BundleError, FitError, NotFittedError, TaskError
from enecg.experts import Expert, get_expert
from enecg.experts._context import GateInput, QualityGrade
from enecg.inputs import (
    Item,
    Targets,
    as_mask,
    as_recordings,
    encode_targets,
    labelled_rows,
    nameable,
    only_simulated,
    path_of,
    seen_rows,
    several,
    subject_digests,
    training_summary,
    warn_of_subjects,
    with_subjects,
)
from enecg.predictions import Prediction, Predictions, task_prediction
from enecg.progress import progress_bar
from enecg.recording import standard_lead
from enecg.store import Embedded, Refusal, Store, check_weights, embed
from enecg.tasks import FIVE_TASKS, Task, get_task

DEFAULT_EXPERTS = ("rocket", "measurements", "s4d")


class EnECG:
    """An ensemble of frozen experts that answers several tasks about an ECG.

    experts : names, or Expert instances.
    tasks : names of built-in tasks, or Task instances.
    recipe : "joint" (ours) or "paper" (as published).
    gate_leads : leads that the gate reads.
    top_k : how many experts run for a recording; None for all that can.
    coverage : of the intervals and class sets.
    min_quality : recordings of a lower quality grade (0 to 1) get no answers.
    seed : of everything random.
    store : folder that keeps embeddings; None computes them anew each time.
    settings : how the recipe trains, where its defaults do not fit.
    progress : whether to show progress on standard error.
    """

    def __init__(
        self,
        experts: Sequence[str | Expert] = DEFAULT_EXPERTS,
        tasks: Sequence[str | Task] = FIVE_TASKS,
        *,
        recipe: str = "joint",
        gate_leads: Sequence[str] = ("II",),
        top_k: int | None = None,
        coverage: float = 0.9,
        min_quality: float = 0.3,
        seed: int = 0,
        store: str | Path | Store | None = None,
        settings: JointSettings | PaperSettings | None = None,
        progress: bool = False,
    ) -> None:
        self.experts = experts
        self.tasks = tasks
        self.recipe = recipe
        self.gate_leads = gate_leads
        self.top_k = top_k
        self.coverage = coverage
        self.min_quality = min_quality
        self.seed = seed
        self.store = store
        self.settings = settings
        self.progress = progress

    # -- scikit-learn's conventions ------------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters as given to the constructor."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def set_params(self, **params: Any) -> Self:
        """Change parameters; what was fitted stays. Raises FitError for a name that is not one."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise FitError(f"EnECG has no parameter {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        return self

    def clone(self) -> Self:
        """A new, unfitted estimator with the same parameters."""
        return type(self)(**self.get_params())

    # -- the steps -----------------------------------------------------------------------------------------------

    def fit(
        self,
        recordings: Sequence[Item],
        targets: Targets | None = None,
        subjects: Sequence[str | None] | None = None,
        validation: npt.ArrayLike | None = None,
    ) -> Self:
        """Train heads and gate.

        recordings : Recordings, paths, or a cohort (which brings its targets).
        targets : one column for each task, a row for each recording; None or NaN where unknown.
        subjects : one for each recording; by default what the recordings say.
        validation : bool [recording], those that make choices; by default a share of the subjects.
        What could not be read, or which expert could not take a recording, is in `refusals_`; the rest is learned from.
        Raises FitError, TaskError or StoreError.
        """
        if targets is None:
            targets = getattr(recordings, "targets", None)
        if targets is None:
            raise FitError("fit needs targets: a table with a column for each task and a row for each recording")
        self.check_params()
        embedded = self.embed(recordings)
        if subjects is not None:
            embedded = with_subjects(embedded, subjects)
        return self.fit_embedded(embedded, targets, None if validation is None else as_mask(validation, len(embedded)))

    def embed(
        self,
        recordings: Iterable[Item],
        *,
        experts: Sequence[Expert] | None = None,
        only: Mapping[str, npt.NDArray[np.bool_]] | None = None,
        given: Embedded | None = None,
        doubting: bool = False,
    ) -> Embedded:
        """All that fitting and answering need to know of the recordings; no file is read after this.

        experts, only, given, doubting : as for `enecg.store.embed`; by default all experts and the context.
        """
        wanted = [*self.fitted_experts(), *self.context()] if experts is None else experts
        return embed(
            recordings, wanted, self._store(), progress=self.progress, only=only, given=given, doubting=doubting
        )

    def fit_embedded(
        self, embedded: Embedded, targets: Targets, validation: npt.NDArray[np.bool_] | None = None
    ) -> Self:
        """`fit` from embeddings that are there already."""
        encoded = {task.name: encode_targets(task, targets, len(embedded.ids)) for task in self.task_list()}
        warn_of_subjects(embedded)
        return self.fit_encoded(embedded, encoded, validation)

    def fit_encoded(
        self,
        embedded: Embedded,
        encoded: Mapping[str, npt.NDArray[np.float32]],
        validation: npt.NDArray[np.bool_] | None = None,
        *,
        watch: Watch | None = None,
    ) -> Self:
        """`fit` from embeddings and from labels as `encode_targets` gives them.

        watch : told of every step of the training; by default a progress bar, where `progress` wants one.
        """
        with progress_bar(self.progress and watch is None, "training", 1.0) as bar:
            self.ensemble_: Ensemble = fit_ensemble(
                embedded,
                encoded,
                self.task_list(),
                experts=self.expert_names(),
                gate=self.gate_input().card.name,
                validation=validation,
                seen=self._seen(embedded),
                recipe=self.recipe,
                seed=self.seed,
                settings=self.settings,
                watch=watch or bar.step,
            )
        self.simulated_tasks_ = frozenset(
            name for name, column in encoded.items() if only_simulated(embedded, labelled_rows(column))
        )
        self.training_ = training_summary(embedded, encoded, self.expert_names())
        self.seen_subjects_ = subject_digests(embedded)
        self.refusals_ = tuple(embedded.refusals)
        self.results_: list[dict[str, Any]] = []
        return self

    def answer(
        self, embedded: Embedded, tasks: Sequence[str | Task] | None = None, top_k: int | None = None
    ) -> dict[str, Answers]:
        """Answers as arrays, by task's name; NaN rows for recordings that no expert could take."""
        self._check_fitted()
        k = self._top_k(top_k)
        return self.ensemble_.predict(embedded, self._task_names(tasks), top_k=k, coverage=self.coverage)

    def predict(
        self,
        recordings: Iterable[Item] | npt.ArrayLike,
        *,
        rate: float | None = None,
        leads: Sequence[str] | None = None,
        unit: str | None = None,
        tasks: Sequence[str | Task] | None = None,
        top_k: int | None = None,
        abstain: bool = True,
        include_simulated: bool | None = None,
    ) -> Predictions:
        """Answer the tasks for each recording.

        recordings : Recordings, paths or a cohort; or an array [lead, sample] or [recording, lead, sample] with `rate`
            (Hz), `leads` and `unit`.
        tasks : all that were fitted by default;  top_k : overrides the estimator's.
        abstain : whether a recording of low quality gets no answers.
        include_simulated : whether tasks that only simulated recordings taught are answered; by default only when
            nothing else was learned. Such answers are marked.
        """
        self._check_fitted()
        items = as_recordings(recordings, rate, leads, unit)
        k = self._top_k(top_k)
        names = self._allowed(self._task_names(tasks), include_simulated)
        embedded = self.embed(items, doubting=True) if k is None else self._embed_chosen(items, names, k)
        answers = self.ensemble_.predict(embedded, names, top_k=k, coverage=self.coverage)
        refusals: dict[int, list[Refusal]] = {}
        for refusal in embedded.refusals:
            refusals.setdefault(refusal.row, []).append(refusal)
        caveats = self.caveats()
        return Predictions(
            self._prediction(item, embedded, answers, row, abstain, refusals.get(row, []), caveats)
            for row, item in enumerate(items)
        )

    def add_task(
        self,
        task: str | Task,
        recordings: Sequence[Item],
        targets: Targets | None = None,
        subjects: Sequence[str | None] | None = None,
    ) -> Self:
        """Learn one more task; every other task's answers stay the same bit for bit.

        targets : a table with the task's column, or the column itself.
        Raises TaskError if the task is there already.
        """
        self._check_fitted()
        task = nameable(get_task(task))
        if task.name in {known.name for known in self.ensemble_.tasks}:
            raise TaskError(f"task {task.name} is fitted already; give the new one another name")
        if targets is None:
            targets = getattr(recordings, "targets", None)
        if targets is None:
            raise FitError(f"add_task needs targets: a table with a column {task.name}, or that column itself")
        embedded = self.embed(recordings)
        if subjects is not None:
            embedded = with_subjects(embedded, subjects)
        column = encode_targets(task, targets, len(embedded.ids))
        warn_of_subjects(embedded)
        self.ensemble_ = extend_ensemble(
            self.ensemble_,
            task,
            embedded,
            column,
            seen=self._seen(embedded),
            seed=self.seed,
            settings=self.settings,
        )
        if only_simulated(embedded, labelled_rows(column)):
            self.simulated_tasks_ |= {task.name}
        self.seen_subjects_ |= subject_digests(embedded)
        self.training_ = self.training_ | {
            "tasks": self.training_["tasks"]
            | training_summary(embedded, {task.name: column}, self.ensemble_.experts)["tasks"]
        }
        return self

    # -- the parts -----------------------------------------------------------------------------------------------

    def fitted_experts(self) -> list[Expert]:
        """The experts, in the order of the ensemble's."""
        return [get_expert(expert) if isinstance(expert, str) else expert for expert in several(self.experts)]

    def task_list(self) -> list[Task]:
        """The tasks that `fit` learns."""
        return [nameable(get_task(task)) for task in several(self.tasks)]

    def expert_names(self) -> list[str]:
        """Names of the experts."""
        return [expert if isinstance(expert, str) else expert.card.name for expert in several(self.experts)]

    def caveats(self) -> dict[str, str]:
        """By expert, what whoever reads its answers must know: that its weights are random, their terms of use."""
        cards = [expert.card for expert in self.fitted_experts()]
        return {card.name: "; ".join(card.caveats) for card in cards if card.caveats}

    def context(self) -> list[Expert]:
        """What is read of a recording besides its embeddings."""
        return [self.gate_input(), QualityGrade()]

    def gate_input(self) -> GateInput:
        """What the gate reads of a recording."""
        leads = tuple(standard_lead(name) for name in several(self.gate_leads))
        # The published gate reads ten seconds at 500 Hz, ours five at 100 Hz.
        return GateInput(leads, rate=500.0, seconds=10.0) if self.recipe == "paper" else GateInput(leads)

    def check_params(self) -> None:
        """Raises FitError for a parameter that makes no sense."""
        self._top_k(None)
        if not (isinstance(self.coverage, Real) and 0 < self.coverage < 1):
            raise FitError(f"coverage of {self.coverage!r}; expected a share between 0 and 1, such as 0.9")
        if not (isinstance(self.min_quality, Real) and 0 <= self.min_quality <= 1):
            raise FitError(f"min_quality of {self.min_quality!r}; expected a grade from 0 (answer all) to 1")
        if not (isinstance(self.seed, Integral) and self.seed >= 0):
            raise FitError(f"seed of {self.seed!r}; expected a whole number from 0")

    def _top_k(self, top_k: int | None) -> int | None:
        """The number of experts that run: the one given, else the estimator's."""
        k = self.top_k if top_k is None else top_k
        if k is not None and not (isinstance(k, Integral) and k >= 1):
            raise FitError(f"top_k of {k!r}; expected 1 at least, or None for all experts")
        return k

    def _embed_chosen(self, items: Sequence[Item], tasks: Sequence[str], k: int) -> Embedded:
        """Embeddings of the k experts that the gate prefers for each recording, among those that can take it."""
        experts, names = self.fitted_experts(), self.ensemble_.experts
        check_weights(experts)
        embedded = self.embed(items, experts=self.context(), doubting=True)
        able = np.ones((len(items), len(names)), dtype=bool)
        while True:
            chosen = self.ensemble_.choose(embedded, tasks, k, able)
            only = {name: chosen[:, column] for column, name in enumerate(names)}
            embedded = self.embed(items, experts=experts, only=only, given=embedded)
            refused = chosen & ~self.ensemble_.present(embedded)
            if not refused.any():
                return embedded
            able &= ~refused

    def _seen(self, embedded: Embedded) -> npt.NDArray[np.bool_]:
        """Recordings of people whom an expert has learned from."""
        return seen_rows(embedded.subjects, [expert.card for expert in self.fitted_experts()])

    def _store(self) -> Store | None:
        return Store(self.store) if isinstance(self.store, (str, Path)) else self.store

    def _check_fitted(self) -> None:
        if not hasattr(self, "ensemble_"):
            raise NotFittedError("this EnECG has learned nothing yet: call fit, or EnECG.load a bundle")

    def _task_names(self, tasks: Sequence[str | Task] | None) -> list[str]:
        known = [task.name for task in self.ensemble_.tasks]
        names = known if tasks is None else [task if isinstance(task, str) else task.name for task in tasks]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise TaskError(f"task {unknown[0]} was not fitted; this ensemble answers {', '.join(known)}")
        return names

    def _allowed(self, names: list[str], include_simulated: bool | None) -> list[str]:
        real = [name for name in names if name not in self.simulated_tasks_]
        if include_simulated or (include_simulated is None and not real):
            return names
        if not real:
            raise TaskError(
                f"only simulated recordings taught {', '.join(names)}; say include_simulated to have them answered"
            )
        return real

    def _prediction(
        self,
        item: Item,
        embedded: Embedded,
        answers: Mapping[str, Answers],
        row: int,
        abstain: bool,
        reasons: Sequence[Refusal],
        caveats: Mapping[str, str],
    ) -> Prediction:
        path = path_of(item)
        experts = self.ensemble_.experts
        ran = tuple(name for name in experts if embedded.present[name][row])
        notes = [f"left out: {refusal.reason}" for refusal in reasons if refusal.expert in experts]
        notes += [f"{name}: {caveats[name]}" for name in ran if name in caveats]
        doubts = embedded.doubts[row] or ()
        if not ran:
            refused = "; ".join(dict.fromkeys(refusal.reason for refusal in reasons))
            return Prediction(id=embedded.ids[row], path=path, refused=refused, doubts=doubts)
        numbers = embedded.embeddings[QualityGrade.card.name][row]
        quality = float(numbers[0]) if embedded.present[QualityGrade.card.name][row] else None
        abstained = QualityGrade.complaint(numbers, self.min_quality) if abstain else None
        return Prediction(
            id=embedded.ids[row],
            path=path,
            quality=quality,
            doubts=doubts,
            notes=tuple(notes),
            experts=ran,
            answers={
                name: task_prediction(own, row, experts, simulated=name in self.simulated_tasks_, abstained=abstained)
                for name, own in answers.items()
            },
        )

    # -- bundles -------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path, *, halves: bool = False) -> None:
        """Write a bundle; `halves` keeps weights in 16 bits. Raises BundleError if the folder holds something else."""
        from enecg.bundle import save_bundle

        self._check_fitted()
        save_bundle(self, Path(folder), halves=halves)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a bundle. Raises BundleError if it is incomplete, altered or of another version."""
        from enecg.bundle import load_bundle

        return load_bundle(cls, Path(folder))

    @classmethod
    def starter(cls) -> Self:
        """The ensemble that ships with the package; `training_` and `results_` say what it is. Raises BundleError."""
        folder = Path(str(files("enecg.data") / "starter"))
        if not folder.is_dir():
            raise BundleError(f"{folder}: the starter bundle is not there; install enecg again, or load another bundle")
        return cls.load(folder)
