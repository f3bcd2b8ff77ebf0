"""Experts by name."""

import pytest

from enecg.errors import ExpertError
from enecg.experts import Card, Expert, expert_names, get_expert, published_names, register_expert
from enecg.experts._registry import HOMES, _experts

ALWAYS = ("dlinear", "measurements", "rocket", "rocket-small", "timesnet")
"""Those that need no download."""


def test_the_experts_without_download_are_there():
    assert set(ALWAYS) <= set(expert_names())
    assert expert_names() == tuple(sorted(expert_names()))


def test_each_home_registers_its_experts_and_no_others():
    for name in HOMES:
        assert get_expert(f"{name}:tiny" if name in published_names() else name).card.name.split(":")[0] == name
    ours = {name for name, kind in _experts.items() if kind.__module__.startswith("enecg.experts.")}
    assert ours == set(HOMES)


@pytest.mark.parametrize(
    ("wrong", "meant"), [("rockett", "rocket"), ("measurement", "measurements"), ("TimesNet", "timesnet")]
)
def test_an_unknown_name_is_answered_with_near_ones(wrong, meant):
    with pytest.raises(ExpertError, match=f"unknown expert '{wrong}'. Did you mean .*{meant}"):
        get_expert(wrong)


def test_a_name_that_is_near_none_is_answered_with_all():
    with pytest.raises(ExpertError) as caught:
        get_expert("zzzzzz")
    assert all(name in str(caught.value) for name in ALWAYS)


def test_a_name_is_given_once():
    with pytest.raises(ExpertError, match="'rocket' is registered already"):
        register_expert(type("Other", (Expert,), {"card": get_expert("rocket").card}))


def test_a_registered_expert_is_found_and_made_anew_each_time(monkeypatch):
    card = Card(
        name="mine", summary="mine", dim=1, leads=("I",), rate=1, seconds=1, licence="x", citation="x", source="x"
    )
    body = {"card": card, "prepare": lambda self, recordings: None, "embed_windows": lambda self, windows: windows}
    monkeypatch.setattr("enecg.experts._registry._experts", dict(_experts))
    mine = register_expert(type("Mine", (Expert,), body))
    assert "mine" in expert_names()
    assert isinstance(get_expert("mine"), mine)
    assert get_expert("mine") is not get_expert("mine")
