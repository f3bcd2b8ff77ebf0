"""What several commands share: help with examples, `--debug`, printing for machines, names of files to read."""

import json
import os
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import click

from enecg.errors import ReadError, WriteError


class Examples:
    """A command whose help ends with examples, a line each as they are typed, and that knows --debug."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self.context_settings: MutableMapping[str, Any] = {"help_option_names": ["-h", "--help"]}
        debug = click.Option(["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error.")
        self.params: list[click.Parameter] = [*self.params, debug]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples."""
        if self.examples:
            with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
                formatter.write("".join(f"  {line}\n" for line in self.examples))


class _Command(Examples, click.Command):
    pass


class ShownByName(Examples, click.Group):
    """Commands about things that have names; what is none of them is the name of one to show."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """`enecg experts [NAME] [--json]` is short for `enecg experts show [NAME] [--json]`."""
        first = next((argument for argument in args if not argument.startswith("-")), None)
        asks_help = first is None and any(name in args for name in ctx.help_option_names)
        return super().parse_args(ctx, args if first in self.commands or asks_help else ["show", *args])


def as_command(*examples: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Decorator: a function as a command, with examples."""
    return click.command(cls=_Command, examples=examples)


def json_option(help_: str = "For a machine.") -> Callable[[Any], Any]:
    """`--json`, given to the function as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_)


def names(value: str | None) -> tuple[str, ...] | None:
    """`a,b` as names; None where nothing was said."""
    return None if value is None else tuple(part.strip() for part in value.split(",") if part.strip())


def show_json(value: Any, indent: int | None = 1) -> None:
    """Print for a machine; indent=None for a line."""
    click.echo(json.dumps(value, indent=indent))


def recordings_in(paths: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The files that `paths` name, those of folders included, and a complaint for each folder without any."""
    from enecg.formats import find

    files: list[Path] = []
    empty = []
    for path in map(Path, paths):
        if not path.is_dir():
            files.append(path)
            continue
        found = find(path)
        files += found
        if not found:
            empty.append(
                f"{path}: no recordings in this folder; expected WFDB headers (.hea), also in folders below it"
            )
    if not files:
        raise ReadError("; ".join(empty))
    return files, empty


def check_writable(path: str | Path) -> None:
    """Raises WriteError now, rather than after hours of work, where nothing can be written."""
    folder = Path(path).absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise WriteError(f"{path}: {folder} is a file where a folder is wanted; choose another name")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteError(f"{path}: cannot be written, {folder} gives no permission; choose another folder")


def check_page(report: str, recordings: int = 1) -> None:
    """Raises UsageError for a report that cannot be a page, or would be one that no browser is pleased with."""
    from enecg.pages import ENDINGS, MOST

    if Path(report).suffix.lower() not in ENDINGS:
        raise click.UsageError(f"--report {report}: a page for a browser; end its name with {ENDINGS[0]}")
    if recordings > MOST:
        raise click.UsageError(
            f"--report holds {MOST} recordings at most; {recordings} were given: answer them in parts, or use --out"
        )
