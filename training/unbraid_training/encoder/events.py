"""The events of a batch of histories, as the parts of an encoder hand them to each other."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Events"]


@dataclass(frozen=True, eq=False)
class Events:
    """Right-padded histories, oldest event first; anything may stand where padded.

    Attributes:
        event_BLD: what each event is: item, action and, behind a trunk, what stands around it.
        value_BLD: what it adds to an interest that it belongs to.
        age_s_BL: seconds from each event to the newest of its history.
        mask_BL: true where there is an event.
    """

    event_BLD: Tensor
    value_BLD: Tensor
    age_s_BL: Tensor
    mask_BL: Tensor
