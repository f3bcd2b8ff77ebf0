"""Seconds and memory."""

import time

import numpy as np

from enecg.evaluation._meter import Meter


def test_a_meter_sees_the_time_and_memory_of_its_block():
    with Meter() as idle:
        pass
    with Meter() as busy:
        held = np.ones(40_000_000, dtype=np.float64)
        time.sleep(0.05)
    assert held[-1] == 1
    assert busy.seconds >= 0.05
    assert busy.peak_mib > idle.peak_mib + 250
