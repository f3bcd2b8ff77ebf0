"""What a step costs: seconds, and the most memory that the process held meanwhile."""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

_RESET = Path("/proc/self/clear_refs")
_CAN_RESET = os.access(_RESET, os.W_OK)


@dataclass
class Meter:
    """A context manager.

    seconds : from its beginning to its end.
    peak_mib : highest resident memory of the process in that time where the system can tell (Linux), else since the
        process began.
    """

    seconds: float = 0.0
    peak_mib: float = 0.0

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        if _CAN_RESET:
            _RESET.write_text("5")  # proc(5): sets the peak back to what is held now.
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._began
        self.peak_mib = _peak()


def _peak() -> float:
    if _CAN_RESET:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
