import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture
def data() -> Path:
    """Published recordings; see its SOURCE.md."""
    return DATA


@pytest.fixture
def ptbxl(tmp_path):
    """PTB-XL's folder with a table of one's own: rows are changes to the publisher's row of ecg_id 1."""

    def write(*changes: dict[str, str]) -> Path:
        root = tmp_path / "ptbxl"
        root.mkdir()
        for name in ("records100", "records500", "scp_statements.csv"):
            (root / name).symlink_to(DATA / "ptbxl" / name)
        with (DATA / "ptbxl/ptbxl_database.csv").open(newline="") as file:
            first = next(csv.DictReader(file))
        with (root / "ptbxl_database.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(first))
            writer.writeheader()
            writer.writerows({**first, "ecg_id": str(row), **change} for row, change in enumerate(changes, start=1))
        return root

    return write


@pytest.fixture
def header(tmp_path):
    """Writes a record of two leads and 20 samples with these comments; returns its header's path."""

    def write(path: str, *comments: str, samples: np.ndarray | None = None) -> Path:
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        name = target.name.removesuffix(".hea")
        lines = [f"{name} 2 500 20", *(f"{name}.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in ("I", "II"))]
        target.write_text("\n".join([*lines, *(f"# {comment}" for comment in comments)]) + "\n")
        samples = np.arange(40) if samples is None else samples
        target.with_name(f"{name}.dat").write_bytes(samples.astype("<i2").tobytes())
        return target

    return write


@pytest.fixture
def ludb(tmp_path):
    """A copy of LUDB's three records and its table, to be damaged."""
    shutil.copytree(DATA / "ludb", tmp_path / "ludb")
    return tmp_path / "ludb"
