"""Experts with published weights: one file for each family. Golden numbers prove each (tests/golden)."""
