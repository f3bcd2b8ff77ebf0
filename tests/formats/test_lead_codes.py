import numpy as np
import pytest

from enecg.formats._lead_codes import INVERTED, LEADS, upright
from enecg.recording import standard_lead


def test_numbered_leads_have_standard_names():
    named = {code: name for code, name in LEADS.items() if name != INVERTED}
    assert {standard_lead(name) for name in named.values()} == set(named.values())
    assert [
        LEADS[code] for code in (1, 2, 3, 8, 11, 16, 18, 61, 62, 64, 66)
    ] == "I II V1 V6 V3R X Z III aVR aVF V8".split()
    assert LEADS.get(0) is None


def test_avr_that_is_stored_turned_over_is_turned_back():
    signal = np.array([[1.0, 2.0], [3.0, np.nan]])
    leads, notes = upright(signal, ["II", "-aVR"])
    np.testing.assert_array_equal(signal, [[1, 2], [-3, np.nan]])
    assert leads == ["II", "aVR"]
    assert notes == ["aVR is stored as -aVR; its sign was turned"]


@pytest.mark.parametrize("leads", [["II", "aVR"], []])
def test_other_leads_stay_as_they_are(leads):
    signal = np.ones((len(leads), 2))
    assert upright(signal, leads) == (leads, [])
    assert (signal == 1).all()
