"""The group of commands, and how every command ends: exit codes, errors in one line, no traceback unless asked.

A command's module is imported when it is called, so that `enecg --help` stays quick.
"""

import errno
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn, TextIO

import click

from enecg._version import __version__
from enecg.cli._common import Examples
from enecg.errors import EnECGError

COMMANDS = {
    "demo": "Simulate, fit, evaluate, predict and draw: everything at once.",
    "simulate": "Write simulated recordings with known truth.",
    "read": "Show what files hold.",
    "convert": "Write recordings in another format, de-identified on request.",
    "fit": "Train an ensemble and write its bundle.",
    "predict": "Answer ECG files: one, many, or folders.",
    "evaluate": "Cross-validate and compare, by subject.",
    "embed": "Fill a store with embeddings.",
    "pretrain": "Teach a small network, and keep it as an expert.",
    "cohorts": "List the data sets that are known, and check a copy of one.",
    "experts": "List the experts.",
    "tasks": "List the built-in tasks.",
    "doctor": "Check this installation.",
}

ANSWERED, SOME_REFUSED, USAGE, NOTHING_DONE = 0, 1, 2, 3
"""Exit codes. A reader that closes the pipe early (`| head`) has what it wanted: 0."""


class _Commands(Examples, click.Group):
    """Commands by name, imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of a first visit."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"enecg.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line for each, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, examples=("enecg demo", "enecg predict ecg.hea", "enecg predict --help"))
@click.version_option(__version__, prog_name="enecg")
def cli() -> None:
    """Many questions answered from one 12-lead ECG. Research use only; not a medical device.

    Exit codes: 0 done, 1 some recordings were refused, 2 wrong usage, 3 nothing could be done.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program `enecg`."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    debug = "--debug" in given
    _few_threads()
    warnings.showwarning = _warn
    try:
        # Not cli.main: it ends with 1 where a reader has left, which here means that recordings were refused.
        with cli.make_context("enecg", given) as context:
            result = cli.invoke(context)
        sys.stdout.flush()
        code = result if isinstance(result, int) else ANSWERED
    except click.exceptions.Exit as end:
        code = end.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = _complain("stopped")
    except click.ClickException as error:
        error.show()
        code = USAGE
    except BrokenPipeError:
        code = ANSWERED
    except EnECGError as error:
        if debug:
            raise
        code = _complain(f"error: {error}")
    except OSError as error:
        if debug:
            raise
        code = _complain(f"error: {_reason(error)}")
    except Exception as error:
        # A fault of ours: told in one line, and in full with --debug.
        if debug:
            raise
        code = _complain(
            f"error: {type(error).__name__}: {error}. This is a fault of enecg: run it again with --debug and report it"
        )
    _leave_stdout()
    sys.exit(code)


def _complain(text: str) -> int:
    click.echo(text, err=True)
    return NOTHING_DONE


def _reason(error: OSError) -> str:
    """What the system refused, where, and what helps."""
    help_ = {
        errno.ENOSPC: "free some space, or choose another folder",
        errno.EDQUOT: "free some space, or choose another folder",
        errno.EACCES: "choose a folder that you may write to",
        errno.EPERM: "choose a folder that you may write to",
        errno.EROFS: "choose a folder that can be written to",
        errno.ENOTDIR: "a file stands where a folder is wanted; choose another name",
        errno.EEXIST: "something of this name is there; choose another name",
        errno.EISDIR: "a folder has this name; choose another name",
        errno.ENOENT: "check the name",
    }
    what = error.strerror or str(error)
    where = f"{error.filename}: " if error.filename else ""
    advice = help_.get(error.errno or 0)
    return f"{where}{what}" + (f"; {advice}" if advice else "")


def _leave_stdout() -> None:
    """What cannot be written any more (the reader has left, the disk is full) is not tried again at the very end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    click.echo(f"warning: {message}", err=True)


def _few_threads() -> None:
    """One thread for each library, before they are loaded: in small products more of them only wait for each other."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
