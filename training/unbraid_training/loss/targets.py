"""What happened after a history: what a model is asked to predict."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Targets"]


@dataclass(frozen=True, eq=False)
class Targets:
    """Up to T later events of each of B examples; ``mask_BT`` is true where there is one.

    ``age_s_BTL`` counts from every event of the history to the target.
    """

    row_BT: Tensor
    age_s_BTL: Tensor
    mask_BT: Tensor
