"""The group of commands. A command's module is imported when it is called, so that `enecg --help` stays quick."""

import sys
from importlib import import_module

import click

from enecg._version import __version__
from enecg.errors import EnECGError

COMMANDS = {
    "demo": "Simulate, fit, evaluate, predict and draw: everything at once.",
    "simulate": "Write simulated recordings with known truth.",
    "read": "Show what files hold.",
    "fit": "Train an ensemble and write its bundle.",
    "predict": "Answer with a bundle: one file, many, or folders.",
    "evaluate": "Cross-validate and compare, by subject.",
    "embed": "Fill a store with embeddings.",
    "experts": "List the experts.",
    "tasks": "List the built-in tasks.",
    "doctor": "Check this installation.",
}


class _Commands(click.Group):
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


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="enecg")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(context: click.Context, debug: bool) -> None:
    """Many questions answered from one 12-lead ECG. Research use only; not a medical device.

    Example:  enecg demo --out demo
    """
    context.obj = {"debug": debug}


def main() -> None:
    """The program `enecg`."""
    try:
        result = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped", err=True)
        sys.exit(3)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except EnECGError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"error: {error}", err=True)
        sys.exit(3)
    sys.exit(result if isinstance(result, int) else 0)
