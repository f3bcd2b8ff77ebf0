"""ECG paper: true to scale, every lead there, gaps are gaps, and all words are readable."""

from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enecg.paper import LIMIT_MM, PAPER_MM
from enecg.plot import DPI, HEAD_MM, MARGIN_MM, _mm, _wrapped, plot_recording
from enecg.predictions import Prediction, TaskPrediction
from enecg.recording import STANDARD_LEADS, Recording
from enecg.simulation import simulate_one
from enecg.tasks import TASKS, Task

PX_PER_MM = 5
FIFTEEN = (*STANDARD_LEADS, "X", "Y", "Z")
EIGHTEEN = (*FIFTEEN, "V3R", "V4R", "V7")


def sine(leads, seconds=10.0, rate=500.0, hz=5.0, mv=1.0, **facts):
    t = np.arange(round(seconds * rate)) / rate
    wave = mv * np.sin(2 * np.pi * hz * t)
    return Recording(signal=np.tile(wave, (len(leads), 1)).astype(np.float32), rate=rate, leads=tuple(leads), **facts)


def traces(figure):
    """Every drawn lead: (name, x in pixels, y in pixels)."""
    found = []
    for axes in figure.axes:
        for line in axes.lines:
            if (line.get_gid() or "").startswith("lead "):
                x, y = axes.transData.transform(np.column_stack(line.get_data())).T
                found.append((line.get_gid().removeprefix("lead "), x, y))
    return found


def boxes(figure):
    """Every text with its place in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    texts = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    return [(text, text.get_window_extent(renderer)) for text in texts]


def pixels(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)


def assert_readable(figure):
    width, height = figure.bbox.width, figure.bbox.height
    found = boxes(figure)
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text
    for (one, a), (two, b) in combinations(found, 2):
        across, up = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        # A pixel of leading between lines of one paragraph may be shared.
        assert not (across > 1 and up > 2), f"{one.get_text()!r} over {two.get_text()!r}"


def answers(**changes):
    """An answer to each built-in task and to one of a user's own, with long names."""
    long = Task("cause", "multiclass", tuple(f"a cause of some length, number {k}, of several words" for k in range(9)))
    made = {}
    for task in (*(TASKS[name] for name in ("rr_interval", "age", "sex", "potassium", "rhythm", "superclass")), long):
        common = {"task": task, "weights": {"rocket": 0.7, "measurements": 0.3}, **changes}
        if task.kind == "regression":
            made[task.name] = TaskPrediction(value=61.3, low=40.0, high=82.0, **common)
            continue
        chances = dict.fromkeys(task.classes, 1 / len(task.classes))
        value = task.classes[:2] if task.kind == "multilabel" else task.classes[0]
        undecided = task.classes[2:] if task.kind == "multilabel" else ()
        made[task.name] = TaskPrediction(
            value=value, probabilities=chances, members=task.classes, undecided=undecided, **common
        )
    return made


def prediction(**changes):
    made = {"id": "one", "quality": 0.91, "experts": ("rocket", "measurements"), "answers": answers()}
    return Prediction(**(made | changes))


def test_a_second_is_25_mm_and_a_millivolt_10_mm():
    figure = plot_recording(sine(STANDARD_LEADS), dpi=DPI)
    strip = max((trace for trace in traces(figure) if trace[0] == "II"), key=lambda trace: np.ptp(trace[1]))
    _, x, y = strip
    assert np.ptp(x) == pytest.approx((10 - 1 / 500) * 25 * PX_PER_MM, abs=0.1)
    inner = y[1500:-1500]  # the filter's edges apart
    assert np.ptp(inner) == pytest.approx(2 * 10 * PX_PER_MM, rel=0.01)


@pytest.mark.parametrize("dpi", [127, 254])
def test_the_drawn_calibration_pulse_is_5_mm_wide_and_10_mm_high(dpi):
    figure = plot_recording(sine(["II"], mv=0.1), dpi=dpi)
    image, per_mm = pixels(figure), dpi / 25.4
    paper = next(axes for axes in figure.axes if axes.lines).get_window_extent()
    top, bottom = round(HEAD_MM * per_mm), round(HEAD_MM * per_mm + paper.height)
    ink = image[top:bottom, round((MARGIN_MM + 0.5) * per_mm) : round((MARGIN_MM + 9) * per_mm)].max(axis=2) < 110
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.sum(axis=0) > 5 * per_mm)
    line = 2 * per_mm / 5
    assert np.ptp(rows) == pytest.approx(10 * per_mm, abs=line)
    assert np.ptp(columns) == pytest.approx(5 * per_mm, abs=line)


