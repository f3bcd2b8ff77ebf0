"""enecg demo."""

from pathlib import Path

import click
import numpy as np

from enecg.cli._common import data_options, one_thread, open_cohort


@click.command()
@click.option(
    "--out", default="demo", show_default=True, type=click.Path(file_okay=False), help="Folder for the results."
)
@data_options
def command(out: str, data: str | None, cohort: str | None, table: str | None, n: int, seed: int) -> None:
    """Fit five tasks on a cohort (simulated, or --data), test on subjects never seen, predict one recording, draw it.

    Example:  enecg demo --out demo
    """
    one_thread()
    from enecg.cli.simulate import write_wfdb
    from enecg.estimator import EnECG
    from enecg.evaluation import cross_validation, evaluate, markdown, write_json
    from enecg.formats import read
    from enecg.plot import plot_recording
    from enecg.tasks import FIVE_TASKS

    folder = Path(out)
    opened = open_cohort(data, cohort, table, n, seed)
    wanted = tuple(task for task in FIVE_TASKS if task in opened.targets.columns)
    model = EnECG(tasks=wanted, seed=seed, store=folder / "store", progress=True)
    fold = cross_validation(opened, wanted, 4, seed)[0]
    found = evaluate(model, opened, rounds=[[fold]], seed=seed)
    click.echo(markdown(found.record()))
    write_json(found.record(), folder / "results.json")
    model.fit(opened.take(fold.learned), validation=fold.validation[fold.learned])
    model.save(folder / "bundle")
    recording = opened[int(np.flatnonzero(fold.test)[0])].read()
    (folder / "recordings").mkdir(exist_ok=True)
    write_wfdb(recording, folder / "recordings")
    path = folder / "recordings" / f"{recording.id}.hea"
    prediction = EnECG.load(folder / "bundle").predict([path])[0]
    plot_recording(read(path), prediction, folder / "prediction.png")
    click.echo(f"bundle {folder / 'bundle'}, results {folder / 'results.json'}, picture {folder / 'prediction.png'}")
    if opened.simulated:
        click.echo("All recordings were simulated. Nothing here is a medical device.")
