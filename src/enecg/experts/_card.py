"""What is known about an expert, as data: its input, origin, licence, and what it has seen."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Card:
    """One expert's card. Every field is printed by `enecg experts`.

    name : by which users ask for it.
    summary : one sentence.
    dim : length of the embedding.
    leads : names it needs, in the order it wants them; with `any_leads`, those it can use, of which one suffices.
    rate : Hz of its input; 0 where it takes the recording's own rate.
    seconds : length of its window; longer recordings are cut into windows, shorter ones padded; 0: any length as it is.
    min_seconds : shorter recordings are refused.
    parameters : numbers in its network or tables, all frozen.
    licence, citation, source : of the weights or the method, and where they come from.
    weights_sha256 : of the weights' file; empty where nothing but code and a seed makes it.
    prepare_version : raised whenever the prepared input of any recording changes.
    batch : windows run at a time; always padded to this number, so that bits do not depend on a window's neighbours.
    seen : cohorts whose recordings trained it, labels or not; "unknown" counts as every cohort.
    caveats : what whoever reads an answer of this expert must know; told in bundles, reports and tables.
    seen_subjects : digests of single subjects (`cohort:patient`) that trained it besides.
    chosen_by : those of them that only chose among its weights, as validation does: they may not test it, but they may
    say how much it counts.
    """

    name: str
    summary: str
    dim: int
    leads: tuple[str, ...]
    rate: float
    seconds: float
    licence: str
    citation: str
    source: str
    parameters: int = 0
    any_leads: bool = False
    min_seconds: float = 0.0
    weights_sha256: str = ""
    prepare_version: int = 1
    batch: int = 16
    seen: Sequence[str] = ()
    caveats: tuple[str, ...] = ()
    seen_subjects: frozenset[str] = frozenset()
    chosen_by: frozenset[str] = frozenset()
