"""Learning curves as a picture: loss against steps, a panel for each stage of a training."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enecg.errors import FitError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]

ENDINGS = (".png", ".svg", ".pdf")

_INK, _GREY, _GRID = "#15151f", "#5a5a66", "#dcdce2"
_TRAIN, _VALIDATION = "#8a8a96", "#0b4f8a"
_PANEL, _HEIGHT = 4.2, 3.4
"""Inches."""


def plot_curves(curves: Sequence[Row], name: str = "", path: str | Path | None = None) -> "Figure":
    """Draw what `Note.settings["curves"]` of a trained expert holds: a row for each look at validation.

    Each stage has a scale of its own, for objectives measure different things; the ring is the look whose weights were
    kept. A loss that is no number is a gap. name : of the expert;  path : file to write (.png, .svg, .pdf).
    Returns matplotlib's Figure, which no window shows. Raises FitError where there is nothing to draw.
    """
    from matplotlib.figure import Figure

    stages = stages_of(curves)
    if not stages:
        raise FitError("no learning curves: expected a row at least, of an expert that `enecg pretrain` has made")
    figure = Figure(figsize=(_PANEL * max(len(stages), 1.3), _HEIGHT), dpi=127, facecolor="white", layout="constrained")
    for number, (axes, stage) in enumerate(zip(figure.subplots(1, len(stages), squeeze=False)[0], stages, strict=True)):
        _panel(axes, stage, f"{number + 1}. {stage[0]['objective']}" if len(stages) > 1 else stage[0]["objective"])
        if number == 0:
            axes.set_ylabel("loss", color=_INK)
    figure.suptitle(name, x=0.01, ha="left", fontsize=11, fontweight="bold", color=_INK, parse_math=False)
    if path is not None:
        figure.savefig(path)
    return figure


def stages_of(curves: Sequence[Row]) -> list[list[Row]]:
    """The rows of each stage: a new one begins where steps are counted anew, or with another objective."""
    found: list[list[Row]] = []
    for row in curves:
        last = found[-1][-1] if found else None
        if last is None or row["objective"] != last["objective"] or row["step"] <= last["step"]:
            found.append([])
        found[-1].append(row)
    return found


def _panel(axes: "Axes", rows: Sequence[Row], title: str) -> None:
    steps = [row["step"] for row in rows]
    single = "o" if len(rows) == 1 else ""
    axes.plot(steps, [row["train"] for row in rows], color=_TRAIN, lw=1.3, marker=single, ms=4, label="training")
    validation = [row["validation"] for row in rows]
    axes.plot(steps, validation, color=_VALIDATION, lw=1.8, marker=single, ms=4, label="validation")
    best = min(range(len(rows)), key=validation.__getitem__)
    axes.plot(
        steps[best], validation[best], "o", ms=8, mfc="none", mec=_VALIDATION, label=f"kept: {validation[best]:.4g}"
    )
    axes.set_title(title, loc="left", fontsize=10, color=_INK, parse_math=False)
    axes.set_xlabel("steps", color=_INK)
    axes.set_xlim(left=0)
    axes.margins(y=0.12)
    axes.grid(color=_GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_GREY, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.legend(frameon=False, fontsize=8, labelcolor=_INK)
