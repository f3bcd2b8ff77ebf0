"""What is compared: trivial answers, each expert alone, their uniform average, fewer experts, the ensemble."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from enecg.ensemble import Answers, Ensemble, Gate
from enecg.experts.measurements import FEATURES
from enecg.store import Embedded

Array = npt.NDArray[np.float32]

ENSEMBLE, UNGATED, UNIFORM, TRIVIAL, BEST, PAPER, PEER = (
    "ensemble",
    "without gate",
    "uniform average",
    "trivial",
    "best expert",
    "paper recipe",
    "peer",
)


@dataclass
class Tested:
    """What some systems say about the recordings of one test set.

    places : rows of the cohort;  answers : by system and task, float32 [place, output];
    ensemble : the ensemble's answers in full;  best : by task, the expert that was best on validation.
    """

    places: npt.NDArray[np.intp]
    answers: dict[str, dict[str, Array]]
    ensemble: dict[str, Answers]
    best: dict[str, str] = field(default_factory=dict)


def answers_of(ensemble: Ensemble, embedded: Embedded, places: npt.NDArray[np.intp]) -> Tested:
    """All systems that one trained ensemble contains, on the recordings at `places`."""
    test = embedded.take(places)
    whole = ensemble.predict(test)
    made = {TRIVIAL: trivial(ensemble, test)}
    made |= {f"{name} alone": values(alone(ensemble, test, name)) for name in ensemble.experts}
    made[UNIFORM] = values(
        weighted(ensemble, test, {name: np.zeros_like(p) for name, p in ensemble.gate.prior.items()})
    )
    made[UNGATED] = values(weighted(ensemble, test, ensemble.gate.prior))
    made |= {f"ensemble, top {k}": values(ensemble.predict(test, top_k=k)) for k in (1, 2) if k < len(ensemble.experts)}
    made[ENSEMBLE] = values(whole)
    return Tested(places, made, whole)


def trivial(ensemble: Ensemble, embedded: Embedded) -> dict[str, Array]:
    """The answer that looks at nothing: training mean or class shares; for RR, the mean of the detected R peaks."""
    made = {}
    for name, space in ensemble.spaces.items():
        constant = np.tile(space.values(space.start[None]), (len(embedded), 1))
        if name == "rr_interval" and "measurements" in embedded.embeddings:
            found = embedded.embeddings["measurements"][:, [FEATURES.index("rr_mean")]]
            constant = np.where(found > 0, found, constant)
        made[name] = constant
    return made


def alone(ensemble: Ensemble, embedded: Embedded, expert: str) -> dict[str, Answers]:
    """One expert's answers, as if the others could not run."""
    present = {
        name: there & (name == expert) if name in ensemble.experts else there
        for name, there in embedded.present.items()
    }
    return ensemble.predict(replace(embedded, present=present))


def weighted(ensemble: Ensemble, embedded: Embedded, prior: Mapping[str, Array]) -> dict[str, Answers]:
    """The experts' answers weighed alike for every recording. prior : by task, logits [expert]."""
    return replace(ensemble, gate=Gate(prior)).predict(embedded)


def values(answers: Mapping[str, Answers]) -> dict[str, Array]:
    """Only the values."""
    return {name: own.value for name, own in answers.items()}


def best_expert(ensemble: Ensemble, validation: Embedded, targets: Mapping[str, Array]) -> dict[str, str]:
    """By task, the expert with the smallest loss on validation recordings that are labelled and that it could take."""
    present = ensemble.present(validation)
    outputs = ensemble.outputs(validation, list(ensemble.spaces), present)
    best = {}
    for name, space in ensemble.spaces.items():
        wanted = space.targets(targets[name])
        known = np.asarray(~np.isnan(wanted).any(axis=1))
        losses = [
            space.loss(outputs[name][rows, k], wanted[rows]).mean() if rows.any() else np.inf
            for k, rows in enumerate((present & known[:, None]).T)
        ]
        best[name] = ensemble.experts[int(np.argmin(losses))]
    return best
