"""The page of an evaluation holds every figure of its record, and draws what it says."""

import re

import numpy as np
import pytest

from enecg.evaluation import Evaluation, OutOfFold, cell_text, curves_of, markdown, metric_names, spread_of
from enecg.pages import evaluation_page
from enecg.tasks import TASKS, Task

N = 120
LABELS = Task("found", "multilabel", tuple(f"label {k}" for k in range(14)))


def row(task, system, metric, value, reach=0.02, **more):
    ends = {"low": value - reach, "high": value + reach} if reach else {}
    return {"task": task, "system": system, "metric": metric, "value": value, "n": N} | ends | more


ROWS = [
    row("age", "trivial", "mae", 13.4),
    row("age", "ensemble", "mae", 7.67),
    row("age", "ensemble", "rmse", 9.9),
    row("age", "ensemble - best expert", "mae gain", 0.25, 0.4),
    row("age", "ensemble", "coverage", 0.91, 0),
    row("age", "ensemble", "mae", 8.5, group="female", n=51, subjects=48),
    row("age", "ensemble", "mae", 6.5, 0, group="40 to 60 y", n=42, subjects=7),
    row("sex", "trivial", "auroc", 0.5),
    row("sex", "best expert", "auroc", 0.913),
    row("sex", "ensemble", "auroc", 0.922),
    row("sex", "ensemble", "coverage", 0.89, 0),
    {"task": "", "system": "ensemble", "metric": "seconds to fit", "value": 12.0},
]
ABOUT = {
    "cohort": "clinic",
    "licence": "CC BY 4.0",
    "citation": "Somebody et al. (2020), https://doi.org/10.1000/1",
    "simulated": False,
    "recordings": 150,
    "subjects": 90,
    "without a subject": 0,
    "tested": N,
    "refused": 3,
    "rounds": 1,
    "folds": 2,
    "experts": ["rocket", "st-mem"],
    "caveats": {"st-mem": "for non-commercial use"},
    "used": [
        {
            side: {"recordings": n, "subjects": n - 7}
            for side, n in zip(("trained", "validated", "tested"), counts, strict=True)
        }
        for counts in ((70, 20, 61), (71, 21, 62))
    ],
    "command": "enecg evaluate --data clinic",
}


