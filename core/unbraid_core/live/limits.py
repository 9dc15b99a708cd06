"""How much may change in a catalogue before its index should be built again, and before it has to be."""

from __future__ import annotations

from unbraid_core.errors import Conflict
from unbraid_core.live.delta import Delta

__all__ = ["MAX_ADDED_ITEMS", "check_room", "rebuild_reason"]

MAX_ADDED_ITEMS = 50_000
"""Every search compares with all added items: 50,000 of 64 dimensions take a few milliseconds."""

TOLERATED_SHARE = 0.05
MOST_TOLERATED, LEAST_TOLERATED = 20_000, 1_000

FIX = "unbraid index rebuild"


def rebuild_reason(delta: Delta) -> str:
    """Why the index should be built again; empty where nothing speaks for it.

    That is past 5 % of the items of the release, but not below 1,000 and not above 20,000 changed or deleted ones.
    """
    changed_count = len(delta.row_of) + delta.replaced_count
    tolerated_count = min(MOST_TOLERATED, max(LEAST_TOLERATED, int(TOLERATED_SHARE * delta.released_count)))
    if changed_count <= tolerated_count:
        return ""
    return f"{changed_count:,} changes since the release was built are more than {tolerated_count:,}; run: {FIX}"


def check_room(delta: Delta, further_count: int) -> None:
    """Refuse further added items where they would make every search slow.

    Raises:
        Conflict: there would be more than MAX_ADDED_ITEMS.
    """
    count = len(delta.row_of) + further_count
    if count > MAX_ADDED_ITEMS:
        raise Conflict(
            f"{count:,} items would be new or changed since the release was built, at most {MAX_ADDED_ITEMS:,} can be; "
            f"run: {FIX} --activate"
        )
