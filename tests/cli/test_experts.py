"""enecg experts: the list, a card, and weights that are pulled, from a file at hand. From the hub: tests/weights."""

import dataclasses
import json
import sys
import types

import pytest
import torch

from enecg.experts import _registry, expert_names, get_expert, published_names
from enecg.weights import find_kept

from .test_main import loaded_by

NAME = "ecgfounder-1lead"


@pytest.fixture(autouse=True)
def weights(monkeypatch, tmp_path):
    monkeypatch.setenv("ENECG_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "weights"


@pytest.fixture
def expert(monkeypatch):
    """A published expert's class, in the size of tests."""
    kind = type(get_expert(NAME))
    monkeypatch.setattr(kind, "size", kind.tiny)
    monkeypatch.setattr(kind, "card", dataclasses.replace(kind.card, dim=kind.tiny.dim))
    return kind


@pytest.fixture
def file(expert, tmp_path):
    """What its publisher would have put on the hub."""
    path = tmp_path / "1_lead_ECGFounder.pth"
    torch.save({"state_dict": expert.network(expert.tiny).state_dict()}, path)
    return path


def listed(out):
    """The lines about each expert."""
    found = {}
    for line in out.splitlines():
        if not line.startswith(" "):
            name = line.split()[0]
        found.setdefault(name, []).append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def test_all_are_listed_with_what_they_are_for_and_whether_their_weights_are_here(enecg):
    code, out, err = enecg("experts")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 110
    found = listed(out)
    assert list(found) == list(expert_names())
    for name, said in found.items():
        card = get_expert(name).card
        unwrapped = " ".join(said.split())
        assert card.summary in unwrapped
        assert card.licence in unwrapped
        here = f"not here: enecg experts pull {name}" if name in published_names() else "ships with enecg"
        assert said.endswith(f" weights: {here}")
    assert "12 leads, 10 s; 30.8 million parameters; MIT" in found["ecgfounder"]
    assert "any of 12 leads" in found["measurements"]
    assert "lead II, 10 s" in found["timesnet"]


def test_a_machine_gets_everything(enecg):
    code, out, _ = enecg("experts", "--json")
    cards = {card["name"]: card for card in json.loads(out)}
    assert code == 0
    assert list(cards) == list(expert_names())
    card = cards["ecgfounder"]
    assert card["parameters"] == 30_819_014
    assert len(card["labels"]) == 150
    assert card["weights"]["kept"] is None
    assert card["weights"]["origin"]["repository"] == "PKUDigitalHealth/ECGFounder"
    assert cards["rocket"]["weights"] == {"state": "ships with enecg", "origin": None, "kept": None}


def test_a_card_says_all_that_is_known(enecg):
    card = get_expert("ecgfounder").card
    for arguments in (("ecgfounder",), ("show", "ecgfounder")):
        code, out, _ = enecg("experts", *arguments)
        rows = {line[:17].strip(): line[17:] for line in out.splitlines()}
        assert code == 0
        assert max(map(len, out.splitlines())) <= 110
        assert [rows["name"], rows["made for"], rows["licence"], rows["citation"], rows["source"]] == [
            card.name,
            card.summary,
            card.licence,
            card.citation,
            card.source,
        ]
        assert rows["own answers"] == "150 labels: ABNORMAL ECG, NORMAL SINUS RHYTHM, NORMAL ECG, ..."
        assert [rows["embedding"], rows["rate"], rows["window"]] == ["1024 numbers", "500 Hz", "10 s"]
        assert [rows["at least"], rows["parameters"], rows["has seen"]] == ["2 s", "30,819,014", "heedb"]
        assert rows["published at"].endswith("PKUDigitalHealth/ECGFounder/blob/main/12_lead_ECGFounder.pth")
        assert rows["weights"] == "not here: enecg experts pull ecgfounder"
    _, out, _ = enecg("experts", "rocket")
    assert get_expert("rocket").card.weights_sha256 in out
    _, out, _ = enecg("experts", f"{NAME}:tiny")
    assert "caveat           random weights: it knows nothing\n" in out
    assert "weights          random weights\n" in out


def test_an_unknown_expert_is_answered_with_the_nearest(enecg):
    for arguments in (("ecgfoundr",), ("pull", "ecgfoundr")):
        code, out, err = enecg("experts", *arguments)
        assert (code, out) == (3, "")
        assert err == (
            "error: unknown expert 'ecgfoundr'. Did you mean ecgfounder, ecgfounder-1lead? `enecg experts` lists all\n"
        )


def test_a_file_at_hand_is_pulled_told_and_used(enecg, expert, file, weights):
    code, out, err = enecg("experts", "pull", NAME, "--from", file)
    kept = find_kept(NAME)
    path = weights / NAME / kept.file
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    assert (code, out) == (0, f"{NAME}: pulled, {size} in {path}, from {file}\n")
    assert err == ""
    assert listed(enecg("experts")[1])[NAME].endswith(" weights: here")
    _, out, _ = enecg("experts", NAME)
    rows = {line[:17].strip(): line[17:] for line in out.splitlines()}
    assert rows["kept from"].startswith(str(file)[:60])
    assert rows["file's SHA-256"] == kept.source_sha256
    assert rows["weights' SHA-256"] == kept.content
    assert json.loads(enecg("experts", NAME, "--json")[1])[0]["weights"]["kept"]["sha256"] == kept.sha256
    code, out, _ = enecg("experts", "pull", NAME)
    assert (code, out) == (0, f"{NAME}: here already, {size} in {path}, from {file}\n")
    assert get_expert(NAME).weights_digest == kept.content


def test_a_file_that_is_not_the_published_one_is_taken_but_told(enecg, expert, file, monkeypatch):
    monkeypatch.setattr(expert, "origin", dataclasses.replace(expert.origin, sha256="0" * 64))
    code, _, err = enecg("experts", "pull", NAME, "--from", file)
    assert (code, f"that of the published one {'0' * 64}\n" in err) == (0, True)


def test_weights_that_are_not_free_for_every_use_ask_once(enecg, expert, file, monkeypatch):
    monkeypatch.setattr(expert, "origin", dataclasses.replace(expert.origin, terms="for non-commercial use only"))
    code, _, err = enecg("experts", "pull", NAME, "--from", file)
    assert (code, find_kept(NAME)) == (3, None)
    assert err == (
        f"error: {NAME}: for non-commercial use only. Read the licence; if you accept it, say so with "
        "--accept-licence\n"
    )
    assert enecg("experts", "pull", NAME, "--from", file, "--accept-licence")[0] == 0
    assert enecg("experts", "pull", NAME)[0] == 0
    _, out, _ = enecg("experts", NAME)
    assert "terms accepted   for non-commercial use only\n" in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((NAME,), "not asked for, since HF_HUB_OFFLINE is set"),
        ((NAME, "--from", "none.pth"), "none.pth: no such file; give the file that https://huggingface.co/"),
        ((NAME, "--from", __file__), "neither safetensors nor a pickle of torch"),
        (("rocket",), "rocket: ships with enecg, there is nothing to pull"),
        ((f"{NAME}:tiny",), f"{NAME}:tiny: random weights, there is nothing to pull"),
    ],
)
def test_what_cannot_be_pulled_is_one_line_and_ends_with_3(enecg, weights, arguments, why):
    code, out, err = enecg("experts", "pull", *arguments)
    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert why in err
    assert not list(weights.rglob("weights*"))


