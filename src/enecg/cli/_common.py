"""What several commands share: how a data set is named, how results are printed."""

import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from enecg.errors import CohortError

if TYPE_CHECKING:
    from enecg.cohorts import Cohort

F = TypeVar("F", bound=Callable[..., Any])


def data_options(command: F) -> F:
    """Options that name a data set."""
    options = [
        click.option("--data", type=click.Path(), help="Folder of recordings. Left out: simulated ones."),
        click.option("--cohort", help="Which data set the folder is (ptbxl, ludb, challenge2021); default: your own."),
        click.option(
            "--table", type=click.Path(dir_okay=False), help="Your targets: columns path or id, subject, tasks."
        ),
        click.option("--n", default=800, show_default=True, help="How many recordings to simulate."),
        click.option("--seed", default=0, show_default=True, help="Of everything random."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def open_cohort(data: str | None, cohort: str | None, table: str | None, n: int, seed: int) -> "Cohort":
    """The data set that the options name."""
    from enecg.cohorts import load_cohort

    if data is None:
        if cohort not in (None, "simulated") or table is not None:
            raise CohortError("--cohort and --table need --data, the folder that holds the recordings")
        return load_cohort("simulated", n=n, seed=seed)
    if cohort in (None, "folder"):
        return load_cohort("folder", data, table=table)
    if table is not None:
        raise CohortError(f"--table is for your own folders; cohort {cohort} brings its targets")
    return load_cohort(str(cohort), data)


def names(value: str | None) -> tuple[str, ...] | None:
    """`a,b` as names."""
    return None if value is None else tuple(part.strip() for part in value.split(",") if part.strip())


def show_json(value: Any) -> None:
    """Print for a machine."""
    click.echo(json.dumps(value, indent=1))


def one_thread() -> None:
    """One thread for each library, before they are loaded: on few cores more of them only wait for each other."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, str(min(2, os.cpu_count() or 1)))
