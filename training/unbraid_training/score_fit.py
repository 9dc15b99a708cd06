"""Which numbers of the score formula are tried, and in what order.

One group of numbers after the other: a step tries what stands and some alternatives, and keeps the best. Steps for
interests and popularity look at new items; own frequency matters only where known items may return.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from unbraid_core.types import Scoring
from unbraid_training.config import DAY_S
from unbraid_training.evaluation.cases import Task

__all__ = ["ALL_TIME_S", "FIRST_OWN_HALF_LIFE_S", "FIT_STEPS", "FIT_STEP_COUNT", "fit"]

POPULARITY_HALF_LIVES_S = tuple(DAY_S * days for days in (2, 7, 30, 180, 3650))
ALL_TIME_S = POPULARITY_HALF_LIVES_S[-1]
GAMMAS = (0.25, 0.5, 0.7, 1.0, 1.4, 2.0)
BETAS = (0.0, 0.25, 0.5, 2.0)
TEMPERATURE_FACTORS = (0.5, 2.0)
QUOTA_ALPHAS = (0.0, 1.0)
OWN_HALF_LIVES_S = tuple(DAY_S * days for days in (30, 180))
FIRST_OWN_HALF_LIFE_S = OWN_HALF_LIVES_S[0]
DELTAS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


def _popularity(scoring: Scoring) -> list[Scoring]:
    weighed = [
        replace(scoring, popularity_half_life_s=half_life_s, gamma=gamma)
        for half_life_s in POPULARITY_HALF_LIVES_S
        for gamma in GAMMAS
    ]
    return [replace(scoring, gamma=0.0), *weighed]


def _interests(scoring: Scoring) -> list[Scoring]:
    return [replace(scoring, beta=beta, mixture=mixture) for mixture in (True, False) for beta in (1.0, *BETAS)]


def _temperature(scoring: Scoring) -> list[Scoring]:
    return [replace(scoring, temperature=scoring.temperature * factor) for factor in TEMPERATURE_FACTORS]


def _quotas(scoring: Scoring) -> list[Scoring]:
    return [replace(scoring, quota_alpha=alpha) for alpha in QUOTA_ALPHAS]


def _own_frequency(scoring: Scoring) -> list[Scoring]:
    return [
        replace(scoring, own_half_life_s=half_life_s, delta=delta)
        for half_life_s in OWN_HALF_LIVES_S
        for delta in DELTAS
    ]


FIT_STEPS: tuple[tuple[Task, Callable[[Scoring], list[Scoring]]], ...] = (
    (Task.NEW, _popularity),
    (Task.NEW, _interests),
    (Task.NEW, _temperature),
    (Task.NEW, _quotas),
    (Task.ALL, _own_frequency),
)

_ANY = Scoring(1.0, 1.0, 1.0, 0.0, DAY_S, DAY_S)
FIT_STEP_COUNT = sum(1 + len(alternatives(_ANY)) for _, alternatives in FIT_STEPS)


def fit(first: Scoring, judge: Callable[[Scoring, Task], float]) -> Scoring:
    """The numbers that a judge likes best; what stood before wins where equal.

    Args:
        first: where to start.
        judge: called FIT_STEP_COUNT times; larger is better.
    """
    scoring = first
    for task, alternatives in FIT_STEPS:
        tried = [(judge(each, task), each) for each in (scoring, *alternatives(scoring))]
        scoring = max(tried, key=lambda pair: pair[0])[1]
    return scoring
