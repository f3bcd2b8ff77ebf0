"""Each fault is noticed and named, and a good ECG is called good."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import enecg
from enecg.recording import STANDARD_LEADS
from enecg.signal.quality import FAULTS, assess
from enecg.simulation import simulate_one

DATA = Path(__file__).parents[1] / "data"
RATES = (100.0, 250.0, 500.0, 1000.0)
MISSING, FLAT, CLIPPED, GAIN, LOOSE, NOISY = FAULTS


def signal_of(rate, index=0, noise=0.3):
    patient = {"rhythm": "sinus rhythm", "pattern": "", "potassium": 4.2, "sex": "male"}
    return simulate_one(index, 2, rate=rate, noise=noise, patient=patient).recording.signal.copy()


def graded(signal, rate):
    return assess(signal, rate, STANDARD_LEADS)


def named(quality, fault):
    """Leads that a fault is said to concern."""
    for reason in quality.reasons:
        leads, found = reason.split(": ")
        if found == fault:
            return leads.split(", ")
    return []


@pytest.mark.parametrize("rate", RATES)
def test_a_good_ecg_is_called_good(rate):
    grades = [graded(signal_of(rate, index), rate).grade for index in range(20)]
    assert np.mean(grades) > 0.95
    assert min(grades) > 0.8


@pytest.mark.parametrize("file", ["ludb/data/1.hea", "ludb/data/8.hea", "ptbxl/records100/00000/00001_lr.hea"])
def test_a_good_real_ecg_is_called_good(file):
    recording = enecg.read(DATA / file)
    quality = assess(recording.signal, recording.rate, recording.leads)
    assert quality.grade > 0.9
    assert sum(len(named(quality, fault)) for fault in FAULTS) <= 1


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("lead", [1, 9])
def test_a_faulty_lead_is_named_and_costs_a_twelfth(rate, lead):
    good = signal_of(rate)
    n, name = good.shape[1], STANDARD_LEADS[lead]
    before = graded(good, rate).grade
    faulty = {
        MISSING: np.full(n, np.nan),
        FLAT: np.full(n, 0.7),
        CLIPPED: np.clip(good[lead], *np.percentile(good[lead], [10, 90])),
        GAIN: 1000 * good[lead],
        NOISY: good[lead] + np.random.default_rng(0).normal(0, 1, n),
    }
    for fault, samples in faulty.items():
        signal = good.copy()
        signal[lead] = samples
        quality = graded(signal, rate)
        assert named(quality, fault) == [name]
        assert quality.grade == pytest.approx(before - 1 / 12, abs=0.02)


@pytest.mark.parametrize("rate", RATES)
def test_jumps_of_an_electrode_are_noticed(rate):
    signal = signal_of(rate)
    n = signal.shape[1]
    # A step counts by its slope, so that QRS is none at low rates: at 100 Hz only what no amplifier follows is seen.
    height = 2 if rate >= 1000 else 2000 / rate
    signal[3] += height * ((np.arange(n) // round(rate * 0.25)) % 2)
    assert named(graded(signal, rate), LOOSE) == ["aVR"]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("gain", "fault"), [(1000, GAIN), (0.001, GAIN), (50, GAIN), (0.01, GAIN)])
def test_a_wrong_gain_is_noticed_in_all_leads(rate, gain, fault):
    quality = graded(signal_of(rate) * np.float32(gain), rate)
    assert len(named(quality, fault)) >= 10
    assert quality.grade < 0.2


@pytest.mark.parametrize("rate", RATES)
def test_noise_alone_is_no_ecg(rate):
    noise = np.random.default_rng(0).normal(0, 0.5, (12, round(10 * rate))).astype(np.float32)
    quality = graded(noise, rate)
    assert named(quality, NOISY) == list(STANDARD_LEADS)
    assert quality.grade < 0.05


def test_more_noise_never_helps():
    noise = np.random.default_rng(0).normal(0, 1, (12, 5000)).astype(np.float32)
    grades = [graded(signal_of(500.0) + np.float32(size) * noise, 500).grade for size in (0, 0.03, 0.1, 0.3)]
    assert grades == sorted(grades, reverse=True)
    assert grades[-1] < 0.1 < 0.9 < grades[0]


def test_a_wandering_baseline_can_be_read():
    t = np.arange(5000) / 500
    wander = (2 * np.sin(2 * np.pi * 0.2 * t)).astype(np.float32)
    assert graded(signal_of(500.0) + wander, 500).grade > 0.9


def test_a_signal_that_stops_is_flat():
    signal = signal_of(500.0)
    signal[:, 2500:] = signal[:, 2500:2501]
    quality = graded(signal, 500)
    assert named(quality, FLAT) == list(STANDARD_LEADS)
    assert quality.grade < 0.01


def test_a_few_missing_samples_are_forgiven():
    signal = signal_of(500.0)
    signal[:, 100:200] = np.nan
    assert graded(signal, 500).grade > 0.9


def test_leads_are_graded_by_themselves():
    signal = signal_of(500.0)
    whole = graded(signal, 500)
    for lead in (0, 5, 11):
        alone = assess(signal[lead : lead + 1], 500, (STANDARD_LEADS[lead],))
        np.testing.assert_array_equal(alone.faults[0], whole.faults[lead])


@settings(max_examples=60)
@given(
    kind=st.sampled_from(["zero", "constant", "missing", "noise", "huge", "tiny", "one"]),
    n=st.integers(1, 600),
    rate=st.sampled_from([1.0, 50.0, 333.3, 500.0, 2000.0]),
)
def test_anything_can_be_graded(kind, n, rate):
    rng = np.random.default_rng(n)
    signal = {
        "zero": np.zeros((2, n)),
        "constant": np.full((2, n), 1e37),
        "missing": np.full((2, n), np.nan),
        "noise": rng.normal(size=(2, n)),
        "huge": rng.normal(size=(2, n)) * 1e36,
        "tiny": rng.normal(size=(2, n)) * 1e-38,
        "one": np.where(np.arange(n) == n // 2, 1.0, np.nan) * np.ones((2, 1)),
    }[kind].astype(np.float32)
    quality = assess(signal, rate, ("I", "II"))
    assert quality.faults.shape == (2, len(FAULTS))
    assert quality.faults.dtype == np.float32
    assert ((quality.faults >= 0) & (quality.faults <= 1)).all()
    assert 0 <= quality.grade <= 1
    if kind != "noise":
        assert quality.grade < 0.5
        assert quality.reasons
