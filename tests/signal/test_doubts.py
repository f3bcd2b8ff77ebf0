"""What is wrong with a recording as a whole is doubted in words, a good one is not doubted, nothing is changed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import enecg
from enecg.recording import STANDARD_LEADS
from enecg.signal.doubts import OF_LEADS, RATES, doubts
from enecg.signal.electrodes import EXCHANGES
from enecg.signal.leads import LIMB_LEADS, derive

DATA = Path(__file__).parents[1] / "data"
FILES = ["ludb/data/1.hea", "ludb/data/8.hea", "ptbxl/records100/00000/00001_lr.hea"]
CHEST = STANDARD_LEADS[6:]


@pytest.fixture(params=FILES)
def ecg(request):
    recording = enecg.read(DATA / request.param)
    return recording.select(STANDARD_LEADS)


def kinds(signal, rate, leads=STANDARD_LEADS):
    return {doubt.kind: doubt for doubt in doubts(signal.astype(np.float32), rate, leads)}


def changed(ecg, lead, values):
    signal = ecg.signal.copy()
    signal[STANDARD_LEADS.index(lead)] = values
    return signal


def with_limbs(ecg, i, ii):
    """The recording with other leads I and II, and what follows from them."""
    limbs, names, _ = derive(np.array([i, ii]), ("I", "II"))
    signal = ecg.signal.copy()
    signal[:6] = limbs[[names.index(name) for name in LIMB_LEADS]]
    return signal


def test_a_good_real_ecg_is_not_doubted(ecg):
    assert doubts(ecg.signal, ecg.rate, ecg.leads) == ()


def test_nothing_is_changed(ecg):
    before = ecg.signal.copy()
    doubts(ecg.signal, ecg.rate, ecg.leads)
    np.testing.assert_array_equal(ecg.signal, before)


@pytest.mark.parametrize(("factor", "kind"), [(10, "gain too high"), (1000, "gain too high"), (0.1, "gain too low")])
def test_a_wrong_gain_is_doubted(ecg, factor, kind):
    assert kind in kinds(factor * ecg.signal, ecg.rate)


@pytest.mark.parametrize("kind", RATES)
def test_a_wrong_rate_is_doubted_and_the_likely_one_named(ecg, kind):
    found = kinds(ecg.signal, ecg.rate / RATES[kind])
    assert set(found) & set(RATES) == {kind}
    assert f"{ecg.rate:g} Hz, not" in found[kind].text


@pytest.mark.parametrize("exchange", ["RA and LA", "RA and LL"])
def test_exchanged_electrodes_are_doubted_and_named(ecg, exchange):
    one, two = ecg.signal[0], ecg.signal[1]
    made = {"RA and LA": (-one, two - one), "RA and LL": (one - two, -two)}[exchange]
    found = kinds(with_limbs(ecg, *made), ecg.rate)
    assert set(found) & set(EXCHANGES) == {exchange}
    assert "limb leads disagree" not in found


def test_an_exchange_undoes_itself():
    for matrix in EXCHANGES.values():
        np.testing.assert_array_equal(matrix @ matrix, np.eye(2))


@pytest.mark.parametrize("lead", LIMB_LEADS)
def test_a_lead_with_the_wrong_sign_is_named(ecg, lead):
    found = kinds(changed(ecg, lead, -ecg.signal[LIMB_LEADS.index(lead)]), ecg.rate)
    assert f"they would agree if {lead} had the other sign" in found["limb leads disagree"].text
    assert found["limb leads disagree"].leads == (lead,)


def test_leads_under_each_others_names_are_named(ecg):
    order = [*range(4), 5, 4, *range(6, 12)]
    found = kinds(ecg.signal[order], ecg.rate)
    assert "aVL and aVF were exchanged" in found["limb leads disagree"].text
    assert found["limb leads disagree"].leads == ("aVL", "aVF")


def test_rounding_is_no_disagreement(ecg):
    step = 0.05
    assert "limb leads disagree" not in kinds(np.round(ecg.signal / step) * step, ecg.rate)


def test_lost_chest_leads_are_named(ecg):
    signal = ecg.signal.copy()
    signal[6:] = np.random.default_rng(0).normal(0, 0.003, signal[6:].shape)
    assert kinds(signal, ecg.rate)["no signal"].leads == CHEST


def test_a_copied_lead_is_named_with_its_original(ecg):
    assert kinds(changed(ecg, "V3", ecg.signal[7]), ecg.rate)["copy"].leads == ("V2", "V3")


def test_a_gap_is_measured(ecg):
    values = ecg.signal[10].copy()
    values[100 : 100 + round(0.7 * ecg.rate)] = np.nan
    doubt = kinds(changed(ecg, "V5", values), ecg.rate)["missing"]
    assert doubt.leads == ("V5",)
    assert "0.7 s" in doubt.text


def test_noise_of_each_kind_is_told_apart(ecg):
    n = ecg.n_samples
    t = np.arange(n) / ecg.rate
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(0, 1, n))
    middle = np.median(ecg.signal[7])
    reach = 0.5 * np.abs(ecg.signal[7] - middle).max()
    faults = {
        "wander": ecg.signal[7] + 3 * np.sin(2 * np.pi * 0.2 * t),
        "muscle": ecg.signal[7] + rng.normal(0, 0.3, n),
        "no beats": walk / walk.std(),
        "saturated": np.clip(ecg.signal[7], middle - reach, middle + reach),
    }
    if ecg.rate > 120:
        faults["mains"] = ecg.signal[7] + 0.2 * np.sin(2 * np.pi * 50 * t)
    for kind, values in faults.items():
        assert kinds(changed(ecg, "V2", values), ecg.rate)[kind].leads == ("V2",)


def test_fewer_leads_raise_no_doubt_of_their_own(ecg):
    for leads in (("II",), ("I", "II"), ("V1", "V5"), LIMB_LEADS):
        assert doubts(ecg.select(leads).signal, ecg.rate, leads) == ()


@settings(max_examples=40)
@given(
    kind=st.sampled_from(["zero", "constant", "missing", "noise", "huge", "tiny", "one"]),
    n=st.integers(1, 3000),
    rate=st.sampled_from([1.0, 41.0, 50.0, 333.3, 500.0, 2000.0]),
    leads=st.sampled_from([STANDARD_LEADS, ("I", "II"), ("V1",)]),
)
def test_anything_can_be_doubted(kind, n, rate, leads):
    rng = np.random.default_rng(n)
    shape = (len(leads), n)
    signal = {
        "zero": np.zeros(shape),
        "constant": np.full(shape, 1e37),
        "missing": np.full(shape, np.nan),
        "noise": rng.normal(size=shape),
        "huge": rng.normal(size=shape) * 1e36,
        "tiny": rng.normal(size=shape) * 1e-38,
        "one": np.where(np.arange(n) == n // 2, 1.0, np.nan) * np.ones((len(leads), 1)),
    }[kind].astype(np.float32)
    for doubt in doubts(signal, rate, leads):
        assert doubt.kind in {*OF_LEADS, *RATES, *EXCHANGES, "gain too high", "gain too low", "limb leads disagree"}
        assert set(doubt.leads) <= set(leads)
        assert str(doubt)
