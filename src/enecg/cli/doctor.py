"""enecg doctor."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from enecg._version import __version__
from enecg.cli._common import as_command, json_option, show_json
from enecg.errors import EnECGError

PACKAGES = "numpy scipy scikit-learn polars torch peft wfdb sleepecg safetensors matplotlib rich click".split()


@as_command("enecg doctor", "enecg doctor --json")
@json_option()
def command(as_json: bool) -> int:
    """Check this installation: versions, torch's build and threads, every expert, the starter bundle."""
    found: dict[str, Any] = {
        "enecg": __version__,
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
    }
    found |= {name: _version(name) for name in PACKAGES}
    faults = [f"{name} is missing: pip install {name}" for name in PACKAGES if found[name] is None]
    if not faults:
        found |= _torch()
        _check(found, faults)
    if as_json:
        show_json(found | {"faults": faults})
    else:
        for key, value in found.items():
            click.echo(f"{key:24} {'missing' if value is None else value}")
        click.echo("\n".join(f"FAULT: {fault}" for fault in faults) or "all is well")
    return (3 if None in found.values() else 1) if faults else 0


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _torch() -> dict[str, Any]:
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    return {"torch build": build, "threads": torch.get_num_threads()}


def _check(found: dict[str, Any], faults: list[str]) -> None:
    """Every expert that is here on a simulated recording, and the starter bundle."""
    from enecg.estimator import EnECG
    from enecg.experts import expert_names, get_expert, published_names
    from enecg.simulation import simulate_one
    from enecg.weights import find_kept, weights_folder

    found["weights in"] = str(weights_folder())
    recording = simulate_one(0).recording
    for name in expert_names():
        try:
            if name in published_names() and find_kept(name) is None:
                found[f"expert {name}"] = f"not here; enecg experts pull {name}"
                continue
            expert = get_expert(name)
            reason = expert.refusal(recording)
            size = 0 if reason else expert.embed(expert.prepare([recording])).shape[1]
            found[f"expert {name}"] = reason or f"works, {size} numbers"
        except EnECGError as error:
            found[f"expert {name}"] = "does not work"
            faults.append(str(error))
    try:
        starter = EnECG.starter()
        answers = starter.predict([recording])[0].answers
        found["starter bundle"] = f"whole, answers {', '.join(answers)}"
    except EnECGError as error:
        found["starter bundle"] = "does not work"
        faults.append(str(error))
