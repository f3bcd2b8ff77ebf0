"""Every published expert, each backend in a process of its own: recordings a second, peak memory, distance from fp32.

Weights are random: speed and memory do not depend on them, and how far backends differ hardly does.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import about, one_core, save

one_core()

import numpy as np  # noqa: E402  after the threads are set

N, ROUNDS, BUDGET_SECONDS = 4, 3, 10.0
PLAIN, OTHERS = "torch fp32", ("torch bf16", "openvino fp32", "openvino bf16")
"""torch.compile takes minutes for each network; benchmarks/moment.py measures it on one."""


def one(name: str, backend: str, reference: Path) -> dict[str, float]:
    """Measured in this process, which does nothing else."""
    from enecg.evaluation import Meter
    from enecg.experts import get_expert
    from enecg.simulation import simulate

    recordings = [made.recording for made in simulate(N, seed=1)]
    expert = get_expert(f"{name}:random", backend=backend)
    with Meter() as memory:
        inputs = expert.prepare(recordings)
        found = expert.embed(inputs)  # Loads, compiles and warms up.
        times = []
        while len(times) < ROUNDS and sum(times) < BUDGET_SECONDS:
            began = time.process_time()
            expert.embed(inputs)
            times.append(time.process_time() - began)
    if backend == PLAIN:
        np.save(reference, found)
    plain = np.load(reference)
    return {
        "seconds": min(times),
        "peak MiB": memory.peak_mib,
        "cosine": _cosine(found, plain),
        "centred cosine": _cosine(found - plain.mean(0), plain - plain.mean(0)),
        "parameters": expert.card.parameters,
        "dim": expert.card.dim,
    }


def _cosine(one_: np.ndarray, other: np.ndarray) -> float:
    """The smallest over recordings."""
    products = (one_.astype(float) * other).sum(1)
    return float((products / (np.linalg.norm(one_, axis=1) * np.linalg.norm(other, axis=1))).min())


def apart(name: str, backend: str, reference: Path) -> dict[str, float] | None:
    """The same in a new process; None where the backend cannot run this network here."""
    command = [sys.executable, __file__, name, backend, str(reference)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        print(f"{name}, {backend}: {ended.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(ended.stdout.splitlines()[-1])


def row(name: str, folder: Path) -> dict[str, object]:
    """The plain backend against the fastest one."""
    from enecg.experts import get_expert

    reference = folder / f"{name}.npy"
    plain = apart(name, PLAIN, reference)
    assert plain is not None, f"{name} does not run"
    others = {
        backend: found
        for backend in OTHERS
        if backend in type(get_expert(f"{name}:tiny")).backends
        and (found := apart(name, backend, reference)) is not None
    }
    fastest = min(others, key=lambda backend: others[backend]["seconds"])
    quick = others[fastest]
    return {
        "expert": name,
        "million parameters": plain["parameters"] / 1e6,
        "numbers": plain["dim"],
        "recordings per second, torch fp32": N / plain["seconds"],
        "peak MiB": plain["peak MiB"],
        "fastest backend": fastest,
        "recordings per second": N / quick["seconds"],
        "times as fast": plain["seconds"] / quick["seconds"],
        "its peak MiB": quick["peak MiB"],
        "cosine": f"{quick['cosine']:.6f}",
        "centred cosine": f"{quick['centred cosine']:.6f}",
    }


def main() -> None:
    from enecg.experts import published_names

    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for name in published_names():
            rows.append(row(name, Path(folder)))
            print(rows[-1], flush=True)
    claim = (
        f"{N} simulated ten-second 12-lead recordings at 500 Hz, prepared before the clock runs; random weights; each "
        f"backend in a process of its own, processor time, best of {ROUNDS} rounds (fewer of slow ones). "
        "Cosines are the smallest over recordings, centred ones after subtracting the mean embedding."
    )
    floors = [(f"{line['expert']}, times torch fp32", float(line["times as fast"]), 1.0) for line in rows]
    save("published", about(claim), rows, floors)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(one(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
