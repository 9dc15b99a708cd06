"""The answer to one query while it is being made."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from unbraid_core.types import (
    Basis,
    BoolArray,
    DoubleArray,
    Effort,
    FloatArray,
    IntArray,
    Interests,
    Profile,
    Query,
    Ranking,
    ScoreTerms,
    SearchPlan,
    Source,
)

__all__ = ["Draft"]

NO_ROWS: IntArray = np.empty(0, np.int64)
NO_FLAGS: BoolArray = np.empty(0, np.bool_)
NO_SCORES: DoubleArray = np.empty(0)
NO_MATRIX: DoubleArray = np.empty((0, 0))
NO_FEATURES: FloatArray = np.empty((0, 0), np.float32)
NO_TERMS = ScoreTerms(*(np.empty(0) for _ in range(4)))


@dataclass(slots=True, eq=False)
class Draft:
    """What the stages know about one query so far; the candidate arrays are parallel, in the order of rows.

    ``blocked_I`` are the rows that must not come back, tombstones included; ``blocked_count`` of them are not
    tombstones: so many of the best rows of any list may have to be passed over. ``matching_I`` are the rows that pass
    the filter, where there is one, ``matching_count`` of them; ``allowed_count`` are not blocked at all.
    """

    query: Query
    interests: Interests | None = None
    blocked_I: BoolArray = field(default_factory=lambda: NO_FLAGS)
    blocked_count: int = 0
    matching_I: BoolArray = field(default_factory=lambda: NO_FLAGS)
    neighbour_I: DoubleArray = field(default_factory=lambda: NO_SCORES)
    factor_I: DoubleArray = field(default_factory=lambda: NO_SCORES)
    row_C: IntArray = field(default_factory=lambda: NO_ROWS)
    source_C: IntArray = field(default_factory=lambda: NO_ROWS)
    affinity_CK: DoubleArray = field(default_factory=lambda: NO_MATRIX)
    interest_C: IntArray = field(default_factory=lambda: NO_ROWS)
    score_C: DoubleArray = field(default_factory=lambda: NO_SCORES)
    probability_C: DoubleArray | None = None
    terms: ScoreTerms = NO_TERMS
    feature_CF: FloatArray = field(default_factory=lambda: NO_FEATURES)
    removed: dict[str, int] = field(default_factory=dict)
    plan: SearchPlan | None = None
    matching_count: int | None = None
    allowed_count: int = 0

    @property
    def profile(self) -> Profile:
        """How the answer is ranked: without a history there is nothing to learn from."""
        return self.query.profile if self.interests is not None else Profile.FORMULA

    @property
    def effort(self) -> Effort:
        """What may be spent: all where it is little anyway, or where scores are to be those among all candidates."""
        if self.interests is None or self.query.listed_row_U is not None:
            return Effort.FULL
        return self.query.effort

    def allowed(self, row_C: IntArray) -> IntArray:
        """The rows that may come back, in the given order."""
        return row_C[~self.blocked_I[row_C]]

    def add(self, row_C: IntArray, source: Source) -> None:
        """Add distinct rows as candidates, but for those that are blocked; known ones only gain the source."""
        added_C = self.allowed(row_C)
        either_C = np.concatenate([self.row_C, added_C])
        bits_C = np.concatenate([self.source_C, np.full(len(added_C), source, np.int64)])
        self.row_C, position_C = np.unique(either_C, return_inverse=True)
        # A row stands there at most twice, each time with other sources or with the same single one.
        self.source_C = np.zeros(len(self.row_C), np.int64)
        np.bitwise_or.at(self.source_C, position_C, bits_C)

    def select(self, position_R: IntArray) -> None:
        """Keep the candidates at the given positions, in that order."""
        self.row_C = self.row_C[position_R]
        self.source_C = self.source_C[position_R]
        self.interest_C = self.interest_C[position_R]
        self.score_C = self.score_C[position_R]
        self.terms = self.terms.take(position_R)
        if self.probability_C is not None:
            self.probability_C = self.probability_C[position_R]

    def ranking(self) -> Ranking:
        """The answer."""
        return Ranking(
            row_R=self.row_C,
            score_R=self.score_C,
            probability_R=self.probability_C,
            interest_R=self.interest_C,
            source_R=self.source_C,
            terms=self.terms,
            basis=Basis.POPULARITY if self.interests is None else Basis.INTERESTS,
            profile=self.profile,
            interests=self.interests,
            removed=self.removed,
            plan=self.plan,
            matching_count=self.matching_count,
            allowed_count=self.allowed_count,
            effort=self.effort,
        )
