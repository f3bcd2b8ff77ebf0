"""Each of the 15 rhythms has what defines it, by the truth and in the signal."""

import numpy as np
import pytest

from enecg.signal.filters import bandpass
from enecg.simulation import simulate_one
from enecg.simulation._patient import draw_patient, draw_person
from enecg.simulation._rhythm import draw_events
from enecg.tasks import RHYTHMS

N = 60
WITHOUT_P = ("atrial fibrillation", "atrial flutter")


@pytest.fixture(scope="module")
def truths():
    """Truths of noise-free recordings by rhythm."""
    return {
        rhythm: [simulate_one(i, 31, rate=50, noise=0, patient={"rhythm": rhythm}).truth for i in range(N)]
        for rhythm in RHYTHMS
    }


def rates(truths):
    """Beats a minute of each."""
    return np.array([60_000 / truth.rr for truth in truths])


def relative_spread(truths):
    """Standard deviation of the RR intervals, relative to their mean."""
    return np.array([np.diff(truth.beats).std() / np.diff(truth.beats).mean() for truth in truths])


@pytest.mark.parametrize(
    ("rhythm", "low", "high"),
    [
        ("sinus rhythm", 60, 100),
        ("sinus bradycardia", 38, 60),
        ("sinus tachycardia", 100, 152),
        ("sinus arrhythmia", 55, 100),
        ("1st degree AV block", 58, 95),
        ("atrial fibrillation", 40, 170),
        ("atrial flutter", 60, 165),
        ("supraventricular tachycardia", 149, 225),
        ("ventricular tachycardia", 119, 225),
        ("junctional rhythm", 39, 101),
        ("ectopic atrial rhythm", 54, 100),
        ("paced rhythm", 54, 91),
        ("AV block of 2nd or 3rd degree", 27, 85),
    ],
)
def test_the_rate_is_the_rhythms(truths, rhythm, low, high):
    found = rates(truths[rhythm])
    assert found.min() >= low
    assert found.max() <= high


def test_sinus_rhythms_have_a_p_wave_before_each_beat(truths):
    for rhythm in ("sinus rhythm", "sinus bradycardia", "sinus tachycardia", "sinus arrhythmia"):
        for truth in truths[rhythm]:
            assert abs(len(truth.p_peaks) - len(truth.beats)) <= 1
            assert 110 <= truth.pr <= 200
            assert set(truth.kinds) == {"normal"}


def test_regular_rhythms_are_regular_and_irregular_ones_are_not(truths):
    for rhythm in ("paced rhythm", "supraventricular tachycardia", "ventricular tachycardia", "junctional rhythm"):
        assert relative_spread(truths[rhythm]).max() < 0.02
    assert np.percentile(relative_spread(truths["sinus rhythm"]), 95) < 0.04
    assert relative_spread(truths["atrial fibrillation"]).min() > 0.08


def test_fibrillation_has_no_p_wave_and_no_pattern_of_intervals(truths):
    lags = []
    for truth in truths["atrial fibrillation"]:
        assert len(truth.p_peaks) == 0
        assert np.isnan(truth.pr)
        rr = np.diff(truth.beats)
        lags.append(np.corrcoef(rr[1:], rr[:-1])[0, 1])
    assert abs(np.mean(lags)) < 0.2


def test_flutter_conducts_every_second_to_fourth_wave_of_250_to_320_a_minute(truths):
    fixed = []
    for truth in truths["atrial flutter"]:
        assert len(truth.p_peaks) == 0
        rr = np.diff(truth.beats)
        # Intervals are whole multiples of a cycle of 188 to 240 ms.
        cycles = np.linspace(60 / 325, 60 / 245, 400)
        off = np.abs(rr[:, None] / cycles - np.round(rr[:, None] / cycles)).max(axis=0)
        assert off.min() < 0.1
        assert 2 <= round(rr.min() / cycles[off.argmin()]) <= 4
        fixed.append(rr.std() < 0.02)
    assert 0.4 < np.mean(fixed) < 0.9


