from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unbraid_training.baselines.ranking import best_rows


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), item_count=st.integers(1, 30), level_count=st.integers(1, 40))
def test_the_order_is_by_score_then_by_the_fixed_order(seed: int, item_count: int, level_count: int) -> None:
    rng = np.random.default_rng(seed)
    score_BI = rng.integers(level_count, size=(4, item_count)).astype(np.float64)
    score_BI[rng.random(score_BI.shape) < 0.2] = -np.inf
    tie_I = rng.permutation(item_count)
    for score_I, row_R in zip(score_BI, best_rows(score_BI, tie_I, 10), strict=True):
        rankable = [row for row in range(item_count) if score_I[row] > -np.inf]
        expected = sorted(rankable, key=lambda row: (-score_I[row], tie_I[row]))[:10]
        assert row_R.tolist() == expected + [-1] * (10 - len(expected))
