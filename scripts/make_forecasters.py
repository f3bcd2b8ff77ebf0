"""Make src/enecg/data/{dlinear,timesnet}.safetensors: forecasters of simulated recordings.

dlinear by least squares, timesnet by a short training. Copy the printed SHA-256 into the experts' files.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from enecg.experts._timesnet_network import SMALL, TimesNet
from enecg.experts.dlinear import KERNEL, SAMPLES, decompose
from enecg.signal.resample import resample
from enecg.signal.scale import PER_RECORDING, zscore
from enecg.simulation import simulate

DATA = Path(__file__).parents[1] / "src/enecg/data"
SEED, STEPS, BATCH = 20261125, 250, 16


def write(name: str, arrays: dict[str, np.ndarray]) -> None:
    data = save({key: np.ascontiguousarray(part) for key, part in arrays.items()})
    (DATA / name).write_bytes(data)
    print(name, len(data), hashlib.sha256(data).hexdigest(), flush=True)


def signals(n: int, seconds: float) -> np.ndarray:
    made = simulate(n, SEED, rate=100.0, seconds=seconds)
    raw = np.stack([one.recording.signal for one in made])
    return zscore(resample(raw, 100.0, 50.0), PER_RECORDING)


def dlinear() -> None:
    x = signals(400, 12.0)
    windows = np.concatenate([x[:, :, start : start + SAMPLES].reshape(-1, SAMPLES) for start in (0, 40, 80)])
    target = np.concatenate([x[:, :, start + SAMPLES].reshape(-1) for start in (0, 40, 80)]).astype(np.float64)
    trend, seasonal = decompose(windows, KERNEL)
    both = np.concatenate([trend, seasonal, np.ones((len(trend), 1), np.float32)], axis=1).astype(np.float64)
    gram = both.T @ both
    weights = np.linalg.solve(gram + 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram)), both.T @ target)
    write(
        "dlinear.safetensors",
        {
            "Linear_Trend.weight": weights[None, :SAMPLES].astype(np.float32),
            "Linear_Trend.bias": weights[-1:].astype(np.float32) / 2,
            "Linear_Seasonal.weight": weights[None, SAMPLES:-1].astype(np.float32),
            "Linear_Seasonal.bias": weights[-1:].astype(np.float32) / 2,
        },
    )


def timesnet() -> None:
    torch.manual_seed(SEED)
    total = SMALL.seq_len + SMALL.pred_len
    lead = signals(600, total / 50.0)[:, 1, :total, None]
    network = TimesNet(SMALL)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=STEPS)
    rng = np.random.default_rng(SEED)
    for step in range(STEPS):
        rows = torch.from_numpy(lead[rng.choice(len(lead), BATCH, replace=False)])
        loss = torch.nn.functional.smooth_l1_loss(network(rows[:, : SMALL.seq_len]), rows[:, SMALL.seq_len :])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 25 == 0:
            print(step, float(loss.detach()), flush=True)
    state = {name: part.numpy() for name, part in network.state_dict().items() if not name.endswith(".pe")}
    write("timesnet.safetensors", {name: part.astype(np.float16) for name, part in state.items()})


if __name__ == "__main__":
    dlinear()
    timesnet()
