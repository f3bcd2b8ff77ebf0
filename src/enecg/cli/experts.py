"""enecg experts."""

from dataclasses import asdict

import click

from enecg.cli._common import show_json


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For a machine.")
def command(as_json: bool) -> None:
    """List the experts: embedding, input, parameters, licence, what they have seen.

    Example:  enecg experts
    """
    from enecg.experts import expert_names, get_expert

    cards = [get_expert(name).card for name in expert_names()]
    if as_json:
        show_json([asdict(card) | {"seen_subjects": len(card.seen_subjects)} for card in cards])
        return
    for card in cards:
        rate = f"{card.rate:g} Hz" if card.rate else "any rate"
        length = f"{card.seconds:g} s" if card.seconds else "any length"
        click.echo(f"{card.name:14} {card.summary}")
        click.echo(
            f"{'':14} embedding {card.dim}; input {len(card.leads)} leads, {rate}, {length}; "
            f"{card.parameters} parameters; {card.licence}; has seen: {', '.join(card.seen) or 'nothing'}"
        )
