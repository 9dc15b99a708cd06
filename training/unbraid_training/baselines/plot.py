"""The comparison as a picture: a dot and an interval for every method and metric."""

from __future__ import annotations

import io

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unbraid_training.baselines.report import COLUMNS, BaselinesReport
from unbraid_training.evaluation.bootstrap import CONFIDENCE

__all__ = ["draw"]

PANEL_WIDTH_INCH, ROW_HEIGHT_INCH, MARGIN_INCH = 3.2, 0.27, 1.3


def draw(report: BaselinesReport) -> str:
    """An SVG image with a panel for each metric of the table; the best method stands at the top."""
    # Text stays text, and equal reports give equal files.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unbraid"}):
        height_inch = MARGIN_INCH + ROW_HEIGHT_INCH * len(report.results)
        figure = Figure(figsize=(PANEL_WIDTH_INCH * len(COLUMNS), height_inch), layout="constrained")
        axes = figure.subplots(1, len(COLUMNS), sharey=True, squeeze=False)[0]
        for panel, metric in zip(axes, COLUMNS, strict=True):
            _draw_metric(panel, report, metric)
        names = [result.name for result in report.results]
        axes[0].set_yticks(range(len(names)), labels=names)
        axes[0].invert_yaxis()
        figure.suptitle(
            f"Baselines, task {report.task}, {report.split}: means and {CONFIDENCE:.0%} intervals", fontsize="medium"
        )
        image = io.StringIO()
        figure.savefig(image, format="svg", metadata={"Date": None})
    return image.getvalue()


def _draw_metric(panel: Axes, report: BaselinesReport, metric: str) -> None:
    intervals = [result.metrics[metric] for result in report.results]
    means = [interval.mean for interval in intervals]
    below = [interval.mean - interval.low for interval in intervals]
    above = [interval.high - interval.mean for interval in intervals]
    panel.errorbar(means, range(len(means)), xerr=[below, above], fmt="o", markersize=4, capsize=2)
    panel.axvline(max(means), color="grey", linewidth=0.8, linestyle="dotted")
    panel.set_xlim(left=0.0)
    panel.set_title(metric, fontsize="medium")
    panel.grid(axis="x", linewidth=0.3)
