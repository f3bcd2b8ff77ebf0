"""enecg experts."""

import textwrap
from dataclasses import asdict
from typing import Any

import click

from enecg.cli._common import as_command, json_option, show_json


@as_command("enecg experts", "enecg experts rocket")
@click.argument("name", required=False)
@json_option()
def command(name: str | None, as_json: bool) -> None:
    """List the experts: embedding, input, parameters, licence, what they have seen; with a NAME, one's whole card."""
    from enecg.experts import expert_names, get_expert

    cards = [get_expert(one).card for one in (expert_names() if name is None else [name])]
    facts = [asdict(card) | {"seen_subjects": len(card.seen_subjects)} for card in cards]
    if as_json:
        show_json(facts)
    elif name is not None:
        for key, value in facts[0].items():
            said = ", ".join(value) if isinstance(value, tuple | list) else str(value)
            click.echo(textwrap.fill(said, 100, initial_indent=f"{key:16} ", subsequent_indent=" " * 17))
    else:
        for card in cards:
            click.echo(f"{card.name:14} {card.summary}\n{'':14} {_short(card)}")


def _short(card: Any) -> str:
    rate = f"{card.rate:g} Hz" if card.rate else "any rate"
    length = f"{card.seconds:g} s" if card.seconds else "any length"
    leads = f"{'any of ' if card.any_leads else ''}{len(card.leads)} leads"
    return (
        f"embedding {card.dim}; input {leads}, {rate}, {length}; {card.parameters} parameters; {card.licence}; "
        f"has seen: {', '.join(card.seen) or 'nothing'}"
    )
