"""What disturbs a recording: baseline wander, muscle, mains, electrodes; on the eight independent leads."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def draw_noise(rng: np.random.Generator, n_leads: int, n: int, rate: float, level: float) -> Array:
    """Noise [lead, sample] in mV. level : 1 as in a clinic, 0 none."""
    if level <= 0:
        return np.zeros((n_leads, n), dtype=np.float32)
    t = np.arange(n, dtype=np.float32) / np.float32(rate)
    # White: the amplifier's, in some recordings raised by muscles; per lead, lognormal over recordings.
    size = level * 0.006 * rng.lognormal(0, 0.5)
    if rng.random() < 0.12:
        size *= rng.uniform(1.5, 4)
    noise = rng.standard_normal((n_leads, n), dtype=np.float32)
    noise[:, 1:] = noise[:, 1:] + np.float32(0.4) * noise[:, :-1]
    noise *= (size * rng.lognormal(0, 0.35, (n_leads, 1))).astype(np.float32)
    noise += _wander(rng, n_leads, n, rate, level)
    if rng.random() < 0.15:
        hertz = float(rng.choice([50.0, 60.0]))
        if hertz < rate / 2:
            wave = np.sin(2 * np.pi * hertz * t + rng.uniform(0, 6.3)).astype(np.float32)
            noise += (level * rng.uniform(0.005, 0.04) * rng.uniform(0.3, 1.5, (n_leads, 1))).astype(np.float32) * wave
    if rng.random() < 0.06:
        lead, place = rng.integers(n_leads), rng.uniform(0, t[-1])
        decay = np.exp(-np.maximum(t - place, 0) / rng.uniform(0.1, 0.6)) * (t > place)
        noise[lead] += (level * rng.normal(0, 0.5) * decay).astype(np.float32)
    return noise


def _wander(rng: np.random.Generator, n_leads: int, n: int, rate: float, level: float) -> Array:
    """Respiration and drift: slow random values joined smoothly, at about 20 Hz and then straight between."""
    hop = max(1, round(rate / 20))
    slow = np.arange(-(-n // hop) + 1) * (hop / rate)
    knots = rng.normal(0, 1, (n_leads, int(slow[-1] / 1.5) + 2)).cumsum(axis=1)
    knots -= knots.mean(axis=1, keepdims=True)
    size = level * 0.02 * rng.lognormal(0, 0.7)
    breath = np.sin(2 * np.pi * rng.uniform(0.2, 0.35) * slow + rng.uniform(0, 6.3))
    weights = rng.normal(0, 1, n_leads) * 0.04 * level * rng.lognormal(0, 0.5)
    place = (slow / 1.5).astype(np.intp)
    part = slow / 1.5 - place
    part = part * part * (3 - 2 * part)
    drift = size * (knots[:, place] * (1 - part) + knots[:, place + 1] * part) + weights[:, None] * breath
    drift = drift.astype(np.float32)[:, :, None]
    straight = np.arange(hop, dtype=np.float32) / np.float32(hop)
    fine = drift[:, :-1] + np.diff(drift, axis=1) * straight
    return np.asarray(fine.reshape(n_leads, -1)[:, :n], dtype=np.float32)
