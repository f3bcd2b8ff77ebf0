"""Write docs/experts.md from the experts' cards.

    .venv/bin/python scripts/make_experts_page.py

Nothing is said here that a card does not say. `--check` writes nothing and fails where the page does not say what the
cards say.
"""

import sys
from pathlib import Path

from enecg.experts import Card, Expert, Published, expert_names, get_expert, published_names
from enecg.recording import STANDARD_LEADS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "experts.md"
GOLDEN = ROOT / "tests" / "golden"

INTRO = """# The experts

Every expert that can be asked for by name, from its card; `make results` made this page, `enecg experts NAME` shows one
card whole. *Embedding*: its length. *Seconds*: of a window; longer recordings are cut into windows, whose embeddings
are averaged. *Seen*: data sets that trained it, with labels or without; `unknown` counts as all, and `enecg evaluate`
refuses to test an expert on people that it has met. *Golden numbers*: outputs of the published code, which tests hold
ours to. *Own labels*: questions that it answers by itself, `enecg predict --expert NAME`.
[How to add one](adding-an-expert.md).
"""

SECTIONS = (
    ("Always there", "They come with the package, and need no download."),
    (
        "Published by others",
        "`enecg experts pull NAME` gets the weights, `--from FILE` takes a file at hand. Without them, `NAME:random` "
        "is\nthe same network with random weights, marked as such.",
    ),
)

COLUMNS = (
    "expert",
    "made for",
    "embedding",
    "leads",
    "rate, Hz",
    "seconds",
    "parameters",
    "licence",
    "seen",
    "golden numbers",
    "own labels",
    "source",
    "citation",
)


def page() -> str:
    """The whole page."""
    published = published_names()
    ours = [name for name in expert_names() if name not in published]
    parts = [INTRO]
    for (title, about), names in zip(SECTIONS, (ours, published), strict=True):
        parts += [f"## {title}\n\n{about}\n", table([row(get_expert(name)) for name in names])]
    return "\n".join(parts)


def row(expert: Expert) -> tuple[str, ...]:
    """What an expert's card says, in the order of COLUMNS."""
    card = expert.card
    labels = expert.labels if isinstance(expert, Published) else None
    terms = expert.origin.terms if isinstance(expert, Published) else ""
    return (
        f"`{card.name}`",
        card.summary,
        f"{card.dim}",
        leads(card),
        f"{card.rate:g}" if card.rate else "any",
        f"{card.seconds:g}" if card.seconds else "any",
        f"{card.parameters:,}",
        card.licence + (", to be accepted" if terms else ""),
        ", ".join([*card.seen, *([f"{len(card.seen_subjects):,} people"] if card.seen_subjects else [])]) or "nothing",
        golden(expert),
        f"{len(labels.names)}" if labels else "",
        link(card.source),
        card.citation,
    )


def leads(card: Card) -> str:
    """How many, or which."""
    named = "12" if set(card.leads) == set(STANDARD_LEADS) else ", ".join(card.leads)
    return f"any of {named}" if card.any_leads else named


def golden(expert: Expert) -> str:
    """Whether the outputs of the published code lie in tests/golden, in a folder named like the expert's module."""
    module = type(expert).__module__.rpartition(".")[2]
    for name in (module, f"{module}_enecg"):
        if (GOLDEN / name).is_dir():
            return f"[yes](../tests/golden/{name})"
    return "no" if isinstance(expert, Published) else "made here"


def link(source: str) -> str:
    """A place on the web or in this repository, to be followed; else the words."""
    if source.startswith("scripts/"):
        return f"[{source}](../{source})"
    place, *rest = source.split(maxsplit=1)
    return " ".join([f"[{place}](https://{place})", *rest]) if "." in place.partition("/")[0] else source


def table(rows: list[tuple[str, ...]]) -> str:
    """Markdown; columns of numbers are right-aligned."""
    numbers = ("embedding", "parameters", "own labels")
    rule = ["---:" if name in numbers else "---" for name in COLUMNS]
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "|".join(rule) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(one) + " |" for one in rows)]) + "\n"


def main() -> None:
    text = page()
    stale = not PAGE.exists() or PAGE.read_text() != text
    if "--check" in sys.argv:
        sys.exit("run `make results`: docs/experts.md is not what the cards say" if stale else 0)
    if stale:
        PAGE.write_text(text)
        print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
