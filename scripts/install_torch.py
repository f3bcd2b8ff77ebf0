"""Install torch's CPU build with the running interpreter's pip, wherever the machine finds one.

On Linux the default package index offers torch with several gigabytes of CUDA libraries. There the CPU build is asked
for by its name (VERSION+cpu) wherever pip looks by default, and else taken from the index that PyTorch publishes for
it; on macOS and Windows the default build is the CPU's. An installed torch of the pinned version is kept, of whatever
build it is.

TORCH_INDEX=URL takes another index (such as PyTorch's for CUDA), TORCH_INDEX=default whatever pip offers by itself.
Offline, point pip at a folder of wheels: PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER.
"""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"


def pinned(constraints: str) -> str:
    """The version of torch in the text of constraints.txt."""
    match = re.search(r"^torch==([\w.]+)\s*$", constraints, re.MULTILINE)
    if match is None:
        sys.exit(f"{CONSTRAINTS}: no line torch==VERSION; expected the version that the tests ran with")
    return match.group(1)


def installed() -> str | None:
    """The version in this environment, with its build (2.13.0+cpu), or None."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def attempts(version: str, system: str, index: str) -> list[list[str]]:
    """What to ask pip for, in turn: each the arguments after `pip install`."""
    plain = f"torch=={version}"
    if index == "default":
        return [[plain]]
    if index:
        return [["--index-url", index, plain]]
    if system == "Linux":
        return [[f"{plain}+cpu"], ["--index-url", CPU_INDEX, plain]]
    return [[plain]]


def main() -> None:
    version = pinned(CONSTRAINTS.read_text())
    found = installed()
    if found is not None and found.partition("+")[0] == version:
        print(f"torch {found} is installed already")
        return
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    said = ""
    for wanted in attempts(version, platform.system(), os.environ.get("TORCH_INDEX", "")):
        done = subprocess.run([*pip, *wanted], stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            return
        said += f"pip install {' '.join(wanted)}\n{done.stderr}"
    here = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    sys.exit(
        f"{said}torch {version} could not be installed for {here}. "
        "Expected a wheel for it: try another Python (3.11 is tested), or set TORCH_INDEX to an index that has one, "
        "or offline PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER"
    )


if __name__ == "__main__":
    main()
