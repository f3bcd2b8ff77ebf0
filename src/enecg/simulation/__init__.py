"""Hearts with known truth: the data set that is always there. Everything made with it says "simulated".

Imports recording, tasks and signal; imported by cohorts and cli.
"""

from enecg.simulation._simulate import VERSION, SimulatedRecording, Truth, simulate, simulate_one

__all__ = ["VERSION", "SimulatedRecording", "Truth", "simulate", "simulate_one"]
