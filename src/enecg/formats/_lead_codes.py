"""Leads by number, as SCP-ECG (EN 1064, section 3), MFER and DICOM's scheme SCPECG number them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

INVERTED = "-aVR"
"""Of Cabrera's order; what is stored under this name is aVR turned over."""

LEADS = dict(enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V2R", "V3R", "V4R", "V5R", "V6R"), 1))
LEADS |= dict(enumerate(("V7R", "X", "Y", "Z", "CC5", "CM5"), 15))
LEADS |= dict(enumerate(("III", "aVR", "aVL", "aVF", INVERTED, "V8", "V9", "V8R", "V9R"), 61))
"""Those that have a standard spelling. 0 is unspecified; 70 to 72 are Nehb's, whose A is not that of EASI."""


def upright(signal: npt.NDArray[np.floating], leads: Sequence[str]) -> tuple[list[str], list[str]]:
    """Turn -aVR into aVR, in place.

    signal : [lead, sample];  leads : by name. Returns the names, and a note if there was one to turn.
    """
    if INVERTED not in leads:
        return list(leads), []
    signal[[name == INVERTED for name in leads]] *= -1
    return [name.removeprefix("-") for name in leads], [f"aVR is stored as {INVERTED}; its sign was turned"]
