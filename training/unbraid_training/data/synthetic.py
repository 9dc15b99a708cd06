"""Synthetic data with planted interests: the answer that an encoder should find is known.

Items fall into clusters, each with its own vocabulary. A user mixes some of the clusters and acts in sessions, each of
one interest. The interest of a session is drawn with probability proportional to

    w_k * (restlessness + m_k(t)),    m_k(t) = sum over the user's own events i of interest k of 2^(-(t - t_i) / h_k),

so what a user did recently keeps an interest alive and every interest fades at its own planted half-life h_k: a
self-exciting process whose best predictor is the mass of ``unbraid_core.decay`` itself. Within a cluster, items are
drawn without replacement by Zipf popularity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import InvalidInput
from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.data.dataset import Dataset

__all__ = ["Planted", "SyntheticSpec", "plant"]

DAY_S = 86_400.0
START_TIME_S = 1_704_067_200.0  # 2024-01-01
TOPICS = ("jazz", "hiking", "baking", "astronomy", "chess", "gardening", "cinema", "sailing")
HALF_LIFE_DAYS = (1.0, 3.0, 9.0, 27.0)
ACTION = "view"


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """How much to generate. The same numbers and seed give the same data, bit for bit.

    Attributes:
        session_length: mean number of events in a session.
        session_gap_s: mean time between the sessions of a user.
        zipf_exponent: popularity of the r-th item of a cluster is proportional to r^-exponent.
        restlessness: mass that an interest has without any event; small values make users stick to what they do.
    """

    user_count: int = 600
    item_count: int = 400
    cluster_count: int = 4
    events_per_user: int = 40
    session_length: float = 3.0
    session_gap_s: float = 3 * DAY_S
    zipf_exponent: float = 0.8
    restlessness: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the counts.

        Raises:
            InvalidInput: a count is out of range.
        """
        if not 2 <= self.cluster_count <= len(TOPICS):
            raise InvalidInput("cluster_count", f"is {self.cluster_count}, expected 2 to {len(TOPICS)}")
        if self.item_count < self.cluster_count:
            raise InvalidInput("item_count", f"is {self.item_count}, expected at least one for each cluster")
        if self.user_count < 1 or self.events_per_user < 1:
            raise InvalidInput("user_count, events_per_user", "expected at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """Generated data together with the answer; the clusters are the K planted interests.

    Attributes:
        dataset: what a model may see.
        cluster_of_item_I: int64, the cluster of every row of the catalogue.
        half_life_s_K: the planted half-life of every cluster.
    """

    dataset: Dataset
    cluster_of_item_I: IntArray
    half_life_s_K: DoubleArray

    @property
    def interest_E(self) -> IntArray:
        """The planted interest behind every event of the data set."""
        return self.cluster_of_item_I[self.dataset.row_E]


def plant(spec: SyntheticSpec) -> Planted:
    """Generate a data set."""
    rng = np.random.default_rng(spec.seed)
    cluster_of_item_I: IntArray = rng.permutation(np.arange(spec.item_count) % spec.cluster_count)
    log_popularity_I = _log_popularity(rng, spec, cluster_of_item_I)
    half_life_s_K = DAY_S * np.resize(HALF_LIFE_DAYS, spec.cluster_count)
    users, rows, times = [], [], []
    for user in range(spec.user_count):
        time_s_N, interest_N = _sessions(rng, spec, _weights(rng, spec), half_life_s_K)
        order_I = np.argsort(-(log_popularity_I + rng.gumbel(size=spec.item_count)))
        users.append(np.full(len(time_s_N), user, np.int64))
        rows.append(_draw_items(interest_N, order_I, cluster_of_item_I))
        times.append(time_s_N)
    row_E = np.concatenate(rows)
    dataset = Dataset.of(
        _catalogue(cluster_of_item_I),
        [f"user-{user}" for user in range(spec.user_count)],
        ["", ACTION],
        np.concatenate(users),
        row_E,
        np.concatenate(times),
        np.ones(len(row_E), np.int64),
    )
    return Planted(dataset, cluster_of_item_I, half_life_s_K)


def _log_popularity(rng: np.random.Generator, spec: SyntheticSpec, cluster_of_item_I: IntArray) -> DoubleArray:
    """Unnormalised: the items of a cluster get the ranks 1, 2, ... in random order."""
    log_popularity_I = np.empty(len(cluster_of_item_I))
    for cluster in range(spec.cluster_count):
        rows = np.flatnonzero(cluster_of_item_I == cluster)
        log_popularity_I[rows] = -spec.zipf_exponent * np.log(rng.permutation(len(rows)) + 1.0)
    return log_popularity_I


def _weights(rng: np.random.Generator, spec: SyntheticSpec) -> DoubleArray:
    """How much a user likes each cluster: two to four of them, the others not at all."""
    mixed = rng.choice(spec.cluster_count, size=rng.integers(2, min(4, spec.cluster_count) + 1), replace=False)
    weight_K = np.zeros(spec.cluster_count)
    weight_K[mixed] = rng.dirichlet(np.full(len(mixed), 4.0))
    return weight_K


def _sessions(
    rng: np.random.Generator, spec: SyntheticSpec, weight_K: DoubleArray, half_life_s_K: DoubleArray
) -> tuple[DoubleArray, IntArray]:
    """Times, strictly ascending whole seconds, and interests of one user's events."""
    count = max(1, int(rng.poisson(spec.events_per_user)))
    time_s_N: DoubleArray = np.empty(0)
    interest_N: IntArray = np.empty(0, np.int64)
    now_s = START_TIME_S + np.floor(rng.uniform(0.0, 60 * DAY_S))
    while len(time_s_N) < count:
        mass_N = np.exp2(-(now_s - time_s_N) / half_life_s_K[interest_N])
        mass_K = np.bincount(interest_N, weights=mass_N, minlength=spec.cluster_count)
        chance_K = weight_K * (spec.restlessness + mass_K)
        interest = int(rng.choice(spec.cluster_count, p=chance_K / chance_K.sum()))
        length = min(1 + int(rng.poisson(spec.session_length - 1)), count - len(time_s_N))
        step_s = 1.0 + np.floor(rng.exponential(300.0, size=length))
        time_s_N = np.concatenate([time_s_N, now_s + np.cumsum(step_s)])
        interest_N = np.concatenate([interest_N, np.full(length, interest, np.int64)])
        now_s = time_s_N[-1] + np.floor(rng.exponential(spec.session_gap_s))
    return time_s_N, interest_N


def _draw_items(interest_N: IntArray, order_I: IntArray, cluster_of_item_I: IntArray) -> IntArray:
    """The items of one user's events: each cluster's items in the user's own random order, over again at its end."""
    row_N = np.empty_like(interest_N)
    for cluster in np.unique(interest_N):
        events = np.flatnonzero(interest_N == cluster)
        row_N[events] = np.resize(order_I[cluster_of_item_I[order_I] == cluster], len(events))
    return row_N


def _catalogue(cluster_of_item_I: IntArray) -> Catalogue:
    topics = [TOPICS[cluster] for cluster in cluster_of_item_I]
    titles = [f"{topic} {topics[: row + 1].count(topic)}" for row, topic in enumerate(topics)]
    item_ids = [f"item-{row}" for row in range(len(topics))]
    return Catalogue.of(item_ids, titles, [[topic] for topic in topics])
