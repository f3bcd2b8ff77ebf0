"""InfoNCE, of which guessing is 1."""

import torch

from enecg.pretraining.objectives._contrast import info_nce


def test_guessing_is_one_among_however_many():
    might = torch.ones(5, 9, dtype=torch.bool).tril(3)
    torch.testing.assert_close(info_nce(torch.zeros(5, 1), torch.zeros(5, 9), might), torch.ones(5, 1))


def test_it_is_cross_entropy_over_its_chance():
    right, wrong = torch.randn(4, 1), torch.randn(4, 6)
    found = info_nce(right, wrong, torch.ones(4, 6, dtype=torch.bool))
    expected = -torch.cat([right, wrong], 1).log_softmax(1)[:, :1] / torch.log(torch.tensor(7.0))
    torch.testing.assert_close(found, expected)


def test_what_cannot_have_been_meant_makes_no_difference():
    right, wrong, might = torch.randn(4, 1), torch.randn(4, 6), torch.rand(4, 6) < 0.5
    torch.testing.assert_close(info_nce(right, wrong, might), info_nce(right, wrong + 9.0 * ~might, might))


def test_without_a_wrong_answer_there_is_nothing_to_learn_and_no_gradient_that_is_none():
    right, wrong = torch.randn(4, 1, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    found = info_nce(right, wrong, torch.zeros(4, 6, dtype=torch.bool))
    found.sum().backward()
    assert found.tolist() == [[0.0]] * 4
    assert torch.isfinite(right.grad).all()
    assert torch.isfinite(wrong.grad).all()
