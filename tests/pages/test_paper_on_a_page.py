"""ECG paper as SVG: true to scale, every sample where it belongs, and small."""

import re
from dataclasses import replace

import numpy as np
import pytest

from enecg.pages._document import document, research_only
from enecg.pages._html import element
from enecg.pages._paper import paper
from enecg.paper import LIMIT_MM, PAPER_MM, rows_of
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one


@pytest.fixture(scope="module")
def recording():
    return simulate_one(3, 0, rate=500.0).recording


@pytest.fixture
def drawn(parsed):
    def draw(recording):
        parts = [element("h1", "one"), research_only(), paper(recording)]
        return parsed(document("one", parts))

    return draw


def points_of(trace):
    """Of each piece of a trace, mm."""
    pieces = []
    scale = float(re.fullmatch(r"scale\((.+)\)", trace["transform"])[1])
    for piece in re.findall(r"M[^M]+", trace["d"]):
        start, _, rest = re.sub("[lh]", "|", piece[1:]).partition("|")
        first = [int(n) for n in re.findall(r"-?\d+", start)]
        steps = [int(n) for n in re.findall(r"-?\d+", rest)]
        steps = steps if len(steps) > 1 else []
        pieces.append(scale * np.cumsum([first, *np.reshape(steps, (-1, 2)).tolist()], axis=0))
    return pieces


def test_every_sample_is_on_its_trace(drawn, recording):
    """Within the width of the line: a tenth of a small square."""
    traces = drawn(recording).all("path", class_="lead")
    wanted = [(trace, row.zero) for row in rows_of(recording) for trace in row.traces]
    assert [one["data-lead"] for one in traces] == [trace.lead for trace, _ in wanted]
    for one, (trace, zero) in zip(traces, wanted, strict=True):
        [points] = points_of(one)
        y = np.interp(trace.x, points[:, 0], points[:, 1])
        near = np.abs(zero - trace.y - y)
        # On a steep flank a small step to the side is a large one up: there the side counts.
        steep = np.abs(np.gradient(trace.y, trace.x)) > 3
        assert near[~steep].max() < 0.1
        assert near.max() < 1.0
        assert np.ptp(points[:, 1]) == pytest.approx(np.ptp(trace.y), abs=0.05)


def test_a_millimetre_is_one(drawn, recording):
    page = drawn(recording)
    [svg] = page.all("svg", class_="paper")
    across, down = svg["viewbox"].split()[2:]
    assert svg["width"] == f"{across}mm" == f"{PAPER_MM:g}mm"
    assert svg["height"] == f"{down}mm"
    [fine], [strong] = page.all("path", class_="fine"), page.all("path", class_="grid")
    upright = sorted(int(x) for path in (fine, strong) for x in re.findall(r"M(\d+) 0V", path["d"]))
    assert upright == list(range(round(PAPER_MM) + 1))
    assert [int(x) for x in re.findall(r"M(\d+) 0V", strong["d"])] == list(range(0, round(PAPER_MM) + 1, 5))
    pulse = page.all("path", class_="trace")[0]["d"]
    points = np.array([[float(n) for n in pair.split()] for pair in pulse[1:].split("L")])
    assert np.ptp(points[:, 1]) == 10
    assert np.diff(points[:, 0]).max() == 5


def test_every_lead_has_its_name_and_the_picture_says_them(drawn, recording):
    page = drawn(recording)
    said = [one["text"] for one in page.all("text", class_="lead")]
    assert sorted(said) == sorted([*STANDARD_LEADS, "II"])
    [svg] = page.all("svg", class_="paper")
    assert all(name in svg["aria-label"] for name in STANDARD_LEADS)


def test_gaps_lost_leads_and_what_is_cut_off(drawn, recording):
    signal = recording.signal.copy()
    signal[1, 100:200] = np.nan
    signal[7] = np.nan
    signal[6, 2600:2605] = 9.0
    page = drawn(replace(recording, signal=signal))
    first = page.all("path", data_lead="II")[0]
    assert len(points_of(first)) == 2
    assert not page.all("path", data_lead="V2")
    assert "V2 (no samples)" in page.text
    assert f"cut off at {LIMIT_MM / 10:g} mV: V1" in page.text


@pytest.mark.parametrize("samples", [1, 2, 30])
def test_a_very_short_recording_is_drawn(drawn, samples):
    signal = np.random.default_rng(0).normal(0, 0.3, (2, samples)).astype(np.float32)
    page = drawn(Recording(signal=signal, rate=500, leads=("II", "V5")))
    assert len(page.all("path", class_="lead")) == 2


def test_it_is_small(recording):
    noisy = np.random.default_rng(0).normal(0, 0.02, recording.signal.shape).astype(np.float32)
    assert len(paper(recording)) < 100_000
    assert len(paper(replace(recording, signal=recording.signal + noisy))) < 250_000
