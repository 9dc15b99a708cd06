"""What goes into a call and what comes out of it, as plain immutable values.

Times are aware datetimes in UTC, half-lives are timedeltas, vectors are tuples of floats. Nothing here knows protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from unbraid_client.serving import ServingStatus
from unbraid_client.tls import SecurityStatus

__all__ = [
    "ActivationError",
    "Basis",
    "CatalogueStatus",
    "DeviceStatus",
    "Event",
    "EventLike",
    "Evidence",
    "Interest",
    "InterestsResult",
    "Moment",
    "Profile",
    "RecallStatus",
    "RecommendResult",
    "Recommendation",
    "ReleaseStatus",
    "ScoreTerms",
    "SearchPlan",
    "ServerStatus",
    "Source",
]

Moment = datetime | float
"""An aware datetime, or seconds since 1970-01-01 UTC."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a user did; an empty action is the unspecified one."""

    item_id: str
    time: Moment
    action: str = ""


EventLike = Event | tuple[str, Moment] | tuple[str, Moment, str]
"""An event, or the same fields as a tuple."""


class Basis(StrEnum):
    """What an answer rests on; UNKNOWN stands for a value that only a newer client knows."""

    INTERESTS = "interests"
    POPULARITY = "popularity"
    UNKNOWN = "unknown"


class Profile(StrEnum):
    """How candidates are ranked; UNKNOWN stands for a value that only a newer client knows.

    FORMULA is the sum of the score terms, LEARNED a model of what users did next, which a release may have.
    """

    FORMULA = "formula"
    LEARNED = "learned"
    UNKNOWN = "unknown"


class Source(StrEnum):
    """Where a candidate came from; UNKNOWN stands for a value that only a newer client knows."""

    INTERESTS = "interests"
    OWN_ITEMS = "own_items"
    POPULAR = "popular"
    NEIGHBOURS = "neighbours"
    FACTORS = "factors"
    UNKNOWN = "unknown"


class SearchPlan(StrEnum):
    """How items were searched for: in the index among all of them, or by comparing with those that may come back.

    SCAN compared with every one of these, LISTS with those in the parts of the index nearest to the interests. UNKNOWN
    stands for a value that only a newer client knows.
    """

    INDEX = "index"
    SCAN = "scan"
    LISTS = "lists"
    CODES = "codes"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ScoreTerms:
    """The addends of a score in profile FORMULA; a term that the formula does not use is 0."""

    affinity: float
    interest: float
    popularity: float
    frequency: float


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recommended item; ``interest_index`` is None where no interest speaks for it.

    ``probability`` is how likely the user takes the item within the period that the release was calibrated on, None
    where that is not known.

    The score is the sum of the terms in profile FORMULA, and the ranker's own in profile LEARNED.
    """

    item_id: str
    title: str
    categories: tuple[str, ...]
    score: float
    interest_index: int | None
    terms: ScoreTerms
    sources: tuple[Source, ...]
    probability: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """An event behind an interest.

    Attributes:
        assignment: share of the event that belongs to the interest, 0 to 1.
        weight: share of the interest's mass that the event gives at the time of the answer, 0 to 1.
    """

    item_id: str
    title: str
    time: datetime
    assignment: float
    weight: float


@dataclass(frozen=True, slots=True)
class Interest:
    """One interest of a user at one moment.

    Attributes:
        mass: decayed number of events that belong to it.
        share: its share of all mass, 0 to 1.
        half_life: how long until the mass is halved.
        evidence: the events with the largest weight, heaviest first.
        vector: the unit vector, D floats; None unless vectors were asked for.
    """

    index: int
    mass: float
    share: float
    half_life: timedelta
    evidence: tuple[Evidence, ...]
    vector: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class RecommendResult:
    """Recommendations, best first, and the interests that were weighed for them.

    Attributes:
        search_plan: how the items near the interests were searched for; None in an answer by popularity.
        matching_item_count: how many items meet the filter, seen and excluded ones among them; None without a filter.
        exhausted: the list is short because no more items meet the filter and are neither seen nor excluded.
        degraded: the question had waited, and was answered from fewer candidates than usual.
    """

    release_id: str
    recommendations: tuple[Recommendation, ...]
    interests: tuple[Interest, ...]
    basis: Basis
    profile: Profile
    as_of: datetime
    ignored_event_count: int
    expected_precision: float | None
    search_plan: SearchPlan | None
    matching_item_count: int | None
    exhausted: bool
    degraded: bool


@dataclass(frozen=True, slots=True)
class InterestsResult:
    """The interests of a user. Vectors of different ``space_id`` must not be compared."""

    release_id: str
    space_id: str
    interests: tuple[Interest, ...]
    as_of: datetime
    ignored_event_count: int


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    """The release that a server answers from; ``index_recall`` was measured at ``index_recall_at`` nearest items.

    The first of ``ranking_profiles`` ranks where a call does not say how.
    """

    release_id: str
    space_id: str
    created_time: datetime
    item_count: int
    interest_count: int
    dimension: int
    max_history: int
    index_family: str
    index_recall: float
    index_recall_at: int
    ranking_profiles: tuple[Profile, ...]


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Where the encoder runs: the setting, what it led to and why, and the ONNX Runtime providers in order.

    ``retrieval`` says what searches for items: index, or device for an exact comparison there. It and both reasons are
    empty where a server is older.
    """

    requested: str
    active: str
    providers: tuple[str, ...]
    intra_op_thread_count: int
    reason: str
    retrieval: str
    retrieval_reason: str


@dataclass(frozen=True, slots=True)
class ActivationError:
    """Why a release that was activated does not answer: ``reason`` for programs, ``message`` for people."""

    release_id: str
    reason: str
    message: str
    time: datetime


@dataclass(frozen=True, slots=True)
class RecallStatus:
    """What the index finds of live questions, on ``sample_count`` of the newest; None where none was sampled yet.

    ``rebuild_reason`` says why the index should be built again; empty where nothing speaks for it.
    """

    sample_count: int
    merged_recall: float | None
    merged_recall_p05: float | None
    fill_rate: float | None
    rebuild_reason: str


@dataclass(frozen=True, slots=True)
class CatalogueStatus:
    """How far the catalogue has come since the release was built.

    Attributes:
        changed_item_count: items that are new or changed since.
        replaced_item_count: items of the release that are deleted or changed since.
        homeless_item_count: items that cannot be shown, because no vector of theirs lies in the space of the release.
        sequence: number of the last change that the server has applied.
        rebuild_reason: why the index should be built again; empty where nothing speaks for it.
    """

    changed_item_count: int
    replaced_item_count: int
    homeless_item_count: int
    sequence: int
    rebuild_reason: str


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What a server is made of; ``versions`` maps each part to its version.

    ``last_activation_error`` is None unless another release is active than the one that answers. ``worker_number`` says
    which of the ``worker_count`` processes behind the address answered; another connection may lead to another one.
    """

    release: ReleaseStatus
    device: DeviceStatus
    versions: Mapping[str, str]
    start_time: datetime
    user_count: int
    max_concurrent_calls: int
    last_activation_error: ActivationError | None
    live_recall: RecallStatus
    catalogue: CatalogueStatus
    serving: ServingStatus
    worker_number: int
    worker_count: int
    security: SecurityStatus
