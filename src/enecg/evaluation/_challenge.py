"""The official score of the PhysioNet/CinC Challenge 2021 (Reyna et al. 2021) for its 26 scored diagnoses.

For each recording, what is said is weighed against what is true: each pair of a true and a said diagnosis earns the
weight of the challenge's table (1 for the same, less for one that is treated alike), divided by the number of diagnoses
that are true, said or both. The sum over recordings is scaled so that saying all that is true and nothing else is 1,
and always saying sinus rhythm is 0.
"""

import csv
from collections.abc import Callable
from functools import lru_cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from enecg.tasks import SCORED_DIAGNOSES

Double = npt.NDArray[np.float64]

_SINUS_RHYTHM = "NSR"


@lru_cache(maxsize=1)
def challenge_weights() -> Double:
    """What saying one diagnosis earns where another is true: [true, said], in the order of task `cinc2021`."""
    text = (files("enecg.data") / "challenge2021" / "weights.csv").read_text()
    head, *rows = list(csv.reader(text.splitlines()))
    names = ["|".join(map(str, codes)) for codes in SCORED_DIAGNOSES.values()]
    places = {cell: place for place, cell in enumerate(head)}
    lines = {row[0]: row for row in rows}
    found = np.array([[float(lines[true][places[said]]) for said in names] for true in names])
    found.flags.writeable = False
    return found


def decided(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """What is said: diagnoses of at least even odds, or the likeliest where none has. bool [recording, diagnosis]."""
    likeliest = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    even = probabilities >= 0.5
    return np.asarray(even | (likeliest & ~even.any(axis=1, keepdims=True)))


def challenge_score(true: npt.ArrayLike, said: npt.ArrayLike) -> float:
    """The score. true, said : [recording, diagnosis], whether a diagnosis of task `cinc2021` applies."""
    true, said = np.asarray(true) > 0, np.asarray(said) > 0
    return float(challenge_metric(true, said)(np.ones((1, len(true))))[0])


def challenge_metric(true: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> Callable[[Double], Double]:
    """The score as a function of weights [draw, recording] -> [draw]."""
    inactive = np.zeros_like(said)
    inactive[:, list(SCORED_DIAGNOSES).index(_SINUS_RHYTHM)] = True
    nothing = _earned(true, inactive)
    gain, possible = _earned(true, said) - nothing, _earned(true, true) - nothing

    def value(weights: Double) -> Double:
        top, bottom = weights @ gain, weights @ possible
        return np.asarray(np.divide(top, bottom, out=np.zeros(len(weights)), where=bottom != 0))

    return value


def _earned(true: npt.NDArray[np.bool_], said: npt.NDArray[np.bool_]) -> Double:
    """By each recording."""
    pairs = ((true @ challenge_weights()) * said).sum(axis=1)
    return np.asarray(pairs / np.maximum((true | said).sum(axis=1), 1))
