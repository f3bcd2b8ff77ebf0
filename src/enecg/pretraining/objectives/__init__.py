"""Ways to teach a network, one file for each."""

from enecg.pretraining.objectives import distil, masked, patients, predictive, reorder, supervised

__all__ = ["distil", "masked", "patients", "predictive", "reorder", "supervised"]
