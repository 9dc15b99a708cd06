"""What diversity costs: accuracy against variety of a release for every value of the request field ``diversity``.

    python benchmarks/diversity.py DATA RELEASES [RELEASE_ID] [--task new] [--out FOLDER]

Prints Recall@50, NDCG@50, coverage@50 and intra-list diversity on the held-out users of the release, for diversity 0,
0.1, ... 1, and the time that the choice of 50 among 400 candidates takes. FOLDER gets the table as Markdown, and a
picture (SVG). Lists are compared in spaces that the release has not made: co-occurrence in the training events,
categories and words of titles, where there are any.
"""

from __future__ import annotations

import argparse
import io
import timeit
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track

from unbraid_cli.console import rows_table
from unbraid_core.diversity import diversify
from unbraid_core.pipeline import Pipeline
from unbraid_core.release import ReleaseStore
from unbraid_server.device import Device
from unbraid_server.model import load_model
from unbraid_training.data.sources import open_dataset
from unbraid_training.evaluation.admission import admit
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.diversity import intra_list_diversity
from unbraid_training.evaluation.item_space import ItemSpace, item_spaces
from unbraid_training.evaluation.markdown import markdown_table
from unbraid_training.evaluation.metrics import coverage, user_metrics
from unbraid_training.evaluation.system import rank_with_pipeline

STEPS = tuple(step / 10 for step in range(11))
ACCURACY = ("recall@50", "ndcg@50")
CANDIDATE_COUNT, CHOSEN_COUNT, REPEATS = 400, 50, 300


@dataclass(frozen=True)
class Point:
    """One value of ``diversity``, and what it leads to: a number for every measure, by name."""

    diversity: float
    values: dict[str, float]


def measure(pipeline: Pipeline, cases: Cases, spaces: Sequence[ItemSpace], diversity: float) -> Point:
    """Ask for every user and score the answers."""
    row_HR = rank_with_pipeline(pipeline, cases, lambda _: None, diversity=diversity)
    item_count = len(cases.catalogue)
    metrics = user_metrics(row_HR, cases.targets, item_count)
    values = {name: float(metrics[name].mean()) for name in ACCURACY}
    values["coverage@50"] = coverage(row_HR, item_count)
    for space in spaces:
        values[f"diversity@50 in {space.name}"] = float(intra_list_diversity(row_HR, space).mean())
    return Point(diversity, values)


def table(points: Sequence[Point]) -> list[list[str]]:
    """Cells of a table: a value of ``diversity`` a line; the first line is the head."""
    body = [[f"{point.diversity:g}", *(f"{value:.4f}" for value in point.values.values())] for point in points]
    return [["diversity", *points[0].values], *body]


def draw(points: Sequence[Point]) -> str:
    """An SVG image: a panel for every measure of variety, with accuracy going up."""
    varieties = [name for name in points[0].values if name not in ACCURACY]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "unbraid"}):
        figure = Figure(figsize=(3.4 * len(varieties), 3.2), layout="constrained")
        panels = figure.subplots(1, len(varieties), sharey=True, squeeze=False)[0]
        for panel, variety in zip(panels, varieties, strict=True):
            for accuracy in ACCURACY:
                across, up = ([point.values[name] for point in points] for name in (variety, accuracy))
                panel.plot(across, up, marker="o", markersize=3, label=accuracy)
            panel.set_xlabel(variety)
            panel.grid(linewidth=0.3)
        panels[0].set_ylim(bottom=0.0)
        panels[0].legend()
        image = io.StringIO()
        figure.savefig(image, format="svg", metadata={"Date": None})
    return image.getvalue()


def cost_ms(pipeline: Pipeline) -> float:
    """The least time that the choice of CHOSEN_COUNT among random candidates took."""
    item_count = len(pipeline.item_vectors_ID)
    row_C = np.random.default_rng(1).permutation(item_count)[:CANDIDATE_COUNT]

    def choose() -> None:
        diversify(row_C, 0.5, CHOSEN_COUNT, pipeline.item_vectors_ID, pipeline.categories)

    return 1000.0 * min(timeit.repeat(choose, number=1, repeat=REPEATS))


def main() -> None:
    """Measure every value and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path, help="folder of events and items that the release was trained on")
    parser.add_argument("releases", type=Path, help="folder of releases")
    parser.add_argument("release_id", nargs="?", help="which release; the active one by default")
    parser.add_argument("--task", type=Task, default=Task.NEW, choices=[*Task], help="which targets count")
    parser.add_argument("--out", type=Path, help="folder for the table and the picture")
    arguments = parser.parse_args()
    release = ReleaseStore(arguments.releases).open(arguments.release_id)
    rule, holdout = admit(release.manifest.training, open_dataset(arguments.data)[0], None)
    cases = Cases.of(holdout, arguments.task, release.catalogue, release.manifest.encoder.actions)
    pipeline = load_model(release, Device.CPU).pipeline
    spaces = item_spaces(cases.train)
    points = [measure(pipeline, cases, spaces, step) for step in track(STEPS, "asking for every user")]
    console = Console()
    console.print(f"release {release.manifest.release_id}, split {rule}, task {cases.task}: {len(cases):,} users")
    console.print(rows_table(table(points)))
    console.print(f"{CHOSEN_COUNT} of {CANDIDATE_COUNT} candidates: {cost_ms(pipeline):.2f} ms")
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "diversity.md").write_text(markdown_table(table(points)), encoding="utf-8")
        (arguments.out / "diversity.svg").write_text(draw(points), encoding="utf-8")


if __name__ == "__main__":
    main()
