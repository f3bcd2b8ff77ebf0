"""How a command is told its data: folders, which data sets they are, tables of targets, tasks."""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from enecg.errors import CohortError

if TYPE_CHECKING:
    from enecg.cohorts import Cohort
    from enecg.evaluation import Fold
    from enecg.tasks import Kind, Task

Names = tuple[str, ...]
_Named = tuple[str, str, str | None]
"""(cohort, folder, table)."""
F = TypeVar("F", bound=Callable[..., Any])

TABLE = "targets.csv"
"""What a table of targets is called that a folder of one's own holds."""

DATA_HELP = "Folder of recordings; again for more. Left out: simulated ones."
COHORT_HELP = """Which data set the folder is (enecg cohorts lists them), or folder for your own; 'simulated' needs no
    folder. Left out: recognised by what is in it. Given for several folders: in the same order."""
OPTION_HELP = "Of the data set, again for more, such as mimic_iv=FOLDER; enecg cohorts NAME names them."
TABLE_HELP = f"""Targets of your own folder: .csv, .tsv or .parquet with columns id or path, subject, and one for each
    task. Left out: {TABLE} in the folder."""
_YES_NO = {"0", "1", "0.0", "1.0", "true", "false", "no", "yes"}
TASKS_HELP = """Names, with commas between; left out: those of the paper's five that the data have. A task of your own
    is NAME:KIND or NAME:regression:UNIT; kinds: regression, binary, multiclass, multilabel."""


@dataclass(frozen=True)
class DataChoice:
    """What the options said of the data."""

    data: Names
    cohort: Names
    table: Names
    n: int
    seed: int
    option: Names = ()

    def open(self, *, targets: bool = True) -> "Cohort":
        """The data set that the options name; several are joined.

        targets : whether they are needed. Raises CohortError, or UsageError for options that do not fit each other.
        """
        from enecg.cohorts import join_cohorts

        plan = list(self._plan())
        self._check_options([name for name, _, _ in plan])
        opened = []
        for place, (name, folder, table) in enumerate(plan):
            if name == "folder" and targets and table is None:
                raise CohortError(_no_targets(Path(folder)))
            opened.append(self._load(name, folder, table, plan, place))
        for cohort in opened:
            for note in cohort.notes:
                click.echo(f"{cohort.name}: {note}", err=True)
        return opened[0] if len(opened) == 1 else join_cohorts(opened)

    def _load(self, name: str, folder: str, table: str | None, plan: "list[_Named]", place: int) -> "Cohort":
        options = self._options_for(name)
        if name == "simulated":
            return load_named(name, None, {"n": self.n, "seed": self.seed} | options)
        if name == "folder":
            # Subjects of several folders must not be mixed up.
            several = sum(other == name for other, _, _ in plan) > 1
            called = f"{Path(folder).resolve().name}_{place + 1}" if several else name
            return load_named(name, folder, {"table": table, "name": called} | options)
        usual: dict[str, Any] = {}
        if name == "ptbxl" and not Path(folder, "records100").is_dir():
            usual["rate"] = 500
        if name == "ludb":
            # Its RR intervals are known of the annotated beats, which are not all of a record's.
            usual["window"] = "annotated"
        if name == "challenge2021":
            # Its copies of PTB-XL's recordings are of PTB-XL's patients, where that is at hand.
            usual["ptbxl"] = next((at for other, at, _ in plan if other == "ptbxl"), None)
        return load_named(name, folder, usual | options, progress=True)

    def _options_for(self, name: str) -> dict[str, Any]:
        """Those of --option that this data set has."""
        from enecg.cohorts import cohort_options

        known = cohort_options(name)
        return {key: value for key, value in options_of(self.option).items() if key in known}

    def _check_options(self, cohorts: Sequence[str]) -> None:
        """Raises UsageError for an option that none of the data sets has."""
        from enecg.cohorts import cohort_options

        known = {option for name in cohorts for option in cohort_options(name)}
        for key in options_of(self.option):
            if key not in known:
                raise click.UsageError(
                    f"--option {key}: {', '.join(cohorts)} has none of this name; it has {', '.join(sorted(known))}"
                )

    def _plan(self) -> "Iterator[_Named]":
        """Each data set; raises UsageError for options that do not go together."""
        if not self.data and not self.cohort:
            if self.table:
                raise click.UsageError("--table needs --data, the folder that holds the recordings")
            yield "simulated", "", None
            return
        folders = list(self.data)
        wanted = sum(name != "simulated" for name in self.cohort)
        if self.cohort and wanted != len(folders):
            raise click.UsageError(
                f"{len(folders)} --data for {wanted} --cohort that need one; name them in pairs, in the same order"
            )
        cohorts = list(self.cohort) or [recognise(folder, said=not self.table) for folder in folders]
        own = [name for name in cohorts if name == "folder"]
        if self.table and len(self.table) != len(own):
            raise click.UsageError(
                f"{len(self.table)} --table for {len(own)} folders of your own; known data sets bring their targets"
            )
        tables = iter(self.table)
        rest = iter(folders)
        for name in cohorts:
            folder = "" if name == "simulated" else next(rest)
            yield name, folder, (next(tables, None) or _table_in(folder)) if name == "folder" else None


