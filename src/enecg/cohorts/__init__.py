"""Data sets: a folder in the publisher's layout, or the simulator, becomes recordings and targets.

Imports formats and simulation; imported by evaluation and cli.
"""

from enecg.cohorts._cohort import Cohort
from enecg.cohorts._join import join_cohorts
from enecg.cohorts._registry import cohort_names, load_cohort

__all__ = ["Cohort", "cohort_names", "join_cohorts", "load_cohort"]
