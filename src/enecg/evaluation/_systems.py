"""What is compared: trivial answers, each expert alone, their uniform average, the ensemble."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from enecg.ensemble import Answers, Ensemble
from enecg.ensemble._gate import Gate
from enecg.store import Embedded

Array = npt.NDArray[np.float32]

RR_FEATURE = 0
"""Place of the mean RR interval in expert `measurements`."""


def trivial(ensemble: Ensemble, embedded: Embedded) -> dict[str, Array]:
    """The answer that looks at nothing: training mean or class shares; for RR, the mean of the detected R peaks."""
    made = {}
    for name, space in ensemble.spaces.items():
        constant = np.tile(space.values(space.start[None]), (len(embedded), 1))
        if name == "rr_interval" and "measurements" in embedded.embeddings:
            found = embedded.embeddings["measurements"][:, [RR_FEATURE]]
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


def uniform(ensemble: Ensemble, embedded: Embedded) -> dict[str, Answers]:
    """The plain average of the experts' answers."""
    flat = {name: np.zeros_like(prior) for name, prior in ensemble.gate.prior.items()}
    return replace(ensemble, gate=Gate(flat)).predict(embedded)


def values(answers: Mapping[str, Answers]) -> dict[str, Array]:
    """Only the values."""
    return {name: own.value for name, own in answers.items()}


def best_expert(ensemble: Ensemble, validation: Embedded, targets: Mapping[str, Array]) -> dict[str, str]:
    """By task, the expert with the smallest loss on validation recordings."""
    present = ensemble.present(validation)
    outputs = ensemble.outputs(validation, list(ensemble.spaces), present)
    best = {}
    for name, space in ensemble.spaces.items():
        wanted = space.targets(targets[name])
        losses = [np.nanmean(space.loss(outputs[name][:, k], wanted)) for k in range(len(ensemble.experts))]
        best[name] = ensemble.experts[int(np.nanargmin(losses))]
    return best
