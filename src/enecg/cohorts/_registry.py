"""Cohorts by name. A cohort is one file of this folder and one line here."""

import difflib
from pathlib import Path
from types import ModuleType
from typing import Any

from enecg.cohorts import (
    challenge2021,
    chapman,
    code15,
    cpsc2018,
    folder,
    ludb,
    manifest,
    mimic_iv_ecg,
    mitbih,
    ptbxl,
    simulated,
    sph,
)
from enecg.cohorts._about import About
from enecg.cohorts._cohort import Cohort
from enecg.errors import CohortError

_COHORTS: dict[str, ModuleType] = {
    module.ABOUT.name: module
    for module in (
        challenge2021,
        chapman,
        code15,
        cpsc2018,
        folder,
        ludb,
        manifest,
        mimic_iv_ecg,
        mitbih,
        ptbxl,
        simulated,
        sph,
    )
}
"""Each has ABOUT, what is known of it beforehand, and load(folder, *, options) -> Cohort."""


def cohort_names() -> tuple[str, ...]:
    """All cohorts that can be loaded."""
    return tuple(sorted(_COHORTS))


def about_cohort(name: str) -> About:
    """Licence, citation and published counts. Raises CohortError for an unknown name."""
    about: About = _module(name).ABOUT
    return about


def cohort_options(name: str) -> tuple[str, ...]:
    """What `load_cohort` can be asked besides the folder. Raises CohortError for an unknown name."""
    return tuple(_module(name).load.__kwdefaults__ or ())


def load_cohort(name: str, /, folder: str | Path | None = None, **options: Any) -> Cohort:
    """A cohort by its name, in which `_` may stand for `-`.

    folder : the data set in its publisher's layout (the simulated cohort needs none);  options : see the cohort's file.
    Raises CohortError for an unknown name or option, and for a folder that is not that data set.
    """
    module, known = _module(name), cohort_options(name)
    unknown = [option for option in options if option not in known]
    if unknown:
        raise CohortError(f"cohort {name} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    cohort: Cohort = module.load(folder, **options)
    return cohort


def _module(name: str) -> ModuleType:
    found = _COHORTS.get(name) or _COHORTS.get(name.replace("_", "-"))
    if found is None:
        known = cohort_names()
        near = difflib.get_close_matches(name, known, n=1) or known
        raise CohortError(f"unknown cohort {name!r}. Did you mean {', '.join(near)}? Known: {', '.join(known)}")
    return found
