"""What the card of a variant says of whom it has met."""

from hypothesis import given
from hypothesis import strategies as st

from enecg.experts import Card, Note
from enecg.experts._variant import variant_card

people = st.frozensets(st.sampled_from("abcdef"))


def card(taught, chose):
    facts = {"name": "one", "summary": "", "dim": 1, "leads": ("I",), "rate": 0, "seconds": 0, "licence": ""}
    return Card(**facts, citation="", source="", seen_subjects=taught | chose, chosen_by=chose - taught)


def note(taught, chose):
    texts = dict.fromkeys(("base", "file", "sha256"), "")
    rest = {"tasks": (), "cohorts": (), "n_recordings": 0, "refused": (), "anonymous": False, "before": 1, "after": 0}
    met = {"subjects": tuple(taught | chose), "chosen_by": tuple(chose - taught)}
    return Note(**texts, **rest, **met, settings={})


@given(people, people, people, people)
def test_who_has_taught_the_base_or_the_variant_has_taught_it_whatever_else_they_did(taught, chose, later, judged):
    found = variant_card(card(taught, chose), "one+two", note(later, judged), "trained")
    assert found.seen_subjects == taught | chose | later | judged
    assert found.seen_subjects - found.chosen_by == taught | later
