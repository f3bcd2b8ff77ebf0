"""Experts: recording -> embedding. Card, contract, registry, and one file for each family.

Imports recording and signal; imported by cohorts, store, ensemble and what comes after.
"""

from enecg.experts._card import Card
from enecg.experts._contract import Expert, Inputs
from enecg.experts._network import NetworkExpert
from enecg.experts._published import Labels, Published
from enecg.experts._registry import (
    expert_names,
    get_expert,
    is_registered,
    names_with_answers,
    published_names,
    register_expert,
)
from enecg.experts._variant import Note, variant_names
from enecg.experts._windows import windows_of

__all__ = [
    "Card",
    "Expert",
    "Inputs",
    "Labels",
    "NetworkExpert",
    "Note",
    "Published",
    "expert_names",
    "get_expert",
    "is_registered",
    "names_with_answers",
    "published_names",
    "register_expert",
    "variant_names",
    "windows_of",
]
