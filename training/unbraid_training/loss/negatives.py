"""What stands for the catalogue in the sum of a softmax: all of it, or a sample with weights that make up for the rest.

A sample is drawn uniformly, and the targets of the batch are added to it. An item that is expected q_i times in it
counts 1 / q_i each time (the logQ correction, Bengio and Senecal 2008; for in-batch negatives Yi et al. 2019,
doi:10.1145/3298689.3346996), so the weighted sum over the sample is an unbiased estimate of that over the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unbraid_training.ranks import same

__all__ = ["Negatives"]


@dataclass(frozen=True, eq=False)
class Negatives:
    """Distinct items and their weights.

    Attributes:
        row_C: int64, the items.
        log_weight_I: log of every item's weight in the sum, -inf where it is not among them.
    """

    row_C: Tensor
    log_weight_I: Tensor

    @classmethod
    def whole(cls, item_count: int, device: torch.device | None = None) -> Negatives:
        """Every item, once."""
        return cls(torch.arange(item_count, device=device), torch.zeros(item_count, device=device))

    @classmethod
    def sampled(cls, row_N: Tensor, frequency_I: Tensor, uniform_count: int) -> Negatives:
        """Draw from torch's generator, that of the first rank.

        Args:
            row_N: the targets of the batch.
            frequency_I: how likely each item is to be a target, sums to 1.
            uniform_count: items drawn besides, each item equally likely, with replacement.
        """
        item_count = len(frequency_I)
        uniform_N = same(torch.randint(item_count, (uniform_count,), device=frequency_I.device))
        drawn_N = torch.cat([uniform_N, row_N])
        expected_I = uniform_count / item_count + len(row_N) * frequency_I
        count_I = torch.bincount(drawn_N, minlength=item_count)
        return cls(torch.unique(drawn_N), torch.log(count_I) - torch.log(expected_I))
