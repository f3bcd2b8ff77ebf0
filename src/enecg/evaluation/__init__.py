"""How good it is: splits by subject, baselines, intervals, tables.

Imports estimator and cohorts; imported by cli.
"""

from enecg.evaluation._evaluate import Evaluation, evaluate, evaluate_fitted
from enecg.evaluation._folds import Fold, cross_validation, few_subjects, shuffled, split_by_column
from enecg.evaluation._meter import Meter
from enecg.evaluation._tables import markdown, write_json, write_roles

__all__ = [
    "Evaluation",
    "Fold",
    "Meter",
    "cross_validation",
    "evaluate",
    "evaluate_fitted",
    "few_subjects",
    "markdown",
    "shuffled",
    "split_by_column",
    "write_json",
    "write_roles",
]
