"""EnECG: fit, predict, add_task. The steps in order; the mathematics is in the rooms that it calls.

    recordings -> embed (experts, gate's input, quality) -> fit_ensemble -> predict -> Predictions

scikit-learn's conventions: parameters are stored as given, `fit` returns self, what it learned ends in `_`.
"""

import hashlib
import inspect
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from enecg.ensemble import Answers, Ensemble, JointSettings, PaperSettings, Watch, extend_ensemble, fit_ensemble
from enecg.errors import BundleError, FitError, NotFittedError, RecordingError, TaskError
from enecg.experts import Expert, get_expert
from enecg.experts._context import GateInput, QualityGrade
from enecg.predictions import COLUMNS, Prediction, Predictions, task_prediction
from enecg.progress import progress_bar
from enecg.recording import LazyRecording, Recording, standard_lead
from enecg.store import Embedded, Refusal, Store, as_items, embed
from enecg.tasks import FIVE_TASKS, Task, get_task, is_missing

DEFAULT_EXPERTS = ("rocket", "measurements")

SIMULATED = "simulated:"
"""With which the subjects of simulated recordings begin."""

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
        self.check_params()
        embedded = self.embed(recordings)
        if subjects is not None:
            embedded = _with_subjects(embedded, subjects)
        return self.fit_embedded(embedded, targets, None if validation is None else _mask(validation, len(embedded)))

    def embed(
        self,
        recordings: Iterable[Item],
        *,
        experts: Sequence[Expert] | None = None,
        only: Mapping[str, npt.NDArray[np.bool_]] | None = None,
        given: Embedded | None = None,
    ) -> Embedded:
        """All that fitting and answering need to know of the recordings; no file is read after this.

        experts, only, given : as for `enecg.store.embed`; by default all experts and the context.
        """
        wanted = [*self.fitted_experts(), *self.context()] if experts is None else experts
        return embed(recordings, wanted, store=self._store(), progress=self.progress, only=only, given=given)

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
        embedded = self.embed(items) if k is None else self._embed_chosen(items, names, k)
        answers = self.ensemble_.predict(embedded, names, top_k=k, coverage=self.coverage)
        refusals: dict[int, list[Refusal]] = {}
        for refusal in embedded.refusals:
            refusals.setdefault(refusal.row, []).append(refusal)
        return Predictions(
            self._prediction(item, embedded, answers, row, abstain, refusals.get(row, []))
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
        task = _nameable(get_task(task))
        if task.name in {known.name for known in self.ensemble_.tasks}:
            raise TaskError(f"task {task.name} is fitted already; give the new one another name")
        if targets is None:
            targets = getattr(recordings, "targets", None)
        if targets is None:
            raise FitError(f"add_task needs targets: a table with a column {task.name}, or that column itself")
        embedded = self.embed(recordings)
        if subjects is not None:
            embedded = _with_subjects(embedded, subjects)
        column = encode_targets(task, targets, len(embedded.ids))
        _warn_of_subjects(embedded)
        settings = self.settings
        self.ensemble_ = extend_ensemble(self.ensemble_, task, embedded, column, seed=self.seed, settings=settings)
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
        return [get_expert(expert) if isinstance(expert, str) else expert for expert in _several(self.experts)]

    def task_list(self) -> list[Task]:
        """The tasks that `fit` learns."""
        return [_nameable(get_task(task)) for task in _several(self.tasks)]

    def expert_names(self) -> list[str]:
        """Names of the experts."""
        return [expert if isinstance(expert, str) else expert.card.name for expert in _several(self.experts)]

    def context(self) -> list[Expert]:
        """What is read of a recording besides its embeddings."""
        return [self.gate_input(), QualityGrade()]

    def gate_input(self) -> GateInput:
        """What the gate reads of a recording."""
        leads = tuple(standard_lead(name) for name in _several(self.gate_leads))
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
        embedded = self.embed(items, experts=self.context())
        names = self.ensemble_.experts
        able = np.ones((len(items), len(names)), dtype=bool)
        while True:
            chosen = self.ensemble_.choose(embedded, tasks, k, able)
            only = {name: chosen[:, column] for column, name in enumerate(names)}
            embedded = self.embed(items, experts=self.fitted_experts(), only=only, given=embedded)
            refused = chosen & ~self.ensemble_.present(embedded)
            if not refused.any():
                return embedded
            able &= ~refused

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
    ) -> Prediction:
        path = _path_of(item)
        experts = self.ensemble_.experts
        ran = tuple(name for name in experts if embedded.present[name][row])
        notes = tuple(refusal.reason for refusal in reasons if refusal.expert in experts)
        if not ran:
            refused = "; ".join(dict.fromkeys(refusal.reason for refusal in reasons))
            return Prediction(id=embedded.ids[row], path=path, refused=refused)
        numbers = embedded.embeddings[QualityGrade.card.name][row]
        quality = float(numbers[0]) if embedded.present[QualityGrade.card.name][row] else None
        abstained = None
        if abstain and quality is not None and quality < self.min_quality:
            abstained = f"signal quality {quality:.2f} is below {self.min_quality:g}"
            faults = QualityGrade.describe(numbers)
            abstained += f": {faults}" if faults else ""
        return Prediction(
            id=embedded.ids[row],
            path=path,
            quality=quality,
            notes=notes,
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


def as_recordings(
    recordings: Iterable[Item] | npt.ArrayLike, rate: float | None, leads: Sequence[str] | None, unit: str | None
) -> Sequence[Item]:
    """Whatever `predict` takes, as a sequence that `embed` takes."""
    if rate is None and leads is None and unit is None and not isinstance(recordings, np.ndarray):
        return as_items(recordings)  # type: ignore[arg-type]
    if rate is None or leads is None or unit is None:
        raise RecordingError(
            "an array says neither its rate, its leads nor its unit: pass rate= (Hz), leads= and unit="
        )
    try:
        batch = np.asarray(recordings, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RecordingError(
            f"rate=, leads= and unit= go with an array of numbers, which this is not ({error})"
        ) from None
    if batch.ndim not in (2, 3):
        raise RecordingError(f"array of shape {batch.shape}; expected [lead, sample] or [recording, lead, sample]")
    made: list[Item] = []
    errors = []
    for row, signal in enumerate(batch[None] if batch.ndim == 2 else batch):
        try:
            made.append(Recording.from_array(signal, rate=rate, leads=leads, unit=unit, id=str(row)))
        except RecordingError as error:
            made.append(_Unusable(str(row), error))
            errors.append(error)
    if errors and len(errors) == len(made):
        raise errors[0]
    return made


def _path_of(item: Item) -> Path | None:
    """The file of a recording, where it has one."""
    if isinstance(item, (str, Path)):
        return Path(item)
    found: Path | None = getattr(item, "path", None) or getattr(getattr(item, "source", None), "path", None)
    return found


class _Unusable(LazyRecording):
    """A row of an array that is no recording: refused when it is read, so that the other rows get their answers."""

    def __init__(self, id: str, error: RecordingError) -> None:  # noqa: A002  the name that recordings give it
        self.id, self.subject, self._error = id, None, error

    @property
    def key(self) -> str:
        """Raises what is wrong."""
        raise self._error

    def read(self) -> Recording:
        """Raises what is wrong."""
        raise self._error


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
    if isinstance(column, str) or not isinstance(column, Iterable):
        raise TaskError(f"targets of {task.name}: {column!r}; expected a table, or a column with a label for each row")
    encoded = task.encode(column)
    if len(encoded) != n:
        raise TaskError(f"column {task.name} has {len(encoded)} rows for {n} recordings")
    return encoded


def _with_subjects(embedded: Embedded, subjects: Sequence[str | None]) -> Embedded:
    if len(subjects) != len(embedded.ids):
        raise FitError(f"{len(subjects)} subjects for {len(embedded.ids)} recordings; expected one for each")
    found = zip(embedded.subjects, subjects, strict=True)
    return replace(embedded, subjects=[_subject(own, given) for own, given in found])


def _subject(own: str | None, given: Any) -> str | None:
    """A subject as text, None where missing; what was simulated keeps saying so."""
    if is_missing(given):
        return None
    name = str(given)
    simulated = own is not None and own.startswith(SIMULATED)
    return f"{SIMULATED}{name}" if simulated and not name.startswith(SIMULATED) else name


def _mask(rows: npt.ArrayLike, n: int) -> npt.NDArray[np.bool_]:
    mask = np.asarray(rows)
    if mask.shape != (n,) or mask.dtype != bool:
        raise FitError(f"validation: {mask.dtype} {mask.shape}; expected bool ({n},), True for those that make choices")
    return mask


def _several(one_or_more: Any) -> tuple[Any, ...]:
    """A name alone as a tuple of one, not as letters."""
    return (one_or_more,) if isinstance(one_or_more, (str, Task, Expert)) else tuple(one_or_more)


def _nameable(task: Task) -> Task:
    if task.name in COLUMNS:
        raise TaskError(f"task {task.name}: predictions have a column of this name already; give it another")
    return task


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
    return bool(subjects) and all(subject is not None and subject.startswith(SIMULATED) for subject in subjects)


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
