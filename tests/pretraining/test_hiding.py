"""Pieces of time, a random share of them, and an error that is 1 for who says nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enecg.pretraining._hiding import hide, in_pieces, relative_error, some


@given(st.integers(1, 40), st.integers(1, 17))
def test_pieces_in_a_row_are_the_window(n, size):
    x = torch.randn(2, 3, n)
    pieces = in_pieces(x, size)
    assert torch.equal(pieces.flatten(2)[..., :n], x)
    assert torch.isnan(pieces.flatten(2)[..., n:]).all()
    seen = torch.rand(pieces.shape[:-1]) < 0.5
    shown = in_pieces(hide(x, seen, size), size)
    assert torch.isnan(shown[~seen]).all()
    assert torch.equal(shown[seen].nan_to_num(9.0), pieces[seen].nan_to_num(9.0))


@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_a_share_is_of_what_is_there_and_never_nothing_of_something(seed, share):
    generator = torch.Generator().manual_seed(seed)
    there = torch.rand(6, 4, 10, generator=generator) < 0.5
    there[0] = False
    found = some(there, share, generator)
    assert not (found & ~there).any()
    wanted = (share * there.flatten(1).sum(1)).round().clamp_min(1)
    wanted[0] = 0
    assert torch.equal(found.flatten(1).sum(1).float(), wanted)


def test_no_answer_is_one_the_right_one_is_nothing_and_where_nothing_is_asked_is_no_error():
    truth, asked = 3 * torch.randn(3, 4, 50), torch.rand(3, 4, 50) < 0.5
    asked[2] = False
    truth[~asked] = torch.nan
    nothing, right = relative_error(torch.zeros_like(truth), truth, asked), relative_error(truth, truth, asked)
    torch.testing.assert_close(nothing[:2], torch.ones(2), atol=0.01, rtol=0)
    assert right[:2].tolist() == [0, 0]
    assert torch.isnan(nothing[2])
    assert torch.isnan(right[2])


@pytest.mark.parametrize("factor", [0.001, 100.0])
def test_noise_of_a_dead_lead_weighs_less_than_a_heart(factor):
    truth, asked = factor * torch.randn(1, 1, 50), torch.ones(1, 1, 50, dtype=torch.bool)
    assert (relative_error(torch.zeros_like(truth), truth, asked) > 0.5).item() == (factor > 1)
