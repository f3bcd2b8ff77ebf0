"""EnECG's preparation of a record, as its loader does it: expert `tempo-80m` is made of the same pieces."""

import json

import numpy as np
import pytest

from enecg.experts import get_expert
from enecg.experts.published.tempo import SAMPLES, standardised, stl_parts
from enecg.recording import STANDARD_LEADS, Recording
from enecg.signal.resample import resample_fourier

RECORDS = ("rec00001", "rec00002", "rec00003", "rec00004")


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "enecg_preprocessing"


@pytest.fixture(scope="module")
def arrays(folder):
    with np.load(folder / "arrays.npz") as found:
        return dict(found)


def millivolts(arrays, record):
    """[lead, sample]; -32768 is a missing sample."""
    digital = arrays[f"{record}.digital"].T
    return np.where(digital == -32768, np.nan, digital / 200)


def near(found, expected):
    np.testing.assert_allclose(found, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_standardised_with_one_mean_and_deviation(arrays, record):
    signal = millivolts(arrays, record)
    assert np.isnan(signal).sum() == (31 if record == "rec00003" else 0)
    found = standardised(signal)
    mean, deviation = arrays[f"{record}.mean_std"]
    near(found * (deviation or 1) + mean, np.nan_to_num(signal))
    if record in ("rec00002", "rec00003"):
        near(found.T, arrays[f"{record}.zscore"])
    if record == "rec00001":
        near(found[1], arrays["rec00001.zscore_lead1"])
    if record == "rec00004":
        near(found[:, 0], arrays["rec00004.zscore_first_row"])
        assert not found.any()


@pytest.mark.parametrize(
    ("record", "n"), [("rec00001", 336), ("rec00001", 500), ("rec00002", 336), ("rec00002", 500), ("rec00003", 336)]
)
def test_a_record_is_shortened_by_its_spectrum(arrays, record, n):
    near(resample_fourier(standardised(millivolts(arrays, record)), n).T, arrays[f"{record}.resample_{n}"])


@pytest.mark.parametrize(("record", "every"), [("rec00001", 10), ("rec00002", 1)])
def test_a_record_is_lengthened_or_kept_by_its_spectrum(arrays, record, every):
    found = resample_fourier(standardised(millivolts(arrays, record)), 5000)
    near(found[[0, 1, 11], ::every].T, arrays[f"{record}.resample_5000_leads_0_1_11"])
    near([found.mean(1), found.std(1)], arrays[f"{record}.resample_5000_mean_std_per_lead"])


@pytest.mark.parametrize("record", RECORDS[:2])
@pytest.mark.parametrize("lead", [0, 1, 7])
def test_a_lead_is_taken_apart_into_trend_season_and_rest(arrays, record, lead):
    whole = resample_fourier(standardised(millivolts(arrays, record)), 336)[lead]
    found = stl_parts(whole)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, arrays[f"{record}.stl_lead{lead}"], atol=2e-5, rtol=0)
    np.testing.assert_allclose(found.sum(0), whole, atol=2e-6, rtol=0)


def test_the_settings_are_the_published_ones(folder):
    from statsmodels.tsa.seasonal import STL

    config = json.loads((folder / "config.json").read_text())
    assert config["tempo_length"] == SAMPLES
    settings = config["stl"]["statsmodels_defaults"]
    used = STL(np.arange(336.0), period=config["stl"]["period"]).config
    assert {**used, "period": config["stl"]["period"]} == settings


def test_the_expert_reads_what_enecg_reads_of_lead_ii(arrays):
    record = Recording(signal=millivolts(arrays, "rec00001"), rate=500, leads=STANDARD_LEADS)
    found = get_expert("tempo-80m:tiny").prepare([record]).windows
    assert found.shape == (1, 3, 336)
    np.testing.assert_allclose(found[0], arrays["rec00001.stl_lead1"], atol=2e-5, rtol=0)