def held(task, seed=0, rounds=1):
    """Answers that know something."""
    rng = np.random.default_rng(seed)
    outputs = task.n_outputs
    if task.kind == "regression":
        truth = rng.uniform(20, 90, (N, 1))
        answers = truth + rng.normal(0, 9, (rounds, N, 1))
    else:
        chance = rng.uniform(size=(N, outputs))
        truth = (rng.uniform(size=chance.shape) < chance).astype(float)
        answers = np.stack([chance] * rounds)
    folds = np.tile(np.arange(N) % 2, (rounds, 1))
    return OutOfFold(task, truth.astype(np.float32), answers.astype(np.float32), folds, np.arange(N) // 2)


@pytest.fixture
def page(parsed):
    def make(rows=ROWS, tasks=(TASKS["age"], TASKS["sex"]), rounds=1, about=None):
        found = Evaluation(
            rows=rows, about=ABOUT | (about or {}), held={own.name: held(own, 0, rounds) for own in tasks}
        )
        return parsed(evaluation_page(found))

    return make


def cells(page):
    return [one["text"] for one in page.all("td")]


def test_every_figure_of_the_record_is_on_the_page(page):
    said = cells(page())
    for one in ROWS:
        assert cell_text(one) in said, one


def test_what_was_tested_stands_above_as_in_the_tables_for_the_screen(page):
    first = markdown({"about": ABOUT, "rows": ROWS}).splitlines()[0]
    assert first in page().all("header")[0]["text"]
    flagged = page(rows=[one | {"seen_by": ["travelled"]} for one in ROWS], about={"simulated": True}).text
    assert "Too good to be true: travelled had seen this data set" in flagged
    assert "All of them are simulated." in flagged


def test_licence_citation_command_and_caveats_are_text(page):
    made = page()
    for said in ("CC BY 4.0", "https://doi.org/10.1000/1", "enecg evaluate --data clinic", "non-commercial"):
        assert said in made.text, said
    assert not [link for link in made.all("a") if not link["href"].startswith("#task-")]


def test_who_was_used_for_what_is_counted_fold_by_fold(page):
    rows = [one["text"] for one in page().all("tr")]
    assert "fold 170 (63 subjects)20 (13 subjects)61 (54 subjects)" in rows
    assert "fold 271 (64 subjects)21 (14 subjects)62 (55 subjects)" in rows


def test_rounds_are_called_so(page):
    draws = page(rounds=2, about={"rounds": 2, "folds": 1})
    assert "round 271 (64 subjects)21 (14 subjects)62 (55 subjects)" in [one["text"] for one in draws.all("tr")]


def test_a_finished_ensemble_says_where_it_was_trained(page):
    about = {"trained on": ["ptbxl", "ludb"], "trained": 9000, "used": [{"tested": {"recordings": 9, "subjects": 8}}]}
    text = page(about=about).text
    assert "trained before, on 9,000 recordings of ptbxl, ludb." in text
    assert "fold 19 (8 subjects)" in text


def test_groups_have_their_counts(page):
    rows = [one["text"] for one in page().all("tr")]
    assert "female8.50 (8.48 to 8.52)51" in rows
    assert "40 to 60 y6.50 (no interval: 7 subjects)42" in rows


def test_every_metric_that_is_shown_is_explained(page):
    kinds = {"regression": (), "binary": ("no", "yes"), "multiclass": ("a", "b"), "multilabel": ("a", "b")}
    names = metric_names([*TASKS.values(), *(Task(f"own_{kind}", kind, of) for kind, of in kinds.items())])
    assert {"mae", "challenge_score", "ece"} < set(names)
    footer = page(rows=[row("age", "ensemble", name, 0.5) for name in names], tasks=()).all("footer")[0]["text"]
    assert [name for name in names if f"{name}: " not in footer] == []


def test_at_a_glance_compares_the_main_figures(page):
    rows = [one["text"] for one in page().all("tr")]
    assert "sexauroc0.500 (0.480 to 0.520)0.913 (0.893 to 0.933)0.922 (0.902 to 0.942)0.890" in rows


def numbers(one, *names):
    return [float(one[name]) for name in names]


def test_the_intervals_drawn_are_those_of_the_table(page):
    rows = [row("age", "trivial", "mae", 13.0, 1.0), row("age", "ensemble", "mae", 7.0, 2.0)]
    made = page(rows=rows, tasks=())
    bars = [numbers(one, "x", "width") for one in made.all("rect", class_="bar")]
    dots = [float(one["cx"]) for one in made.all("circle", class_="dot")]
    per_pixel = 4.0 / bars[1][1]
    assert bars[0][1] * per_pixel == pytest.approx(2.0, abs=per_pixel * 0.02)
    assert (bars[0][0] - bars[1][0]) * per_pixel == pytest.approx(7.0, abs=per_pixel * 0.02)
    assert (dots[0] - dots[1]) * per_pixel == pytest.approx(6.0, abs=per_pixel * 0.02)


def test_gains_are_drawn_with_zero_in_sight(page):
    rows = [
        row("age", "ensemble", "mae", 7.0),
        *(row("age", f"ensemble - {k}", "mae gain", 0.5 + k, 0.1) for k in (0, 1)),
    ]
    words = [one["text"] for one in page(rows=rows, tasks=()).all("text")]
    assert "0" in words


def square(svg_parts):
    """Value of a pixel in a square plot, from its frame."""
    [frame] = [one for one in svg_parts if one["tag"] == "rect" and one.get("class") == "frame"]
    x, y, wide = numbers(frame, "x", "y", "width")
    return lambda across, down: ((across - x) / wide, (y + wide - down) / wide)


def pictures(page, label):
    """The parts of every picture whose label begins so."""
    found, inside = [], None
    for one in page.elements:
        if one["tag"] == "svg":
            inside = [] if (one.get("aria-label") or "").startswith(label) else None
            if inside is not None:
                found.append(inside)
        elif inside is not None:
            inside.append(one)
    return found


def test_the_reliability_drawn_is_that_of_the_answers(page):
    [curves], _ = curves_of(held(TASKS["sex"]))
    [parts] = pictures(page(), "Reliability of female")
    value = square(parts)
    dots = [value(*numbers(one, "cx", "cy")) for one in parts if one.get("class") == "dot"]
    wanted = [(one.chance, one.share.value) for one in curves.bins]
    assert np.array(dots) == pytest.approx(np.array(wanted), abs=1e-3)
    reach = [one for one in parts if one.get("class") == "reach"]
    ends = [sorted(value(0, y)[1] for y in numbers(one, "y1", "y2")) for one in reach]
    assert np.array(ends) == pytest.approx(np.array([(one.share.low, one.share.high) for one in curves.bins]), abs=1e-3)


def test_the_curve_drawn_is_precision_against_recall(page):
    """Its area is the average precision, and the operating points lie on it where they are counted."""
    [curves], _ = curves_of(held(TASKS["sex"]))
    [parts] = pictures(page(), "Precision against recall of female")
    value = square(parts)
    [path] = [one for one in parts if one.get("class") == "curve"]
    start, steps = re.fullmatch(r"M(.+)l(.+)", path["d"]).groups()
    read = [np.array(re.findall(r"-?\d+", part), float).reshape(-1, 2) for part in (start, steps)]
    points = np.array([value(*point) for point in np.cumsum(np.concatenate(read), axis=0) / 10])
    area = np.sum(np.diff(points[:, 0]) * (points[1:, 1] + points[:-1, 1]) / 2)
    assert area == pytest.approx(curves.average_precision.value, abs=0.01)
    marks = [value(*numbers(one, "cx", "cy")) for one in parts if one.get("class") == "point"]
    wanted = [(one.sensitivity.value, one.precision.value) for one in curves.points]
    assert np.array(marks) == pytest.approx(np.array(wanted), abs=1e-3)


def test_operating_points_have_sensitivity_and_specificity(page):
    [curves], _ = curves_of(held(TASKS["sex"]))
    rows = [one["text"] for one in page().all("tr")]
    for number, point in enumerate(curves.points, 1):
        said = [
            f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f})"
            for share in (point.sensitivity, point.specificity, point.precision)
        ]
        assert f"female{number} {point.how}{point.threshold:.3f}{''.join(said)}{point.flagged}" in rows


