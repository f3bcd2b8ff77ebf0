"""The command line in this process, a bundle, and a folder of recordings: good ones and each kind of bad one."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from enecg.cli import main
from enecg.formats import write
from enecg.simulation import simulate_one

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """Published recordings (tests/data/SOURCE.md)."""
    return DATA


@pytest.fixture
def enecg(capsys, monkeypatch):
    """Run a command as the shell does: enecg("read", path) -> (exit code, standard output, standard error)."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


@pytest.fixture(scope="session")
def bundle(fitted, tmp_path_factory) -> Path:
    """Five tasks that simulated recordings taught."""
    folder = tmp_path_factory.mktemp("bundle") / "small"
    fitted.save(folder)
    return folder


@pytest.fixture(scope="session")
def hearts(tmp_path_factory) -> Path:
    """Six simulated recordings as WFDB files."""
    folder = tmp_path_factory.mktemp("hearts")
    for index in range(6):
        recording = simulate_one(index, 21, rate=250.0).recording
        write(recording, folder / f"{recording.id}.hea")
    return folder


def _write(signal: np.ndarray, name: str, folder: Path, rate: float = 250.0, gain: float = 1000.0) -> None:
    """A WFDB record of sixteen bits, without the package that reads it; NaN is -32768, as the format says."""
    steps = np.where(np.isnan(signal), -32768, np.clip(np.nan_to_num(signal) * gain, -32767, 32767)).astype("<i2")
    steps.T.tofile(folder / f"{name}.dat")
    leads = "I II III aVR aVL aVF V1 V2 V3 V4 V5 V6".split()[: len(signal)]
    lines = [f"{name} {len(signal)} {rate:g} {signal.shape[1]}"]
    lines += [f"{name}.dat 16 {gain:g}/mV 16 0 {row[0]} 0 0 {lead}" for row, lead in zip(steps, leads, strict=True)]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def mixed(tmp_path_factory) -> Path:
    """A folder with two good recordings and one of each fault, named after it."""
    folder = tmp_path_factory.mktemp("mixed")
    whole = simulate_one(3, 21, rate=250.0).recording.signal
    _write(whole, "good", folder)
    _write(simulate_one(4, 21, rate=250.0).recording.signal, "good_too", folder)
    for name in ("missing_signal", "truncated", "unknown_lead", "no_unit", "nonsense"):
        _write(whole, name, folder)
    (folder / "missing_signal.dat").unlink()
    (folder / "truncated.dat").write_bytes((folder / "truncated.dat").read_bytes()[:10_001])
    header = (folder / "unknown_lead.hea").read_text()
    (folder / "unknown_lead.hea").write_text(header.replace(" V3\n", " Pleth\n"))
    (folder / "no_unit.hea").write_text((folder / "no_unit.hea").read_text().replace("/mV", "/NU"))
    (folder / "nonsense.hea").write_text("nonsense 12 250 2500\n\x00\xff garbage\n" * 3)
    _write(whole[:, :100], "too_short", folder)
    _write(whole * 30, "wrong_gain", folder)
    gaps = whole.copy()
    gaps[:, 500:700] = np.nan
    gaps[4] = np.nan
    _write(gaps, "gaps", folder)
    flat = whole.copy()
    flat[7] = 0.0
    _write(flat, "flat_lead", folder)
    _write(np.zeros_like(whole), "all_flat", folder)
    _write(np.full_like(whole, np.nan), "all_missing", folder)
    (folder / "notes.txt").write_text("no recording")
    return folder


@pytest.fixture
def copy_of(tmp_path):
    """A copy of a folder that may be spoilt."""

    def copy(folder: Path, name: str = "copy") -> Path:
        return Path(shutil.copytree(folder, tmp_path / name))

    return copy
