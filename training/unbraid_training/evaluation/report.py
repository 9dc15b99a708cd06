"""The evaluation report: systems, metrics, intervals, and what one system gains over the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from unbraid_core.types import IntArray, Profile
from unbraid_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Interval
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import COVERAGE_CUTOFF, METRICS
from unbraid_training.evaluation.probabilities import ProbabilityQuality
from unbraid_training.evaluation.scorecard import Scorecard

__all__ = ["METHOD", "Answers", "EvaluationReport", "Gain", "Setting", "SystemResult"]

# How every report came by its intervals and its coverage.
METHOD = {"confidence": CONFIDENCE, "resamples": RESAMPLES, "coverage_cutoff": COVERAGE_CUTOFF}


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a system recommends to the users of some cases, in their order.

    Attributes:
        system: its name.
        row_HR: rankings [H, RANK_COUNT], best first, -1 after the end of a short one.
        half_life_s: of the popularity in it, None where there is none to choose.
        probabilities: how good its probabilities are, None where it has none.
    """

    system: str
    row_HR: IntArray
    half_life_s: float | None = None
    probabilities: ProbabilityQuality | None = None


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
        probabilities: how good those of the judged system are over what it recommends, None where it has none.
    """

    setting: Setting
    systems: list[SystemResult]
    gains: list[Gain]
    probabilities: ProbabilityQuality | None

    @classmethod
    def of(
        cls,
        cases: Cases,
        setting: Setting,
        judged: Answers,
        baselines: Sequence[Answers],
        bars: Sequence[Scorecard] = (),
    ) -> EvaluationReport:
        """Score all systems on the same users.

        Args:
            cases: users and targets.
            setting: of these cases; its seed is that of the bootstrap.
            judged: the system whose gains are asked for.
            baselines: what it is compared with.
            bars: what it is compared with, too, scored on these users before.
        """
        seed = setting.seed
        first, *others = [Scorecard.of(answers.system, answers.row_HR, cases) for answers in (judged, *baselines)]
        half_lives_s = {answers.system: answers.half_life_s for answers in (judged, *baselines)}
        systems = [
            SystemResult(card.system, half_lives_s.get(card.system), card.means(seed), card.coverage)
            for card in (first, *others, *bars)
        ]
        gains = [Gain(card.system, first.gains(card, seed)) for card in (*others, *bars)]
        return cls(setting, systems, gains, judged.probabilities)

    def to_json(self) -> str:
        """The report as JSON; equal reports give equal text."""
        return json.dumps({"format_version": 1, "method": METHOD, **asdict(self)}, indent=2) + "\n"

    def system_rows(self) -> list[list[str]]:
        """Cells of a table: a metric and its value in every system, a line a metric; the first line is the head."""
        head = ["", *(result.system for result in self.systems)]
        body = [[name, *(result.metrics[name].text(3) for result in self.systems)] for name in METRICS]
        last = [f"coverage@{COVERAGE_CUTOFF}", *(f"{result.coverage:.3f}" for result in self.systems)]
        return [head, *body, last]

    def gain_rows(self) -> list[list[str]]:
        """Cells of a table: a metric and the gain in it over every baseline; the first line is the head."""
        head = [f"gain of {self.systems[0].system}", *(f"over {gain.baseline}" for gain in self.gains)]
        return [head, *([name, *(gain.metrics[name].text(3, "+") for gain in self.gains)] for name in METRICS)]

    def threshold_rows(self) -> list[list[str]]:
        """Cells of a table: what a least probability gives; the first line is the head, alone without probabilities."""
        head = ["items of at least", "recommended", "expected to be taken", "taken"]
        rows = [] if self.probabilities is None else self.probabilities.thresholds
        body = [
            [f"{row.threshold:.0%}", f"{row.pair_count:,}", f"{row.expected:.1%}", f"{row.found:.1%}"] for row in rows
        ]
        return [head, *body]
