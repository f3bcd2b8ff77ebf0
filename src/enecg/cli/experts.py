"""enecg experts."""

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from enecg.cli import _adapt
from enecg.cli._common import ShownByName, as_command, json_option, show_json
from enecg.errors import EnECGError, ExpertError, WeightsError

if TYPE_CHECKING:
    from enecg.experts import Card, Expert
    from enecg.weights import Kept

_WIDTH = 110


@click.group(
    cls=ShownByName,
    subcommand_metavar="[NAME | pull NAME | adapt NAME]",
    examples=("enecg experts", "enecg experts ecg-jepa", "enecg experts pull ecgfounder"),
)
def command() -> None:
    """List the experts, show the card of one, pull the weights of a published one, or adapt it to your recordings."""


@as_command("enecg experts", "enecg experts rocket", "enecg experts --json")
@click.argument("name", required=False)
@json_option()
def show(name: str | None, as_json: bool) -> int:
    """List the experts, or show the card of one."""
    from enecg.experts import expert_names, get_expert, variant_names

    experts = []
    listed = [*expert_names(), *variant_names()]
    for one in listed if name is None else [name]:
        try:
            experts.append(get_expert(one))
        except EnECGError as error:
            if name is not None:
                raise
            # Such as one whose package is not here: the others are listed.
            click.echo(f"{one}: {error}", err=True)
    if as_json:
        show_json([_facts(expert) for expert in experts])
    elif name is not None:
        for key, said in _rows(experts[0]):
            _say(f"{key:16} ", said)
    else:
        width = max(len(expert.card.name) for expert in experts) + 2
        for expert in experts:
            _say(f"{expert.card.name:{width}}", expert.card.summary)
            _say(" " * width, _short(expert.card))
            _say(" " * width, f"weights: {_weights(expert)['state']}")
    return 0 if name is not None or len(experts) == len(listed) else 1


@as_command(
    "enecg experts pull ecgfounder",
    "enecg experts pull ecg-jepa --from multiblock_epoch100.pth",
    "enecg experts pull hubert-ecg-base --accept-licence",
)
@click.argument("name")
@click.option("--from", "file", type=click.Path(dir_okay=False), help="The publisher's file, already at hand.")
@click.option("--accept-licence", is_flag=True, help="Of weights that are not free for every use.")
@click.option("--again", is_flag=True, help="In the place of the weights that are here.")
def pull(name: str, file: str | None, accept_licence: bool, again: bool) -> None:
    """Get a published expert's weights and keep them.

    They are checked, and kept in the folder that ENECG_WEIGHTS names, else in the user's cache. A download that was cut
    is gone on with. What it minds: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE, HTTPS_PROXY.
    """
    from enecg.experts import Published, get_expert
    from enecg.weights import weights_folder

    expert = get_expert(name)
    if not isinstance(expert, Published) or expert.card.name != type(expert).card.name:
        raise ExpertError(f"{name}: {_weights(expert)['state']}, there is nothing to pull")
    before = None if again or file is not None else _kept(name)
    kept = type(expert).pull(file, accept_licence, again, progress=True)
    path = weights_folder() / name / kept.file
    what = "here already" if kept == before else "pulled"
    click.echo(f"{name}: {what}, {path.stat().st_size / 1e6:,.1f} MB in {path}, from {kept.source}")
    stated = expert.origin.sha256
    if stated and kept.source_sha256 != stated:
        click.echo(f"the file's SHA-256 is {kept.source_sha256}, that of the published one {stated}", err=True)


command.add_command(show, "show")
command.add_command(pull, "pull")
command.add_command(_adapt.command, "adapt")


def _short(card: "Card") -> str:
    leads = f"lead {', '.join(card.leads)}" if len(card.leads) <= 2 else f"{len(card.leads)} leads"
    parameters = f"; {_count(card.parameters)} parameters" if card.parameters else ""
    length = f"{card.seconds:g} s" if card.seconds else "any length"
    return f"{'any of ' if card.any_leads else ''}{leads}, {length}{parameters}; {card.licence}"


def _count(n: int) -> str:
    return f"{n / 1e6:.1f} million" if n >= 1_000_000 else f"{n:,}"


