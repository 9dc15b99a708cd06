"""Single histories taken apart: which events make which interest of a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.counted import counted
from unbraid_core.errors import NotFound
from unbraid_core.evidence import weigh_evidence
from unbraid_core.types import DoubleArray, IntArray, Interests
from unbraid_training.evaluation.cases import Cases
from unbraid_training.evaluation.disentanglement import owner_of_events

__all__ = ["Dissection", "Strand", "dissect", "draw_users", "find_users"]

PLEASANT_EVENT_COUNT = 10
SHOWN_ITEM_COUNT = 6


@dataclass(frozen=True, slots=True)
class Strand:
    """One interest of one user.

    Attributes:
        index: k.
        share: of the mass at the moment asked for.
        items: titles of the items that give it most of its mass, of those that belong to it most, heaviest first.
        time_s: epoch seconds of the events that belong to it most, oldest first.
    """

    index: int
    share: float
    items: list[str]
    time_s: list[float]


@dataclass(frozen=True, slots=True)
class Dissection:
    """The history of a user: the interests that have at least one event, strongest first."""

    user_id: str
    now_s: float
    event_count: int
    strands: list[Strand]

    def title(self) -> str:
        """Whose history it is, in a line."""
        moment = datetime.fromtimestamp(self.now_s, UTC).strftime("%Y-%m-%d %H:%M")
        return f"user {self.user_id}, {counted(self.event_count, 'event')}, as of {moment} UTC"


def find_users(cases: Cases, user_ids: Sequence[str]) -> list[int]:
    """The positions of users in the cases.

    Raises:
        NotFound: a user is not among them.
    """
    known = {cases.user_id(position): position for position in range(len(cases))}
    for user_id in user_ids:
        if user_id not in known:
            raise NotFound(
                f"user {user_id!r}: not among the {len(cases):,} held-out users, as {next(iter(known))!r} is"
            )
    return [known[user_id] for user_id in user_ids]


def draw_users(cases: Cases, count: int, seed: int) -> list[int]:
    """Positions of users drawn at random among those with a history that is long enough to be worth a look."""
    length_H = np.array([len(cases.history(position)) for position in range(len(cases))])
    wanted_H = np.flatnonzero(length_H >= min(PLEASANT_EVENT_COUNT, int(length_H.max())))
    return [int(position) for position in np.random.default_rng(seed).permutation(wanted_H)[:count]]


def dissect(
    user_id: str, interests: Interests, now_s: float, half_life_s_K: DoubleArray, catalogue: Catalogue
) -> Dissection:
    """Take the history of a user apart, every event with the interest that has the largest share of it."""
    history, owner_L = interests.history, owner_of_events(interests)
    evidence = weigh_evidence(interests, now_s, half_life_s_K, len(history))
    share_K = np.exp(interests.log_share_K)
    strands = []
    for k in np.argsort(-share_K, kind="stable").tolist():
        own_L = owner_L == k
        if own_L.any():
            heaviest_E = evidence.row_KE[k][np.isin(evidence.row_KE[k], history.row_N[own_L])]
            items = _names(heaviest_E[:SHOWN_ITEM_COUNT], catalogue)
            strands.append(Strand(k, float(share_K[k]), items, history.time_s_N[own_L].tolist()))
    return Dissection(user_id, now_s, len(history), strands)


def _names(row_E: IntArray, catalogue: Catalogue) -> list[str]:
    titles = catalogue.titles(row_E)
    return [title or catalogue.item_ids[row] for title, row in zip(titles, row_E.tolist(), strict=True)]
