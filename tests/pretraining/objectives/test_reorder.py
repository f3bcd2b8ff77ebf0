"""Shuffled pieces of time: what comes after what."""

import pytest
import torch

from enecg.errors import FitError
from enecg.pretraining.objectives.reorder import SLOTS, Reorder, _order_error

ALL = torch.ones(6, SLOTS, dtype=torch.bool)


@pytest.fixture
def place():
    return torch.rand(6, SLOTS, generator=torch.Generator().manual_seed(1)).argsort(1)


def next_slot(place):
    """One at the slot whose piece comes next: [window, slot, slot]."""
    return (place[:, None] == place[:, :, None] + 1).float()


@pytest.mark.parametrize("learner", ["s4d", "vit"], indirect=True)
def test_each_slot_holds_the_piece_that_it_says(learner, corpus, batch_of, place):
    objective, x = Reorder(learner, corpus), batch_of(6).x
    found = objective.shuffled(x, place)
    pieces, before = objective.cut(found), objective.cut(x)
    for window in range(6):
        for slot in range(SLOTS):
            assert torch.equal(pieces[window, :, slot], before[window, :, place[window, slot]])
    back = objective.shuffled(found, place.argsort(1))
    assert torch.equal(back, x)


@pytest.mark.parametrize("learner", ["s4d", "vit"], indirect=True)
def test_pieces_are_whole_tokens(learner, corpus):
    assert Reorder(learner, corpus).slot % learner.stride == 0


def test_guessing_is_one_and_the_right_order_nothing(place):
    assert _order_error(torch.zeros(6, SLOTS, SLOTS), place, ALL).tolist() == pytest.approx([1.0] * 6)
    assert _order_error(50 * next_slot(place), place, ALL).tolist() == pytest.approx([0.0] * 6, abs=1e-6)
    assert (_order_error(-50 * next_slot(place), place, ALL) > 10).all()


def test_no_window_says_what_comes_after_its_last_piece(place):
    scores = torch.randn(6, SLOTS, SLOTS)
    last = (place == SLOTS - 1)[..., None]
    torch.testing.assert_close(
        _order_error(scores, place, ALL), _order_error(torch.where(last, -scores, scores), place, ALL)
    )


def test_empty_pieces_are_neither_asked_for_nor_answers(place):
    there = ALL.clone()
    there[:, 2] = False
    guess = _order_error(torch.zeros(6, SLOTS, SLOTS), place, there)
    torch.testing.assert_close(guess, torch.ones(6))
    scores = torch.randn(6, SLOTS, SLOTS)
    other = scores.clone()
    other[:, 2], other[:, :, 2] = 7.0, -7.0
    torch.testing.assert_close(_order_error(scores, place, there), _order_error(other, place, there))


def test_two_pieces_alone_leave_no_choice(place):
    there = ALL.clone()
    there[:, 2:] = False
    assert torch.isnan(_order_error(torch.zeros(6, SLOTS, SLOTS), place, there)).all()


@pytest.mark.parametrize("learner", ["s4d"], indirect=True)
def test_windows_too_short_to_be_cut_are_refused(learner, shortened):
    with pytest.raises(FitError, match="5 pieces of whole tokens; windows of 32 samples are 4 tokens of 8"):
        Reorder(learner, shortened(32))
