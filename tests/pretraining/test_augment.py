"""What is done to windows while a network is trained leaves them ECGs, and can be done again."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from enecg.pretraining import Augmentation

NOTHING = Augmentation(gain=0.0, noise=0.0, fewer_leads=0.0, shift=False)


def windows(seed=0, n=5, leads=12, samples=80):
    return torch.randn(n, leads, samples, generator=torch.Generator().manual_seed(seed))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_nothing_is_done_where_nothing_is_asked_for():
    assert torch.equal(NOTHING(windows(), generator()), windows())


@given(seed=st.integers(0, 999))
def test_it_follows_from_the_generator_alone_and_leaves_what_it_was_given(seed):
    x = windows()
    found = Augmentation()(x, generator(seed), 8)
    assert torch.equal(x, windows())
    torch.manual_seed(seed)
    again = Augmentation()(x, generator(seed), 8)
    assert torch.equal(found.nan_to_num(9.0), again.nan_to_num(9.0))


@given(seed=st.integers(0, 999), stride=st.sampled_from([1, 8, 16]))
def test_a_shift_turns_all_windows_by_a_multiple_of_the_stride(seed, stride):
    x = windows()
    found = Augmentation(gain=0.0, noise=0.0, fewer_leads=0.0)(x, generator(seed), stride)
    [by] = [by for by in range(0, 80, stride) if torch.equal(x.roll(by, dims=-1), found)]
    assert by % stride == 0


@given(seed=st.integers(0, 999))
def test_fewer_leads_are_the_same_ones_in_all_windows_and_neither_none_nor_all(seed):
    found = Augmentation(gain=0.0, noise=0.0, shift=False, fewer_leads=1.0)(windows(), generator(seed))
    lost = found.isnan()
    assert torch.equal(lost, lost[:1, :, :1].expand_as(lost))
    assert 1 <= int((~lost[0, :, 0]).sum()) <= 11
    assert torch.equal(found[~lost], windows()[~lost])


def test_every_lead_is_lost_and_kept_at_times_and_about_the_share_of_batches_that_was_asked_for():
    draw = generator()
    kept = torch.stack([~Augmentation(fewer_leads=0.3)(windows(n=1), draw)[0, :, 0].isnan() for _ in range(400)])
    assert 0.2 < float((~kept).any(1).float().mean()) < 0.4
    assert kept.any(0).all()
    assert (~kept).any(0).all()


def test_a_gain_is_one_factor_for_all_leads_of_a_window():
    ratio = Augmentation(noise=0.0, fewer_leads=0.0, shift=False, gain=0.2)(windows(n=300), generator()) / windows(
        n=300
    )
    assert (ratio > 0).all()
    logs = ratio.log()
    torch.testing.assert_close(logs, logs[:, :1, :1].expand_as(logs), atol=1e-4, rtol=0)
    assert float(logs[:, 0, 0].std()) == pytest.approx(0.2, rel=0.15)


def test_noise_is_white_and_as_large_as_was_asked_for():
    noise = Augmentation(gain=0.0, fewer_leads=0.0, shift=False, noise=0.3)(windows(), generator()) - windows()
    assert float(noise.std()) == pytest.approx(0.3, rel=0.05)
    assert abs(float((noise[..., 1:] * noise[..., :-1]).mean())) < 0.01


@given(seed=st.integers(0, 99))
def test_what_is_missing_stays_missing(seed):
    x = windows()
    x[0, 3] = torch.nan
    x[1, :, 60:] = torch.nan
    found = Augmentation(fewer_leads=0.0)(x, generator(seed), 8)
    assert torch.equal(found.isnan().sum((1, 2)), x.isnan().sum((1, 2)))
    assert found[0, 3].isnan().all()


def test_windows_on_another_device_stay_there():
    assert Augmentation(fewer_leads=1.0)(windows().to("meta"), generator(), 8).device.type == "meta"


@given(seed=st.integers(0, 999), share=st.sampled_from([0.25, 0.5, 0.75]))
def test_so_large_a_share_of_the_pieces_is_hidden_others_in_each_window_and_the_rest_stays(seed, share):
    x = windows(samples=100)
    found = replace(NOTHING, hidden=share)(x, generator(seed), 10)
    lost = found.isnan().unflatten(-1, (2, 50))
    assert torch.equal(lost, lost[..., :1].expand_as(lost))
    assert (lost[..., 0].flatten(1).sum(1) == round(share * 24)).all()
    assert not torch.equal(lost[0], lost[1])
    assert torch.equal(found[~found.isnan()], x[~found.isnan()])


def test_pieces_that_are_missing_are_not_hidden_once_more():
    x = windows(samples=100)
    x[:, 1:] = torch.nan
    found = replace(NOTHING, hidden=0.5)(x, generator(), 10)
    assert (found.isnan().unflatten(-1, (2, 50))[:, 0, :, 0].sum(1) == 1).all()
