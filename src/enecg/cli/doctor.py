"""enecg doctor."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

import click

from enecg._version import __version__
from enecg.cli._common import show_json

_PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "polars",
    "torch",
    "peft",
    "wfdb",
    "sleepecg",
    "safetensors",
    "matplotlib",
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def command(as_json: bool) -> int:
    """Check this installation: versions, and whether every expert's weights are whole and it gives finite numbers.

    Example:  enecg doctor
    """
    found: dict[str, str] = {"enecg": __version__, "python": sys.version.split()[0], "machine": platform.machine()}
    missing = []
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
            missing.append(name)
    if not missing:
        from enecg.experts import expert_names, get_expert
        from enecg.simulation import simulate_one

        recording = simulate_one(0).recording
        for name in expert_names():
            expert = get_expert(name)
            reason = expert.refusal(recording)
            found[f"expert {name}"] = reason or f"{expert.embed(expert.prepare([recording])).shape[1]} numbers"
    if as_json:
        show_json(found)
    else:
        click.echo("\n".join(f"{key:24} {value}" for key, value in found.items()))
    return 3 if missing else 0
