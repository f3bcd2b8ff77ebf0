"""EnECG: fit, predict, add_task. The steps in order; the mathematics is in the rooms that it calls.

    recordings -> embed (experts, gate's input, quality) -> fit_ensemble -> predict -> Predictions

scikit-learn's conventions: parameters are stored as given, `fit` returns self, what it learned ends in `_`.
"""

import hashlib
import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from enecg.ensemble import Answers, Ensemble, JointSettings, PaperSettings, Watch, extend_ensemble, fit_ensemble
from enecg.errors import FitError, NotFittedError, TaskError
from enecg.experts import Expert, get_expert
from enecg.experts._context import GateInput, QualityGrade
from enecg.predictions import Prediction, Predictions, task_prediction
from enecg.progress import progress_bar
from enecg.recording import LazyRecording, Recording
from enecg.store import Embedded, Store, embed
from enecg.tasks import FIVE_TASKS, Task, get_task

DEFAULT_EXPERTS = ("rocket", "measurements")

Item = Recording | LazyRecording | str | Path
Targets = Mapping[str, Iterable[Any]] | Any  # a mapping of columns, or a data frame of polars or pandas


class SubjectWarning(UserWarning):
    """Recordings without a subject: two of one person may stand on both sides of a split."""


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
        Raises FitError, TaskError or StoreError.
        """
        if targets is None:
            targets = getattr(recordings, "targets", None)
        if targets is None:
            raise FitError("fit needs targets: a table with a column for each task and a row for each recording")
        embedded = self.embed(recordings)
        if subjects is not None:
            embedded = _with_subjects(embedded, subjects)
        return self.fit_embedded(embedded, targets, None if validation is None else np.asarray(validation, dtype=bool))

    def embed(
        self,
        recordings: Sequence[Item],
        *,
        experts: Sequence[Expert] | None = None,
        only: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    ) -> Embedded:
        """All that fitting and answering need to know of the recordings; no file is read after this."""
        wanted = [*self.fitted_experts(), *self.context()] if experts is None else experts
        return embed(recordings, wanted, store=self._store(), progress=self.progress, only=only)

    def fit_embedded(
        self, embedded: Embedded, targets: Targets, validation: npt.NDArray[np.bool_] | None = None
    ) -> Self:
        """`fit` from embeddings that are there already."""
        encoded = {task.name: encode_targets(task, targets, len(embedded.ids)) for task in self.task_list()}
        _warn_of_subjects(embedded)
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
                recipe=self.recipe,
                seed=self.seed,
                settings=self.settings,
                watch=watch or bar.step,
            )
        self.simulated_tasks_ = frozenset(
            name for name, column in encoded.items() if _only_simulated(embedded, _labelled(column))
        )
        self.training_ = _summary(embedded, encoded)
        self.seen_subjects_ = _digests(embedded)
        self.results_: list[dict[str, Any]] = []
        return self

    def answer(
        self, embedded: Embedded, tasks: Sequence[str | Task] | None = None, top_k: int | None = None
    ) -> dict[str, Answers]:
        """Answers as arrays, by task's name; NaN rows for recordings that no expert could take."""
        self._check_fitted()
        return self.ensemble_.predict(
            embedded, self._task_names(tasks), top_k=top_k or self.top_k, coverage=self.coverage
        )

    def predict(
        self,
        recordings: Sequence[Item] | npt.ArrayLike,
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
        k = top_k or self.top_k
        names = self._allowed(self._task_names(tasks), include_simulated)
        if k is None:
            embedded = self.embed(items)
        else:
            context = self.embed(items, experts=self.context())
            chosen = self.ensemble_.choose(context, names, k)
            only = {name: chosen[:, column] for column, name in enumerate(self.ensemble_.experts)}
            embedded = self.embed(items, only=only)
        answers = self.ensemble_.predict(embedded, names, top_k=k, coverage=self.coverage)
        return Predictions(
            self._prediction(items[row], embedded, answers, row, abstain) for row in range(len(embedded.ids))
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
        task = get_task(task)
        if task.name in {known.name for known in self.ensemble_.tasks}:
            raise TaskError(f"task {task.name} is fitted already; give the new one another name")
        if targets is None:
            targets = getattr(recordings, "targets", None)
        embedded = self.embed(recordings)
        if subjects is not None:
            embedded = _with_subjects(embedded, subjects)
        column = encode_targets(task, targets, len(embedded.ids))
        _warn_of_subjects(embedded)
        self.ensemble_ = extend_ensemble(self.ensemble_, task, embedded, column, seed=self.seed)
        if _only_simulated(embedded, _labelled(column)):
            self.simulated_tasks_ |= {task.name}
        self.seen_subjects_ |= _digests(embedded)
        self.training_ = self.training_ | {
            "tasks": self.training_["tasks"] | _summary(embedded, {task.name: column})["tasks"]
        }
        return self

    # -- the parts -----------------------------------------------------------------------------------------------

    def fitted_experts(self) -> list[Expert]:
        """The experts, in the order of the ensemble's."""
        return [get_expert(expert) if isinstance(expert, str) else expert for expert in self.experts]

    def task_list(self) -> list[Task]:
        """The tasks that `fit` learns."""
        return [get_task(task) for task in self.tasks]

    def expert_names(self) -> list[str]:
        """Names of the experts."""
        return [expert if isinstance(expert, str) else expert.card.name for expert in self.experts]

    def context(self) -> list[Expert]:
        """What is read of a recording besides its embeddings."""
        return [self.gate_input(), QualityGrade()]

    def gate_input(self) -> GateInput:
        """What the gate reads of a recording."""
        # The published gate reads ten seconds at 500 Hz, ours five at 100 Hz.
        if self.recipe == "paper":
            return GateInput(leads=tuple(self.gate_leads), rate=500.0, seconds=10.0)
        return GateInput(leads=tuple(self.gate_leads))

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
        self, item: Item, embedded: Embedded, answers: Mapping[str, Answers], row: int, abstain: bool
    ) -> Prediction:
        path = Path(item) if isinstance(item, (str, Path)) else getattr(getattr(item, "source", None), "path", None)
        experts = self.ensemble_.experts
        ran = tuple(name for name in experts if embedded.present[name][row])
        reasons = [refusal for refusal in embedded.refusals if refusal.row == row]
        notes = tuple(refusal.reason for refusal in reasons if refusal.expert in experts)
        if not ran:
            refused = "; ".join(dict.fromkeys(refusal.reason for refusal in reasons))
            return Prediction(id=embedded.ids[row], path=path, refused=refused)
        grade = QualityGrade()
        indices = embedded.embeddings[grade.card.name][row]
        low = abstain and indices[0] < self.min_quality
        abstained = f"signal quality {indices[0]:.2f} is below {self.min_quality:g}: {grade.describe(indices)}"
        return Prediction(
            id=embedded.ids[row],
            path=path,
            quality=float(indices[0]),
            notes=notes,
            experts=ran,
            answers={
                name: task_prediction(
                    own,
                    row,
                    experts,
                    simulated=name in self.simulated_tasks_,
                    abstained=abstained if low else None,
                )
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


def as_recordings(
    recordings: Sequence[Item] | npt.ArrayLike, rate: float | None, leads: Sequence[str] | None, unit: str | None
) -> Sequence[Item]:
    """Whatever `predict` takes, as a sequence that `embed` takes."""
    if isinstance(recordings, (Recording, LazyRecording, str, Path)):
        return [recordings]
    if not isinstance(recordings, np.ndarray):
        return recordings  # type: ignore[return-value]
    if rate is None or leads is None or unit is None:
        raise FitError("an array says neither its rate, its leads nor its unit: pass rate= (Hz), leads= and unit=")
    batch = recordings[None] if recordings.ndim == 2 else recordings
    return [
        Recording.from_array(signal, rate=rate, leads=leads, unit=unit, id=str(row)) for row, signal in enumerate(batch)
    ]


def encode_targets(task: Task, targets: Targets, n: int) -> npt.NDArray[np.float32]:
    """The task's column of a table as an array [recording, n_outputs] (`Task.encode`).

    targets : a table with the column, or the column itself. Raises TaskError.
    """
    if hasattr(targets, "columns") or isinstance(targets, Mapping):
        names = [str(name) for name in getattr(targets, "columns", targets)]
        if task.name not in names:
            raise TaskError(f"the targets have no column {task.name} (found {', '.join(names)})")
        column = targets[task.name]
    else:
        column = targets
    encoded = task.encode(column)
    if len(encoded) != n:
        raise TaskError(f"column {task.name} has {len(encoded)} rows for {n} recordings")
    return encoded


def _with_subjects(embedded: Embedded, subjects: Sequence[str | None]) -> Embedded:
    if len(subjects) != len(embedded.ids):
        raise FitError(f"{len(subjects)} subjects for {len(embedded.ids)} recordings; expected one for each")
    return replace(embedded, subjects=list(subjects))


def _warn_of_subjects(embedded: Embedded) -> None:
    unknown = sum(subject is None for subject in embedded.subjects)
    if unknown:
        warnings.warn(
            f"{unknown} of {len(embedded.ids)} recordings have no subject, and each is taken for another person: if "
            "some are of one person, validation and calibration are too optimistic. Pass subjects=",
            SubjectWarning,
            stacklevel=3,
        )


def subject_digest(subject: str) -> str:
    """16 hexadecimal digits that stand for a subject (`cohort:patient`) where its name need not be known."""
    return hashlib.sha256(subject.encode()).hexdigest()[:16]


def _digests(embedded: Embedded) -> frozenset[str]:
    return frozenset(subject_digest(subject) for subject in embedded.subjects if subject is not None)


def _only_simulated(embedded: Embedded, labelled: npt.NDArray[np.bool_]) -> bool:
    """Whether all labels come from the simulator, whose subjects are called `simulated:...`."""
    subjects = [embedded.subjects[row] for row in np.flatnonzero(labelled).tolist()]
    return bool(subjects) and all(subject is not None and subject.startswith("simulated:") for subject in subjects)


def _summary(embedded: Embedded, encoded: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, Any]:
    """What the training set was, for the bundle's card."""
    subjects = np.array([f"?{row}" if s is None else s for row, s in enumerate(embedded.subjects)])
    cohorts = sorted({subject.partition(":")[0] for subject in subjects if ":" in subject})
    labelled = {name: _labelled(column) for name, column in encoded.items()}
    return {
        "n_recordings": len(subjects),
        "n_subjects": len(set(subjects)),
        "cohorts": cohorts,
        "tasks": {
            name: {"n_recordings": int(rows.sum()), "n_subjects": len(set(subjects[rows]))}
            for name, rows in labelled.items()
        },
    }


def _labelled(column: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    return np.asarray(~np.isnan(column).any(axis=1))