def test_the_papers_lines_are_5_pixels_apart_everywhere():
    image = pixels(plot_recording(sine(["II"], mv=0.0)))
    row = image[round((HEAD_MM + 2.5) * PX_PER_MM)]  # between two lines of the grid, above the trace
    inside = row[round(MARGIN_MM * PX_PER_MM) + 2 : round((MARGIN_MM + PAPER_MM) * PX_PER_MM) - 2]
    lines = np.flatnonzero(inside[:, 1] < 250)
    assert set(np.diff(lines)) == {PX_PER_MM}
    assert len(lines) == PAPER_MM - 1
    strong = np.flatnonzero(inside[:, 1] < 190)
    assert set(np.diff(strong)) == {5 * PX_PER_MM}


@pytest.mark.parametrize(
    "leads",
    [
        ("II",),
        ("MLII", "V5"),
        STANDARD_LEADS[:6],
        STANDARD_LEADS,
        FIFTEEN,
        EIGHTEEN,
    ],
    ids=len,
)
def test_every_lead_is_drawn_and_named(leads):
    figure = plot_recording(sine(leads))
    names = [name for name, _, _ in traces(figure)]
    strip = ["II"] if len(leads) >= 12 else []
    assert sorted(names) == sorted([*leads, *strip])
    said = [text.get_text() for text, _ in boxes(figure)]
    assert all(said.count(name) == names.count(name) for name in leads)
    assert_readable(figure)


def test_columns_follow_each_other_in_time_and_share_no_sample():
    figure = plot_recording(sine(STANDARD_LEADS))
    found = {name: x for name, x, _ in traces(figure)[:12]}
    step = 25 * PX_PER_MM / 500
    for row in range(3):
        pieces = [found[STANDARD_LEADS[row + 3 * column]] for column in range(4)]
        joined = np.concatenate(pieces)
        assert np.diff(joined) == pytest.approx(np.full(len(joined) - 1, step), abs=1e-6)
        assert len(joined) == 5000


@pytest.mark.parametrize("leads", [("II",), STANDARD_LEADS])
def test_missing_samples_are_gaps_where_they_are_missing(leads):
    recording = sine(leads)
    signal = recording.signal.copy()
    signal[leads.index("II"), 600:700] = np.nan
    for name, _, y in traces(plot_recording(replace(recording, signal=signal))):
        assert np.flatnonzero(np.isnan(y)).tolist() == (list(range(600, 700)) if name == "II" else [])


def test_a_lead_without_any_sample_is_named_so():
    recording = sine(STANDARD_LEADS)
    signal = recording.signal.copy()
    signal[7] = np.nan
    figure = plot_recording(replace(recording, signal=signal))
    assert "V2 (no samples)" in [text.get_text() for text, _ in boxes(figure)]
    assert_readable(figure)


@pytest.mark.parametrize("samples", [1, 2, 30, 400, 1999])
def test_a_very_short_recording_is_drawn(samples):
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.3, (12, samples)).astype(np.float32)
    figure = plot_recording(Recording(signal=signal, rate=500, leads=STANDARD_LEADS), prediction())
    assert sum(len(x) for _, x, _ in traces(figure)) == 12 * samples
    assert_readable(figure)


def test_of_a_long_recording_the_first_ten_seconds_are_drawn_and_the_page_says_so():
    figure = plot_recording(sine(("MLII", "V5"), seconds=60, rate=360))
    assert {len(x) for _, x, _ in traces(figure)} == {3600}
    assert any("first 10 s of 60.0 s" in text.get_text() for text, _ in boxes(figure))


def test_what_is_too_high_is_cut_off_and_named():
    recording = sine(STANDARD_LEADS)
    signal = recording.signal.copy()
    signal[6, 2600:2605] = 9.0
    figure = plot_recording(replace(recording, signal=signal))
    [(_, _, y)] = [trace for trace in traces(figure) if trace[0] == "V1"]
    assert np.ptp(y) <= 2 * LIMIT_MM * PX_PER_MM
    assert any("cut off at 3.2 mV: V1" in text.get_text() for text, _ in boxes(figure))


