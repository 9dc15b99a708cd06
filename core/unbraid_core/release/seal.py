"""Documents that carry the digest of their own bytes, so that no bit of them changes unnoticed."""

from __future__ import annotations

import hashlib

__all__ = ["UNSEALED", "own_digest"]

# Stands in the place of the digest while it is computed.
UNSEALED = "0" * 64


def own_digest(text: bytes, claimed: str = UNSEALED) -> str:
    """The sha256 of a document with zeros in the place of the digest that it claims for itself."""
    return hashlib.sha256(text.replace(claimed.encode(), UNSEALED.encode(), 1)).hexdigest()
