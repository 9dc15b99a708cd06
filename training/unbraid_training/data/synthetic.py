"""Synthetic data with planted interests: the answer that an encoder should find is known.

Items fall into clusters, each with its own vocabulary. A user mixes some of the clusters, and the interest k of every
event is drawn with probability

    (1 - restlessness) * m_k(t) / sum_j m_j(t) + restlessness / clusters of the user,
    m_k(t) = sum over the user's own earlier events i of interest k of 2^(-(t - t_i) / h_k),

so what a user did recently keeps an interest alive and every interest fades at its own planted half-life h_k: a
self-exciting process whose best predictor is the mass of ``unbraid_core.decay`` itself. The first event is drawn from
the mix. Events come in sessions of a few minutes; the time between two of them is log-normal, from hours to months, so
that short and long half-lives both leave a trace. Within a cluster, items are drawn without replacement by Zipf
popularity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unbraid_core.catalogue import Catalogue
from unbraid_core.decay import LN2
from unbraid_core.errors import InvalidInput
from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.data.dataset import Dataset

__all__ = ["Planted", "SyntheticSpec", "plant"]

DAY_S = 86_400.0
START_TIME_S = 1_704_067_200.0  # 2024-01-01
TOPICS = ("jazz", "hiking", "baking", "astronomy", "chess", "gardening", "cinema", "sailing")
HALF_LIFE_DAYS = (1.0, 3.0, 9.0, 27.0)
ACTION = "view"
STEP_S = 300.0
# Standard deviation of the log of a gap between sessions.
GAP_SPREAD = 1.5


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """How much to generate. The same numbers and seed give the same data, bit for bit.

    Attributes:
        session_length: mean number of events in a session.
        session_gap_s: mean time between the sessions of a user.
        zipf_exponent: popularity of the r-th item of a cluster is proportional to r^-exponent.
        restlessness: share of events whose interest is drawn from the user's mix, whatever they did before.
    """

    user_count: int = 600
    item_count: int = 400
    cluster_count: int = 4
    events_per_user: int = 40
    session_length: float = 3.0
    session_gap_s: float = 6 * DAY_S
    zipf_exponent: float = 0.8
    restlessness: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the counts.

        Raises:
            InvalidInput: a count or a share is out of range.
        """
        if not 2 <= self.cluster_count <= len(TOPICS):
            raise InvalidInput("cluster_count", f"is {self.cluster_count}, expected 2 to {len(TOPICS)}")
        if self.item_count < self.cluster_count:
            raise InvalidInput("item_count", f"is {self.item_count}, expected at least one for each cluster")
        if self.user_count < 1 or self.events_per_user < 1:
            raise InvalidInput("user_count, events_per_user", "expected at least 1")
        if not 0 <= self.restlessness <= 1:
            raise InvalidInput("restlessness", f"is {self.restlessness}, expected 0 to 1")


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
        time_s_N, interest_N = _events(rng, spec, _mix(rng, spec), half_life_s_K)
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


def _mix(rng: np.random.Generator, spec: SyntheticSpec) -> IntArray:
    """The clusters of a user, two to four."""
    count = rng.integers(2, min(4, spec.cluster_count) + 1)
    return rng.choice(spec.cluster_count, size=count, replace=False).astype(np.int64)


def _events(
    rng: np.random.Generator, spec: SyntheticSpec, mix_M: IntArray, half_life_s_K: DoubleArray
) -> tuple[DoubleArray, IntArray]:
    """Times, strictly ascending whole seconds, and interests of one user's events."""
    time_s_N = _times(rng, spec)
    interest_N = np.empty(len(time_s_N), np.int64)
    for event, time_s in enumerate(time_s_N):
        if event == 0 or rng.random() < spec.restlessness:
            interest_N[event] = rng.choice(mix_M)
            continue
        earlier_N = interest_N[:event]
        log_survival_N = -LN2 * (time_s - time_s_N[:event]) / half_life_s_K[earlier_N]
        mass_K = np.bincount(earlier_N, np.exp(log_survival_N - log_survival_N.max()), spec.cluster_count)
        interest_N[event] = rng.choice(spec.cluster_count, p=mass_K / mass_K.sum())
    return time_s_N, interest_N


def _times(rng: np.random.Generator, spec: SyntheticSpec) -> DoubleArray:
    """When one user acts: sessions of a few minutes, hours to months apart."""
    count = max(1, int(rng.poisson(spec.events_per_user)))
    step_s_N = 1.0 + np.floor(rng.exponential(STEP_S, count))
    length_S = 1 + rng.poisson(spec.session_length - 1, count)
    first_S = np.cumsum(length_S)[:-1]
    first_S = first_S[first_S < count]
    log_mean_gap = np.log(spec.session_gap_s) - GAP_SPREAD**2 / 2
    step_s_N[first_S] += np.floor(rng.lognormal(log_mean_gap, GAP_SPREAD, len(first_S)))
    start_s = START_TIME_S + np.floor(rng.uniform(0.0, 60 * DAY_S))
    time_s_N: DoubleArray = start_s + np.cumsum(step_s_N)
    return time_s_N


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
