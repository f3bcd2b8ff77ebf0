"""Build source distribution and wheel, install the wheel in an empty environment, and predict a file from elsewhere.

The wheel is built from the source distribution, so that both are whole; nothing of the working tree is on the path of
the environment that is tested, and everything is made in a temporary folder.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "enecg"
LARGEST_MIB = 8


def build(folder: Path) -> Path:
    """The wheel, made from the source distribution. hatchling is in this environment, so none is fetched for it."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    [wheel] = folder.glob("*.whl")
    [_] = folder.glob("*.tar.gz")
    return wheel


def check_contents(wheel: Path) -> None:
    """Every file of the package is in it and nothing else but its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    if names != expected:
        missing, more = sorted(expected - names), sorted(names - expected)
        sys.exit(f"{wheel.name}: lacks {missing or 'nothing'}, has besides {more or 'nothing'}")
    size = wheel.stat().st_size / 2**20
    if size > LARGEST_MIB:
        sys.exit(f"{wheel.name}: {size:.1f} MiB; expected {LARGEST_MIB} at most")
    print(f"{wheel.name}: {len(names)} files, {size:.1f} MiB")


def install(wheel: Path, folder: Path) -> Path:
    """An environment with the wheel and what it depends on; its folder of programs."""
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    # Not compiled: the few modules that are used are compiled when they are imported.
    quick = os.environ | {"PIP_NO_COMPILE": "1"}
    subprocess.run([python, ROOT / "scripts" / "install_torch.py"], check=True, env=quick)
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "-c", ROOT / "constraints.txt", wheel], check=True, env=quick)
    subprocess.run([*pip, "check"], check=True)
    return programs


def predict(programs: Path, folder: Path) -> None:
    """Simulate two recordings and answer them with the starter bundle, as a stranger would."""
    folder.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def run(*command: str) -> str:
        called = [programs / command[0], *command[1:]]
        return subprocess.run(called, cwd=folder, env=clean, check=True, capture_output=True, text=True).stdout

    place = run("python", "-c", "import enecg; print(enecg.__file__)").strip()
    if not Path(place).is_relative_to(programs.parent):
        sys.exit(f"enecg was imported from {place}; expected the wheel's in {programs.parent}")
    run("enecg", "simulate", "hearts", "--n", "2")
    answered = [json.loads(line) for line in run("enecg", "predict", "hearts", "--json").splitlines()]
    tasks = [sorted(record["answers"]) for record in answered]
    if len(answered) != 2 or any(record["refused"] for record in answered) or not all(tasks):
        sys.exit(f"expected answers to two recordings, found {answered}")
    run("enecg", "predict", "hearts", "--plot", "pictures", "--out", "answers.csv")
    made = sorted(path.name for path in folder.rglob("*") if path.suffix in (".png", ".csv"))
    print(f"answered {', '.join(tasks[0])}; wrote {', '.join(made)}")


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as room:
        wheel = build(Path(room, "dist"))
        check_contents(wheel)
        programs = install(wheel, Path(room, "environment"))
        predict(programs, Path(room, "elsewhere"))
    print(f"the wheel works ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
