"""Who validates, and which fold a subject belongs to: always whole subjects."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from enecg.errors import FitError

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


def subject_codes(subjects: Sequence[str | None]) -> Rows:
    """A number for each recording, the same for recordings of one subject; an unknown subject is nobody else's."""
    known = {name: code for code, name in enumerate(sorted({name for name in subjects if name is not None}))}
    return np.array(
        [known[name] if name is not None else len(known) + row for row, name in enumerate(subjects)], dtype=np.intp
    )


def hold_out(codes: Rows, labelled: Mask, share: float, seed: int) -> Mask:
    """Recordings of a share of the subjects: bool [recording].

    labelled : [recording, task]; of the subjects with a label for a task, its share is held out (one at least, where
    four have one). All tasks draw from the same order of subjects, so that the shares overlap as far as they can.
    Raises FitError with fewer than 4 subjects.
    """
    people, of_people = _by_subject(codes, labelled)
    if len(people) < 4:
        raise FitError(
            f"{len(people)} subjects; expected 4 at least, to train, validate and calibrate on different ones"
        )
    order = np.random.default_rng([seed, 1]).permutation(len(people))
    held = np.zeros(len(people), dtype=bool)
    for task in of_people.T:
        having = order[task[order]]
        if len(having) >= 4:
            held[having[: max(1, round(share * len(having)))]] = True
    return np.isin(codes, people[held])


def folds_of(codes: Rows, n_folds: int, seed: int, labelled: Mask | None = None) -> Rows:
    """A fold for each recording, the same for all of a subject: int [recording].

    labelled : [recording, task]; subjects with labels for the same tasks are dealt out evenly, rare tasks first.
    """
    people, of_people = _by_subject(codes, np.ones((len(codes), 1), dtype=bool) if labelled is None else labelled)
    shuffled = np.random.default_rng([seed, 2]).permutation(len(people))
    keys = of_people[shuffled][:, np.argsort(-of_people.sum(axis=0), kind="stable")]
    order = shuffled[np.lexsort(keys.T)]
    fold = np.empty(len(people), dtype=np.intp)
    fold[order] = np.arange(len(people)) % n_folds
    return np.asarray(fold[np.searchsorted(people, codes)], dtype=np.intp)


def check_whole(codes: Rows, one: Mask, other: Mask, subjects: Sequence[str | None]) -> None:
    """Raises FitError if a subject has recordings in both sets."""
    both = np.intersect1d(codes[one], codes[other])
    if len(both):
        row = int(np.flatnonzero(codes == both[0])[0])
        raise FitError(f"subject {subjects[row]} has recordings in training and validation; expected whole subjects")


def _by_subject(codes: Rows, labelled: Mask) -> tuple[Rows, Mask]:
    """Subjects, and for which tasks any of their recordings has a label: [subject, task]."""
    people = np.unique(codes)
    of_people = np.zeros((len(people), labelled.shape[1]), dtype=bool)
    np.logical_or.at(of_people, np.searchsorted(people, codes), labelled)
    return people, of_people
