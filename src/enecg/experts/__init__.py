"""Experts: recording -> embedding. Card, contract, registry, and one file for each family.

Imports recording and signal; imported by cohorts, store, ensemble and what comes after.
"""

from enecg.experts._adapter import adapted_names
from enecg.experts._card import Card
from enecg.experts._contract import Expert, Inputs
from enecg.experts._published import Labels, Published
from enecg.experts._registry import (
    expert_names,
    get_expert,
    is_registered,
    names_with_answers,
    published_names,
    register_expert,
)
from enecg.experts._windows import windows_of

__all__ = [
    "Card",
    "Expert",
    "Inputs",
    "Labels",
    "Published",
    "adapted_names",
    "expert_names",
    "get_expert",
    "is_registered",
    "names_with_answers",
    "published_names",
    "register_expert",
    "windows_of",
]
