"""History to interests: a stage of the pipeline, and the form in which the encoder reads histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from unbraid_core.decay import log_mass, log_share
from unbraid_core.draft import Draft
from unbraid_core.interest_cache import EncodedHistory
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.types import History, HistoryBatch, Interests

if TYPE_CHECKING:
    from unbraid_core.pipeline import Pipeline

__all__ = ["encode", "pad_histories"]


def encode(pipeline: Pipeline, drafts: Sequence[Draft]) -> None:
    """History to interests, each with the mass that is still alive at the query's now."""
    known = [draft for draft in drafts if len(draft.query.history) > 0]
    if not known:
        return
    histories = [draft.query.history.last(pipeline.max_history) for draft in known]
    for draft, history, encoded in zip(known, histories, _encoded(pipeline, histories), strict=True):
        log_mass_K = log_mass(encoded.assignment_KL, draft.query.now_s - history.time_s_N, pipeline.half_life_s_K)
        draft.interests = Interests(
            history=history,
            vectors_KD=encoded.vectors_KD,
            assignment_KL=encoded.assignment_KL,
            mass_K=np.exp(log_mass_K),
            log_share_K=log_share(log_mass_K),
        )


def _encoded(pipeline: Pipeline, histories: Sequence[History]) -> Sequence[EncodedHistory]:
    """What the encoder makes of each history; what the cache knows is not even gathered."""

    def by_encoder(unknown: Sequence[History]) -> list[EncodedHistory]:
        answer = pipeline.encoder.encode(pad_histories(unknown, pipeline.item_vectors_ID))
        return [
            EncodedHistory(vectors_KD, assignment_KL[:, : len(history)])
            for vectors_KD, assignment_KL, history in zip(
                answer.vectors_BKD, answer.assignment_BKL, unknown, strict=True
            )
        ]

    return by_encoder(histories) if pipeline.cache is None else pipeline.cache.encoded(histories, by_encoder)


def pad_histories(histories: Sequence[History], item_vectors_ID: ItemVectors) -> HistoryBatch:
    """Gather item vectors and right-pad to the longest history; every history has at least one event."""
    shape_BL = len(histories), max(len(history) for history in histories)
    row_BL = np.zeros(shape_BL, np.int64)
    age_s_BL = np.zeros(shape_BL, np.float32)
    action_BL = np.zeros(shape_BL, np.int64)
    mask_BL = np.zeros(shape_BL, np.bool_)
    for b, history in enumerate(histories):
        valid = slice(0, len(history))
        row_BL[b, valid] = history.row_N
        age_s_BL[b, valid] = history.time_s_N[-1] - history.time_s_N
        action_BL[b, valid] = history.action_N
        mask_BL[b, valid] = True
    item_vectors_BLD = item_vectors_ID[row_BL]
    item_vectors_BLD[~mask_BL] = 0.0
    return HistoryBatch(item_vectors_BLD, age_s_BL, action_BL, mask_BL)
