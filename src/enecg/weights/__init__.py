"""Published weights: pulled from the hub or taken from a file, checked name by name, kept as safetensors.

Knows files, names and shapes of tensors; no networks and no recordings. Imports errors and files; imported by experts
and cli.
"""

from enecg.weights._layout import ANY, Layout, fit_state, layout_of, read_state
from enecg.weights._origin import Origin
from enecg.weights._shelf import Kept, find_kept, load_kept, pull_weights, weights_folder

__all__ = [
    "ANY",
    "Kept",
    "Layout",
    "Origin",
    "find_kept",
    "fit_state",
    "layout_of",
    "load_kept",
    "pull_weights",
    "read_state",
    "weights_folder",
]