def test_of_a_number_the_truth_is_drawn_where_so_much_was_answered(page):
    [parts] = pictures(page(), "True values against answers")
    rows = spread_of(held(TASKS["age"]))
    dots = np.array([numbers(one, "cx", "cy") for one in parts if one.get("class") == "dot"])
    slope, offset = np.polyfit(rows[:, 2], dots[:, 1], 1)
    assert dots[:, 1] == pytest.approx(offset + slope * rows[:, 2], abs=0.02)
    slope, offset = np.polyfit(rows[:, 0], dots[:, 0], 1)
    assert dots[:, 0] == pytest.approx(offset + slope * rows[:, 0], abs=0.02)


def test_of_many_classes_the_commonest_are_drawn_and_all_are_in_the_table(page):
    rows = [row("found", "ensemble", "macro_auroc", 0.8)]
    made = page(rows=rows, tasks=(LABELS,))
    assert len(pictures(made, "Reliability of")) == 12
    assert "The 12 classes with the most recordings are drawn; the table has all 14." in made.text
    lines = [one["text"] for one in made.all("tr")]
    assert all(any(line.startswith(f"{name}1 as answered") for line in lines) for name in LABELS.classes)


def test_several_rounds_say_so(page):
    made = page(rounds=3)
    assert "Answers of 3 rounds together." in made.text


def test_a_class_with_too_few_recordings_is_named(parsed):
    rare = held(TASKS["sex"])
    truth = np.zeros_like(rare.truth)
    truth[:3] = 1
    few = OutOfFold(rare.task, truth, rare.answers, rare.fold, rare.subjects)
    found = Evaluation(rows=ROWS, about=ABOUT, held={"sex": few})
    assert "Too few recordings for curves: female (3 of it, 117 not)." in parsed(evaluation_page(found)).text


def test_an_evaluation_without_any_row_is_a_page(parsed):
    assert "120 recordings of clinic tested" in parsed(evaluation_page(Evaluation(about=ABOUT))).text


def test_nothing_that_is_given_becomes_html(parsed):
    evil = '</style><script>alert("1")</script><img src=x onerror=alert(1)>'
    task = Task("own", "multilabel", (evil,), description=evil)
    about = dict.fromkeys(("cohort", "licence", "citation", "command"), evil)
    about |= {"experts": [evil], "caveats": {evil: evil}}
    rows = [row("own", evil, "auroc", 0.5), row("own", "ensemble", "auroc", 0.5, group=evil)]
    found = Evaluation(rows=rows, about=ABOUT | about, held={"own": held(task)})
    assert parsed(evaluation_page(found)).text.count(evil) > 10


def test_the_same_evaluation_makes_the_same_page():
    found = Evaluation(rows=ROWS, about=ABOUT, held={"sex": held(TASKS["sex"])})
    assert "".join(evaluation_page(found)) == "".join(evaluation_page(found))
