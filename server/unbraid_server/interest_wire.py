"""Interests and the evidence behind them in wire format, put together like recommendations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import islice

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.evidence import Evidence
from unbraid_core.types import DoubleArray, Interests
from unbraid_server.shown_items import ShownItems
from unbraid_server.timestamps import duration, seconds_and_nanos
from unbraid_server.wire import Openings, Records, opening

__all__ = ["written_interests"]

FIELDS = pb.Interest.DESCRIPTOR.fields_by_name
INTEREST_NUMBERS = Records([(b"", FIELDS["mass"]), (b"", FIELDS["share"])])

EVIDENCE = Openings(FIELDS["evidence"])
EVIDENCE_FIELDS = pb.Evidence.DESCRIPTOR.fields_by_name
TIME_FIELDS = [(b"", Timestamp.DESCRIPTOR.fields_by_name[name]) for name in ("seconds", "nanos")]
(_, SECONDS), NANOS = TIME_FIELDS
EVIDENCE_NUMBERS = Records(
    [
        (opening(EVIDENCE_FIELDS["event_time"], Records(TIME_FIELDS).size), SECONDS),
        NANOS,
        (b"", EVIDENCE_FIELDS["assignment"]),
        (b"", EVIDENCE_FIELDS["weight"]),
    ]
)


def written_interests(
    openings: Openings,
    users: Sequence[Interests],
    half_life_s_K: DoubleArray,
    shown: ShownItems,
    evidence: Sequence[Evidence],
    *,
    include_vectors: bool,
) -> list[bytes]:
    """All interests of each response.

    Args:
        openings: of the field of the response that holds them.
        users: whose interests; at least one.
        half_life_s_K: of each interest.
        shown: the items behind the interests.
        evidence: of each user.
        include_vectors: whether the unit vectors go along.
    """
    log_share_N = np.concatenate([interests.log_share_K for interests in users])
    numbers = INTEREST_NUMBERS.write([np.concatenate([interests.mass_K for interests in users]), np.exp(log_share_N)])
    heads = [_same_for_all(k, half_life_s) for k, half_life_s in enumerate(half_life_s_K.tolist())]
    numbers_and_evidence = zip(numbers, _written_evidence(shown, evidence), strict=True)
    written = []
    for interests in users:
        parts: list[bytes] = []
        for k, (mass_and_share, events) in enumerate(islice(numbers_and_evidence, len(heads))):
            interest = heads[k] + mass_and_share
            if include_vectors:
                vector = interests.vectors_KD[k].astype("<f4").tobytes()
                interest += opening(FIELDS["vector"], len(vector)) + vector
            parts += openings[len(interest) + len(events)], interest, events
        written.append(b"".join(parts))
    return written


@cache
def _same_for_all(k: int, half_life_s: float) -> bytes:
    """What an interest is to every user of a model."""
    return pb.Interest(index=k, half_life=duration(half_life_s)).SerializeToString()


def _written_evidence(shown: ShownItems, evidence: Sequence[Evidence]) -> list[bytes]:
    """The evidence of each interest of each user, one user behind the other."""

    def column(of: Callable[[Evidence], DoubleArray]) -> DoubleArray:
        return np.concatenate([of(each).ravel() for each in evidence])

    records = EVIDENCE_NUMBERS.write(
        [
            *seconds_and_nanos(column(lambda each: each.time_s_KE)),
            column(lambda each: each.assignment_KE),
            column(lambda each: each.weight_KE),
        ]
    )
    items = shown.evidence(np.concatenate([each.row_KE.ravel() for each in evidence]))
    parts = [b""] * (3 * len(items))
    parts[0::3] = [EVIDENCE[len(item) + EVIDENCE_NUMBERS.size] for item in items]
    parts[1::3], parts[2::3] = items, records
    following = iter(parts)
    return [b"".join(islice(following, 3 * len(row_E))) for each in evidence for row_E in each.row_KE]