def data_options(command: F) -> F:
    """Options that name the data; the function gets them as `choice`."""

    @functools.wraps(command)
    def with_choice(
        *args: Any,
        data: tuple[str, ...],
        cohort: tuple[str, ...],
        table: tuple[str, ...],
        n: int,
        seed: int,
        option: tuple[str, ...],
        **rest: Any,
    ) -> Any:
        return command(*args, choice=DataChoice(data, cohort, table, n, seed, option), **rest)

    options = [
        click.option("--data", multiple=True, type=click.Path(), metavar="FOLDER", help=DATA_HELP),
        click.option("--cohort", multiple=True, metavar="NAME", help=COHORT_HELP),
        click.option("--table", multiple=True, type=click.Path(dir_okay=False), metavar="FILE", help=TABLE_HELP),
        click.option("--option", multiple=True, metavar="KEY=VALUE", help=OPTION_HELP),
        click.option("--n", type=click.IntRange(min=1), default=800, show_default=True, help="How many to simulate."),
        click.option("--seed", default=0, show_default=True, help="Of everything random."),
    ]
    for option in reversed(options):
        with_choice = option(with_choice)
    return with_choice  # type: ignore[return-value]


def options_of(said: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` as options: true and false, numbers, or text. Raises UsageError for anything else."""
    found: dict[str, Any] = {}
    for text in said:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise click.UsageError(f"--option {text}: expected KEY=VALUE, such as mimic_iv=FOLDER")
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def load_named(name: str, folder: str | None, options: dict[str, Any], *, progress: bool = False) -> "Cohort":
    """A data set with these options; it shows how far it is where it takes long, if `progress`."""
    from enecg.cohorts import cohort_options, load_cohort

    if progress and "progress" in cohort_options(name):
        options = {"progress": True} | options
    return load_cohort(name, folder, **options)


def recognise(folder: str, *, said: bool = True) -> str:
    """Which data set a folder is, by what its publisher put there; else "folder", one's own. Told on standard error."""
    root = Path(folder)
    if not root.is_dir():
        raise CohortError(f"{root}: no such folder; expected one that holds recordings")
    name, why = _recognised(root)
    if said:
        click.echo(f"{root}: taken for {'your own recordings' if name == 'folder' else name} ({why})", err=True)
    return name


def _recognised(root: Path) -> tuple[str, str]:
    from enecg.cohorts import about_cohort, cohort_names

    if (root / TABLE).exists():
        return "folder", f"it holds {TABLE}"
    for about in map(about_cohort, cohort_names()):
        if about.marks and all((root / mark).exists() for mark in about.marks):
            return about.name, f"it holds {', '.join(about.marks)}"
    if any(_has_codes(header) for header in sorted(root.glob("*/*.hea"))[:3]):
        return "challenge2021", "folders of records with SNOMED CT codes (#Dx)"
    return "folder", "no data set that enecg knows"


def _has_codes(header: Path) -> bool:
    return "Dx:" in header.read_text(errors="replace")


def _table_in(folder: str) -> str | None:
    path = Path(folder) / TABLE
    return str(path) if path.exists() else None


def _no_targets(folder: Path) -> str:
    return (
        f"{folder}: no {TABLE} in it, and no data set that is recognised by what it holds (--cohort names one of those "
        f"that enecg cohorts lists). Write {TABLE} with columns id (the file's name without ending) or path, subject, "
        "and one for each task; or say --table"
    )


def experts_of(
    said: Sequence[str] | None,
    cohort: "Cohort",
    rounds: "Sequence[Sequence[Fold]] | None" = None,
    *,
    allow_seen: bool = False,
) -> tuple[str, ...]:
    """Those asked for, else the default ones that may be tested there; which are left out is said.

    rounds : the splits (default: everybody is tested);  allow_seen : any may be tested.
    """
    from enecg.estimator import DEFAULT_EXPERTS
    from enecg.evaluation import unmet

    if said or allow_seen:
        return tuple(said or DEFAULT_EXPERTS)
    found = tuple(unmet(DEFAULT_EXPERTS, cohort, rounds))
    if out := [name for name in DEFAULT_EXPERTS if name not in found]:
        click.echo(
            f"{', '.join(out)}: left out, since it has learned from people to be tested here",
            err=True,
        )
    return found


def tasks_of(said: Sequence[str] | None, cohort: "Cohort") -> "tuple[Task, ...]":
    """The tasks that were asked for; by default those of the paper's five that have a label."""
    from enecg.tasks import FIVE_TASKS, TASKS, get_task

    table = cohort.targets
    if said is None:
        found = [name for name in FIVE_TASKS if name in table.columns and table[name].null_count() < len(table)]
        if not found:
            known = [name for name in TASKS if name in table.columns]
            hint = f"it has {', '.join(known)}: " if known else f"its columns are {', '.join(table.columns)}: "
            raise click.UsageError(f"no label of {', '.join(FIVE_TASKS)} in the targets; {hint}say --tasks")
        return tuple(map(get_task, found))
    return tuple(_task(text, cohort) for text in said)


def _task(text: str, cohort: "Cohort") -> "Task":
    """`age`, or one's own: `lvef:regression:%`, `lvef_below_40:binary`, `grade:multiclass`; classes from the column."""
    from enecg.tasks import Task, get_task

    name, _, rest = text.partition(":")
    known = None if rest else get_task(name)
    if name not in cohort.targets.columns:
        raise CohortError(f"the targets have no column {name} (found {', '.join(cohort.targets.columns)})")
    found = cohort.targets[name].drop_nulls().to_list()
    if not found:
        raise CohortError(f"column {name} of the targets has no label; leave this task out, or fill the column")
    if known is not None:
        return known
    kind, _, unit = rest.partition(":")
    if kind == "regression":
        return Task(name, "regression", unit=unit or None)
    if kind == "multilabel":
        lists = [label.split(";") if isinstance(label, str) else label for label in found if label != "-"]
        return Task(name, "multilabel", tuple(sorted({str(part).strip() for labels in lists for part in labels})))
    classes = tuple(sorted({str(label).strip() for label in found}))
    if kind == "binary" and {label.lower() for label in classes} <= _YES_NO:
        classes = ()
    return Task(name, cast("Kind", kind), classes)  # which says what is wrong with an unknown kind
