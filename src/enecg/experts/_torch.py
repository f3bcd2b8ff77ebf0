"""What the experts that compute with torch share."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Numbers next to zero, which slow a processor down, count as zero: here, and for nobody else in the process."""
    import torch

    before = np.float32(2e-38) * np.float32(0.1) == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(bool(before))