@pytest.mark.parametrize("rhythm", WITHOUT_P)
def test_atrial_waves_are_seen_between_beats(rhythm):
    """Between T and QRS a sinus rhythm is silent; fibrillation and flutter are not."""

    def activity(name, index):
        patient = {"rhythm": name, "pattern": "", "potassium": 4.2}
        made = simulate_one(index, 3, rate=250, noise=0, patient=patient)
        found = []
        for end, onset in zip(made.truth.t_off, made.truth.qrs_on[1:], strict=False):
            part = made.recording.lead("V1")[round((end + 0.14) * 250) : round((onset - 0.02) * 250)]
            if len(part) > 25:
                found.append(np.ptp(part))
        return np.median(found) if found else np.nan

    waves = np.array([activity(rhythm, index) for index in range(30)])
    assert np.nanmedian(waves) > 0.02


def test_ventricular_premature_beats_are_early_wide_and_followed_by_a_pause(truths):
    early, pause = [], []
    for truth in truths["sinus with ventricular premature beats"]:
        kinds = np.array(truth.kinds)
        assert "ventricular" in kinds
        wide = (truth.qrs_off - truth.qrs_on)[kinds == "ventricular"]
        assert wide.min() > 0.12
        for k in range(1, len(kinds) - 1):
            if list(kinds[k - 1 : k + 2]) == ["normal", "ventricular", "normal"]:
                before, after = truth.beats[k] - truth.beats[k - 1], truth.beats[k + 1] - truth.beats[k]
                early.append(before / (before + after))
                pause.append(after / before)
                led = truth.p_peaks[(truth.p_peaks < truth.qrs_on[k]) & (truth.p_peaks > truth.beats[k - 1] + 0.2)]
                assert len(led) == 0
    # A compensatory pause: the sinus goes on, so the premature beat divides two intervals unequally.
    assert np.max(early) < 0.4
    assert np.min(pause) > 1.5


def test_the_sinus_goes_on_under_a_ventricular_premature_beat(truths):
    for truth in truths["sinus with ventricular premature beats"]:
        kinds = np.array(truth.kinds)
        spans = [
            truth.beats[k + 1] - truth.beats[k - 1]
            for k in range(1, len(kinds) - 1)
            if list(kinds[k - 1 : k + 2]) == ["normal", "ventricular", "normal"]
        ]
        plain = [
            truth.beats[k + 1] - truth.beats[k] for k in range(len(kinds) - 1) if kinds[k] == kinds[k + 1] == "normal"
        ]
        if spans and plain:
            assert np.median(spans) == pytest.approx(2 * np.median(plain), rel=0.1)


def test_atrial_premature_beats_are_early_narrow_and_led_by_a_p_wave(truths):
    for truth in truths["sinus with atrial premature beats"]:
        assert set(truth.kinds) == {"normal"}
        rr = np.diff(truth.beats)
        first = int(rr.argmin())
        assert rr[first] < 0.88 * np.median(rr)
        lead = truth.qrs_on[first + 1] - truth.p_peaks[truth.p_peaks < truth.qrs_on[first + 1]].max()
        assert 0.03 < lead < 0.2


