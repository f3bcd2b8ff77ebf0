"""Embeddings: computed once, kept, verified, found again. Everything after this room reads no ECG file.

Imports experts, formats and recording; imported by ensemble, estimator, evaluation and cli.
"""

from enecg.store._disk import DamagedShardWarning, Store
from enecg.store._embed import FaultWarning, as_items, check_weights, embed
from enecg.store._embedded import Embedded, Refusal

__all__ = [
    "DamagedShardWarning",
    "Embedded",
    "FaultWarning",
    "Refusal",
    "Store",
    "as_items",
    "check_weights",
    "embed",
]
