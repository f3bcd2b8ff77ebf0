"""Data sets: a publisher's folder, or the simulator -> Cohort. Imports formats and simulation."""