@pytest.mark.parametrize("seconds", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("origin", ["ventricular", "atrial"])
def test_a_short_recording_has_its_premature_beat_inside_too(origin, seconds):
    for index in range(80):
        rng = np.random.default_rng([17, index])
        who = draw_patient(rng, draw_person(rng), rhythm=f"sinus with {origin} premature beats")
        beats = draw_events(rng, who, seconds).beats
        assert any(beat.origin == origin and 0 <= beat.time < seconds for beat in beats)


def test_first_degree_block_is_a_long_pr_and_nothing_else(truths):
    found = np.array([truth.pr for truth in truths["1st degree AV block"]])
    assert found.min() > 200
    assert np.median(found) > 215
    assert found.max() < 420


@pytest.mark.parametrize("pattern", ["LBBB", "RBBB", "LVH", ""])
def test_a_wide_complex_does_not_shorten_the_pr_interval(pattern):
    for index in range(30):
        for rhythm, low, high in (("1st degree AV block", 203, 420), ("sinus rhythm", 110, 198)):
            truth = simulate_one(index, 3, rate=50, noise=0, patient={"rhythm": rhythm, "pattern": pattern}).truth
            assert low <= truth.pr <= high


def test_higher_degree_block_has_more_p_waves_than_beats(truths):
    for truth in truths["AV block of 2nd or 3rd degree"]:
        assert len(truth.p_peaks) > len(truth.beats)
        assert np.isnan(truth.pr)
    kinds = [truth.kinds[0] for truth in truths["AV block of 2nd or 3rd degree"]]
    assert 0.05 < np.mean([kind == "ventricular" for kind in kinds]) < 0.4


def test_junctional_beats_have_no_p_wave_or_an_inverted_one_nearby(truths):
    without = 0
    for truth in truths["junctional rhythm"]:
        without += not len(truth.p_peaks)
        for p in truth.p_peaks:
            nearest = truth.beats[np.abs(truth.beats - p).argmin()]
            assert abs(nearest - p) < 0.13 or p > truth.beats[-1] or p < truth.beats[0]
        assert np.isnan(truth.pr)
    assert 0.1 < without / N < 0.6


def test_an_ectopic_atrium_inverts_p_in_the_inferior_leads():
    for rhythm, sign in (("sinus rhythm", 1), ("ectopic atrial rhythm", -1)):
        for index in range(20):
            patient = {"rhythm": rhythm, "pattern": "", "potassium": 4.2}
            made = simulate_one(index, 5, rate=250, noise=0, patient=patient)
            recording, truth = made.recording, made.truth
            heights = []
            for p in truth.p_peaks:
                place, base = round(p * 250), round((p - 0.08) * 250)
                if base >= 0:
                    lead = recording.lead("II") + recording.lead("aVF")
                    heights.append(lead[place] - lead[base])
            assert sign * np.median(heights) > 0.02


def test_paced_beats_are_wide_to_the_left_and_follow_a_spike():
    for index in range(20):
        made = simulate_one(index, 6, rate=500, noise=0, patient={"rhythm": "paced rhythm"})
        truth, signal = made.truth, made.recording.signal
        assert set(truth.kinds) == {"paced"}
        assert truth.qrs > 120
        assert -95 < truth.axis < -30
        bend = np.abs(np.diff(signal, n=2, axis=1)).max(axis=0)
        for onset in truth.qrs_on[1:-1]:
            place = round(onset * 500)
            assert bend[place - 12 : place + 1].max() > 0.5
            assert bend[place + 12 : place + 60].max() < 0.2


def test_ventricular_tachycardia_is_wide_with_the_atria_apart(truths):
    for truth in truths["ventricular tachycardia"]:
        assert set(truth.kinds) == {"ventricular"}
        assert truth.qrs > 120
        assert len(truth.p_peaks) < len(truth.beats)
        assert np.isnan(truth.pr)


def test_sinus_arrhythmia_swings_by_120_ms_or_more_in_nearly_all():
    swings = [
        np.ptp(np.diff(simulate_one(i, 31, rate=50, noise=0, patient={"rhythm": "sinus arrhythmia"}).truth.beats))
        for i in range(N)
    ]
    assert np.mean(np.array(swings) > 0.12) > 0.95


def test_ventricular_beats_are_about_as_steep_as_real_ones():
    """In MIT-BIH 119 and 201 their slope (5 to 30 Hz, all leads) is 0.5 to 1.3 of the normal beats' (612 beats)."""
    ratios = []
    for index in range(25):
        patient = {"rhythm": "sinus with ventricular premature beats", "pattern": ""}
        made = simulate_one(index, 5, rate=250, noise=0, patient=patient)
        band = bandpass(made.recording.signal, 250, 5, 30, order=2)
        slope = np.sqrt((np.gradient(band, axis=1) ** 2).mean(axis=0))
        slope = np.convolve(slope, np.hanning(22) / np.hanning(22).sum(), "same")
        height = {"normal": [], "ventricular": []}
        for beat, kind in zip(made.truth.beats, made.truth.kinds, strict=True):
            if 0.3 < beat < 9.7:
                place = round(beat * 250)
                height[kind].append(slope[place - 25 : place + 26].max())
        ratios += [value / np.median(height["normal"]) for value in height["ventricular"]]
    assert 0.5 < np.median(ratios) < 1
    assert np.percentile(ratios, 5) > 0.35
