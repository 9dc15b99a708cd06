"""A sweep tries what it is told to, each in a folder of its own, and chooses without the events that are held out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from unbraid_core.errors import Conflict, InvalidInput
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import MIN_TRAINING_ITEMS, distinct_items
from unbraid_training.data.splits import LastEvents
from unbraid_training.experiment import Experiment, read_experiment
from unbraid_training.observer import Silence
from unbraid_training.sweep import Point, SweepTable, find_points, run_sweep
from unbraid_training.train import train

if TYPE_CHECKING:
    from collections.abc import Mapping

TINY: dict[str, object] = {
    "dimension": 8,
    "epochs": 2,
    "batch_size": 64,
    "ranker": {"origin_count": 0},
}


def experiment(folder: Path, sweep: Mapping[str, object]) -> Experiment:
    base = read_experiment(None, {"data": {"path": "data", "split": "last-5"}, "run": {"out": folder}, "train": TINY})
    return base.model_copy(update={"sweep": base.sweep.model_copy(update=sweep)})


GRID: dict[str, object] = {"interest_count": [1, 2, 3], "decay": {"kind": ["learned", "none"]}, "seed": [1, 2]}


def test_a_grid_has_every_combination_once() -> None:
    points = find_points(experiment(Path("runs"), {"train": GRID}))
    assert len(points) == 12
    assert len({json.dumps(point.values) for point in points}) == 12
    assert len({point.experiment.run.out for point in points}) == 12
    for point in points:
        settings = point.experiment.train
        assert point.values == {
            "interest_count": settings.interest_count,
            "decay.kind": settings.decay.kind,
            "seed": settings.seed,
        }
        assert (settings.dimension, settings.ranker.origin_count) == (8, 0), "the rest is that of the experiment"
        assert point.experiment.run.out.parent == Path("runs")
        assert not point.experiment.sweep.train


def test_a_sample_is_drawn_from_the_grid_by_its_seed() -> None:
    whole = [point.values for point in find_points(experiment(Path("runs"), {"train": GRID}))]
    samples = [
        [point.values for point in find_points(experiment(Path("runs"), {"train": GRID, "samples": 5, "seed": seed}))]
        for seed in (1, 1, 2)
    ]
    assert samples[0] == samples[1] != samples[2]
    for sample in samples:
        assert len(sample) == 5
        assert all(values in whole for values in sample)
    assert len(find_points(experiment(Path("runs"), {"train": GRID, "samples": 99}))) == 12


def test_a_folder_is_named_after_the_settings_and_not_after_the_grid() -> None:
    small = find_points(experiment(Path("runs"), {"train": {"interest_count": [2]}}))
    large = find_points(experiment(Path("runs"), {"train": {"interest_count": [1, 2, 3]}}))
    assert small[0].experiment.run.out == large[1].experiment.run.out


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "sweep: there is nothing to try"),
        ({"interest_count": 3}, "sweep.train.interest_count: is 3, expected a list of values to try"),
        ({"decay": {"kind": []}}, r"sweep.train.decay.kind: is \[\], expected a list"),
        ({"interest_cuont": [3]}, "sweep: train.interest_cuont: unknown key; did you mean 'interest_count'"),
        ({"epochs": [3, 0]}, "sweep: train.epochs: is 0"),
    ],
)
def test_a_mistake_is_found_before_anything_is_trained(table: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        find_points(experiment(Path("runs"), {"train": table}))


@pytest.fixture
def swept(tiny_dataset: Dataset) -> Callable[..., tuple[SweepTable, list[str]]]:
    """Runs a sweep; returns its table and the stretches of training that were done."""

    def run(folder: Path, values: list[int], dataset: Dataset = tiny_dataset) -> tuple[SweepTable, list[str]]:
        stretches: list[str] = []

        class Listener(Silence):
            def begin(self, title: str, step_count: int, done_count: int) -> None:
                stretches.append(f"{title} {done_count}/{step_count}")

        def once(point: Point) -> Checkpoint:
            return train(dataset, LastEvents(5), point.experiment.train, point.experiment.run.out, Listener())

        return run_sweep(experiment(folder, {"train": {"interest_count": values}}), once, lambda *_: None), stretches

    return run


def test_the_best_on_validation_stands_first_and_nothing_is_trained_twice(
    swept: Callable[..., tuple[SweepTable, list[str]]], tmp_path: Path
) -> None:
    swept(tmp_path / "runs", [1])
    table, stretches = swept(tmp_path / "runs", [1, 3])
    assert sum(title.startswith("choosing epochs") for title in stretches) == 1, "the first run is only loaded"
    ndcg = [result.validation["ndcg@50"] for result in table.results]
    assert ndcg == sorted(ndcg, reverse=True)
    stored = json.loads((tmp_path / "runs" / "sweep.json").read_text())
    assert [result["validation"]["ndcg@50"] for result in stored["results"]] == ndcg
    assert (tmp_path / "runs" / "sweep.md").read_text().startswith("2 of 2 runs, chosen by validation ndcg@50")
    best = read_experiment(tmp_path / "runs" / "best.toml", {})
    assert best.train.interest_count == table.results[0].values["interest_count"]
    assert (best.run.out / "config.json").is_file()


def test_the_events_that_are_held_out_do_not_matter(
    swept: Callable[..., tuple[SweepTable, list[str]]], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    late_E = np.arange(len(tiny_dataset)) >= (tiny_dataset.offset_U1[1:] - 5)[tiny_dataset.user_E]
    enough_U = distinct_items(tiny_dataset.select(~late_E)) >= MIN_TRAINING_ITEMS
    held_E = late_E & enough_U[tiny_dataset.user_E]
    shuffled_E = np.random.default_rng(1).permutation(tiny_dataset.row_E)
    changed = replace(tiny_dataset, row_E=np.where(held_E, shuffled_E, tiny_dataset.row_E))
    swept(tmp_path / "one", [2])
    swept(tmp_path / "two", [2], changed)
    assert (tmp_path / "one" / "sweep.json").read_bytes() == (tmp_path / "two" / "sweep.json").read_bytes()


def test_the_folder_of_a_run_is_no_folder_of_a_sweep(
    swept: Callable[..., tuple[SweepTable, list[str]]], tiny_run: Path
) -> None:
    with pytest.raises(Conflict, match="holds a single run"):
        swept(tiny_run, [2])
