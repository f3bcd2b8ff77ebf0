"""Embeddings -> answers: heads, gate, losses, training, calibration, recipes. Knows no files, formats or cohorts.

Imports tasks and store's Embedded; imported by predictions, estimator, bundle and evaluation.
"""

from enecg.ensemble._answers import Answers
from enecg.ensemble._ensemble import Ensemble
from enecg.ensemble._joint import JointSettings
from enecg.ensemble._paper import PaperSettings
from enecg.ensemble._recipes import RECIPES, extend_ensemble, fit_ensemble

__all__ = [
    "Answers",
    "Ensemble",
    "JointSettings",
    "PaperSettings",
    "RECIPES",
    "extend_ensemble",
    "fit_ensemble",
]
