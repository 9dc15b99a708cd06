"""The nouns that travel through the pipeline, and the legend of their shapes.

Shape suffixes, used everywhere in unbraid:

    I  items of the catalogue        B  queries in a batch       L  events in the (padded) history
    N  events of one user            K  interests                D  dimensions of the vector space
    C  candidates of one query       Q  index queries            R  ranked results

Times are float64 epoch seconds (``*_time_s``), durations are seconds (``*_s``). A *row* is an item's position in the
catalogue, int64; -1 stands for "no item".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag, StrEnum

import numpy as np
import numpy.typing as npt

from unbraid_core.filter import Filter

__all__ = [
    "Basis",
    "BoolArray",
    "DoubleArray",
    "Effort",
    "FloatArray",
    "History",
    "HistoryBatch",
    "IntArray",
    "InterestBatch",
    "Interests",
    "Precision",
    "Profile",
    "Query",
    "Ranking",
    "RowArray",
    "ScoreTerms",
    "Scoring",
    "SearchHits",
    "SearchPlan",
    "Source",
]

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
RowArray = npt.NDArray[np.int32]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """All known events of one user, oldest first.

    The encoder sees the last L of them; exclusion of seen items and own frequencies use all.
    """

    row_N: IntArray
    time_s_N: DoubleArray
    action_N: IntArray

    def __len__(self) -> int:
        return len(self.row_N)

    @classmethod
    def empty(cls) -> History:
        """The history of somebody who did nothing yet."""
        return cls(np.empty(0, np.int64), np.empty(0, np.float64), np.empty(0, np.int64))

    def last(self, count: int) -> History:
        """The newest ``count`` events."""
        start = max(0, len(self) - count)
        return History(self.row_N[start:], self.time_s_N[start:], self.action_N[start:])

    def before(self, time_s: float) -> History:
        """The events that happened at ``time_s`` or earlier."""
        stop = int(np.searchsorted(self.time_s_N, time_s, side="right"))
        return History(self.row_N[:stop], self.time_s_N[:stop], self.action_N[:stop])


@dataclass(frozen=True, slots=True, eq=False)
class HistoryBatch:
    """What the encoder reads: the ONNX inputs of DESIGN.md, right-padded to the longest history of the batch.

    ``age_s_BL`` counts from each event to the newest event of the same history, so the output of an encoder never
    depends on the clock.
    """

    item_vectors_BLD: FloatArray
    age_s_BL: FloatArray
    action_BL: IntArray
    mask_BL: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class InterestBatch:
    """What the encoder answers: unit vectors, and an assignment whose valid columns sum to 1 over K."""

    vectors_BKD: FloatArray
    assignment_BKL: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Interests:
    """The interests of one user at one moment.

    ``history`` holds the L events that the encoder saw. A mass may underflow to 0 when an interest is long dead; the
    log shares never do, and their exponentials sum to 1.
    """

    history: History
    vectors_KD: FloatArray
    assignment_KL: FloatArray
    mass_K: DoubleArray
    log_share_K: DoubleArray


class SearchPlan(StrEnum):
    """How a search came to its rows: see ``docs/filters.md``.

    INDEX looks where an index expects the best of all rows. The others keep to the rows that are allowed: SCAN compares
    with every one of them, CODES does so in 4 bits a dimension, and LISTS compares with those in the parts of the index
    that are nearest to the queries, and takes the more parts the fewer rows are allowed there.
    """

    INDEX = "index"
    SCAN = "scan"
    LISTS = "lists"
    CODES = "codes"


@dataclass(frozen=True, slots=True, eq=False)
class SearchHits:
    """Rows and inner products, best first; -1 and -inf pad where fewer rows than asked for are there or allowed."""

    row_QC: IntArray
    score_QC: FloatArray
    plan: SearchPlan = SearchPlan.INDEX


@dataclass(frozen=True, slots=True)
class Scoring:
    """The numbers of the score formula; they are fitted offline and stored in the manifest.

    z_i = interest_i + gamma * log pop_i + delta * log1p(own frequency_i), where interest_i is what the interests say:
    together as a ``mixture``, or the best of them alone; see ``scoring``.
    """

    temperature: float
    beta: float
    gamma: float
    delta: float
    own_half_life_s: float
    popularity_half_life_s: float
    candidate_count: int = 400
    quota_alpha: float = 0.5
    quota_min: int = 20
    mixture: bool = False


class Source(IntFlag):
    """Where a candidate came from; one candidate can have several sources."""

    INTERESTS = 1
    OWN_ITEMS = 2
    POPULAR = 4
    NEIGHBOURS = 8
    FACTORS = 16


class Profile(StrEnum):
    """How candidates are ranked: by the score formula, or by a model that was trained on what users did next."""

    FORMULA = "formula"
    LEARNED = "learned"


class Effort(StrEnum):
    """How much an answer may cost: all that it takes, or less, with fewer candidates; see ``effort``."""

    FULL = "full"
    REDUCED = "reduced"


class Precision(StrEnum):
    """How the numbers of an encoder or of item vectors are stored; what is computed with them comes out as float32."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


