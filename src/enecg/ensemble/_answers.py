"""Answers as arrays: what an ensemble says about some recordings, for one task."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from enecg.tasks import Task

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """The answers to one task.

    value : float32 [recording, output], in the task's unit, or calibrated probabilities; NaN where no expert ran.
    experts : float32 [recording, expert, output], each expert's own; NaN where it did not run.
    weights : float32 [recording, expert], 0 where it did not run; rows of sum 1.
    low, high : float32 [recording], of a regression's interval.
    members : int8 [recording, class], of a classification: 1 in the set or yes, 0 not, -1 undecided.
    coverage : of interval, set or yes / no.
    calibrated : bool [recording], whether coverage was calibrated for the experts that answered.
    """

    task: Task
    value: Array
    experts: Array
    weights: Array
    coverage: float
    calibrated: npt.NDArray[np.bool_]
    low: Array | None = None
    high: Array | None = None
    members: npt.NDArray[np.int8] | None = None
