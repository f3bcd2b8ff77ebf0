"""enecg tasks."""

from typing import Any

import click

from enecg.cli._common import as_command, json_option, show_json


@as_command("enecg tasks", "enecg tasks rhythm")
@click.argument("name", required=False)
@json_option()
def command(name: str | None, as_json: bool) -> None:
    """List the built-in tasks; with a NAME, the classes of one."""
    from enecg.tasks import TASKS, get_task

    tasks = list(TASKS.values()) if name is None else [get_task(name)]
    if as_json:
        show_json([_facts(task) for task in tasks])
        return
    for task in tasks:
        count = f"{len(task.classes)} classes" if task.classes else str(task.unit)
        note = " (learned from simulated recordings only)" if task.simulated_only else ""
        click.echo(f"{task.name:18} {task.kind:11} {count:12} {task.description}{note}")
    if name is not None:
        for label in tasks[0].classes:
            code = tasks[0].codes.get(label)
            click.echo(f"  {label}" + (f"  (SNOMED CT {code})" if code else ""))
        for group, classes in tasks[0].merged.items():
            click.echo(f"  {group}: {' or '.join(classes)}")


def _facts(task: Any) -> dict[str, Any]:
    return {
        "name": task.name,
        "kind": task.kind,
        "unit": task.unit,
        "classes": list(task.classes),
        "codes": dict(task.codes),
        "merged": {group: list(classes) for group, classes in task.merged.items()},
        "simulated_only": task.simulated_only,
        "description": task.description,
    }
