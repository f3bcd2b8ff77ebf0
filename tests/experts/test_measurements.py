"""What is measured is what is true of simulated hearts; as a table what is absent is NaN, as an embedding 0 and 0."""

import numpy as np
import polars
import pytest

from enecg.experts import get_expert
from enecg.experts.measurements import (
    BEAT,
    FEATURES,
    INTERVALS,
    PER_LEAD,
    RHYTHM,
    UNITS,
    VALUES,
    measure,
    measurements_table,
)
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate, simulate_one

PLACE = {name: place for place, name in enumerate(VALUES)}
N = 12


def heart(index, rate=500.0, noise=0.0, **patient):
    usual = {"rhythm": "sinus rhythm", "pattern": "", "potassium": 4.2}
    return simulate_one(index, 15, rate=rate, noise=noise, patient=usual | patient)


def measured(made):
    values = measure(made.recording.signal, made.recording.rate, STANDARD_LEADS)
    return dict(zip(VALUES, values, strict=True))


def angle(a, b):
    return abs((a - b + 180) % 360 - 180)


@pytest.mark.parametrize("rate", [100.0, 250.0, 500.0, 1000.0])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_intervals_and_axis_are_the_true_ones(rate, noise):
    """Floors: half of the recordings within 1 (RR), 20 (PR), 5 (QRS), 8 (QT) ms and 2 degrees; nine of ten within
    4, 30, 10, 15 ms and 6 degrees.
    """
    rows = []
    for index in range(N):
        made = heart(index, rate, noise)
        found, truth = measured(made), made.truth
        rows.append(
            [
                abs(found["rr_mean"] - truth.rr),
                abs(found["pr"] - truth.pr),
                abs(found["qrs"] - truth.qrs),
                abs(found["qt"] - truth.qt),
                angle(found["qrs_axis"], truth.axis),
            ]
        )
    np.testing.assert_array_less(np.median(rows, axis=0), [1, 20, 5, 8, 2])
    np.testing.assert_array_less(np.percentile(rows, 90, axis=0), [4, 30, 10, 15, 6])


def wave_heights(made, lead):
    """R over the level before QRS and T over it, from the signal at the true places; medians over beats, mV."""
    recording, truth = made.recording, made.truth
    samples, rate, n = recording.lead(lead), recording.rate, recording.n_samples
    tops, t = [], []
    for on, off, peak in zip(truth.qrs_on, truth.qrs_off, truth.t_peak, strict=True):
        first, last, place = round((on - 0.012) * rate), round(off * rate), round(peak * rate)
        if first >= 0 and place < n:
            tops.append(samples[first : last + 1].max() - samples[first])
            t.append(samples[place] - samples[first])
    return np.median(tops), np.median(t)


@pytest.mark.parametrize("lead", ["I", "II", "V2", "V5"])
def test_amplitudes_are_the_true_ones(lead):
    """R within 12 %, as the median beat ends at 40 Hz; T within 10 % and 0.02 mV."""
    for index in range(10):
        made = heart(index)
        found = measured(made)
        r, t = wave_heights(made, lead)
        assert found[f"{lead} r"] == pytest.approx(r, rel=0.12, abs=0.06)
        if t > 0.05:
            assert found[f"{lead} t_max"] == pytest.approx(t, rel=0.1, abs=0.02)


def test_amplitudes_are_millivolts_and_follow_the_gain():
    one = heart(2)
    twice = Recording(signal=2 * one.recording.signal, rate=500, leads=STANDARD_LEADS)
    small, large = measured(one), dict(zip(VALUES, measure(twice.signal, 500, STANDARD_LEADS), strict=True))
    for name in ("V5 r", "V1 s", "II t_max", "sokolow", "II beat +0 ms"):
        assert large[name] == pytest.approx(2 * small[name], rel=1e-3)
    for name in ("rr_mean", "pr", "qrs", "qt", "qrs_axis"):
        assert large[name] == pytest.approx(small[name], abs=1e-3)


def test_rr_statistics_are_those_of_the_beats():
    for rhythm in ("sinus arrhythmia", "atrial fibrillation"):
        for index in range(6):
            made = heart(index, rhythm=rhythm)
            found, rr = measured(made), np.diff(made.truth.beats) * 1000
            if found["beats"] != len(made.truth.beats):
                continue  # One at an end, cut in two.
            assert found["rr_mean"] == pytest.approx(rr.mean(), abs=4)
            assert found["rr_sd"] == pytest.approx(rr.std(), abs=5)
            assert found["rr_min"] == pytest.approx(rr.min(), abs=8)
            assert found["rr_max"] == pytest.approx(rr.max(), abs=8)
            assert found["rr_rmssd"] == pytest.approx(np.sqrt((np.diff(rr) ** 2).mean()), abs=8)


def test_rate_correction_is_bazetts_and_fridericias():
    found = measured(heart(1))
    seconds = found["rr_mean"] / 1000
    assert found["qtc_bazett"] == pytest.approx(found["qt"] / seconds**0.5)
    assert found["qtc_fridericia"] == pytest.approx(found["qt"] / seconds ** (1 / 3))


def test_an_absent_p_wave_is_nan_in_the_table_and_zero_with_absence_in_the_embedding():
    made = [heart(index, rhythm="atrial fibrillation", noise=0.5) for index in range(8)]
    recordings = [one.recording for one in made]
    table = measurements_table(recordings)
    absent = table["pr_ms"].is_nan()
    assert absent.mean() > 0.8
    for column in ("p_duration_ms", "pr_segment_ms", "p_axis_deg", "p_power_mv", "II_p_mv", "V1_p_mv"):
        assert table[column].is_nan().to_list() == absent.to_list()
    assert not table["qrs_ms"].is_nan().any()
    expert = get_expert("measurements")
    embedding = expert.embed(expert.prepare(recordings))
    there = [FEATURES.index(f"has {name}") for name in ("pr", "p_duration", "p_axis")]
    assert np.array_equal(embedding[:, there], np.repeat(1.0 - absent.to_numpy()[:, None], 3, axis=1))
    assert not embedding[absent.to_numpy(), FEATURES.index("pr")].any()
    assert embedding[:, FEATURES.index("has qrs")].all()


