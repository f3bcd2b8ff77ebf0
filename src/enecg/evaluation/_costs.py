"""What each system costs: parameters, seconds to train, memory, means over folds; multiply-adds of an expert."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from enecg.ensemble import Ensemble, Watch
from enecg.evaluation._meter import Meter
from enecg.experts import Expert
from enecg.experts._network import NetworkExpert
from enecg.experts.rocket import KERNELS, STRIDE, Rocket, RocketSmall
from enecg.recording import Recording


class _Watch:
    """Follows a fit: how long the heads of each expert take. tell : told of every step too."""

    def __init__(self, costs: "Costs", tell: Watch) -> None:
        self.costs, self.tell = costs, tell
        self.whole, self.part, self.name = Meter(), Meter(), ""
        self.peak_mib = 0.0  # Of all parts: each part's meter sets the process's peak back.

    def __call__(self, step: str, done: float) -> None:
        """Called by the fit when it begins something: an expert's name, or another step."""
        self.tell(step, done)
        if step != self.name:
            self.end_part()
            self.name = step
            self.part.__enter__()

    def end_part(self) -> None:
        if self.name:
            self.part.__exit__(None, None, None)
            self.peak_mib = max(self.peak_mib, self.part.peak_mib)
            self.costs.add(f"{self.name} alone", "seconds to fit", self.part.seconds)
            self.costs.add(f"{self.name} alone", "peak MiB", self.part.peak_mib)


class Costs:
    """Figures by system and kind, one for each fold."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[float]] = {}

    def add(self, system: str, figure: str, value: float) -> None:
        """One fold's figure."""
        self._found.setdefault((system, figure), []).append(value)

    @contextmanager
    def watch(self, system: str, tell: Watch) -> Iterator[_Watch]:
        """Around a fit, to which what is yielded is given."""
        watch = _Watch(self, tell)
        with watch.whole:
            yield watch
            watch.end_part()
        self.add(system, "seconds to fit", watch.whole.seconds)
        self.add(system, "peak MiB", max(watch.peak_mib, watch.whole.peak_mib))

    def parameters(self, system: str, ensemble: Ensemble) -> None:
        """What was trained, and what there is with it (a base left as it was drawn); of each expert's head too."""
        self.add(system, "trained parameters", ensemble.n_parameters)
        self.add(system, "all parameters", sum(part.size for part in ensemble.to_state()[1].values()))
        for name, count in ensemble.head_parameters().items():
            if system == "ensemble":
                self.add(f"{name} alone", "trained parameters", count)
                self.add(f"{name} alone", "all parameters", count)

    def rows(self) -> list[dict[str, Any]]:
        """For the table."""
        return [
            {"task": "", "system": system, "metric": figure, "value": float(np.mean(values))}
            for (system, figure), values in self._found.items()
        ]


def costs_of(costs: Costs, experts: list[Expert], names: set[str]) -> list[dict[str, Any]]:
    """The rows of `costs` whose systems are in the table; to all parameters belong the experts' frozen ones."""
    frozen = {expert.card.name: expert.card.parameters for expert in experts}
    rows = [row for row in costs.rows() if row["system"] in names]
    for row in rows:
        if row["metric"] == "all parameters":
            row["value"] += frozen.get(row["system"].removesuffix(" alone"), sum(frozen.values()))
    return rows


def multiply_adds(expert: Expert, recording: Recording) -> int | None:
    """How many multiplications, each with an addition, the recording's embedding takes; None: cannot be counted.

    Convolutions and products of matrices only, as they are computed, zeros included; not filters, spectra or what is
    done element by element. So `measurements` and `dlinear`, which are little else, have no count. A head of an
    ensemble takes as many as it has weights (`Ensemble.head_parameters`).
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    windows = expert.prepare([recording]).windows
    if isinstance(expert, (Rocket, RocketSmall)):
        # At each dilation all kernels are one matrix [kernel, lead x tap], of every second sample.
        n_windows, n_leads, n_samples = windows.shape
        return int(n_windows * len(expert.dilations) * KERNELS.size * n_leads * -(-n_samples // STRIDE))
    network = expert.fresh_network() if isinstance(expert, NetworkExpert) else None
    # Attention that is computed in one piece would not be counted.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        for _ in range(2):  # The first time some networks make what they keep.
            with FlopCounterMode(display=False) as counter:
                if network is None:
                    expert.embed_windows(windows)
                else:
                    network(torch.from_numpy(windows))
    return counter.get_total_flops() // 2 or None
