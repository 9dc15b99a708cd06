"""How well the baselines do on the test users, with intervals, and how far each is from the bar.

The bar is the method that was best on the validation users. The best on the test users would be one that was lucky
there, and differences from it would be biased.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from unbraid_core.counted import counted
from unbraid_training.baselines.comparison import Contender, Contest
from unbraid_training.baselines.tuning import CHOICE_METRIC
from unbraid_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Interval
from unbraid_training.evaluation.cases import Task
from unbraid_training.evaluation.markdown import markdown_table
from unbraid_training.evaluation.metrics import COVERAGE_CUTOFF
from unbraid_training.evaluation.report import METHOD
from unbraid_training.evaluation.scorecard import Scorecard

__all__ = ["COLUMNS", "BaselinesReport", "Result"]

COLUMNS = ("recall@20", "recall@50", "ndcg@50")


@dataclass(frozen=True, slots=True)
class Result:
    """A method on the test users.

    Attributes:
        name: of the method.
        settings: chosen on the validation users, in words.
        validation_ndcg: mean NDCG@50 there; a mean over the windows where there are several.
        metrics: user means with intervals.
        coverage: share of the catalogue that is recommended to anybody.
        gain: user means of this method less those of the bar, with intervals of the paired bootstrap.
    """

    name: str
    settings: str
    validation_ndcg: float
    metrics: dict[str, Interval]
    coverage: float
    gain: dict[str, Interval]


@dataclass(frozen=True, slots=True)
class BaselinesReport:
    """The comparison.

    Attributes:
        split: what was held out for the test.
        validation: the windows before it in which the settings were chosen, the latest first.
        task, seed: of the contest; the seed is also that of the bootstrap.
        user_count, item_count, target_count, outside_count: of the test.
        bar: name of the method with the best NDCG@50 on the validation users.
        results: in the order of their NDCG@50, best first.
    """

    split: str
    validation: list[str]
    task: Task
    seed: int
    user_count: int
    item_count: int
    target_count: int
    outside_count: int
    bar: str
    results: list[Result]

    @classmethod
    def of(
        cls, contest: Contest, split: str, contenders: Sequence[Contender], cards: Sequence[Scorecard]
    ) -> BaselinesReport:
        """Compare all contenders on the same users, with the scorecard of each."""
        cases = contest.cases()
        bar = max(contenders, key=lambda each: each.validation_ndcg).name
        return cls(
            split=split,
            validation=[str(window) for window in contest.windows()],
            task=contest.task,
            seed=contest.seed,
            user_count=len(cases),
            item_count=len(cases.catalogue),
            target_count=cases.target_count,
            outside_count=cases.outside_count,
            bar=bar,
            results=_results(contest.seed, contenders, cards, bar),
        )

    def to_json(self) -> str:
        """The report as JSON; equal reports give equal text."""
        return json.dumps({"format_version": 1, "method": METHOD, **asdict(self)}, indent=2) + "\n"

    def to_markdown(self) -> str:
        """The report as a page with two tables: how well, and with which settings."""
        outside = counted(self.outside_count, "held-out item is", "held-out items are")
        conditions = (
            f"Split {self.split}: {counted(self.user_count, 'user')}, {counted(self.target_count, 'target')} among "
            f"{counted(self.item_count, 'item')}; {outside} outside the catalogue and not counted. "
            f"{self.choice_text()} Intervals: {CONFIDENCE:.0%} bootstrap over users, {RESAMPLES:,} resamples, seed "
            f"{self.seed}."
        )
        tables = markdown_table(self.result_rows()), markdown_table(self.setting_rows())
        return "\n".join([f"# Baselines, task {self.task}\n", f"{conditions}\n", *tables])

    def choice_text(self) -> str:
        """How the settings and the bar were chosen, in two sentences."""
        mean = "" if len(self.validation) == 1 else "the mean of "
        return (
            f"Settings were chosen by {mean}{CHOICE_METRIC} on {', '.join(self.validation)}. The bar, {self.bar}, is "
            "the best method there, whatever came out on the test; gains over it are paired."
        )

    def result_rows(self) -> list[list[str]]:
        """Cells of a table: a method a line, its metrics, and its gain over the bar; the head comes first."""
        head = ["", *COLUMNS, f"coverage@{COVERAGE_CUTOFF}", f"{CHOICE_METRIC} less {self.bar}"]
        return [head, *(_cells(result, self.bar) for result in self.results)]

    def setting_rows(self) -> list[list[str]]:
        """Cells of a table: a method a line, its score on validation and its settings; the head comes first."""
        body = [[each.name, f"{each.validation_ndcg:.4f}", each.settings] for each in self.results]
        return [["", f"validation {CHOICE_METRIC}", "settings"], *body]


def _results(seed: int, contenders: Sequence[Contender], cards: Sequence[Scorecard], bar: str) -> list[Result]:
    [bar_card] = [card for card in cards if card.system == bar]
    results = [
        Result(
            each.name,
            each.settings,
            each.validation_ndcg,
            metrics=card.means(seed),
            coverage=card.coverage,
            gain=card.gains(bar_card, seed),
        )
        for each, card in zip(contenders, cards, strict=True)
    ]
    return sorted(results, key=lambda result: -result.metrics[CHOICE_METRIC].mean)


def _cells(result: Result, bar: str) -> list[str]:
    gain = "the bar" if result.name == bar else result.gain[CHOICE_METRIC].text(4, "+")
    metrics = (result.metrics[column].text(4) for column in COLUMNS)
    return [result.name, *metrics, f"{result.coverage:.3f}", gain]
