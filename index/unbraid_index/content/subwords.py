"""Subwords: the tokens of a pretrained sentence encoder, cut by the tokenizers library from its tokenizer.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unbraid_core.errors import IntegrityError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Subwords"]


class Subwords:
    """A tokeniser over a tokenizer.json; special tokens are added as that file says.

    Args:
        tokenizer: of the library. Padding and truncation that it brings along are replaced.
        max_tokens: special tokens included.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens

    @classmethod
    def open(cls, path: Path, max_tokens: int) -> Subwords:
        """Read a tokenizer.json.

        Raises:
            IntegrityError: the library cannot read the file.
        """
        from tokenizers import Tokenizer  # noqa: PLC0415  (an extra that only a sentence encoder needs)

        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # noqa: BLE001  (the library raises nothing more specific)
            raise IntegrityError(f"{path.parent.name}/{path.name}: not a tokenizer: {error}") from None
        return cls(tokenizer, max_tokens)

    @property
    def kind(self) -> Literal["subwords"]:
        """See Tokeniser."""
        return "subwords"

    @property
    def max_tokens(self) -> int:
        """See Tokeniser."""
        return self._max_tokens

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of every text, special tokens included."""
        return [list(encoding.ids) for encoding in self._tokenizer.encode_batch(list(texts))]

    def write(self, path: Path) -> None:
        """Write a tokenizer.json."""
        path.write_text(self._tokenizer.to_str(), encoding="utf-8")
