"""Gaussian waves on a dipole, and what leads see of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.simulation import simulate_one
from enecg.simulation._patient import draw_patient, draw_person
from enecg.simulation._waves import (
    DOWER,
    INDEPENDENT,
    Complex,
    Wave,
    _rendered,
    _turn_to_axis,
    _turned,
    frontal_axis,
    ventricular_complex,
)

angles = st.floats(-180, 180)
numbers = st.floats(-2, 2)


@settings(max_examples=40)
@given(
    waves=st.lists(st.tuples(st.floats(-3, 13), st.floats(0.004, 0.2), numbers, numbers, numbers), max_size=6),
    rate=st.sampled_from([50.0, 257.0, 500.0]),
    n=st.integers(1, 2500),
)
def test_the_dipole_is_the_sum_of_its_gaussians(waves, rate, n):
    found = _rendered(np.array(waves, dtype=float).reshape(-1, 5), rate, n)
    t = np.arange(n) / rate
    expected = np.zeros((3, n))
    for time, width, *vector in waves:
        expected += np.outer(vector, np.exp(-0.5 * ((t - time) / width) ** 2))
    assert found.shape == (3, n)
    np.testing.assert_allclose(found, expected, atol=6 * 2 * np.exp(-0.5 * 4.5**2))


@given(a=angles, b=angles, c=angles)
def test_turning_keeps_lengths(a, b, c):
    vector = np.array([0.3, -0.5, 0.8])
    turned = _turned(vector, np.array([a, b, c]))
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(vector))
    np.testing.assert_allclose(_turned(vector, np.zeros(3)), vector)


def test_turning_about_z_goes_from_the_left_arm_to_the_feet():
    np.testing.assert_allclose(_turned(np.array([1.0, 0, 0]), np.array([0, 0, 90])), [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("vector", "axis"), [((1, 0, 0), (-15, 0)), ((0, 1, 0), (90, 110)), ((-1, 0, 0), (165, 180)), ((1, 1, 0), (60, 80))]
)
def test_the_axis_is_that_of_the_limb_leads(vector, axis):
    beat = Complex((Wave(0.0, 0.01, np.array(vector, dtype=float)),), -0.04, 0.05, 0.3, 0.4)
    assert axis[0] < frontal_axis(beat) < axis[1]
    one, two = DOWER[:2] @ np.array(vector, dtype=float)
    foot = two - one / 2
    assert frontal_axis(beat) == pytest.approx(np.degrees(np.arctan2(2 / np.sqrt(3) * foot, one)))


@given(axis=st.floats(-90, 120), tilt=st.tuples(st.floats(-25, 25), st.floats(-25, 25)))
def test_a_complex_can_be_turned_to_any_axis(axis, tilt):
    parts = [(0.0, 0.14, np.array([0.98, 0.84, 0.32])), (0.26, 0.12, np.array([-0.28, -0.18, 0.52]))]
    turn = np.array([*tilt, 0.0])
    turn[2] = _turn_to_axis(parts, turn, axis)
    waves = tuple(Wave(at, width, _turned(vector, turn)) for at, width, vector in parts)
    found = frontal_axis(Complex(waves, -1, 1, 2, 3))
    assert abs((found - axis + 180) % 360 - 180) < 1e-6


def test_the_truths_axis_is_the_patients_where_nothing_is_wrong():
    for index in range(40):
        rng = np.random.default_rng([9, index])
        patient = draw_patient(rng, draw_person(rng, pattern=""), potassium=4.2, rhythm="sinus rhythm")
        beat = ventricular_complex(patient, 0.8, "normal", np.array([1.0, 0, 0]))
        assert frontal_axis(beat) == pytest.approx(patient.axis, abs=1e-6)


def test_the_axis_in_the_signal_is_the_truths():
    for index in range(20):
        patient = {"rhythm": "sinus rhythm", "pattern": "", "potassium": 4.2}
        made = simulate_one(index, 4, rate=500, noise=0, patient=patient)
        recording, truth = made.recording, made.truth
        on, off = round(truth.qrs_on[2] * 500), round(truth.qrs_off[2] * 500)
        area = {}
        for name in ("I", "aVF"):
            part = recording.lead(name)[on : off + 1].astype(float)
            area[name] = (part - np.linspace(part[0], part[-1], len(part))).sum()
        found = np.degrees(np.arctan2(2 / np.sqrt(3) * area["aVF"], area["I"]))
        assert abs((found - truth.axis + 180) % 360 - 180) < 20


def test_qt_follows_the_rate_by_fridericias_root():
    rng = np.random.default_rng(0)
    patient = draw_patient(rng, draw_person(rng, pattern=""), potassium=4.2, rhythm="sinus rhythm")
    for rr in (0.5, 0.8, 1.2):
        beat = ventricular_complex(patient, rr, "normal", np.zeros(3))
        assert (beat.t_off - beat.qrs_on) / np.cbrt(rr) == pytest.approx(patient.qtc / 1000)


def test_leads_are_dowers_transform_of_the_dipole():
    assert DOWER.shape == (len(INDEPENDENT), 3)
    # To the left: I up, V6 up, V1 down;  to the feet: II up;  to the back: V1 to V3 down.
    rows = dict(zip(INDEPENDENT, DOWER, strict=True))
    assert rows["I"][0] > 0 > rows["V1"][0]
    assert rows["II"][1] > 1
    assert max(rows[name][2] for name in ("V1", "V2", "V3")) < -0.9


def test_respiration_swings_the_complexes_by_a_tenth_at_most():
    made = simulate_one(3, 4, rate=500, noise=0, patient={"rhythm": "sinus rhythm", "pattern": "", "potassium": 4.2})
    signal = made.recording.lead("V5")
    heights = [
        signal[round(on * 500) : round(off * 500) + 1].max()
        for on, off in zip(made.truth.qrs_on[1:-1], made.truth.qrs_off[1:-1], strict=True)
    ]
    assert 0.01 < np.ptp(heights) / np.mean(heights) < 0.15
