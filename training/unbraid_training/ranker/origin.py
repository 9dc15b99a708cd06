"""An origin: an earlier moment at which everything is fitted anew, to learn from what people did next."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from unbraid_core.errors import InvalidInput
from unbraid_core.pipeline import Pipeline
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.splits import Split
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.ranker.config import RankerConfig
from unbraid_training.ranker.examples import RankerExamples
from unbraid_training.ranker.sources import fit_inputs

__all__ = ["Origin", "find_origins"]


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Training events before the moment, and users with their targets after it, in both tasks."""

    rule: Split
    holdout: Holdout
    cases: dict[Task, Cases]

    @property
    def user_count(self) -> int:
        """Users of all tasks together."""
        return sum(len(cases) for cases in self.cases.values())

    def examples(
        self, pipeline: Pipeline, config: RankerConfig, seed: int, on_user: Callable[[], None]
    ) -> dict[Task, RankerExamples]:
        """What the pipeline, trained on the events before the moment, finds for the users with sources of that time."""
        wide = replace(pipeline, ranker_inputs=fit_inputs(self.holdout.train, config, seed))
        return {task: RankerExamples.of(wide, cases, on_user) for task, cases in self.cases.items()}


def find_origins(split: Split, data: Dataset, config: RankerConfig, seed: int) -> list[Origin]:
    """The validation window of the training events, then other windows of them, each earlier than the one before.

    There are fewer than wished for where the events do not reach back far enough.

    Args:
        split: whose training events ``data`` are.
        data: the training events.
        config: number of origins, length of their windows, and number of users in each task.
        seed: of the choice of users.
    """
    origins: list[Origin] = []
    rules = split.inner(data).origins(data, config.window_s)
    with suppress(InvalidInput):  # no events, or nobody with a target
        for rule, events in itertools.islice(rules, config.origin_count):
            holdout = rule.apply(events)
            cases = {task: Cases.of(holdout, task).sample(config.user_count, seed) for task in Task}
            origins.append(Origin(rule, holdout, cases))
    return origins
