"""What the ensemble reads besides embeddings: the gate's leads, and the quality grade."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.experts._context import GateInput, QualityGrade
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.quality import FAULTS, assess
from enecg.simulation import simulate, simulate_one


def embed(expert, *recordings):
    return expert.embed(expert.prepare(recordings))


def test_the_gate_reads_the_first_seconds_of_its_leads_without_units():
    one = simulate_one(0, seed=4).recording
    gate = GateInput(("II", "V1"), rate=100, seconds=5)
    found = embed(gate, one)
    assert found.shape == (1, gate.card.dim) == (1, 1000)
    assert np.percentile(np.abs(found), 95) == pytest.approx(1, abs=0.05)
    louder = Recording(signal=one.signal * 3 + 2, rate=one.rate, leads=one.leads)
    np.testing.assert_allclose(embed(gate, louder), found, atol=1e-3)
    later = Recording(signal=one.signal[:, :2600], rate=one.rate, leads=one.leads)
    assert embed(gate, later).shape == found.shape


def test_a_lead_that_the_gate_lacks_is_zero():
    one = simulate_one(0, seed=4).recording
    gate = GateInput(("II", "V1"))
    part = embed(gate, one.select(["V1"])).reshape(2, -1)
    assert not part[0].any()
    assert part[1].any()
    assert not embed(gate, one.select(["V6"])).any()


def test_gates_with_other_leads_rates_or_lengths_are_kept_apart():
    made = [GateInput(), GateInput(("V1",)), GateInput(rate=50), GateInput(seconds=4)]
    assert len({gate.fingerprint for gate in made}) == 4


def test_the_quality_grade_is_that_of_assess():
    one = simulate_one(1, seed=4).recording
    quality = assess(one.signal, one.rate, one.leads)
    found = embed(QualityGrade(), one)[0]
    assert len(found) == 1 + 2 * len(FAULTS)
    assert found[0] == pytest.approx(quality.grade)
    np.testing.assert_allclose(found[1 : 1 + len(FAULTS)], quality.faults.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found[1 + len(FAULTS) :], quality.faults.max(axis=0), rtol=1e-6)


def test_a_fault_is_told_in_words():
    one = simulate_one(1, seed=4, noise=0.3).recording
    signal = one.signal.copy()
    signal[2:5] = 0
    found = embed(QualityGrade(), Recording(signal=signal, rate=one.rate, leads=one.leads))[0]
    assert "flat (25% of the leads)" in QualityGrade.describe(found)
    assert QualityGrade.describe(embed(QualityGrade(), Recording(signal=signal * np.nan, rate=500, leads=one.leads))[0])


@settings(max_examples=40)
@given(
    n=st.integers(1, 1200),
    rate=st.sampled_from([1.0, 50.0, 500.0]),
    kind=st.sampled_from(["zero", "missing", "noise", "huge"]),
    leads=st.sampled_from([("II",), ("V1", "X"), STANDARD_LEADS]),
)
def test_any_recording_has_both(n, rate, kind, leads):
    rng = np.random.default_rng(n)
    signal = {
        "zero": np.zeros((len(leads), n)),
        "missing": np.full((len(leads), n), np.nan),
        "noise": rng.normal(size=(len(leads), n)),
        "huge": rng.normal(size=(len(leads), n)) * 1e30,
    }[kind]
    recording = Recording(signal=signal, rate=rate, leads=leads)
    for expert in (GateInput(("II", "V1")), QualityGrade()):
        assert expert.refusal(recording) is None
        found = embed(expert, recording)
        assert found.shape == (1, expert.card.dim)
        assert np.isfinite(found).all()


def test_bits_do_not_depend_on_the_batch():
    recordings = [made.recording for made in simulate(5, seed=4)]
    for expert in (GateInput(("II", "V1")), QualityGrade()):
        together = embed(expert, *recordings)
        for row, one in enumerate(recordings):
            assert np.array_equal(embed(expert, one)[0], together[row])
