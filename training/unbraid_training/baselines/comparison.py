"""All wanted methods on one split: tuned on validation windows, then fitted again and scored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.errors import InvalidInput
from unbraid_core.types import IntArray
from unbraid_training.baselines.methods import DECAYED_POPULARITY, POPULARITY, grids
from unbraid_training.baselines.panel import Panel
from unbraid_training.baselines.tuning import OnProgress, choice_value, rank, tune
from unbraid_training.config import DAY_S
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.splits import Split, roll_back
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.popularity import HALF_LIVES_S, Popularity
from unbraid_training.evaluation.scorecard import Scorecard

__all__ = ["Contender", "Contest", "compare"]


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """What a method recommends to the users of the test.

    Attributes:
        name: of the method.
        settings: those that won on the validation users, in words.
        validation_ndcg: mean NDCG@50 of the validation users, and of the windows where there are several.
        row_HR: rankings [H, RANK_COUNT], best first, -1 after the end of a short one.
    """

    name: str
    settings: str
    validation_ndcg: float
    row_HR: IntArray

    def scorecard(self, cases: Cases) -> Scorecard:
        """How well that does."""
        return Scorecard.of(self.name, self.row_HR, cases)


@dataclass(frozen=True, slots=True)
class Contest:
    """Under what conditions methods are compared.

    Attributes:
        holdout: training events and test users.
        validation: parts the training events once more; its users choose the settings.
        task: which targets count.
        seed: of the order of ties and of the first vectors of iALS and networks.
        origin_count: how often to validate, ``validation`` and then earlier windows of the same kind; settings are
            chosen by the mean over them.
    """

    holdout: Holdout
    validation: Split
    task: Task
    seed: int
    origin_count: int = 1

    def cases(self) -> Cases:
        """The test users."""
        return Cases.of(self.holdout, self.task)

    def windows(self) -> list[Split]:
        """The validation windows, the latest first."""
        return [split for split, _ in self._origins()]

    def validations(self) -> list[Cases]:
        """The users who choose the settings, window by window.

        Raises:
            InvalidInput: a validation window leaves nobody, or nothing to train on.
        """
        try:
            return [Cases.of(holdout, self.task) for _, holdout in self._origins()]
        except InvalidInput as error:
            origins = "" if self.origin_count == 1 else f", {self.origin_count} origins"
            raise InvalidInput("validation", f"{self.validation}{origins}: {error.problem}") from None

    def _origins(self) -> list[tuple[Split, Holdout]]:
        return roll_back(self.holdout.train, self.validation, self.origin_count)


def compare(contest: Contest, names: Sequence[str], on_progress: OnProgress) -> list[Contender]:
    """Let methods compete; the targets of the test play no part in it.

    Args:
        contest: the conditions.
        names: of the methods, out of ``choose_names``.
        on_progress: called with a title, the number of steps done and that of all steps.

    Returns:
        The contenders in the order of ``names``.

    Raises:
        InvalidInput: no user of a validation window or of the test has a target.
    """
    panels = [Panel(cases, contest.seed) for cases in contest.validations()]
    test = Panel(contest.cases(), contest.seed)
    grid = grids(contest.seed)
    tuned = tune([grid[name] for name in names if name in grid], panels, on_progress)
    found = {
        each.method: Contender(each.method, str(each), each.validation_ndcg, row_HR)
        for each, row_HR in zip(tuned, rank(tuned, test, on_progress), strict=True)
    }
    for name in (POPULARITY, DECAYED_POPULARITY):
        if name in names:
            found[name] = _popularity(name, [panel.cases for panel in panels], test.cases, contest.seed)
    return [found[name] for name in names]


def _popularity(name: str, validations: Sequence[Cases], test: Cases, seed: int) -> Contender:
    half_lives_s = (None,) if name == POPULARITY else HALF_LIVES_S
    values = {
        half_life_s: float(
            np.mean([choice_value(Popularity(half_life_s, seed).rank(cases), cases) for cases in validations])
        )
        for half_life_s in half_lives_s
    }
    best_s = max(values, key=values.__getitem__)
    settings = "users of all time" if best_s is None else f"half-life {best_s / DAY_S:g} d"
    return Contender(name, settings, values[best_s], Popularity(best_s, seed).rank(test))
