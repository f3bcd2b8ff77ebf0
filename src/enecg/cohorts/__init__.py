"""Data sets: a folder in the publisher's layout, or the simulator, becomes recordings and targets.

Imports formats and simulation; imported by evaluation and cli.
"""

from enecg.cohorts._about import About
from enecg.cohorts._check import CohortCheck, Coverage, check_cohort
from enecg.cohorts._cohort import Cohort
from enecg.cohorts._join import join_cohorts
from enecg.cohorts._registry import about_cohort, cohort_names, cohort_options, load_cohort

__all__ = [
    "About",
    "Cohort",
    "CohortCheck",
    "Coverage",
    "about_cohort",
    "check_cohort",
    "cohort_names",
    "cohort_options",
    "join_cohorts",
    "load_cohort",
]
