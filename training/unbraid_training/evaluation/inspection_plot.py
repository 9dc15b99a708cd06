"""The inspection as pictures: half-lives and similarities of the interests, and histories taken apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unbraid_training.evaluation.dissection import Dissection
from unbraid_training.evaluation.inspection import Inspection

__all__ = ["draw_histories", "draw_interests"]

PANEL_INCH, LINE_INCH, WIDTH_INCH = 3.4, 0.34, 11.0
TITLE_LENGTH = 30
DAY_S = 86_400.0
COLOURS = mpl.colormaps["tab10"].colors  # type: ignore[attr-defined]  # a colour map made of a list has it


def draw_interests(inspection: Inspection) -> str:
    """An SVG image: how long each interest lives, and how alike interests are by cosine and distance correlation."""
    found = inspection.disentanglement
    with _canvas(3 * PANEL_INCH, PANEL_INCH) as (figure, image):
        lives, cosine, correlation = figure.subplots(1, 3)
        days = [profile.half_life_days for profile in inspection.profiles]
        lives.barh(range(len(days)), days, color=[_colour(index) for index in range(len(days))])
        lives.bar_label(lives.containers[0], labels=[f"{each:.3g} d" for each in days], padding=3)
        lives.set(xscale="log", yticks=range(len(days)), ylabel="interest", title="half-life in days")
        lives.margins(x=0.4)
        lives.xaxis.set_visible(False)
        lives.invert_yaxis()
        _draw_matrix(cosine, found.cosine, "cosine, mean over users")
        _draw_matrix(correlation, found.corrected_distance_correlation, "distance correlation")
    return image.getvalue()


def draw_histories(inspection: Inspection) -> str:
    """An SVG image: for each example the events in time, a line an interest, next to the items that make it."""
    examples = inspection.examples
    heights = [len(each.strands) + 2 for each in examples]
    with _canvas(WIDTH_INCH, LINE_INCH * sum(heights)) as (figure, image):
        panels = figure.subplots(len(examples), 1, squeeze=False, height_ratios=heights)[:, 0]
        for panel, example in zip(panels, examples, strict=True):
            _draw_history(panel, example)
    return image.getvalue()


@contextmanager
def _canvas(width_inch: float, height_inch: float) -> Iterator[tuple[Figure, io.StringIO]]:
    """A figure to draw on, and the SVG text that it becomes."""
    image = io.StringIO()
    # Text stays text, a dollar sign stays a dollar sign, and equal reports give equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unbraid", "text.parse_math": False, "font.size": 9}):
        figure = Figure(figsize=(width_inch, height_inch), layout="constrained")
        yield figure, image
        figure.savefig(image, format="svg", metadata={"Date": None})


def _draw_matrix(panel: Axes, matrix: list[list[float | None]], title: str) -> None:
    shown_KK = np.array([[np.nan if value is None else value for value in line] for line in matrix])
    panel.imshow(shown_KK, vmin=0.0, vmax=1.0, cmap="viridis")
    for row, column in np.argwhere(np.isfinite(shown_KK)):
        value = shown_KK[row, column]
        panel.text(column, row, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.6 else "white")
    panel.set(xticks=range(len(matrix)), yticks=range(len(matrix)), title=title)


def _draw_history(panel: Axes, example: Dissection) -> None:
    for line, strand in enumerate(example.strands):
        days = np.array(strand.time_s) / DAY_S
        panel.scatter(days, np.full(len(days), line), s=14, alpha=0.6, color=_colour(strand.index))
        titles = " · ".join(_short(title) for title in strand.items[:3])
        label = f"{strand.index}  {strand.share:.0%}  {titles}"
        panel.text(1.01, line, label, transform=panel.get_yaxis_transform(), va="center", color=_colour(strand.index))
    panel.axvline(example.now_s / DAY_S, color="grey", linewidth=0.8, linestyle="dotted")
    panel.set(yticks=[], ylim=(len(example.strands) - 0.5, -0.5))
    # Matplotlib counts dates in days since 1970, as the axis does.
    panel.xaxis_date()
    panel.set_title(example.title(), loc="left", fontsize="medium")


def _colour(index: int) -> tuple[float, float, float]:
    colour: tuple[float, float, float] = COLOURS[index % len(COLOURS)]
    return colour


def _short(title: str) -> str:
    return title if len(title) <= TITLE_LENGTH else title[: TITLE_LENGTH - 1].rstrip() + "…"
