"""Interests and the evidence behind them in wire format, put together like recommendations."""

from __future__ import annotations

from functools import cache

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
    interests: Interests,
    half_life_s_K: DoubleArray,
    shown: ShownItems,
    evidence: Evidence,
    *,
    include_vectors: bool,
) -> bytes:
    """All interests of a response.

    Args:
        openings: of the field of the response that holds them.
        interests: of the user.
        half_life_s_K: of each interest.
        shown: the items behind the interests.
        evidence: of these interests.
        include_vectors: whether the unit vectors go along.
    """
    parts: list[bytes] = []
    numbers = INTEREST_NUMBERS.write([interests.mass_K, np.exp(interests.log_share_K)])
    for k, (half_life_s, mass_and_share, events) in enumerate(
        zip(half_life_s_K.tolist(), numbers, _written_evidence(shown, evidence), strict=True)
    ):
        interest = _same_for_all(k, half_life_s) + mass_and_share
        if include_vectors:
            vector = interests.vectors_KD[k].astype("<f4").tobytes()
            interest += opening(FIELDS["vector"], len(vector)) + vector
        parts += openings[len(interest) + len(events)], interest, events
    return b"".join(parts)


@cache
def _same_for_all(k: int, half_life_s: float) -> bytes:
    """What an interest is to every user of a model."""
    return pb.Interest(index=k, half_life=duration(half_life_s)).SerializeToString()


def _written_evidence(shown: ShownItems, evidence: Evidence) -> list[bytes]:
    """The evidence of each interest."""
    records = EVIDENCE_NUMBERS.write(
        [
            *seconds_and_nanos(evidence.time_s_KE.ravel()),
            evidence.assignment_KE.ravel(),
            evidence.weight_KE.ravel(),
        ]
    )
    size = EVIDENCE_NUMBERS.size
    parts: list[bytes] = []
    for item, record in zip(shown.evidence(evidence.row_KE.ravel()), records, strict=True):
        parts += EVIDENCE[len(item) + size], item, record
    part_count = len(parts) // len(evidence.row_KE)
    return [b"".join(parts[start : start + part_count]) for start in range(0, len(parts), part_count)]
