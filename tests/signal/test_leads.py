import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import LeadError
from enecg.recording import STANDARD_LEADS
from enecg.signal.leads import LIMB_LEADS, arrange, derivable, derive, disagreeing, einthoven_residual, limb_residuals
from enecg.signal.resample import resample


def limb_leads(seed: int = 0, n: int = 200) -> np.ndarray:
    one, two = np.random.default_rng(seed).normal(size=(2, n))
    rows = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack(rows).astype(np.float32)


@given(st.lists(st.sampled_from(LIMB_LEADS), min_size=2, max_size=6, unique=True), st.integers(0, 5))
def test_any_two_limb_leads_give_all_six(known, seed):
    full = limb_leads(seed)
    signal, leads, derived = derive(arrange(full, LIMB_LEADS, known), known)
    assert leads[: len(known)] == tuple(known)
    assert set(leads) == set(LIMB_LEADS)
    assert set(derived) == set(LIMB_LEADS) - set(known)
    assert np.allclose(arrange(signal, leads, LIMB_LEADS), full, atol=1e-5)


def test_one_limb_lead_gives_nothing_new():
    signal = np.ones((2, 5), dtype=np.float32)
    same, leads, derived = derive(signal, ("II", "V1"))
    assert same is signal
    assert leads == ("II", "V1")
    assert derived == ()


@given(st.lists(st.sampled_from([*STANDARD_LEADS, "X"]), min_size=1, unique=True))
def test_what_is_derivable_is_what_is_derived(known):
    assert derivable(known) == derive(np.ones((len(known), 3), np.float32), known)[2]


def test_a_missing_sample_stays_missing_where_it_is_needed():
    full = limb_leads()[:2]
    full[0, 7] = np.nan
    signal, _, _ = derive(full, ("I", "II"))
    assert np.isnan(signal[[0, 2, 3, 4, 5], 7]).all()
    assert np.isfinite(np.delete(signal, 7, axis=1)).all()


def test_a_batch_is_derived_as_its_recordings_are():
    batch = np.stack([limb_leads(seed)[:2] for seed in range(3)])
    assert np.array_equal(derive(batch, ("I", "II"))[0][1], derive(batch[1], ("I", "II"))[0])


def test_residual_is_nought_when_the_law_holds_and_large_when_leads_are_swapped():
    full = limb_leads()
    assert einthoven_residual(full, LIMB_LEADS) < 1e-6
    assert einthoven_residual(full[[2, 1, 0, 3, 4, 5]], LIMB_LEADS) > 0.3
    assert einthoven_residual(full * np.array([1, 0.4, 1, 2, 1, 1])[:, None], LIMB_LEADS) > 0.3
    assert np.isnan(einthoven_residual(full[:1], ("I",)))


def test_residual_is_of_the_samples_that_are_there():
    full = limb_leads() * np.array([1, 0.4, 1, 2, 1, 1])[:, None]
    holes = full.copy()
    holes[2, 100:200] = np.nan
    holes[3] = np.nan
    without = einthoven_residual(full[[0, 1, 2, 4, 5]], [LIMB_LEADS[row] for row in (0, 1, 2, 4, 5)])
    assert abs(einthoven_residual(holes, LIMB_LEADS) - without) < 0.2 * without
    holes[0] = np.nan
    assert np.isnan(einthoven_residual(holes, LIMB_LEADS))
    assert np.isnan(einthoven_residual(np.zeros((6, 9)), LIMB_LEADS))
    assert np.isnan(einthoven_residual(np.zeros((6, 0)), LIMB_LEADS))


def low_voltage(seed: int) -> np.ndarray:
    """Limb leads with R waves of some 0.1 mV and 5 uV of noise, as the law wants them: float64 [lead, sample], mV."""
    rng = np.random.default_rng(seed)
    t = np.arange(2000) % 400
    beat = np.exp(-(((t - 100) / 6) ** 2)) + 0.3 * np.exp(-(((t - 220) / 30) ** 2))
    axis = np.radians(rng.choice([15.0, 45.0, 75.0]) + rng.uniform(-5, 5))  # At 30 degrees III is flat, and so on.
    sizes = 0.15 * np.cos(axis), 0.15 * np.cos(axis - np.pi / 3)
    one, two = np.outer(sizes, beat) + rng.normal(0, 0.005, (2, t.size))
    return np.stack([one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2])


def stored(signal: np.ndarray, step: float = 0.005) -> np.ndarray:
    """Each lead rounded by itself, as MIMIC-IV-ECG has them at 200 units to the millivolt."""
    return (np.round(signal / step) * step).astype(np.float32)


@given(st.integers(0, 10**6), st.sampled_from([0.001, 0.0025, 0.005, 0.01]))
def test_rounding_is_no_disagreement_however_low_the_voltage(seed, step):
    assert disagreeing(stored(low_voltage(seed), step), LIMB_LEADS) == ()


@given(st.integers(0, 10**6))
def test_rounding_is_no_disagreement_where_resampling_hides_the_step(seed):
    assert disagreeing(resample(stored(low_voltage(seed)), 500, 400), LIMB_LEADS) == ()


@given(st.integers(0, 10**6), st.sampled_from(LIMB_LEADS), st.sampled_from([-1.0, 2.0]))
def test_one_limb_lead_that_is_turned_or_of_another_gain_is_named(seed, name, factor):
    signal = low_voltage(seed)
    signal[LIMB_LEADS.index(name)] *= factor
    assert disagreeing(stored(signal), LIMB_LEADS) == (name,)


@given(st.integers(0, 10**6))
def test_two_leads_under_each_others_names_are_named(seed):
    assert disagreeing(stored(low_voltage(seed))[[0, 1, 2, 3, 5, 4]], LIMB_LEADS) == ("aVL", "aVF")


def test_which_of_three_leads_is_wrong_nobody_can_tell():
    full = limb_leads()
    full[2] *= -1
    assert disagreeing(full[:3], LIMB_LEADS[:3]) == LIMB_LEADS[:3]
    assert disagreeing(full[:2], LIMB_LEADS[:2]) == ()


@given(st.lists(st.sampled_from(LIMB_LEADS), min_size=3, unique=True))
def test_the_law_is_asked_of_any_three_limb_leads(names):
    assert set(limb_residuals(arrange(limb_leads(), LIMB_LEADS, names), names)) <= set(names)
    assert einthoven_residual(arrange(limb_leads(), LIMB_LEADS, names), names) < 1e-6


def test_a_lead_that_is_not_there_is_named():
    with pytest.raises(LeadError, match=r"no lead V6 \(found"):
        arrange(limb_leads(), LIMB_LEADS, (*STANDARD_LEADS[:3], "V6"))