class Basis(StrEnum):
    """What a whole answer rests on."""

    INTERESTS = "interests"
    POPULARITY = "popularity"


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One question to the pipeline: who, when, how many, and what must not come back.

    ``filter`` and ``allowed_row_A`` say which items may come back at all; where both are None, any may.
    ``min_probability`` leaves out what is less likely, and with it all that no probability is known of.
    ``diversity`` is 0 for the order of the scores, up to 1 for items as unlike each other as can be: see ``diversify``.
    ``balance`` is how much of its share of the list each interest is sure of, 0 to 1: see ``balanced``.
    ``listed_row_U`` are distinct living rows that are to be put in order: these come back, seen and excluded ones among
    them, and no others. They are scored among the candidates that the query has without them, because what a score and
    a feature say depends on those; so such a query always has full ``effort``.
    """

    history: History
    now_s: float
    limit: int
    include_seen: bool = False
    excluded_row_X: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    profile: Profile = Profile.FORMULA
    min_probability: float = 0.0
    diversity: float = 0.0
    balance: float = 0.0
    filter: Filter | None = None
    allowed_row_A: IntArray | None = None
    listed_row_U: IntArray | None = None
    effort: Effort = Effort.FULL

    @property
    def is_filtered(self) -> bool:
        """Whether it says which items may come back."""
        return self.filter is not None or self.allowed_row_A is not None


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTerms:
    """The addends of the score formula."""

    affinity_R: DoubleArray
    interest_R: DoubleArray
    popularity_R: DoubleArray
    frequency_R: DoubleArray

    def total(self) -> DoubleArray:
        """The scores of the formula."""
        score_R: DoubleArray = self.affinity_R + self.interest_R + self.popularity_R + self.frequency_R
        return score_R

    def take(self, position_R: IntArray) -> ScoreTerms:
        """The terms of chosen candidates, in the given order."""
        return ScoreTerms(
            self.affinity_R[position_R],
            self.interest_R[position_R],
            self.popularity_R[position_R],
            self.frequency_R[position_R],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The answer to one query, best first; where diversity was asked for, a later item may have a higher score.

    ``score_R`` is the sum of the terms in profile ``formula``, and the ranker's own in profile ``learned``.
    ``probability_R`` is how likely the user takes each item in the period of ``Calibration``, None where that is not
    known.
    ``interest_R`` is the index of the interest that speaks for each item, -1 where none does. ``removed`` counts what
    was taken out, by reason: hits of the index that were ``blocked``, ``over_quota`` or ``found_again``, and candidates
    that were ``improbable`` or ``beyond_limit``.
    ``plan`` is how the interests were searched for, None where there are none. ``matching_count`` is how many items the
    filter lets through, None where there is none, and ``allowed_count`` how many of those are not blocked otherwise.
    ``effort`` is what was spent on it.
    """

    row_R: IntArray
    score_R: DoubleArray
    probability_R: DoubleArray | None
    interest_R: IntArray
    source_R: IntArray
    terms: ScoreTerms
    basis: Basis
    profile: Profile
    interests: Interests | None
    removed: dict[str, int]
    plan: SearchPlan | None
    matching_count: int | None
    allowed_count: int
    effort: Effort

    @property
    def candidate_count(self) -> int:
        """How many candidates were ranked."""
        return len(self.row_R) + self.removed.get("improbable", 0) + self.removed["beyond_limit"]