@pytest.mark.parametrize("seed", range(6))
def test_traces_stay_on_the_paper_and_off_the_names_and_their_neighbours(seed):
    recording = simulate_one(seed, 11).recording
    figure = plot_recording(recording)
    paper = next(axes for axes in figure.axes if axes.lines)
    edge = paper.get_window_extent()
    found = traces(figure)
    names = {id(text): box for text, box in boxes(figure) if text.axes is paper}
    for name, x, y in found:
        assert edge.x0 <= x.min()
        assert x.max() <= edge.x1
        assert edge.y0 <= np.nanmin(y), name
        assert np.nanmax(y) <= edge.y1, name
        for box in names.values():
            inside = (x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)
            assert not inside.any(), name
    rows = [np.concatenate([y for _, _, y in found[start : start + 4]]) for start in (0, 4, 8)]
    for upper, lower in pairwise(rows):
        assert np.nanmin(upper) > np.nanmax(lower)


@pytest.mark.parametrize(
    "made",
    [
        prediction(),
        prediction(answers=answers(simulated=True, calibrated=False), notes=("rocket needs lead V1 (found II)",) * 3),
        prediction(answers=answers(abstained="signal quality 0.03 is below 0.3: jumps (97% of the leads), " * 5)),
        prediction(answers={}, refused="the file is cut short, " * 40),
        prediction(answers={"age": answers()["age"]}),
        prediction(answers=answers(weights={f"an-expert-of-a-long-name-{k}": 0.05 for k in range(20)})),
    ],
    ids=["seven tasks", "marks and notes", "abstained", "refused", "one task", "twenty experts"],
)
@pytest.mark.parametrize("leads", [("II",), STANDARD_LEADS], ids=len)
def test_answers_are_all_there_and_nothing_overlaps_or_is_cut_off(made, leads):
    figure = plot_recording(sine(leads, id="one", age=61.0, sex="female"), made)
    assert_readable(figure)
    said = " ".join(text.get_text() for text, _ in boxes(figure))
    for name, answer in made.answers.items():
        if answer.abstained is None:
            assert name.replace("_", " ") in said
            words = [word for label in answer.members for word in label.split()]
            assert all(word in said for word in words)
    for reason in (made.refused, *(answer.abstained for answer in made.answers.values())):
        assert reason is None or reason.strip()[-20:] in said


@pytest.mark.parametrize("name", ["$a_b$", "x" * 255, "心电图 №5", "a\tb\nc", "%s {} \\alpha", " "])
def test_any_name_can_be_drawn(name, tmp_path):
    figure = plot_recording(sine(["II"], seconds=2, id=name), prediction(id=name), tmp_path / "one.png")
    assert_readable(figure)
    assert (tmp_path / "one.png").stat().st_size > 1000


def test_simulated_recordings_say_so_on_the_page_also_after_a_file():
    recording = simulate_one(1, 0, seconds=4).recording
    read_back = replace(recording, notes=(), statements=("simulated",))
    for one in (recording, read_back):
        assert "SIMULATED" in [text.get_text() for text, _ in boxes(plot_recording(one))]
    assert "SIMULATED" not in [text.get_text() for text, _ in boxes(plot_recording(replace(recording, notes=())))]


def test_the_page_prints_on_a4():
    figure = plot_recording(simulate_one(3, 0).recording, prediction())
    width, height = figure.get_size_inches() * 25.4
    assert width == pytest.approx(297)
    assert height < 297


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_pictures_are_written_in_the_format_that_the_name_says(ending, tmp_path):
    path = tmp_path / f"page.{ending}"
    plot_recording(sine(["II"], seconds=2), path=path)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert path.read_bytes().startswith(start)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.sampled_from([6.5, 7.5, 9]), st.booleans(), st.floats(20, 70))
def test_wrapped_lines_fit_and_lose_nothing(text, size, bold, room):
    lines = _wrapped(text, size, bold, room)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(_mm(line, size, bold) <= room or len(line) == 1 for line in lines)


def test_ink_and_paper_differ_in_lightness_so_that_no_colour_needs_to_be_seen():
    """WCAG 2: contrast of 4.5 at least for words, 3 for traces, whatever the hue."""
    from matplotlib.colors import to_rgb

    from enecg.plot import _FINE, _GREY, _GRID, _INK, _MARK

    def light(colour):
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722] + 0.05

    assert all(1.05 / light(colour) > 4.5 for colour in (_GREY, _MARK, _INK))
    assert all(light(colour) / light(_INK) > 3 for colour in (_GRID, _FINE))
