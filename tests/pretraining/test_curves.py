"""The picture of learning curves shows the numbers that it was given, each stage in a panel of its own."""

import math

import numpy as np
import pytest

from enecg.errors import FitError
from enecg.pretraining import plot_curves
from enecg.pretraining._curves import stages_of


def rows(objective, losses, every=10):
    return [
        {"objective": objective, "step": every * (k + 1), "train": loss + 0.1, "validation": loss}
        for k, loss in enumerate(losses)
    ]


WARM, FIRST, LAST = rows("reorder", [2.0, 1.5]), rows("masked", [0.9, 0.7, 0.8]), rows("supervised", [0.5], every=40)


def lines(axes):
    return {line.get_label().partition(":")[0]: line.get_xydata() for line in axes.lines}


def test_each_stage_has_a_panel_with_its_numbers_and_the_best_look_ringed():
    figure = plot_curves([*WARM, *FIRST, *LAST], "s4d+mine")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["1. reorder", "2. masked", "3. supervised"]
    for axes, stage in zip(figure.axes, (WARM, FIRST, LAST), strict=True):
        drawn = lines(axes)
        for what, key in (("training", "train"), ("validation", "validation")):
            assert drawn[what].tolist() == [[row["step"], row[key]] for row in stage]
        best = min(stage, key=lambda row: row["validation"])
        assert drawn["kept"].tolist() == [[best["step"], best["validation"]]]
        assert axes.get_xlabel() == "steps"
    assert figure.axes[0].get_ylabel() == "loss"
    assert figure.get_suptitle() == "s4d+mine"


def test_two_stages_of_one_objective_are_two():
    assert [len(stage) for stage in stages_of([*FIRST, *FIRST, *WARM])] == [3, 3, 2]


def test_one_stage_needs_no_number_and_one_look_is_seen():
    figure = plot_curves(LAST)
    [axes] = figure.axes
    assert axes.get_title(loc="left") == "supervised"
    assert all(line.get_marker() == "o" for line in axes.lines)


def test_a_loss_that_is_no_number_is_a_gap_and_names_are_no_formulas(tmp_path):
    broken = [WARM[0] | {"train": math.nan}, WARM[1]]
    figure = plot_curves(broken, "$\\frac$", tmp_path / "curves.svg")
    assert np.isnan(lines(figure.axes[0])["training"][0, 1])


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_picture_is_what_its_ending_says(tmp_path, ending, start):
    plot_curves([*WARM, *FIRST], "s4d+mine", tmp_path / f"curves{ending}")
    assert (tmp_path / f"curves{ending}").read_bytes().startswith(start)


def test_nothing_to_draw_is_refused():
    with pytest.raises(FitError, match="no learning curves"):
        plot_curves([])
