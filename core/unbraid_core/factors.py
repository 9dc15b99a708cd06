"""Matrix factors of implicit feedback, and folding a history into them.

Hu, Koren and Volinsky 2008: with the confidence c_i = alpha * count_i of an item in a history, the vector that fits a
user best is x = (Y'Y + sum_i (c_i - 1) y_i y_i' + lambda 1)^-1 sum_i c_i y_i, a linear system of F unknowns.
"""

from __future__ import annotations

import numpy as np

from unbraid_core.types import DoubleArray, FloatArray, History

__all__ = ["Factors"]


class Factors:
    """Item factors of a fitted factorisation.

    Args:
        vector_IF: float32.
        confidence: alpha, of one event.
        regularisation: lambda.
    """

    def __init__(self, vector_IF: FloatArray, confidence: float, regularisation: float) -> None:
        self.vector_IF = vector_IF
        self.confidence = confidence
        self.regularisation = regularisation
        gram_FF = (vector_IF.T @ vector_IF).astype(np.float64)
        self._gram_FF = gram_FF + regularisation * np.eye(len(gram_FF))

    def score(self, history: History) -> DoubleArray:
        """Inner product of the folded-in user with every item: float64 [I]."""
        return (self.vector_IF @ self._fold_in(history).astype(np.float32)).astype(np.float64)

    def _fold_in(self, history: History) -> DoubleArray:
        own_row_U, count_U = np.unique(history.row_N, return_counts=True)
        own_UF = self.vector_IF[own_row_U]
        confidence_U = (self.confidence * count_U).astype(np.float32)
        system_FF = self._gram_FF + (own_UF * (confidence_U - 1.0)[:, None]).T @ own_UF
        return np.linalg.solve(system_FF, (confidence_U @ own_UF).astype(np.float64)).astype(np.float64, copy=False)
