"""Make src/enecg/data/rocket.safetensors: random leads, and biases from the outputs on simulated recordings.

Run after a change of the simulator only when the experts are to change too; then copy the printed SHA-256 into
src/enecg/experts/rocket.py.
"""

import hashlib
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from enecg.experts.rocket import DILATIONS, FILE, KERNELS, RATE, SMALL_DILATIONS, convolve
from enecg.signal.filters import highpass
from enecg.simulation import simulate

N_RECORDINGS, SEED = 192, 20261124


def main() -> None:
    made = simulate(N_RECORDINGS, SEED, rate=RATE)
    windows = highpass(np.stack([one.recording.signal for one in made]), RATE, 0.5)
    arrays = {}
    for key, dilations, n_biases in (("full", DILATIONS, 13), ("small", SMALL_DILATIONS, 4)):
        rng = np.random.default_rng(SEED)
        leads = np.zeros((len(dilations), len(KERNELS), 12), dtype=np.uint8)
        biases = np.empty((len(dilations), len(KERNELS), n_biases), dtype=np.float32)
        for number, dilation in enumerate(dilations):
            for kernel in range(len(KERNELS)):
                leads[number, kernel, rng.choice(12, rng.integers(1, 5), replace=False)] = 1
            outputs = np.concatenate([convolve(w, dilation, leads[number].astype(np.float32)) for w in windows], axis=1)
            # Quantiles spread over all shares, moved at random so that kernels differ.
            shares = (np.arange(n_biases) + rng.random(n_biases)) / n_biases * 0.94 + 0.03
            biases[number] = np.quantile(outputs, shares, axis=1).T
        arrays |= {f"{key}.leads": leads, f"{key}.biases": biases}
    data = save(arrays)
    path = Path(__file__).parents[1] / "src/enecg/data" / FILE
    path.write_bytes(data)
    print(path, len(data), hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()
