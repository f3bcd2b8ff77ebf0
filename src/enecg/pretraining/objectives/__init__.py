"""Ways to teach a network, one file for each."""

from enecg.pretraining.objectives import masked, patients, predictive, reorder, supervised

__all__ = ["masked", "patients", "predictive", "reorder", "supervised"]
