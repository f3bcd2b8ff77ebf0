from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parent.parent / "data"


@pytest.fixture
def data() -> Path:
    """Published recordings; see its SOURCE.md."""
    return DATA


@pytest.fixture
def record(tmp_path):
    """Writes a WFDB record byte by byte, so that its header can say anything. Returns the header's path.

    samples : int [lead, sample], written in format 16;  lines : of the signals, by default plain ones;
    first : the record line;  after : bytes before the samples.
    """

    def write(
        name="one", *, samples=None, leads=("I", "II"), gain="1000/mV", first=None, lines=None, comments=(), **more
    ):
        folder, file = more.get("folder", tmp_path), more.get("file", f"{name}.dat")
        samples = np.arange(20 * len(leads)).reshape(len(leads), 20) if samples is None else np.asarray(samples)
        if lines is None:
            lines = [f"{file} 16 {gain} 16 0 0 0 0 {lead}" for lead in leads]
        if first is None:
            first = f"{name} {len(lines)} 500 {samples.shape[1]}"
        text = "\n".join([first, *lines, *(f"# {comment}" for comment in comments)]) + "\n"
        (folder / f"{name}.hea").write_bytes(text.encode(more.get("encoding", "utf-8")))
        (folder / file).write_bytes(more.get("before", b"") + samples.T.astype("<i2").tobytes())
        return folder / f"{name}.hea"

    return write
