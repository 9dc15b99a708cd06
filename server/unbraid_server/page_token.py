"""Where a listing goes on: the id of the last item of a page, wrapped so that nobody takes it apart by accident."""

from __future__ import annotations

import base64
import binascii
import zlib

from unbraid_core.errors import InvalidInput

__all__ = ["item_after", "token_after"]

CHECKSUM_BYTES = 4


def token_after(item_id: str) -> str:
    """The token of the page behind an item."""
    content = item_id.encode()
    return base64.urlsafe_b64encode(_checksum(content) + content).decode()


def item_after(token: str) -> str:
    """The item behind which a page begins; empty for the first page.

    Raises:
        InvalidInput: not a token that ``token_after`` made.
    """
    if not token:
        return ""
    try:
        packed = base64.b64decode(token, altchars=b"-_", validate=True)
        content = packed[CHECKSUM_BYTES:]
        if content and packed[:CHECKSUM_BYTES] == _checksum(content):
            return content.decode()
    except (binascii.Error, ValueError):
        pass
    raise InvalidInput("page_token", "is none that this server gave out; send next_page_token of the page before")


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(CHECKSUM_BYTES, "big")
