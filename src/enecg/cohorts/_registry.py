"""Cohorts by name. A cohort is one file of this folder and one line here."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from enecg.cohorts import challenge2021, folder, ludb, ptbxl, simulated
from enecg.cohorts._cohort import Cohort
from enecg.errors import CohortError

_LOADERS: dict[str, Callable[..., Cohort]] = {
    "challenge2021": challenge2021.load,
    "folder": folder.load,
    "ludb": ludb.load,
    "ptbxl": ptbxl.load,
    "simulated": simulated.load,
}


def cohort_names() -> tuple[str, ...]:
    """All cohorts that can be loaded."""
    return tuple(_LOADERS)


def load_cohort(name: str, /, folder: str | Path | None = None, **options: Any) -> Cohort:
    """A cohort by its name.

    folder : the data set in its publisher's layout (the simulated cohort needs none);  options : see the cohort's file.
    Raises CohortError for an unknown name or option, and for a folder that is not that data set.
    """
    if name not in _LOADERS:
        near = difflib.get_close_matches(name, _LOADERS, n=1) or list(_LOADERS)
        raise CohortError(f"unknown cohort {name!r}. Did you mean {', '.join(near)}? Known: {', '.join(_LOADERS)}")
    loader = _LOADERS[name]
    known = list(loader.__kwdefaults__ or ())
    unknown = [option for option in options if option not in known]
    if unknown:
        raise CohortError(f"cohort {name} has no option {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    return loader(folder, **options)
