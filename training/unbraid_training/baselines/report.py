"""How well the baselines do on the test users, with intervals, and how far each is behind the best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from unbraid_training.baselines.comparison import Contender, Contest
from unbraid_training.baselines.tuning import CHOICE_METRIC
from unbraid_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Interval, bootstrap_means, paired_differences
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import COVERAGE_CUTOFF, coverage, user_metrics

__all__ = ["COLUMNS", "BaselinesReport", "Result"]

COLUMNS = ("recall@20", "recall@50", "ndcg@50")


@dataclass(frozen=True, slots=True)
class Result:
    """A method on the test users.

    Attributes:
        name: of the method.
        settings: chosen on the validation users, in words.
        validation_ndcg: mean NDCG@50 there.
        metrics: user means with intervals.
        coverage: share of the catalogue that is recommended to anybody.
        behind: user means of this method less those of the best one, with intervals of the paired bootstrap.
    """

    name: str
    settings: str
    validation_ndcg: float
    metrics: dict[str, Interval]
    coverage: float
    behind: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class BaselinesReport:
    """The comparison; ``results`` stand in the order of their NDCG@50, best first."""

    split: str
    validation: str
    task: Task
    seed: int
    user_count: int
    item_count: int
    target_count: int
    outside_count: int
    results: list[Result]

    @classmethod
    def of(cls, contest: Contest, split: str, contenders: Sequence[Contender]) -> BaselinesReport:
        """Score all contenders on the same users; the seed of the contest is also that of the bootstrap."""
        cases = contest.cases()
        return cls(
            split=split,
            validation=str(contest.validation),
            task=contest.task,
            seed=contest.seed,
            user_count=len(cases),
            item_count=len(cases.catalogue),
            target_count=cases.target_count,
            outside_count=cases.outside_count,
            results=_results(cases, contest.seed, contenders),
        )

    def to_json(self) -> str:
        """The report as JSON; equal reports give equal text."""
        method = {"confidence": CONFIDENCE, "resamples": RESAMPLES, "coverage_cutoff": COVERAGE_CUTOFF}
        return json.dumps({"format_version": 1, "method": method, **asdict(self)}, indent=2) + "\n"

    def to_markdown(self) -> str:
        """The report as a page with two tables: how well, and with which settings."""
        conditions = (
            f"Split {self.split}: {self.user_count:,} users, {self.target_count:,} targets among {self.item_count:,} "
            f"items; {self.outside_count:,} held-out items are outside the catalogue and do not count. Settings chosen "
            f"by {CHOICE_METRIC} on {self.validation}, seed {self.seed}. Intervals: {CONFIDENCE:.0%} bootstrap over "
            f"users, {RESAMPLES:,} resamples; differences are paired."
        )
        results, settings = _markdown_table(self.result_rows()), _markdown_table(self.setting_rows())
        return "\n".join([f"# Baselines, task {self.task}", "", conditions, "", *results, "", *settings, ""])

    def result_rows(self) -> list[list[str]]:
        """Cells of a table: a method a line, its metrics, and how far behind the best it is; the head comes first."""
        best = self.results[0].name
        head = ["", *COLUMNS, f"coverage@{COVERAGE_CUTOFF}", f"{CHOICE_METRIC} less {best}"]
        return [head, *(_cells(result, best) for result in self.results)]

    def setting_rows(self) -> list[list[str]]:
        """Cells of a table: a method a line, its score on validation and its settings; the head comes first."""
        body = [[each.name, f"{each.validation_ndcg:.4f}", each.settings] for each in self.results]
        return [["", f"validation {CHOICE_METRIC}", "settings"], *body]


def _results(cases: Cases, seed: int, contenders: Sequence[Contender]) -> list[Result]:
    item_count = len(cases.catalogue)
    scored = [(each, user_metrics(each.row_HR, cases.targets, item_count)) for each in contenders]
    scored.sort(key=lambda pair: -pair[1][CHOICE_METRIC].mean())
    best_metrics = scored[0][1]
    return [
        Result(
            each.name,
            each.settings,
            each.validation_ndcg,
            bootstrap_means(metrics, seed),
            coverage(each.row_HR, item_count),
            paired_differences(metrics, best_metrics, seed),
        )
        for each, metrics in scored
    ]


def _cells(result: Result, best: str) -> list[str]:
    behind = "" if result.name == best else _text(result.behind[CHOICE_METRIC], "+")
    metrics = (_text(result.metrics[column]) for column in COLUMNS)
    return [result.name, *metrics, f"{result.coverage:.3f}", behind]


def _text(interval: Interval, sign: str = "-") -> str:
    return f"{interval.mean:{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [f"| {' | '.join(cells)} |" for cells in rows]
    return [head, "|" + "---|" * len(rows[0]), *body]
