"""Interests and the evidence behind them in wire format, put together like recommendations."""

from __future__ import annotations

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.evidence import Evidence
from unbraid_core.types import DoubleArray, Interests
from unbraid_server.shown_items import ShownItems
from unbraid_server.timestamps import duration, timestamp
from unbraid_server.wire import DoubleRecords, opening

__all__ = ["written_interests"]

FIELDS = pb.Interest.DESCRIPTOR.fields_by_name
EVIDENCE_FIELDS = pb.Evidence.DESCRIPTOR.fields_by_name
EVIDENCE_NUMBERS = DoubleRecords([(b"", EVIDENCE_FIELDS["assignment"]), (b"", EVIDENCE_FIELDS["weight"])])


def written_interests(
    field: FieldDescriptor,
    interests: Interests,
    half_life_s_K: DoubleArray,
    shown: ShownItems,
    evidence: Evidence,
    *,
    include_vectors: bool,
) -> bytes:
    """All interests of a response.

    Args:
        field: of the response, which holds them.
        interests: of the user.
        half_life_s_K: of each interest.
        shown: the items behind the interests.
        evidence: of these interests.
        include_vectors: whether the unit vectors go along.
    """
    parts: list[bytes] = []
    for k, (mass, share, half_life_s, events) in enumerate(
        zip(
            interests.mass_K.tolist(),
            np.exp(interests.log_share_K).tolist(),
            half_life_s_K.tolist(),
            _written_evidence(shown, evidence),
            strict=True,
        )
    ):
        message = pb.Interest(index=k, mass=mass, share=share, half_life=duration(half_life_s))
        if include_vectors:
            message.vector = interests.vectors_KD[k].astype("<f4").tobytes()
        written = message.SerializeToString()
        parts += opening(field, len(written) + len(events)), written, events
    return b"".join(parts)


def _written_evidence(shown: ShownItems, evidence: Evidence) -> list[bytes]:
    """The evidence of each interest."""
    interest_count, width = evidence.row_KE.shape
    numbers = EVIDENCE_NUMBERS.write([evidence.assignment_KE.ravel(), evidence.weight_KE.ravel()])
    size = EVIDENCE_NUMBERS.size
    messages = []
    for position, (item, time_s) in enumerate(
        zip(shown.evidence(evidence.row_KE.ravel()), evidence.time_s_KE.ravel().tolist(), strict=True)
    ):
        time = timestamp(time_s).SerializeToString()
        time = opening(EVIDENCE_FIELDS["event_time"], len(time)) + time
        start = position * size
        messages.append(
            opening(FIELDS["evidence"], len(item) + len(time) + size) + item + time + numbers[start : start + size]
        )
    return [b"".join(messages[k * width : (k + 1) * width]) for k in range(interest_count)]
