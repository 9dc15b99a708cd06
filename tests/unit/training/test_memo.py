"""Ports that remember: what was asked before is not computed again, and nothing else is taken for it."""

from __future__ import annotations

import numpy as np

from unbraid_core.types import BoolArray, FloatArray, HistoryBatch, InterestBatch, SearchHits
from unbraid_index.exact import ExactSearcher
from unbraid_training.memo import MemoEncoder, MemoSearcher


class Counting(ExactSearcher):
    """Also an encoder, of the plainest kind; counts its answers."""

    answers = 0

    def search(self, query_QD: FloatArray, count: int, allowed_I: BoolArray | None = None) -> SearchHits:
        self.answers += 1
        return super().search(query_QD, count, allowed_I)

    def encode(self, batch: HistoryBatch) -> InterestBatch:
        self.answers += 1
        mean_B1D = batch.item_vectors_BLD.mean(axis=1, keepdims=True)
        return InterestBatch(mean_B1D, batch.mask_BL[:, None].astype(np.float32))


def batch(age_s: float) -> HistoryBatch:
    shape_BL = (2, 3)
    return HistoryBatch(
        np.ones((*shape_BL, 4), np.float32),
        np.full(shape_BL, age_s, np.float32),
        np.zeros(shape_BL, np.int64),
        np.ones(shape_BL, np.bool_),
    )


def test_the_same_batch_is_encoded_once_and_any_other_again() -> None:
    engine = Counting(np.eye(4, dtype=np.float32))
    memo = MemoEncoder(engine)
    first = memo.encode(batch(1.0))
    assert memo.encode(batch(1.0)) is first
    assert engine.answers == 1
    assert memo.encode(batch(2.0)) is not first
    assert engine.answers == 2


def test_the_same_queries_are_searched_for_once_and_any_other_again() -> None:
    engine = Counting(np.eye(4, dtype=np.float32))
    memo = MemoSearcher(engine)
    query_QD = np.array([[1.0, 0.5, 0.0, 0.0]], np.float32)
    first = memo.search(query_QD, 2)
    assert memo.search(query_QD.copy(), 2) is first
    assert engine.answers == 1
    assert memo.search(query_QD, 3).row_QC.shape == (1, 3)
    assert memo.search(2 * query_QD, 2).score_QC[0, 0] == 2.0
    assert engine.answers == 3
    for allowed_row in (1, 3):
        allowed_I = np.arange(4) == allowed_row
        assert memo.search(query_QD, 2, allowed_I).row_QC.tolist() == [[allowed_row, -1]]
    assert engine.answers == 5
