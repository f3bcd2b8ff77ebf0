"""Who validates, and which fold a subject belongs to: always whole subjects."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from enecg.errors import FitError

Rows = npt.NDArray[np.intp]


def subject_codes(subjects: Sequence[str | None]) -> Rows:
    """A number for each recording, the same for recordings of one subject; an unknown subject is nobody else's."""
    known = {name: code for code, name in enumerate(sorted({name for name in subjects if name is not None}))}
    return np.array(
        [known[name] if name is not None else len(known) + row for row, name in enumerate(subjects)], dtype=np.intp
    )


def hold_out(codes: Rows, labelled: npt.NDArray[np.bool_], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Recordings of a share of the subjects: bool [recording].

    labelled : [recording, task]; the share is taken from every group of subjects with labels for the same tasks, so
    that each task finds some among those held out. Raises FitError with fewer than 4 subjects.
    """
    people = np.unique(codes)
    if len(people) < 4:
        raise FitError(
            f"{len(people)} subjects; expected 4 at least, to train, validate and calibrate on different ones"
        )
    pattern = np.zeros((len(people), labelled.shape[1]), dtype=bool)
    np.logical_or.at(pattern, np.searchsorted(people, codes), labelled)
    rng = np.random.default_rng([seed, 1])
    chosen: list[int] = []
    for group in np.unique(pattern, axis=0):
        members = np.flatnonzero((pattern == group).all(axis=1))
        count = max(1, round(share * len(members))) if len(members) >= 4 else 0
        chosen += list(rng.permutation(members)[:count])
    return np.isin(codes, people[chosen])


def folds_of(codes: Rows, n_folds: int, seed: int) -> Rows:
    """A fold for each recording, the same for all of a subject: int [recording]."""
    people = np.unique(codes)
    number = np.arange(len(people)) % n_folds
    np.random.default_rng([seed, 2]).shuffle(number)
    return np.asarray(number[np.searchsorted(people, codes)], dtype=np.intp)
