"""Embeddings: computed once, kept, verified, found again. Everything after this room reads no ECG file.

Imports experts, formats and recording; imported by ensemble, estimator, evaluation and cli.
"""

from enecg.store._disk import Store
from enecg.store._embed import embed
from enecg.store._embedded import Embedded, Refusal

__all__ = ["Embedded", "Refusal", "Store", "embed"]
