"""The promises of `simulate`: the same seed gives the same bits, and the truth is the truth of the signal."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.errors import RecordingError
from enecg.recording import STANDARD_LEADS
from enecg.signal.leads import einthoven_residual
from enecg.simulation import VERSION, simulate, simulate_one
from enecg.simulation._patient import PATTERNS, PREVALENCE
from enecg.simulation._simulate import LABELS
from enecg.tasks import RHYTHMS, get_task

TIMES = ("beats", "qrs_on", "qrs_off", "t_peak", "t_off", "p_peaks")
NUMBERS = ("rr", "pr", "qrs", "qt", "axis", "potassium")


def same_truth(one, other):
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in TIMES)
        and all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True) for name in NUMBERS)
        and one.kinds == other.kinds
        and one.labels == other.labels
    )


def test_a_recording_of_a_seed_does_not_depend_on_how_many_are_made():
    many, few = simulate(6, seed=3, rate=100), simulate(2, seed=3, rate=100)
    alone = simulate_one(4, seed=3, rate=100)
    for number, made in enumerate([*few, alone]):
        other = many[number if number < 2 else 4]
        assert np.array_equal(made.recording.signal, other.recording.signal)
        assert made.recording.id == other.recording.id
        assert same_truth(made.truth, other.truth)


def test_seeds_differ():
    signals = [simulate_one(0, seed=seed, rate=100).recording.signal for seed in range(3)]
    assert not np.array_equal(signals[0], signals[1])
    assert not np.array_equal(signals[1], signals[2])


@settings(max_examples=15)
@given(index=st.integers(0, 10_000), rate=st.sampled_from([50.0, 257.0, 333.3, 1000.0]), missing=st.floats(0, 1))
def test_the_truth_depends_neither_on_rate_nor_on_noise(index, rate, missing):
    plain = simulate_one(index, rate=100, noise=0, missing=missing)
    other = simulate_one(index, rate=rate, noise=1, missing=missing)
    assert same_truth(plain.truth, other.truth)


def test_noise_is_added_to_the_same_heart():
    quiet, nearly = (simulate_one(5, rate=250, noise=noise).recording.signal for noise in (0, 0.01))
    assert 0 < np.abs(quiet - nearly).max() < 0.02


def test_a_low_rate_shows_the_samples_of_a_high_one():
    slow, fast = (
        simulate_one(8, rate=rate, noise=0, patient={"rhythm": "sinus rhythm"}).recording for rate in (125.0, 500.0)
    )
    np.testing.assert_allclose(slow.signal, fast.signal[:, ::4], atol=1e-3)


@settings(max_examples=25)
@given(
    index=st.integers(0, 10_000),
    rate=st.sampled_from([50.0, 100.0, 128.0, 360.0, 500.0]),
    seconds=st.floats(2, 12),
    rhythm=st.sampled_from(list(RHYTHMS)),
    pattern=st.sampled_from(list(PATTERNS)),
)
def test_a_recording_is_a_twelve_lead_ecg_that_says_it_is_simulated(index, rate, seconds, rhythm, pattern):
    recording = simulate_one(
        index, rate=rate, seconds=seconds, patient={"rhythm": rhythm, "pattern": pattern}
    ).recording
    assert recording.leads == STANDARD_LEADS
    assert recording.signal.dtype == np.float32
    assert recording.n_samples == round(seconds * rate)
    assert np.isfinite(recording.signal).all()
    assert np.abs(recording.signal).max() < 8
    assert recording.notes == ("simulated",)
    assert recording.id.startswith("simulated_")
    assert recording.subject.startswith("simulated:")
    assert recording.sex in ("male", "female")
    assert 18 <= recording.age <= 90
    assert einthoven_residual(recording.signal, recording.leads) < 1e-5


def test_limb_leads_obey_einthoven_and_goldberger():
    recording = simulate_one(2).recording
    one, two = recording.lead("I"), recording.lead("II")
    assert np.array_equal(recording.lead("III"), two - one)
    np.testing.assert_allclose(recording.lead("aVR"), -(one + two) / 2, atol=1e-6)
    np.testing.assert_allclose(recording.lead("aVL"), one - two / 2, atol=1e-6)
    np.testing.assert_allclose(recording.lead("aVF"), two - one / 2, atol=1e-6)


@settings(max_examples=60)
@given(index=st.integers(0, 100_000), rhythm=st.sampled_from(list(RHYTHMS)), seconds=st.sampled_from([2.0, 5.0, 10.0]))
def test_the_truth_agrees_with_itself(index, rhythm, seconds):
    truth = simulate_one(index, rate=50, seconds=seconds, noise=0, patient={"rhythm": rhythm}).truth
    assert len(truth.beats) == len(truth.kinds) == len(truth.t_off)
    for times in (truth.beats, truth.p_peaks):
        assert ((times >= 0) & (times < seconds)).all()
        assert (np.diff(times) > 0).all()
    order = [truth.qrs_on, truth.beats, truth.qrs_off, truth.t_peak, truth.t_off]
    for earlier, later in pairwise(order):
        assert (earlier < later).all()
    if len(truth.beats) > 1:
        assert truth.rr == pytest.approx(np.diff(truth.beats).mean() * 1000)
        assert truth.labels["rr_interval"] == truth.rr
        assert (truth.qrs_off[:-1] < truth.qrs_on[1:]).all()
    else:
        assert np.isnan(truth.rr)
        assert truth.labels["rr_interval"] is None
    assert 60 <= truth.qrs <= 260
    assert truth.qt > truth.qrs
    assert -180 <= truth.axis <= 180


@settings(max_examples=15)
@given(index=st.integers(0, 100_000))
def test_the_signal_is_steepest_where_the_truth_says_a_beat_is(index):
    patient = {"rhythm": "sinus rhythm", "pattern": "", "potassium": 4.2}
    made = simulate_one(index, rate=500, noise=0, patient=patient)
    speed = np.abs(np.diff(made.recording.signal, axis=1)).max(axis=0)
    for beat in made.truth.beats[1:-1]:
        near = np.arange(round((beat - 0.25) * 500), round((beat + 0.25) * 500))
        assert abs(near[speed[near].argmax()] / 500 - beat) < 0.04


def test_every_label_can_be_encoded_by_its_task():
    labels = [made.truth.labels for made in simulate(60, seed=4, rate=50, noise=0, missing=0.2)]
    for name in LABELS:
        encoded = get_task(name).encode([label[name] for label in labels])
        there = [label[name] is not None for label in labels]
        assert np.array_equal(~np.isnan(encoded).any(axis=1), there)


def test_the_share_of_missing_labels_is_what_was_asked_for():
    for share in (0.0, 0.3, 1.0):
        labels = [made.truth.labels for made in simulate(250, seed=2, rate=50, noise=0, seconds=3, missing=share)]
        gone = np.mean([[label[name] is None for name in LABELS] for label in labels], axis=0)
        # Binomial: three standard errors of 250 draws; three seconds always hold two beats of a sinus rhythm.
        np.testing.assert_allclose(gone, share, atol=0.09)


def test_a_hidden_label_leaves_the_recording_and_the_other_labels_alone():
    whole, part = (simulate_one(7, rate=100, missing=share) for share in (0.0, 0.5))
    assert np.array_equal(whole.recording.signal, part.recording.signal)
    kept = {name: value for name, value in part.truth.labels.items() if value is not None}
    assert 0 < len(kept) < len(LABELS)
    assert kept.items() <= whole.truth.labels.items()


def test_rhythms_come_as_often_as_stated():
    found = Counter(made.truth.labels["rhythm"] for made in simulate(1200, seed=8, rate=50, seconds=2, noise=0))
    total = sum(PREVALENCE.values())
    for rhythm, share in PREVALENCE.items():
        expected = share / total
        error = np.sqrt(expected * (1 - expected) / 1200)
        assert abs(found[rhythm] / 1200 - expected) < 4 * error


def test_recordings_of_a_subject_share_the_person_but_not_the_day():
    made = simulate(6, seed=5, rate=100, recordings_per_subject=3)
    subjects = [one.recording.subject for one in made]
    assert len(set(subjects)) == 2
    assert subjects[0] == subjects[1] == subjects[2]
    first = made[:3]
    assert len({(one.recording.age, one.recording.sex) for one in first}) == 1
    assert len({one.truth.potassium for one in first}) == 3
    assert len({one.recording.id for one in made}) == 6


def test_what_is_given_of_the_patient_is_kept():
    given = {"age": 33, "sex": "female", "pattern": "LBBB", "potassium": 6.1, "rhythm": "sinus bradycardia"}
    made = simulate_one(0, rate=100, patient=given)
    assert (made.recording.age, made.recording.sex) == (33, "female")
    labels = made.truth.labels
    assert (labels["age"], labels["sex"], labels["potassium"], labels["rhythm"]) == (33, "female", 6.1, given["rhythm"])
    assert labels["superclass"] == ["CD"]


def test_giving_one_thing_leaves_the_rest_of_the_patient_alone():
    free = simulate_one(11, rate=100)
    fixed = simulate_one(11, rate=100, patient={"rhythm": free.truth.labels["rhythm"]})
    assert np.array_equal(free.recording.signal, fixed.recording.signal)
    other = simulate_one(11, rate=100, patient={"potassium": 4.0})
    assert other.recording.age == free.recording.age
    assert other.truth.labels["rhythm"] == free.truth.labels["rhythm"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": -1}, "n -1, expected 0 or more"),
        ({"seed": -1}, "seed -1, expected 0 or more"),
        ({"rate": 49}, "rate 49, expected 50 to 5000 Hz"),
        ({"rate": float("nan")}, "rate nan, expected 50"),
        ({"seconds": 1.9}, "seconds 1.9, expected 2 to 3600"),
        ({"seconds": float("inf")}, "seconds inf"),
        ({"recordings_per_subject": 0}, "recordings_per_subject 0, expected 1 or more"),
        ({"missing": 1.1}, "missing 1.1, expected 0 to 1"),
        ({"noise": -0.1}, "noise -0.1"),
        ({"noise": float("nan")}, "noise nan"),
        ({"patient": {"age": -5}}, "age -5, expected 0 to 120 years"),
        ({"patient": {"age": float("nan")}}, "age nan"),
        ({"patient": {"age": "old"}}, "age 'old'"),
        ({"patient": {"potassium": 40}}, "potassium 40, expected 1 to 10 mmol/L"),
        ({"patient": {"sex": "f"}}, "sex 'f', expected one of 'female', 'male'"),
        ({"patient": {"rhythm": "sinus"}}, "rhythm 'sinus', expected one of .*'sinus rhythm'"),
        ({"patient": {"pattern": "STEMI"}}, "pattern 'STEMI', expected one of .*'anterior MI'"),
        ({"patient": {"height": 180}}, "patient with 'height', expected age, sex"),
        ({"patient": {"rate": 100}}, "patient with 'rate'"),
        ({"rate": 1, "seconds": 1}, "rate 1, .*; seconds 1, "),
    ],
)
def test_what_cannot_be_simulated_is_named(options, words):
    with pytest.raises(RecordingError, match=words):
        simulate(**{"n": 1} | options)


def test_nothing_asked_for_is_nothing_made():
    assert simulate(0) == []


def test_the_version_is_raised_when_recordings_change():
    """Sums that any change of the simulator moves: raise VERSION when this fails, then write the new ones here."""
    assert VERSION == 3
    found = [
        (float(np.abs(made.recording.signal).mean()), made.truth.rr, made.truth.axis)
        for made in simulate(3, seed=1, rate=100)
    ]
    np.testing.assert_allclose(found, EXPECTED, rtol=1e-5)


EXPECTED = [
    (0.1032566, 728.37709, 21.361047),
    (0.1158838, 786.08697, 74.372270),
    (0.1078050, 856.86511, 32.762324),
]
"""Mean absolute sample in mV, mean RR in ms and axis in degrees of the first recordings of seed 1 at 100 Hz."""