def _kept(name: str) -> "Kept | None":
    from enecg.weights import find_kept

    try:
        return find_kept(name)
    except WeightsError:
        return None


def _weights(expert: "Expert") -> dict[str, Any]:
    """Of an expert: in words whether its weights are here; where they come from; what is kept of them."""
    from enecg.experts import Published
    from enecg.weights import find_kept

    if not isinstance(expert, Published):
        return {"state": _whence(expert), "origin": None, "kept": None}
    name, origin = type(expert).card.name, expert.origin
    found: dict[str, Any] = {
        "state": "random weights",
        "origin": asdict(origin) | {"where": origin.where},
        "kept": None,
    }
    if expert.weights == "pulled":
        try:
            kept = find_kept(name)
        except WeightsError as error:
            return found | {"state": str(error)}
        found["kept"] = None if kept is None else asdict(kept)
        found["state"] = "here" if kept else f"not here: enecg experts pull {name}"
    return found


def _whence(expert: "Expert") -> str:
    """Where the weights are from that nobody has published: in words."""
    from enecg.experts._network import RANDOM, NetworkExpert
    from enecg.experts._variant import variant_folder

    name = expert.card.name
    if isinstance(expert, NetworkExpert):
        if "+" in name:
            return f"trained here: {variant_folder(name)}"
        if expert.weights in RANDOM:
            return "random weights"
        if not expert.card.weights_sha256:
            return f"none ship: enecg pretrain {name} makes some"
    return f"ships with {type(expert).__module__.partition('.')[0]}"


def _labels(expert: "Expert") -> Sequence[str]:
    """The labels of a published model's own answers."""
    own = getattr(expert, "labels", None)
    return () if own is None else own.names


def _facts(expert: "Expert") -> dict[str, Any]:
    """All that is known, for a machine."""
    card = asdict(expert.card) | {
        "seen_subjects": len(expert.card.seen_subjects),
        "chosen_by": len(expert.card.chosen_by),
    }
    return card | {"labels": list(_labels(expert)), "weights": _weights(expert)}


def _rows(expert: "Expert") -> list[tuple[str, str]]:
    """All that is known, for a person, with units; what there is nothing of is left out."""
    card, weights, labels = expert.card, _weights(expert), _labels(expert)
    origin, kept = weights["origin"] or {}, weights["kept"] or {}
    rows = [
        ("name", card.name),
        ("made for", card.summary),
        ("embedding", f"{card.dim} numbers"),
        ("own answers", f"{len(labels)} labels: {', '.join(labels[:3])}, ..." if labels else ""),
        ("leads", f"{'any of ' if card.any_leads else ''}{', '.join(card.leads)}"),
        ("rate", f"{card.rate:g} Hz" if card.rate else "the recording's own"),
        ("window", f"{card.seconds:g} s" if card.seconds else "any length as it is"),
        ("at least", f"{card.min_seconds:g} s" if card.min_seconds else ""),
        ("parameters", f"{card.parameters:,}" if card.parameters else ""),
        ("has seen", ", ".join(card.seen) or "nothing"),
        ("seen subjects", str(len(card.seen_subjects)) if card.seen_subjects else ""),
        *(("caveat", caveat) for caveat in card.caveats if caveat != origin.get("terms")),
        ("licence", card.licence),
        ("citation", card.citation),
        ("source", card.source),
        ("weights", weights["state"]),
        ("published at", origin.get("where", "")),
        ("terms", origin.get("terms", "")),
        ("kept from", f"{kept['source']}, {kept['pulled']}, by enecg {kept['by']}" if kept else ""),
        ("file's SHA-256", kept.get("source_sha256", "")),
        ("terms accepted", kept.get("accepted", "")),
        ("weights' SHA-256", kept.get("content", "") or card.weights_sha256),
        ("prepared as", f"version {card.prepare_version}"),
    ]
    return [(key, said) for key, said in rows if said]


def _say(start: str, text: str) -> None:
    """Lines that are no longer than _WIDTH, except by what cannot be broken."""
    click.echo(
        textwrap.fill(
            text,
            _WIDTH,
            initial_indent=start,
            subsequent_indent=" " * len(start),
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
