"""All wanted methods on one split: tuned on the validation window, then fitted again and scored once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unbraid_core.errors import InvalidInput
from unbraid_core.types import IntArray
from unbraid_training.baselines.methods import DECAYED_POPULARITY, POPULARITY, grids
from unbraid_training.baselines.panel import Panel
from unbraid_training.baselines.tuning import CHOICE_METRIC, rank, step_count, tune
from unbraid_training.config import DAY_S
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.splits import Split
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import user_metrics
from unbraid_training.evaluation.popularity import Popularity, choose_half_life

__all__ = ["Contender", "Contest", "OnProgress", "compare"]

OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """What a method recommends to the users of the test.

    Attributes:
        name: of the method.
        settings: those that won on the validation users, in words.
        validation_ndcg: mean NDCG@50 of the validation users.
        row_HR: rankings [H, RANK_COUNT], best first, -1 after the end of a short one.
    """

    name: str
    settings: str
    validation_ndcg: float
    row_HR: IntArray


@dataclass(frozen=True, slots=True)
class Contest:
    """Under what conditions methods are compared.

    Attributes:
        holdout: training events and test users.
        validation: parts the training events once more; its users choose the settings.
        task: which targets count.
        seed: of the order of ties and of the first vectors of iALS.
    """

    holdout: Holdout
    validation: Split
    task: Task
    seed: int

    def cases(self) -> Cases:
        """The test users."""
        return Cases.of(self.holdout, self.task)

    def validation_cases(self) -> Cases:
        """The users who choose the settings.

        Raises:
            InvalidInput: the validation window leaves nobody.
        """
        train = self.holdout.train
        try:
            return Cases.of(self.validation.apply(train), self.task)
        except InvalidInput as error:
            raise InvalidInput("validation", f"{self.validation}: {error.problem}") from None


def compare(contest: Contest, names: Sequence[str], on_progress: OnProgress) -> list[Contender]:
    """Let methods compete; the targets of the test play no part in it.

    Args:
        contest: the conditions.
        names: of the methods, out of ``choose_names``.
        on_progress: called with a title, the number of steps done and that of all steps.

    Returns:
        The contenders in the order of ``names``.

    Raises:
        InvalidInput: no user of the validation or of the test has a target.
    """
    validation, test = Panel(contest.validation_cases(), contest.seed), Panel(contest.cases(), contest.seed)
    grid = grids(contest.seed)
    methods = [grid[name] for name in names if name in grid]
    tuned = tune(methods, validation, _steps("tuning", step_count(methods), on_progress))
    rows = rank(tuned, test, _steps("ranking", len(methods), on_progress))
    found = {
        each.method: Contender(each.method, str(each), each.validation_ndcg, row_HR)
        for each, row_HR in zip(tuned, rows, strict=True)
    }
    for name in (POPULARITY, DECAYED_POPULARITY):
        if name in names:
            found[name] = _popularity(name, validation.cases, test.cases, contest.seed)
    return [found[name] for name in names]


def _popularity(name: str, validation: Cases, test: Cases, seed: int) -> Contender:
    half_life_s = None if name == POPULARITY else choose_half_life(validation, seed)
    popularity = Popularity(half_life_s, seed)
    metrics = user_metrics(popularity.rank(validation), validation.targets, len(validation.catalogue))
    settings = "users of all time" if half_life_s is None else f"half-life {half_life_s / DAY_S:g} d"
    return Contender(name, settings, float(metrics[CHOICE_METRIC].mean()), popularity.rank(test))


def _steps(title: str, total: int, on_progress: OnProgress) -> Callable[[], None]:
    """Counts its calls."""
    done = iter(range(1, total + 1))
    return lambda: on_progress(title, next(done), total)
