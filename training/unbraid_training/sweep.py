"""A sweep: the same experiment with different settings, one run after the other, compared on the validation users.

Every run has a folder of its own, named after its settings. So a sweep that was interrupted goes on, and one with more
values trains only what is new. Runs are compared by what training reports of the users that it holds out inside the
training events; events that the split holds out are never looked at.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from unbraid_core.errors import Conflict, InvalidInput
from unbraid_core.release.replacement import replace_text
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.config import DAY_S
from unbraid_training.experiment import Experiment
from unbraid_training.layout import RUN_FILE
from unbraid_training.ranks import is_first

__all__ = ["Point", "SweepResult", "SweepTable", "find_points", "run_sweep"]

CHOICE_METRIC = "ndcg@50"
NAME_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of values.

    Attributes:
        values: by the dotted name of the key.
        experiment: with these values, in a folder of its own.
    """

    values: dict[str, object]
    experiment: Experiment

    def __str__(self) -> str:
        """The values in words."""
        return ", ".join(f"{name} {json.dumps(value)}" for name, value in self.values.items())


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How one combination did on the validation users."""

    folder: str
    values: dict[str, object]
    validation: dict[str, float]
    half_life_days: list[float]

    @classmethod
    def of(cls, point: Point, checkpoint: Checkpoint) -> SweepResult:
        """What a finished run reports."""
        half_life_days = [half_life_s / DAY_S for half_life_s in checkpoint.half_life_s_K.tolist()]
        return cls(point.experiment.run.out.name, point.values, checkpoint.training.validation, half_life_days)


@dataclass(frozen=True, slots=True)
class SweepTable:
    """All results so far, the best first."""

    results: list[SweepResult]
    point_count: int

    def to_json(self) -> str:
        """The table as JSON."""
        return json.dumps({"format_version": 1, "chosen_by": CHOICE_METRIC, **asdict(self)}, indent=2) + "\n"

    def rows(self) -> list[list[str]]:
        """The cells, head first."""
        names = list(dict.fromkeys(name for result in self.results for name in result.values))
        metrics = list(self.results[0].validation) if self.results else []
        rows = [[*names, *metrics, "half-lives (days)", "run"]]
        for result in self.results:
            values = [json.dumps(result.values[name]) for name in names]
            found = [f"{result.validation[name]:.4f}" for name in metrics]
            days = ", ".join(f"{days:.3g}" for days in result.half_life_days)
            rows.append([*values, *found, days, result.folder])
        return rows

    def to_markdown(self) -> str:
        """The table as Markdown."""
        head, *body = (f"| {' | '.join(cells)} |" for cells in self.rows())
        done = f"{len(self.results)} of {self.point_count} runs, chosen by validation {CHOICE_METRIC}\n\n"
        return done + "\n".join([head, "|" + "---|" * len(self.rows()[0]), *body]) + "\n"


def find_points(experiment: Experiment) -> list[Point]:
    """The combinations that a sweep tries: all of them, or a sample without replacement.

    Raises:
        InvalidInput: there is nothing to try, a key has no list, is unknown, or a value cannot be.
    """
    lists = dict(_lists(experiment.sweep.train))
    if not lists:
        raise InvalidInput("sweep", "there is nothing to try; give keys of [train] lists of values in [sweep.train]")
    count, samples = math.prod(map(len, lists.values())), experiment.sweep.samples
    chosen: Sequence[int] = range(count)
    if 0 < samples < count:
        drawn = np.random.default_rng(experiment.sweep.seed).choice(count, samples, replace=False)
        chosen = sorted(drawn.tolist())
    return [_point(experiment, dict(zip(lists, _combination(lists, number), strict=True))) for number in chosen]


def run_sweep(
    experiment: Experiment, train: Callable[[Point], Checkpoint], on_point: Callable[[int, int, Point], None]
) -> SweepTable:
    """Train every combination, and write ``sweep.json``, ``sweep.md`` and ``best.toml`` after each.

    Args:
        experiment: with lists to try; ``run.out`` is the folder of the sweep.
        train: does one run, or loads it if it is done.
        on_point: is told which of how many comes next.

    Raises:
        InvalidInput: as ``find_points``.
        Conflict: the folder is that of a single run.
    """
    points, folder = find_points(experiment), experiment.run.out
    if (folder / RUN_FILE).is_file():
        raise Conflict(f"{folder} holds a single run; name another folder with --out")
    table = SweepTable([], len(points))
    point_of: dict[str, Point] = {}
    for number, point in enumerate(points, start=1):
        on_point(number, len(points), point)
        result = SweepResult.of(point, train(point))
        point_of[result.folder] = point
        results = sorted([*table.results, result], key=lambda each: -each.validation[CHOICE_METRIC])
        table = SweepTable(results, len(points))
        if is_first():
            replace_text(folder / "sweep.json", table.to_json())
            replace_text(folder / "sweep.md", table.to_markdown())
            replace_text(folder / "best.toml", point_of[results[0].folder].experiment.to_toml())
    return table


def _lists(table: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, list[object]]]:
    """Every key with its list; keys of inner tables with dots."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lists(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value:
            yield prefix + key, value
        else:
            raise InvalidInput(f"sweep.train.{prefix}{key}", f"is {value!r}, expected a list of values to try")


def _combination(lists: Mapping[str, list[object]], number: int) -> list[object]:
    """The values of the combination of that number; the last key changes fastest."""
    sizes = [len(values) for values in lists.values()]
    return [values[int(place)] for values, place in zip(lists.values(), np.unravel_index(number, sizes), strict=True)]


def _point(experiment: Experiment, values: dict[str, object]) -> Point:
    tables: dict[str, object] = {}
    for name, value in values.items():
        inner = tables
        *parents, key = name.split(".")
        for parent in parents:
            following = inner.setdefault(parent, {})
            assert isinstance(following, dict)
            inner = following
        inner[key] = value
    changed = experiment.changed(tables)
    told = changed.model_dump_json(include={"data": {"split"}, "train": True})
    name = hashlib.sha256(told.encode()).hexdigest()[:NAME_LENGTH]
    run = changed.run.model_copy(update={"out": changed.run.out / name})
    return Point(values, changed.model_copy(update={"run": run}))
