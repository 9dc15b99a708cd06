"""Recommendations in wire format.

A message for every item would be half the cost of a request besides the pipeline. Instead the bytes of an item are put
together of three parts: what the catalogue says, which is kept (``ShownItems``); the numbers; and who found it. The
numbers of all items of all answers are written at once. In the wire format the order of fields is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import add

import numpy as np

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
MOST_SOURCES = 2 ** len(Source)


def written_recommendations(openings: Openings, shown: ShownItems, rankings: Sequence[Ranking]) -> list[bytes]:
    """The recommendations of each response; bytes of its other fields may stand before or behind them.

    Args:
        openings: of the field of the response that holds them.
        shown: the items.
        rankings: which of them, and why; at least one ranking.
    """
    items = shown.recommended(np.concatenate([ranking.row_R for ranking in rankings]))
    records: list[bytes] = []
    for is_probable, alike in groupby(rankings, lambda ranking: ranking.probability_R is not None):
        records += _written_numbers(list(alike), is_probable=is_probable)
    interest_N = np.concatenate([ranking.interest_R for ranking in rankings])
    source_N = np.concatenate([ranking.source_R for ranking in rankings])
    origins = list(map(ORIGINS.__getitem__, (interest_N * MOST_SOURCES + source_N).tolist()))
    parts = [b""] * (4 * len(items))
    sizes = map(add, map(add, map(len, items), map(len, records)), map(len, origins))
    parts[0::4] = map(openings.__getitem__, sizes)
    parts[1::4], parts[2::4], parts[3::4] = items, records, origins
    stops = np.cumsum([4 * len(ranking.row_R) for ranking in rankings]).tolist()
    return [b"".join(parts[start:stop]) for start, stop in zip([0, *stops], stops, strict=False)]


def _written_numbers(rankings: Sequence[Ranking], *, is_probable: bool) -> list[bytes]:
    terms = [ranking.terms for ranking in rankings]
    columns = [
        [ranking.score_R for ranking in rankings],
        [each.affinity_R for each in terms],
        [each.interest_R for each in terms],
        [each.popularity_R for each in terms],
        [each.frequency_R for each in terms],
    ]
    if is_probable:
        columns.append([ranking.probability_R for ranking in rankings if ranking.probability_R is not None])
    return (WITH_PROBABILITY if is_probable else WITHOUT_PROBABILITY).write(list(map(np.concatenate, columns)))


class _Origins(dict[int, bytes]):
    """Which interest speaks for an item, if one does, and every source that brought it; each put together once."""

    def __missing__(self, origin: int) -> bytes:
        interest, source_bits = divmod(origin, MOST_SOURCES)
        sources = b"".join(varint(message) for source, message in SOURCES.items() if source_bits & source)
        index = key(FIELDS["interest_index"]) + varint(interest) if interest >= 0 else b""
        self[origin] = written = index + opening(FIELDS["sources"], len(sources)) + sources
        return written


ORIGINS = _Origins()
