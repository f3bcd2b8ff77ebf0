"""enecg tasks."""

import click

from enecg.cli._common import show_json
from enecg.tasks import TASKS


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def command(as_json: bool) -> None:
    """List the built-in tasks.

    Example:  enecg tasks
    """
    rows = [
        {
            "name": task.name,
            "kind": task.kind,
            "unit": task.unit,
            "classes": list(task.classes),
            "simulated_only": task.simulated_only,
            "description": task.description,
        }
        for task in TASKS.values()
    ]
    if as_json:
        show_json(rows)
        return
    for row in rows:
        count = f"{len(row['classes'])} classes" if row["classes"] else str(row["unit"])  # type: ignore[arg-type]
        note = " (learned from simulated recordings only)" if row["simulated_only"] else ""
        click.echo(f"{row['name']:18} {row['kind']:11} {count:12} {row['description']}{note}")
