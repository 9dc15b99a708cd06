"""What each interest of a model stands for over all users: how long it lives, who has it, what is typical of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.categories import Categories
from unbraid_core.types import DoubleArray, IntArray, Interests
from unbraid_training.evaluation.disentanglement import owner_of_events

__all__ = ["InterestProfile", "profile_interests"]

DAY_S = 86_400.0
TYPICAL_COUNT = 5


@dataclass(frozen=True, slots=True)
class InterestProfile:
    """One interest.

    Attributes:
        index: k.
        half_life_days: how long until its mass is halved.
        event_share: its share of all events.
        user_share: share of the users with at least one event of which it has the largest share.
        alive_share: its share of the mass at the moment asked for, mean over users.
        typical_items: titles of the items with the most events beyond the interest's share of all events.
        typical_categories: categories likewise; an event counts in every category of its item.
    """

    index: int
    half_life_days: float
    event_share: float
    user_share: float
    alive_share: float
    typical_items: list[str]
    typical_categories: list[str]


def profile_interests(
    interests: Sequence[Interests], half_life_s_K: DoubleArray, catalogue: Catalogue, categories: Categories | None
) -> list[InterestProfile]:
    """The profile of each interest of a model.

    Args:
        interests: of some users, at least one.
        half_life_s_K: of each interest.
        catalogue: what the rows of their histories stand for.
        categories: of the catalogue; None where no item has any.
    """
    share_KN = np.concatenate([each.assignment_KL for each in interests], axis=1).astype(np.float64)
    row_N = np.concatenate([each.history.row_N for each in interests])
    interest_count = len(half_life_s_K)
    used_HK = [np.bincount(owner_of_events(each), minlength=interest_count) > 0 for each in interests]
    alive_HK = [np.exp(each.log_share_K) for each in interests]
    event_share_K, user_share_K, alive_K = share_KN.mean(axis=1), np.mean(used_HK, axis=0), np.mean(alive_HK, axis=0)
    items = _typical(share_KN, row_N, len(catalogue))
    kinds: list[list[int]] = [[] for _ in items]
    if categories is not None:
        event_M, code_M = categories.pairs(row_N)
        kinds = _typical(share_KN[:, event_M], code_M, len(categories.names))
    return [
        InterestProfile(
            index=index,
            half_life_days=float(half_life_s_K[index] / DAY_S),
            event_share=float(event_share_K[index]),
            user_share=float(user_share_K[index]),
            alive_share=float(alive_K[index]),
            typical_items=[catalogue.title(row) or catalogue.item_ids[row] for row in items[index]],
            typical_categories=[] if categories is None else [categories.names[code] for code in kinds[index]],
        )
        for index in range(interest_count)
    ]


def _typical(share_KN: DoubleArray, thing_N: IntArray, thing_count: int) -> list[list[int]]:
    """For each interest the things that it has most beyond its share of everything, at most TYPICAL_COUNT of them."""
    found = []
    for share_N in share_KN:
        beyond_N = share_N - (share_N.mean() if len(share_N) else 0.0)
        excess_T = np.bincount(thing_N, weights=beyond_N, minlength=thing_count)
        best_T = np.argsort(-excess_T, kind="stable")[:TYPICAL_COUNT]
        found.append([int(thing) for thing in best_T if excess_T[thing] > 0])
    return found
