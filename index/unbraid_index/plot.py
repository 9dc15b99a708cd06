"""Recall over latency of every trial, as an SVG file that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from unbraid_index.family import FAMILIES
from unbraid_index.report import IndexReport, Trial

__all__ = ["trials_svg"]

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 200, 30, 50
COLOURS = ("#4e79a7", "#9c755f", "#e15759", "#59a14f", "#edc948", "#b07aa1", "#76b7b2", "#ff9da7")
LOWEST_SHOWN = 0.9
TICKS_MS = tuple(step * 10.0**power for power in range(-3, 5) for step in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where a latency and a recall lie in the picture; latency is logarithmic."""

    fastest_ms: float
    slowest_ms: float
    lowest_recall: float

    def x(self, p50_ms: float) -> float:
        share = math.log(p50_ms / self.fastest_ms) / math.log(self.slowest_ms / self.fastest_ms)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, recall: float) -> float:
        share = (max(recall, self.lowest_recall) - self.lowest_recall) / (1.0 - self.lowest_recall)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def trials_svg(report: IndexReport) -> str:
    """A point for each trial: milliseconds of a call to the right, merged recall upwards, a colour for each family.

    Recalls below 0.9, or below a target that is lower still, stand on the lower edge. The chosen setting has a ring.
    """
    latencies = [trial.p50_ms for trial in report.trials]
    lowest = min(LOWEST_SHOWN, report.recall_target - 0.05)
    axes = _Axes(0.8 * min(latencies), 1.25 * max(latencies), max(0.0, lowest))
    families = [family.name for family in FAMILIES if any(trial.family == family.name for trial in report.trials)]
    colours = dict(zip(families, COLOURS, strict=False))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        '<g font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_grid(axes, report.recall_target),
        *(_point(trial, axes, colours[trial.family]) for trial in report.trials),
        *_rings(report, axes),
        *_legend(colours),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(axes: _Axes, target: float) -> Iterator[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for tick_ms in TICKS_MS:
        if axes.fastest_ms <= tick_ms <= axes.slowest_ms:
            x = axes.x(tick_ms)
            yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{tick_ms:g}</text>'
    for step in range(6):
        recall = axes.lowest_recall + step / 5 * (1.0 - axes.lowest_recall)
        y = axes.y(recall)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{recall:.2f}</text>'
    y = axes.y(target)
    yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#555" stroke-dasharray="4 3"/>'
    middle = (LEFT + right) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">milliseconds for one user (median)</text>'
    yield f'<text x="{LEFT}" y="{TOP - 12}">merged recall; dashes: target {target:g}</text>'


def _point(trial: Trial, axes: _Axes, colour: str) -> str:
    setting = ", ".join(f"{name} {value}" for name, value in trial.search_params.items())
    title = escape(f"{trial.family} {setting}: recall {trial.recall:.4f}, {trial.p50_ms:.3f} ms")
    place = f'cx="{axes.x(trial.p50_ms):.1f}" cy="{axes.y(trial.recall):.1f}"'
    return f'<circle {place} r="3.5" fill="{colour}" fill-opacity="0.7"><title>{title}</title></circle>'


def _rings(report: IndexReport, axes: _Axes) -> Iterator[str]:
    for trial in report.trials:
        if (trial.family, trial.search_params) == (report.spec.family, report.spec.search_params):
            place = f'cx="{axes.x(trial.p50_ms):.1f}" cy="{axes.y(trial.recall):.1f}"'
            yield f'<circle {place} r="8" fill="none" stroke="black" stroke-width="1.5"/>'


def _legend(colours: dict[str, str]) -> Iterator[str]:
    for place, (family, colour) in enumerate(colours.items()):
        x, y = WIDTH - RIGHT + 20, TOP + 10 + 20 * place
        yield f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/><text x="{x + 10}" y="{y + 4}">{escape(family)}</text>'
