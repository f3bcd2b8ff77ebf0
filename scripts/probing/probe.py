"""Linear probes: what can be read from an expert's embedding by least squares, with nothing of the expert trained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from probing.measures import areas, counted
from scipy.linalg import cho_factor, cho_solve

from enecg.cohorts import Cohort
from enecg.ensemble import subject_codes
from enecg.ensemble._linear import Scaler
from enecg.evaluation import Fold
from enecg.tasks import Task

Array = npt.NDArray[np.float32]
Path = tuple[Array, Array]

STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Of the ridge, as multiples of a recording's mean squared length. They go on where those of the ensemble's linear path
end (`enecg.ensemble._linear.PENALTIES`): a network fits those who taught it more closely than others, and a probe that
is trained on them again must believe it less."""
_SINGLE = 2000


@dataclass(frozen=True)
class Probe:
    """One linear answer for each task.

    paths : by task, weights [dim, output] and intercept [output];  penalty : by task, which of STRENGTHS was chosen.
    """

    scaler: Scaler
    paths: Mapping[str, Path]
    penalty: Mapping[str, float]

    @classmethod
    def fit(cls, embedding: Array, tasks: Sequence[Task], truth: Mapping[str, Array], fold: Fold) -> "Probe":
        """Ridge on 0 and 1 (years for age) from the training rows, its strength chosen by those that validate.

        embedding : [recording, dim];  truth : by task, encoded labels [recording, output].
        Tasks that are labelled on the same rows share their factorisations. Rows that the expert refused must be on no
        side of the fold.
        """
        train, validation = np.flatnonzero(fold.train), np.flatnonzero(fold.validation)
        scaler = Scaler.of(embedding[train])
        x, chosen_by = scaler(embedding[train]), scaler(embedding[validation])
        groups: dict[bytes, list[Task]] = {}
        for task in tasks:
            groups.setdefault(labelled(truth[task.name][train]).tobytes(), []).append(task)
        paths, penalty = {}, {}
        for mask, members in groups.items():
            rows = np.flatnonzero(np.frombuffer(mask, dtype=bool))
            wanted = [truth[task.name][train[rows]].astype(np.float64) for task in members]
            solved = list(ridge(x[rows], np.concatenate(wanted, axis=1)))
            ends = np.cumsum([part.shape[1] for part in wanted])
            for task, part, end in zip(members, wanted, ends, strict=True):
                own = slice(end - part.shape[1], end)
                tried = [(weights[:, own], intercept[own]) for weights, intercept in solved]
                losses = [loss(task, chosen_by @ path[0] + path[1], truth[task.name][validation]) for path in tried]
                best = int(np.argmin(losses))
                paths[task.name], penalty[task.name] = tried[best], STRENGTHS[best]
        return cls(scaler, paths, penalty)

    def answers(self, embedding: Array) -> dict[str, Array]:
        """By task [recording, output]: years, or what grows with the probability; NaN where the embedding is."""
        x = self.scaler(embedding)
        return {name: x @ weights + intercept for name, (weights, intercept) in self.paths.items()}


def ridge(x: Array, targets: npt.NDArray[np.float64]) -> Iterator[Path]:
    """Weights [dim, output] and intercept [output] for each of STRENGTHS, by Cholesky on the smaller side.

    x : standardised [row, dim];  targets : [row, output]. As `enecg.ensemble._linear.Gram.ridge`, for one set of rows.
    """
    centre, mean = x.mean(axis=0, dtype=np.float64).astype(np.float32), targets.mean(axis=0)
    x = x - centre
    dual = len(x) < x.shape[1]
    products = x @ x.T if dual else x.T @ x
    products = products.astype(np.float32 if len(products) > _SINGLE else np.float64, copy=False)
    right = targets - mean if dual else x.T.astype(np.float64) @ (targets - mean)
    diagonal = products.diagonal().astype(np.float64)
    length = diagonal.sum() / len(x) or 1.0  # Rows that are all alike have nothing to weigh.
    for strength in STRENGTHS:
        regular = products.copy()
        regular[np.diag_indices(len(regular))] = diagonal + strength * length
        factor = cho_factor(regular, lower=True, overwrite_a=True, check_finite=False)
        solution = cho_solve(factor, right.astype(products.dtype), check_finite=False).astype(np.float32)
        weights = x.T @ solution if dual else solution
        yield weights, (mean - centre @ weights).astype(np.float32)


def loss(task: Task, answer: Array, truth: Array) -> float:
    """By what strengths are chosen, the same for every expert: mean absolute error, or 1 - the mean AUROC.

    Classes without a positive or without a negative among those who choose have no say; infinite where nobody has one,
    so that the first, weakest strength stays. Inside folds 1 to 5 the area chose better than squared error from a tenth
    of the patients on, and a little worse with a hundredth.
    """
    known = labelled(truth)
    answer, truth = answer[known], truth[known]
    if not known.any():
        return np.inf
    if task.kind == "regression":
        return float(np.abs(answer - truth).mean())
    own = counted(task)
    found = areas(answer[:, own], truth[:, own], np.ones((1, len(truth)), np.float32))
    return float(1 - np.nanmean(found)) if np.isfinite(found).any() else np.inf


def labelled(truth: Array) -> npt.NDArray[np.bool_]:
    """Rows with a label: bool [recording]."""
    return np.asarray(~np.isnan(truth).any(axis=1))


def share_of(cohort: Cohort, fold: Fold, share: float, draw: int) -> Fold:
    """The same test set with this share of the patients of each other side, whole patients, drawn at random.

    Those who choose are drawn from those who choose anyway: a learned expert has been taught the labels of whom the
    probe is trained on, and would be believed too much if such people chose the strength.
    A smaller share of the same draw is part of a larger one.
    """
    codes = subject_codes(cohort.subjects)
    sides = []
    for number, side in enumerate((fold.train, fold.validation)):
        people = np.random.default_rng([draw, 8, number]).permutation(np.unique(codes[side]))
        sides.append(side & np.isin(codes, people[: max(1, round(share * len(people)))]))
    return Fold(*sides, fold.test)
