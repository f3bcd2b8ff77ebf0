"""Making experts: small networks of our own, taught by recordings with or without labels, or by an ensemble.

Imports experts, ensemble and inputs; imported by cli. Nothing that predicts imports it.
"""

from enecg.pretraining import objectives as objectives  # each is known by being imported
from enecg.pretraining._augment import Augmentation
from enecg.pretraining._corpus import Corpus
from enecg.pretraining._curves import plot_curves
from enecg.pretraining._objective import Objective, find_objective, objective_names, register_objective
from enecg.pretraining._pretrain import Stage, pretrain
from enecg.pretraining._teacher import Taught, held_out_answers, teacher_answers
from enecg.pretraining._training import Checked, Training, TrainSettings
from enecg.pretraining.curation import Learnability

__all__ = [
    "Augmentation",
    "Checked",
    "Corpus",
    "Learnability",
    "Objective",
    "Stage",
    "Taught",
    "TrainSettings",
    "Training",
    "find_objective",
    "held_out_answers",
    "objective_names",
    "plot_curves",
    "pretrain",
    "register_objective",
    "teacher_answers",
]
