"""The evaluation report: systems, metrics, intervals, and what one system gains over the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from unbraid_core.types import IntArray, Profile
from unbraid_training.evaluation.bootstrap import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    bootstrap_means,
    paired_differences,
)
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import COVERAGE_CUTOFF, METRICS, coverage, user_metrics

__all__ = ["Answers", "EvaluationReport", "Gain", "Setting", "SystemResult"]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a system recommends to the users of some cases, in their order.

    Attributes:
        system: its name.
        row_HR: rankings [H, RANK_COUNT], best first, -1 after the end of a short one.
        half_life_s: of the popularity in it, None where there is none to choose.
    """

    system: str
    row_HR: IntArray
    half_life_s: float | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """Under what conditions the systems were compared."""

    release_id: str
    split: str
    task: Task
    profile: Profile
    seed: int
    user_count: int
    item_count: int
    target_count: int
    outside_count: int

    @classmethod
    def of(cls, cases: Cases, release_id: str, split: str, profile: Profile, seed: int) -> Setting:
        """The conditions of some cases."""
        return cls(
            release_id=release_id,
            split=split,
            task=cases.task,
            profile=profile,
            seed=seed,
            user_count=len(cases),
            item_count=len(cases.catalogue),
            target_count=cases.target_count,
            outside_count=cases.outside_count,
        )


@dataclass(frozen=True, slots=True)
class SystemResult:
    """The user means of one system, with intervals, and the share of the catalogue that it recommends."""

    system: str
    half_life_s: float | None
    metrics: dict[str, Interval]
    coverage: float


@dataclass(frozen=True, slots=True)
class Gain:
    """How much higher the judged system scores than a baseline, user by user."""

    baseline: str
    metrics: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The outcome of an evaluation.

    Attributes:
        setting: the conditions.
        systems: the judged system first, then the baselines.
        gains: of the judged system over each baseline.
    """

    setting: Setting
    systems: list[SystemResult]
    gains: list[Gain]

    @classmethod
    def of(cls, cases: Cases, setting: Setting, judged: Answers, baselines: Sequence[Answers]) -> EvaluationReport:
        """Score all systems on the same users.

        Args:
            cases: users and targets.
            setting: of these cases; its seed is that of the bootstrap.
            judged: the system whose gains are asked for.
            baselines: what it is compared with.
        """
        item_count, seed = len(cases.catalogue), setting.seed
        everyone = [judged, *baselines]
        values = [user_metrics(answers.row_HR, cases.targets, item_count) for answers in everyone]
        systems = [
            SystemResult(
                answers.system, answers.half_life_s, bootstrap_means(value, seed), coverage(answers.row_HR, item_count)
            )
            for answers, value in zip(everyone, values, strict=True)
        ]
        gains = [
            Gain(answers.system, paired_differences(values[0], value, seed))
            for answers, value in zip(baselines, values[1:], strict=True)
        ]
        return cls(setting, systems, gains)

    def to_json(self) -> str:
        """The report as JSON; equal reports give equal text."""
        method = {"confidence": CONFIDENCE, "resamples": RESAMPLES, "coverage_cutoff": COVERAGE_CUTOFF}
        return json.dumps({"format_version": 1, "method": method, **asdict(self)}, indent=2) + "\n"

    def system_rows(self) -> list[list[str]]:
        """Cells of a table: a metric and its value in every system, a line a metric; the first line is the head."""
        head = ["", *(result.system for result in self.systems)]
        body = [[name, *(_cell(result.metrics[name]) for result in self.systems)] for name in METRICS]
        last = [f"coverage@{COVERAGE_CUTOFF}", *(f"{result.coverage:.3f}" for result in self.systems)]
        return [head, *body, last]

    def gain_rows(self) -> list[list[str]]:
        """Cells of a table: a metric and the gain in it over every baseline; the first line is the head."""
        head = [f"gain of {self.systems[0].system}", *(f"over {gain.baseline}" for gain in self.gains)]
        return [head, *([name, *(_cell(gain.metrics[name], "+") for gain in self.gains)] for name in METRICS)]


def _cell(interval: Interval, sign: str = "-") -> str:
    return f"{interval.mean:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
