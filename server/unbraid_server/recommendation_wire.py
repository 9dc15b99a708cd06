"""Recommendations in wire format.

A message for every item would be half the cost of a request besides the pipeline. Instead the bytes of an item are put
together of three parts: what the catalogue says, which is kept (``ShownItems``); the numbers, written for all items at
once; and who found it. In the wire format the order of fields is free.
"""

from __future__ import annotations

from functools import cache

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.types import Ranking, Source
from unbraid_server.shown_items import ShownItems
from unbraid_server.wire import Openings, Records, key, opening, varint

__all__ = ["written_recommendations"]

FIELDS = pb.Recommendation.DESCRIPTOR.fields_by_name
TERMS = pb.ScoreTerms.DESCRIPTOR.fields_by_name
SOURCES = {
    Source.INTERESTS: pb.CANDIDATE_SOURCE_INTERESTS,
    Source.OWN_ITEMS: pb.CANDIDATE_SOURCE_OWN_ITEMS,
    Source.POPULAR: pb.CANDIDATE_SOURCE_POPULAR,
    Source.NEIGHBOURS: pb.CANDIDATE_SOURCE_NEIGHBOURS,
    Source.FACTORS: pb.CANDIDATE_SOURCE_FACTORS,
}

TERM_NAMES = ("affinity", "interest", "popularity", "frequency")
TERMS_SIZE = Records([(b"", TERMS[name]) for name in TERM_NAMES]).size
NUMBERS = [
    (b"", FIELDS["score"]),
    (opening(FIELDS["terms"], TERMS_SIZE), TERMS[TERM_NAMES[0]]),
    *((b"", TERMS[name]) for name in TERM_NAMES[1:]),
]
WITHOUT_PROBABILITY = Records(NUMBERS)
WITH_PROBABILITY = Records([*NUMBERS, (b"", FIELDS["probability"])])


def written_recommendations(openings: Openings, shown: ShownItems, ranking: Ranking) -> bytes:
    """The recommendations of a response; bytes of its other fields may stand before or behind them.

    Args:
        openings: of the field of the response that holds them.
        shown: the items.
        ranking: which of them, and why.
    """
    terms = ranking.terms
    columns = [ranking.score_R, terms.affinity_R, terms.interest_R, terms.popularity_R, terms.frequency_R]
    records = WITHOUT_PROBABILITY
    if ranking.probability_R is not None:
        records = WITH_PROBABILITY
        columns.append(ranking.probability_R)
    size = records.size
    parts: list[bytes] = []
    for item, record, origin in zip(
        shown.recommended(ranking.row_R),
        records.write(columns),
        map(_origin, ranking.interest_R.tolist(), ranking.source_R.tolist()),
        strict=True,
    ):
        parts += openings[len(item) + size + len(origin)], item, record, origin
    return b"".join(parts)


@cache
def _origin(interest: int, source_bits: int) -> bytes:
    """Which interest speaks for an item, if one does, and every source that brought it."""
    sources = b"".join(varint(message) for source, message in SOURCES.items() if source_bits & source)
    index = key(FIELDS["interest_index"]) + varint(interest) if interest >= 0 else b""
    return index + opening(FIELDS["sources"], len(sources)) + sources
