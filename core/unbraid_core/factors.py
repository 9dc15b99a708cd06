"""Matrix factors of implicit feedback, and folding a history into them.

Hu, Koren and Volinsky 2008: with the confidence c_i = alpha * count_i of an item in a history, the vector that fits a
user best is x = (Y'Y + sum_i (c_i - 1) y_i y_i' + lambda 1)^-1 sum_i c_i y_i, a linear system of F unknowns.
"""

from __future__ import annotations

import numpy as np

from unbraid_core.live.stacked_rows import StackedRows
from unbraid_core.types import DoubleArray, FloatArray, History

__all__ = ["Factors"]


class Factors:
    """Item factors of a fitted factorisation.

    Args:
        vector_IF: float32.
        confidence: alpha, of one event.
        regularisation: lambda.
        gram_FF: Y'Y, where it is known already.
        vector_NF: of items behind the I, which the factorisation did not see: they take no part in Y'Y.
    """

    def __init__(
        self,
        vector_IF: FloatArray,
        confidence: float,
        regularisation: float,
        *,
        gram_FF: DoubleArray | None = None,
        vector_NF: FloatArray | None = None,
    ) -> None:
        self.vector_IF = vector_IF
        self.confidence = confidence
        self.regularisation = regularisation
        self._gram_FF = (vector_IF.T @ vector_IF).astype(np.float64) if gram_FF is None else gram_FF
        self._vector_NF = vector_IF[:0] if vector_NF is None else vector_NF

    def followed_by(self, vector_NF: FloatArray) -> Factors:
        """These items, and behind them others."""
        return Factors(self.vector_IF, self.confidence, self.regularisation, gram_FF=self._gram_FF, vector_NF=vector_NF)

    def score(self, history: History) -> DoubleArray:
        """Inner product of the folded-in user with every item: float64 [I + N]."""
        user_F = self._fold_in(history).astype(np.float32)
        return np.concatenate([self.vector_IF @ user_F, self._vector_NF @ user_F]).astype(np.float64)

    def _fold_in(self, history: History) -> DoubleArray:
        own_row_U, count_U = np.unique(history.row_N, return_counts=True)
        own_UF = StackedRows(self.vector_IF, self._vector_NF)[own_row_U]
        confidence_U = (self.confidence * count_U).astype(np.float32)
        system_FF = self._gram_FF + self.regularisation * np.eye(len(self._gram_FF))
        system_FF += (own_UF * (confidence_U - 1.0)[:, None]).T @ own_UF
        return np.linalg.solve(system_FF, (confidence_U @ own_UF).astype(np.float64)).astype(np.float64, copy=False)