def test_the_embedding_is_values_with_a_fill_and_then_what_is_there():
    expert = get_expert("measurements")
    part = heart(0).recording.select(["II", "V5"])
    inputs = expert.prepare([part])
    row = expert.embed(inputs)[0]
    values = inputs.windows[0]
    assert len(row) == len(FEATURES) == expert.card.dim
    np.testing.assert_array_equal(row[: len(VALUES)], np.nan_to_num(values))
    found = dict(zip(FEATURES, row, strict=True))
    for name in (*RHYTHM, *INTERVALS):
        assert found[f"has {name}"] == float(not np.isnan(values[PLACE[name]]))
    assert [lead for lead in STANDARD_LEADS if found[f"has {lead}"]] == ["II", "V5"]


def test_a_lead_that_is_not_there_is_nan_in_the_table():
    table = measurements_table([heart(0).recording.select(["II", "V5"])])
    for lead in STANDARD_LEADS:
        for name in PER_LEAD:
            column = next(key for key in table.columns if key.startswith(f"{lead}_{name}"))
            assert table[column].is_nan()[0] == (lead not in ("II", "V5"))
    # What needs leads I and aVF, or V1, is not known either.
    for column in ("qrs_axis_deg", "t_axis_deg", "sokolow_mv", "cornell_mv"):
        assert table[column].is_nan()[0]
    assert not table["rr_mean_ms"].is_nan()[0]


def test_the_tables_columns_have_names_and_units():
    table = measurements_table([heart(0).recording])
    assert table.columns[:3] == ["id", "refused", "rr_mean_ms"]
    assert {"pr_ms", "qrs_axis_deg", "sokolow_mv", "V1_r_mv", "II_t_area_mv_s", "beats", "rr_cv"} <= set(table.columns)
    assert len(table.columns) == 2 + len(RHYTHM) - 1 + len(INTERVALS) + 12 * len(PER_LEAD)
    assert set(UNITS) <= {*RHYTHM, *INTERVALS, *PER_LEAD}
    assert set(table.dtypes[2:]) == {polars.Float64}


def test_the_table_says_what_the_expert_measured():
    recordings = [made.recording for made in simulate(3, seed=5)]
    table = measurements_table(recordings)
    windows = get_expert("measurements").prepare(recordings).windows
    assert table["id"].to_list() == [one.id for one in recordings]
    for column, name in (("rr_mean_ms", "rr_mean"), ("qrs_ms", "qrs"), ("V5_r_mv", "V5 r"), ("aVF_j_mv", "aVF j")):
        np.testing.assert_allclose(table[column], windows[:, PLACE[name]])


def test_a_recording_that_cannot_be_measured_keeps_its_row():
    one = heart(0).recording
    short = Recording(signal=one.signal[:, :500], rate=500, leads=STANDARD_LEADS, id="short")
    frank = Recording(signal=one.signal[:3], rate=500, leads=("X", "Y", "Z"), id="frank")
    table = measurements_table([short, one, frank])
    assert table["id"].to_list() == ["short", one.id, "frank"]
    assert "measurements needs 2 s at least" in table["refused"][0]
    assert table["refused"][1] is None
    assert "measurements needs one of lead" in table["refused"][2]
    assert table["rr_mean_ms"].is_nan().to_list() == [True, False, True]


def test_no_recordings_make_an_empty_table_with_all_columns():
    assert measurements_table([]).columns == measurements_table([heart(0).recording]).columns
    assert len(measurements_table([])) == 0


def test_nothing_to_measure_is_nan_not_zero():
    for signal in (np.zeros((12, 5000)), np.full((12, 5000), np.nan)):
        recording = Recording(signal=signal, rate=500, leads=STANDARD_LEADS)
        table = measurements_table([recording])
        assert table["beats"].to_list() == [0]
        rest = table.drop("id", "refused", "beats")
        assert all(column.is_nan().all() for column in rest.iter_columns())


def test_a_long_recording_is_the_mean_of_its_windows_that_have_a_value():
    long = simulate_one(0, 15, seconds=20, noise=0, patient={"rhythm": "sinus rhythm", "pattern": ""}).recording
    halves = [Recording(signal=long.signal[:, k : k + 5000], rate=500, leads=STANDARD_LEADS) for k in (0, 5000)]
    whole, parts = measurements_table([long]), measurements_table(halves)
    for column in ("rr_mean_ms", "qrs_ms", "V5_r_mv", "II_p_mv"):
        assert whole[column][0] == pytest.approx(parts[column].mean(), rel=1e-6)


def test_the_median_beat_is_that_of_the_leads():
    found = measured(heart(4))
    beat = {lead: np.array([found[f"{lead} beat {place * 10:+d} ms"] for place in BEAT]) for lead in STANDARD_LEADS}
    np.testing.assert_allclose(beat["III"], beat["II"] - beat["I"], atol=5e-3)
    assert beat["V5"].argmax() == np.flatnonzero(BEAT == 0)[0]


def test_absurdly_large_samples_count_as_a_thousand_volts():
    signal = heart(0).recording.signal
    values = measure(signal * np.float32(1e20), 500, STANDARD_LEADS)
    assert not np.isinf(values).any()
    assert np.nanmax(np.abs(values[PLACE["I p"] :])) <= 10
