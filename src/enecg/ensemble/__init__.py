"""Embeddings -> answers: heads, gate, losses, training, calibration, recipes. Knows no recordings, formats or cohorts.

Imports tasks and store's Embedded; imported by predictions, estimator, bundle and evaluation.
"""

from enecg.ensemble._answers import Answers
from enecg.ensemble._ensemble import Ensemble
from enecg.ensemble._gate import Gate
from enecg.ensemble._joint import JointSettings, SeenWarning
from enecg.ensemble._paper import PaperSettings
from enecg.ensemble._peft import base_network, load_adapters, save_adapters
from enecg.ensemble._recipes import RECIPES, Watch, extend_ensemble, fit_ensemble
from enecg.ensemble._splits import folds_of, hold_out, subject_codes
from enecg.ensemble._targets import TargetSpace, torch_loss
from enecg.ensemble._trunk import sum_losses

__all__ = [
    "Answers",
    "Ensemble",
    "Gate",
    "JointSettings",
    "PaperSettings",
    "RECIPES",
    "SeenWarning",
    "TargetSpace",
    "Watch",
    "base_network",
    "extend_ensemble",
    "fit_ensemble",
    "folds_of",
    "hold_out",
    "load_adapters",
    "save_adapters",
    "subject_codes",
    "sum_losses",
    "torch_loss",
]
