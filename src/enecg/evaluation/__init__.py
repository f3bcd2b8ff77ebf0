"""How good it is: splits by subject, baselines, intervals, tables.

Imports estimator and cohorts; imported by pages and cli.
"""

from enecg.evaluation._costs import multiply_adds
from enecg.evaluation._curves import BINS, Bin, Curves, Figure, OutOfFold, Point, curves_of, spread_of
from enecg.evaluation._evaluate import Evaluation, evaluate, evaluate_fitted, unmet
from enecg.evaluation._folds import Fold, cross_validation, few_subjects, shuffled, split_by_column
from enecg.evaluation._meter import Meter
from enecg.evaluation._metrics import higher_is_better, metric_names
from enecg.evaluation._score import MIN_GROUP
from enecg.evaluation._tables import (
    Table,
    cell_text,
    costs_table,
    gains_table,
    groups_table,
    heading,
    markdown,
    systems_table,
    tasks_of,
    write_json,
    write_roles,
)

__all__ = [
    "BINS",
    "Bin",
    "Curves",
    "Evaluation",
    "Figure",
    "Fold",
    "MIN_GROUP",
    "Meter",
    "OutOfFold",
    "Point",
    "Table",
    "cell_text",
    "costs_table",
    "cross_validation",
    "curves_of",
    "evaluate",
    "evaluate_fitted",
    "few_subjects",
    "gains_table",
    "groups_table",
    "heading",
    "higher_is_better",
    "markdown",
    "metric_names",
    "multiply_adds",
    "shuffled",
    "split_by_column",
    "spread_of",
    "systems_table",
    "tasks_of",
    "unmet",
    "write_json",
    "write_roles",
]
