"""enecg pretrain."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from enecg.cli._common import as_command, check_writable, json_option, names, show_json
from enecg.cli._data import TASKS_HELP, DataChoice, data_options, tasks_of

if TYPE_CHECKING:
    from enecg.experts import Note
    from enecg.pretraining import Stage, TrainSettings

_LOOKS = 10
"""At validation, at least, in each stage."""


@as_command(
    "enecg pretrain s4d --as mine --objective supervised:4000 --data my-ecgs --tasks age,sex",
    "enecg pretrain s4d --as clinic --continue s4d --objective masked:2000 --data unlabelled-ecgs",
    "enecg pretrain vit --as both --objective masked,supervised:4000 --data ptbxl --tasks superclass --plot curves.png",
    "enecg pretrain s4d --as student --objective distil:4000 --teacher bundle --data my-other-ecgs --tasks age,sex",
    "enecg fit bundle --experts s4d+mine,rocket,measurements --data my-other-ecgs",
)
@click.argument("network")
@click.option("--as", "name", required=True, help="Its name afterwards is NETWORK+NAME.")
@click.option(
    "--objective",
    "objectives",
    required=True,
    metavar="NAME[:STEPS],...",
    help="What it is taught by: stages, one after the other; a wrong name is answered with all names.",
)
@data_options
@click.option("--tasks", help=f"For objectives that learn from labels. {TASKS_HELP}")
@click.option("--steps", type=click.IntRange(min=1), help="Of stages that do not say theirs.  [default: 2000]")
@click.option("--batch", type=click.IntRange(min=1), help="Windows in a step.  [default: 32]")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), help="At its highest.  [default: 0.002]")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@click.option(
    "--continue",
    "start",
    metavar="EXPERT",
    default="",
    help="Begin with the weights of this one, such as s4d (as it ships) or s4d+NAME.",
)
@click.option(
    "--teacher",
    type=click.Path(file_okay=False),
    metavar="BUNDLE",
    help="The ensemble whose answers distil teaches; one that has not learned from these recordings.",
)
@click.option(
    "--of",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Each step takes those windows of so many times --batch that teach most; it costs more than a plain step.",
)
@click.option("--warm-start", is_flag=True, help="First a short self-supervised stage on the training recordings.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Of the processor. Left out: as OMP_NUM_THREADS says, else 1."
)
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw the learning curves here: .png, .svg, .pdf.")
@json_option()
def command(
    network: str,
    name: str,
    objectives: str,
    choice: DataChoice,
    tasks: str | None,
    steps: int | None,
    batch: int | None,
    learning_rate: float | None,
    precision: Literal["fp32", "bf16"],
    start: str,
    teacher: str | None,
    of: int,
    warm_start: bool,
    device: str,
    threads: int | None,
    plot: str | None,
    as_json: bool,
) -> int:
    """Teach NETWORK (s4d, s4d-small, vit), a small one of our own, and keep it as an expert.

    A folder without labels does where no objective needs them. A tenth of the subjects decide which weights each stage
    keeps. What was stopped or killed goes on from its last checkpoint when the same command is given again, and ends
    with the same weights. Whom it learned from it has seen: evaluate refuses to test it on them.
    """
    if plot is not None:
        _check_picture(plot)
    on = _device(device)
    from enecg.pretraining import TrainSettings, find_objective, plot_curves, pretrain, teacher_answers

    given = {"steps": steps, "batch": batch, "learning_rate": learning_rate, "precision": precision}
    settings = TrainSettings(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    stages = _stages(objectives, settings, of)
    labels = any(find_objective(stage.objective).labels for stage in stages)
    if tasks is not None and not labels:
        raise click.UsageError(f"--tasks: {objectives} learns without labels; leave it out, or add supervised")
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    distils = any(stage.objective == "distil" for stage in stages)
    if distils != (teacher is not None):
        raise click.UsageError("objective distil and --teacher BUNDLE go together")
    opened = choice.open(targets=labels)
    note = pretrain(
        network,
        name,
        opened,
        stages,
        tasks=tasks_of(names(tasks), opened) if labels else (),
        start=start,
        warm_start=warm_start,
        taught=None if teacher is None else teacher_answers(teacher, opened),
        seed=choice.seed,
        device=on,
        progress=not as_json,
    )
    full = f"{network}+{name}"
    if plot is not None:
        Path(plot).parent.mkdir(parents=True, exist_ok=True)
        plot_curves(note.settings["curves"], full, plot)
    _tell(full, note, as_json)
    return 1 if note.refused else 0


def _tell(full: str, note: "Note", as_json: bool) -> None:
    from dataclasses import asdict

    from enecg.experts._variant import variant_folder

    for reason in note.refused:
        click.echo(f"not used: {reason}", err=True)
    if as_json:
        show_json({"expert": full, "folder": str(variant_folder(full))} | asdict(note))
        return
    taught = [stage["objective"] for stage in note.settings["stages"]]
    click.echo(
        f"{full}: learned by {', then '.join(taught)} from {note.n_recordings} recordings; "
        f"validation loss of {taught[-1]} {note.before:.4f} before, {note.after:.4f} after"
    )
    if note.after >= note.before:
        click.echo(
            "The loss did not fall: it may need more steps, more recordings or a lower --learning-rate", err=True
        )
    click.echo(f"kept in {variant_folder(full)}")
    click.echo(f"use it: enecg fit bundle --experts {full},rocket,measurements --data FOLDER")


def _stages(said: str, settings: "TrainSettings", of: int) -> "list[Stage]":
    """`masked:2000,supervised` as stages. Raises UsageError, or FitError with the names that there are."""
    from dataclasses import replace

    from enecg.pretraining import Stage, find_objective

    found = []
    for part in names(said) or ():
        objective, colon, count = part.partition(":")
        find_objective(objective)
        if colon and not (count.isdecimal() and int(count)):
            raise click.UsageError(f"--objective {part}: expected NAME or NAME:STEPS, such as {objective}:2000")
        steps = int(count) if colon else settings.steps
        looks = min(settings.check_every, max(1, steps // _LOOKS))
        found.append(Stage(objective, replace(settings, steps=steps, check_every=looks), of))
    if not found:
        raise click.UsageError("--objective is empty; expected NAME[:STEPS],... such as supervised:4000")
    return found


def _device(said: str) -> str:
    """For torch. Raises UsageError for one that it has not."""
    import torch

    there = torch.cuda.is_available()
    if said == "cuda" and not there:
        raise click.UsageError("--device cuda: torch finds none here; leave it out, or say cpu")
    if said == "auto":
        return "cuda" if there else "cpu"
    return said


def _check_picture(plot: str) -> None:
    """Raises UsageError or WriteError now, rather than after the training."""
    from enecg.pretraining._curves import ENDINGS

    if Path(plot).suffix.lower() not in ENDINGS:
        raise click.UsageError(f"--plot {plot}: a picture; end its name with {', '.join(ENDINGS)}")
    check_writable(plot)
