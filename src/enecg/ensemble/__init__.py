"""Embeddings -> answers: heads, gate, training, calibration. Knows no files, formats or cohorts."""
