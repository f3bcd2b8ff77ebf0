from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enecg.errors import LeadError
from enecg.formats._ask import Ask
from enecg.formats._lead_signals import is_voltage, leads_among, of_one_rate

PATH = Path("one.edf")


def among(*names, voltages=None, leads=None):
    named = dict(enumerate(names))
    return leads_among(PATH, named, list(named) if voltages is None else voltages, Ask(leads=leads))


def test_leads_are_those_called_like_one_in_the_order_of_the_file():
    assert among("Resp", "ECG V2", "EKG II", "lead avr") == ({1: "V2", 2: "II", 3: "aVR"}, [])


def test_an_ecg_without_a_lead_is_told_or_takes_the_callers_name():
    assert among("ECG", "V2", "SpO2") == ({1: "V2"}, [0])
    assert among("ECG", "V2", "SpO2", leads=("II",)) == ({0: "II", 1: "V2"}, [])


def test_where_nothing_is_called_an_ecg_the_callers_names_are_for_all_voltages():
    assert among("one", "two", "pressure", voltages=[0, 1], leads=("II", "V1")) == ({0: "II", 1: "V1"}, [])
    with pytest.raises(LeadError, match=r"one\.edf: 1 names in leads= for 2 signals .*\(one, two\)"):
        among("one", "two", "pressure", voltages=[0, 1], leads=("II",))


def test_without_a_lead_it_is_told_what_there_is_and_what_needs_a_name():
    with pytest.raises(LeadError, match=r"one\.edf: no signal .*\(found EEG, signal 2, .*\); pass leads= for signal 2"):
        among("EEG", "")
    with pytest.raises(LeadError, match="pass leads= if they are leads"):
        among("EEG")


@given(st.dictionaries(st.integers(0, 20), st.integers(1, 4), min_size=1))
def test_the_rate_of_most_leads_is_kept_and_of_equals_the_higher(counts):
    leads = {n: f"lead {n}" for n in counts}
    kept, notes = of_one_rate(leads, counts, lambda count: 100.0 * count)
    (count,) = {counts[n] for n in kept}
    others = [sum(one == other for one in counts.values()) for other in set(counts.values()) if other > count]
    assert all(len(kept) > n for n in others)
    assert len(kept) == max(sum(one == other for one in counts.values()) for other in counts.values())
    assert (len(kept) == len(leads)) == (not notes)


@pytest.mark.parametrize(
    ("unit", "known"), [("", True), (None, True), (" uV", True), ("0.1 mV", True), ("mmHg", False)]
)
def test_a_unit_that_is_not_said_may_be_a_voltage(unit, known):
    assert is_voltage(unit) is known