@pytest.mark.parametrize(
    "arguments",
    [("a", "b"), ("pull",), ("pull", "a", "b"), ("pull", NAME, "--from"), ("--nonsense",), ("pull", NAME, "--json")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(enecg, arguments):
    code, out, err = enecg("experts", *arguments)
    assert (code, out, "Error: " in err) == (2, "", True)


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("pull", "--help"), ("show", "-h"), ("--debug", "--help")])
def test_help_is_of_the_command_that_was_asked(enecg, arguments):
    code, out, _ = enecg("experts", *arguments)
    assert code == 0
    assert ("--accept-licence" in out) == (arguments[0] == "pull")
    assert ("--json" in out) == (arguments[0] == "show")


def test_a_damaged_note_is_shown_and_costs_no_other_expert(enecg, expert, file, weights):
    enecg("experts", "pull", NAME, "--from", file)
    (weights / NAME / "weights.json").write_text("{")
    code, out, err = enecg("experts")
    assert (code, err) == (0, "")
    assert "cannot be used" in listed(out)[NAME]
    assert f"`enecg experts pull {NAME}` gets them again" in " ".join(listed(out)[NAME].split())
    assert enecg("experts", "pull", NAME, "--from", file)[0] == 0
    assert listed(enecg("experts")[1])[NAME].endswith(" weights: here")


def test_an_expert_that_cannot_be_loaded_costs_no_other(enecg, monkeypatch):
    monkeypatch.setitem(_registry.HOMES, "broken", "published.broken")
    monkeypatch.setitem(sys.modules, "enecg.experts.published.broken", types.ModuleType("broken"))
    code, out, err = enecg("experts")
    assert code == 1
    assert err.startswith("broken: unknown expert 'broken'")
    assert {*listed(out)} == {*expert_names()} - {"broken"}


def test_the_list_loads_no_network_but_torch_itself():
    assert not loaded_by("experts") & {"transformers", "peft", "chronos", "pandas", "sklearn", "matplotlib"}
