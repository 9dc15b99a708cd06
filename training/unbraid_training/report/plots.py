"""What the epochs of a run look like: a panel for everything that they report."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from unbraid_training.observer import EpochReport

__all__ = ["draw_epochs", "panels"]

COLUMN_COUNT = 3
PANEL_SIZE_INCH = (4.0, 2.7)
STYLE_OF_PHASE = {"select": "-", "refit": "--"}
LOGARITHMIC = {"half_life_days"}

# Values over epochs, by the name of the line and the phase.
Lines = Mapping[tuple[str, str], Sequence[tuple[int, float]]]


def panels(reports: Sequence[EpochReport]) -> dict[str, Lines]:
    """What is drawn: the lines of each panel, by its title.

    A number has a panel of its own, a list a line for each interest, and of a mapping those names share a panel that
    differ only in what follows the ``@``.
    """
    found: dict[str, dict[tuple[str, str], list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        for name, value in report.model_dump(exclude={"phase", "epoch"}).items():
            for panel, line, number in _numbers(name, value):
                found[panel][line, report.phase].append((report.epoch, number))
    return {panel: dict(lines) for panel, lines in found.items()}


def draw_epochs(reports: Sequence[EpochReport], best_epoch: int) -> str:
    """An SVG element with all panels.

    Args:
        reports: at least one.
        best_epoch: of the phase that chooses epochs, counted from 1; it is marked.
    """
    drawn = panels(reports)
    row_count = -(-len(drawn) // COLUMN_COUNT)
    # Text stays text, and equal reports give equal images.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unbraid", "font.size": 9}):
        size = (PANEL_SIZE_INCH[0] * COLUMN_COUNT, PANEL_SIZE_INCH[1] * row_count)
        figure = Figure(figsize=size)
        # A layout that measures every text would double the time.
        figure.subplots_adjust(left=0.05, right=0.99, bottom=0.2 / row_count, top=1 - 0.12 / row_count, hspace=0.55)
        axes = figure.subplots(row_count, COLUMN_COUNT, squeeze=False).ravel()
        for axis, (title, lines) in zip(axes, drawn.items(), strict=False):
            _draw_panel(axis, title, lines, best_epoch)
        for axis in axes[len(drawn) :]:
            axis.set_axis_off()
        image = io.StringIO()
        figure.savefig(image, format="svg", metadata={"Date": None})
    # Inside HTML neither the XML declaration nor the document type has a place.
    text = image.getvalue()
    return text[text.index("<svg") :]


def _numbers(name: str, value: object) -> list[tuple[str, str, float]]:
    """Panel, line and value of every number in a field of a report."""
    if isinstance(value, dict):
        return [(f"{name} {key.partition('@')[0]}", key, number) for key, number in value.items()]
    if isinstance(value, list):
        return [(name, f"interest {interest}", number) for interest, number in enumerate(value)]
    return [(name, "", value)] if isinstance(value, int | float) else []


def _draw_panel(axis: Axes, title: str, lines: Lines, best_epoch: int) -> None:
    colours: dict[str, str] = {}
    for (line, phase), points in lines.items():
        colour = colours.setdefault(line, f"C{len(colours) % 10}")
        # A line of the second phase has the colour of that of the first, and no entry of its own.
        label = line if colour not in [each.get_color() for each in axis.get_lines()] else None
        epochs, values = zip(*points, strict=True)
        axis.plot(epochs, values, STYLE_OF_PHASE[phase], color=colour, marker="o", markersize=3, label=label)
    if any(phase == "select" for _, phase in lines):
        axis.axvline(best_epoch, color="grey", linewidth=0.8, linestyle="dotted")
    if title in LOGARITHMIC:
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
    else:
        # What is read off is a value, not its distance from a number in the corner.
        axis.ticklabel_format(axis="y", useOffset=False)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_title(title.replace("_", " "), fontsize="medium")
    axis.set_xlabel("epoch")
    axis.grid(linewidth=0.3)
    if len(colours) > 1:
        axis.legend(fontsize="x-small")
