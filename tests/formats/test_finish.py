from pathlib import Path

import pytest

from enecg.formats._finish import finished, in_years, person, possible
from enecg.recording import STANDARD_LEADS
from enecg.signal.doubts import doubts
from enecg.signal.leads import LIMB_LEADS
from enecg.simulation import simulate_one


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (46, "a", 46),
        (60, "YEARS", 60),
        (6, "MONTHS", 0.5),
        (6, "mo", 0.5),
        (None, "a", None),
        (46, None, None),
        (46, "min", None),
    ],
)
def test_ages_are_in_years_whatever_the_unit(value, unit, expected):
    assert in_years(value, unit) == expected


def test_days_weeks_and_hours_are_parts_of_a_year():
    assert in_years(365.25, "DAYS") == pytest.approx(1)
    assert in_years(52.1786, "wk") == pytest.approx(1, rel=1e-4)
    assert in_years(8766, "HOURS") == 1


@pytest.mark.parametrize(
    ("text", "subject"), [("a1", "file:a1"), ("XXXX", None), ("---", None), ("", None), (None, None)]
)
def test_an_id_that_was_blanked_out_is_nobody(text, subject):
    assert person(text) == subject


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("qt_ms", 400, True),
        ("qt_ms", 0, False),
        ("heart_rate_bpm", -1, False),
        ("t_axis_deg", 0, True),
        ("t_axis_deg", -9, True),
    ],
)
def test_times_and_rates_are_above_zero_and_axes_are_any_number(name, value, expected):
    assert possible(name, value) is expected


@pytest.mark.parametrize("turned", [*LIMB_LEADS, None])
def test_the_reader_notes_the_very_leads_that_are_doubted(turned):
    heart = simulate_one(3).recording.select(STANDARD_LEADS)
    signal = heart.signal.copy()
    if turned:
        signal[STANDARD_LEADS.index(turned)] *= -1
    noted = finished(Path("one.x"), "X", signal, heart.rate, STANDARD_LEADS).notes
    doubted = [doubt.leads for doubt in doubts(signal, heart.rate, STANDARD_LEADS) if "disagree" in doubt.kind]
    note = f"the limb leads disagree with Einthoven's law: {turned}; nothing was changed"
    assert (noted, doubted) == (((note,), [(turned,)]) if turned else ((), []))
