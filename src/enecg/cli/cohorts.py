"""enecg cohorts."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from enecg.cli._common import ShownByName, as_command, json_option, show_json
from enecg.cli._data import OPTION_HELP, load_named, options_of

if TYPE_CHECKING:
    from enecg.cohorts import About
    from enecg.cohorts import CohortCheck as Check

_WIDTH = 110
_SHOWN = 5


@click.group(
    cls=ShownByName,
    subcommand_metavar="[NAME | check NAME PATH]",
    examples=("enecg cohorts", "enecg cohorts mimic-iv-ecg", "enecg cohorts check ptbxl ptbxl-1.0.3 --read 500"),
)
def command() -> None:
    """List the data sets that are known, show what is known of one, or check your copy of it."""


@as_command("enecg cohorts", "enecg cohorts code15", "enecg cohorts --json")
@click.argument("name", required=False)
@json_option()
def show(name: str | None, as_json: bool) -> None:
    """List the data sets, or show one: what its folder holds, licence, citation, published counts, options."""
    from enecg.cohorts import about_cohort, cohort_names

    abouts = [about_cohort(one) for one in (cohort_names() if name is None else [name])]
    if as_json:
        show_json([_facts(about) for about in abouts])
    elif name is not None:
        for key, said in _rows(abouts[0]):
            _say(f"{key:12} ", said)
    else:
        width = max(len(about.name) for about in abouts) + 2
        for about in abouts:
            _say(f"{about.name:{width}}", about.title)
            if said := "; ".join(part for part in (_published(about), _licence(about)) if part):
                _say(" " * width, said)


@as_command(
    "enecg cohorts check ludb ludb-1.0.1",
    "enecg cohorts check mimic-iv-ecg mimic-iv-ecg-1.0 --option mimic_iv=mimiciv/3.1 --read 2000",
    "enecg cohorts check folder clinic --option table=clinic/targets.csv --json",
)
@click.argument("name")
@click.argument("path", required=False, type=click.Path())
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE", help=OPTION_HELP)
@click.option("--read", type=click.IntRange(min=0), help="Read so many recordings, evenly; 0: none. Left out: all.")
@json_option()
def check(name: str, path: str | None, options: tuple[str, ...], read: int | None, as_json: bool) -> int:
    """Check your copy of a data set: counts, missing and damaged files, labels, subjects that would leak.

    Exit code 1 where a recording is damaged, a label is none, or subjects would leak.
    """
    from enecg.cohorts import check_cohort

    cohort = load_named(name, path, options_of(options), progress=not as_json)
    found = check_cohort(cohort, read=read, progress=not as_json)
    if as_json:
        show_json(asdict(found))
    else:
        for key, said in _told(found):
            _say(f"{key:10} ", said)
    return 1 if found.damaged or found.leaks or any(task.wrong for task in found.coverage) else 0


command.add_command(show, "show")
command.add_command(check, "check")


def _published(about: "About") -> str:
    parts = ((about.recordings, "recordings"), (about.subjects, "patients"))
    return ", ".join(f"{count:,} {what}" for count, what in parts if count is not None)


def _licence(about: "About") -> str:
    return "" if about.licence == "unknown" else about.licence


def _facts(about: "About") -> dict[str, Any]:
    from enecg.cohorts import cohort_options

    return asdict(about) | {"options": list(cohort_options(about.name))}


def _rows(about: "About") -> list[tuple[str, str]]:
    """All that is known, for a person; what there is nothing of is left out."""
    from enecg.cohorts import cohort_options

    rows = [
        ("name", about.name),
        ("what", about.title),
        ("folder", about.layout),
        ("tasks", ", ".join(about.tasks)),
        ("options", ", ".join(cohort_options(about.name))),
        ("published", _published(about)),
        ("licence", _licence(about)),
        ("citation", about.citation),
    ]
    return [(key, said) for key, said in rows if said]


def _told(found: "Check") -> Iterator[tuple[str, str]]:
    """The check's lines."""
    unnamed = f", {found.unnamed:,} recordings without a subject" if found.unnamed else ""
    yield "found", f"{found.recordings:,} recordings of {found.subjects:,} subjects{unnamed}"
    for note in found.notes:
        yield "note", note
    for task in found.coverage:
        classes = ": " + ", ".join(f"{name} {count:,}" for name, count in task.classes.items()) if task.classes else ""
        yield "label", f"{task.task}: {task.recordings:,} recordings of {task.subjects:,} subjects{classes}"
        if task.wrong:
            yield "wrong", task.wrong
    yield "read", f"{found.read:,} of {found.recordings:,} recordings, {len(found.damaged):,} damaged"
    for kind, count in found.kinds.items():
        yield "", f"{count:,} x {kind}"
    for note, count in found.told.items():
        yield "", f"{count:,} x {note}"
    yield from (("damaged", f"{name}: {reason}") for name, reason in found.damaged[:_SHOWN])
    if len(found.damaged) > _SHOWN:
        yield "damaged", f"and {len(found.damaged) - _SHOWN:,} more (--json names all)"
    people, recordings = found.several
    if people:
        yield "subjects", f"{people:,} have several recordings, {recordings:,} together: split by subject"
    yield from (("leak", leak) for leak in found.leaks)
    if not found.leaks:
        yield "leak", "none found"


def _say(start: str, text: str) -> None:
    """Lines that are no longer than _WIDTH, except by what cannot be broken."""
    click.echo(
        textwrap.fill(
            text,
            _WIDTH,
            initial_indent=start,
            subsequent_indent=" " * len(start),
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
