"""How good it is: splits by subject, baselines, intervals, tables.

Imports estimator and cohorts; imported by cli.
"""

from enecg.evaluation._evaluate import Evaluation, Fold, evaluate
from enecg.evaluation._tables import markdown, write_json

__all__ = ["Evaluation", "Fold", "evaluate", "markdown", "write_json"]
