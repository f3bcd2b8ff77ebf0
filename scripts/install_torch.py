"""Install torch's CPU build with the running interpreter's pip, wherever the machine finds one.

On Linux the default package index offers torch with several gigabytes of CUDA libraries. This asks pip what it would
install; a CPU build is taken as it is, and where it is not one, the CPU index that PyTorch publishes is used instead.
Set TORCH_INDEX to another index, or to "default" to keep whatever pip offers (a machine with a GPU).
"""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

CPU_INDEX = "https://download.pytorch.org/whl/cpu"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


def wanted() -> str:
    """The pinned requirement, as constraints.txt has it."""
    text = (Path(__file__).parent.parent / "constraints.txt").read_text()
    match = re.search(r"^torch==\S+$", text, re.MULTILINE)
    if match is None:
        sys.exit("constraints.txt: no line torch==VERSION")
    return match.group()


def offered(requirement: str) -> str:
    """The version that plain pip would install, such as 2.13.0+cpu."""
    command = [*PIP, "install", "--quiet", "--dry-run", "--ignore-installed", "--no-deps", "--report", "-", requirement]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return str(json.loads(report)["install"][0]["metadata"]["version"])


def main() -> None:
    requirement = wanted()
    index = os.environ.get("TORCH_INDEX", "")
    if not index and platform.system() == "Linux" and not offered(requirement).endswith("+cpu"):
        index = CPU_INDEX
    source = [] if index in ("", "default") else ["--index-url", index]
    subprocess.run([*PIP, "install", "--quiet", *source, requirement], check=True)


if __name__ == "__main__":
    main()
