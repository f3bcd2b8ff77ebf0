"""How experts of our own prepare a recording, and whom the shipped ones have met."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from enecg import load_cohort
from enecg.data import shipped, shipped_subjects
from enecg.errors import WeightsError
from enecg.experts import get_expert
from enecg.experts._registry import NETWORKS
from enecg.experts.learned._expert import LARGEST, SCALE_MV
from enecg.inputs import seen_rows, subject_digest
from enecg.recording import STANDARD_LEADS
from enecg.simulation import simulate_one


@pytest.fixture(scope="module")
def recording():
    return simulate_one(0, seed=3, rate=500).recording


@pytest.fixture(scope="module")
def expert():
    return get_expert("s4d:tiny")


def test_millivolts_stay_millivolts(recording, expert):
    once = expert.prepare([recording]).windows
    twice = expert.prepare([replace(recording, signal=2 * recording.signal)]).windows
    assert once.shape == (1, 12, 1000)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-4, atol=1e-4)
    assert 0.3 < np.std(once) * SCALE_MV / np.std(recording.signal) < 1.1


def test_what_no_heart_gives_is_cut_off(recording, expert):
    windows = expert.prepare([replace(recording, signal=1000 * recording.signal)]).windows
    assert np.abs(windows).max() == LARGEST


def test_leads_that_are_not_there_are_missing_unless_they_follow_from_others(recording, expert):
    kept = ("V3", "II", "I")
    windows = expert.prepare([recording.select(kept)]).windows[0]
    there = {name for name, row in zip(STANDARD_LEADS, windows, strict=True) if np.isfinite(row).all()}
    assert there == {"I", "II", "III", "aVR", "aVL", "aVF", "V3"}
    assert np.isnan(windows[[STANDARD_LEADS.index(f"V{n}") for n in (1, 2, 4, 5, 6)]]).all()
    whole = expert.prepare([recording]).windows[0]
    np.testing.assert_allclose(windows[STANDARD_LEADS.index("aVF")], whole[STANDARD_LEADS.index("aVF")], atol=1e-3)


@pytest.mark.parametrize("seconds", [2.0, 5.0, 9.99])
def test_the_end_of_a_short_recording_is_missing_and_what_was_recorded_is_not(recording, expert, seconds):
    n = round(seconds * 500)
    windows = expert.prepare([replace(recording, signal=recording.signal[:, :n])]).windows[0]
    assert np.isfinite(windows[:, : round(seconds * 100)]).all()
    assert np.isnan(windows[:, round(seconds * 100) :]).all()


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - set(shipped())))
def test_a_network_whose_weights_do_not_ship_says_how_to_train_it(name):
    with pytest.raises(WeightsError, match=f"enecg pretrain {name} --as mine"):
        get_expert(name).fingerprint  # noqa: B018  what asks for it is not of interest


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_expert_knows_each_of_the_people_who_taught_it(name):
    card = get_expert(name).card
    taught, chose = shipped_subjects()
    assert card.seen_subjects == taught | chose
    assert card.chosen_by == chose
    assert not taught & chose
    cohort = load_cohort("ptbxl", Path(__file__).parents[2] / "data" / "ptbxl")
    folds = cohort.targets["fold"].to_list()
    met = [subject_digest(subject) in card.seen_subjects for subject in cohort.subjects]
    assert met == [int(fold) <= 6 for fold in folds]
    assert not seen_rows(["ptbxl:0", "ludb:1", None], [card]).any()


@pytest.mark.parametrize("name", sorted(shipped()))
def test_untrained_it_has_met_nobody_and_says_so(name):
    card = get_expert(f"{name}:random").card
    assert not card.seen_subjects
    assert card.caveats
