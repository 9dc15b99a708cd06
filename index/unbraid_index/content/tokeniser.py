"""Text to token ids, the input of item_encoder.onnx. Training and index build use the same tokeniser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np

from unbraid_core.types import BoolArray, IntArray
from unbraid_index.content.subwords import Subwords
from unbraid_index.content.vocabulary import Vocabulary

__all__ = ["TokenBatch", "Tokeniser", "TokeniserKind", "open_tokeniser", "token_batches"]

TokeniserKind = Literal["terms", "subwords"]

BATCH_SIZE = 64


class Tokeniser(Protocol):
    """Cuts texts into tokens of a fixed vocabulary."""

    @property
    def kind(self) -> TokeniserKind:
        """How ``open_tokeniser`` knows it."""
        ...

    @property
    def max_tokens(self) -> int:
        """Longer texts are cut."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of every text; none where it has no token of the vocabulary."""
        ...

    def write(self, path: Path) -> None:
        """Write the file that ``open_tokeniser`` reads."""
        ...


class TokenBatch(NamedTuple):
    """Texts of a batch: right-padded token ids, and where there is one."""

    token_BL: IntArray
    mask_BL: BoolArray


def open_tokeniser(path: Path, kind: TokeniserKind, max_tokens: int) -> Tokeniser:
    """Read the file of a tokeniser.

    Raises:
        IntegrityError: the file cannot be read.
    """
    if kind == "terms":
        return Vocabulary.open(path, max_tokens)
    return Subwords.open(path, max_tokens)


def token_batches(tokens: Sequence[Sequence[int]]) -> Iterator[tuple[IntArray, TokenBatch]]:
    """Batches of texts of similar length, so that little is padding; each with the positions of its texts."""
    order_N = np.argsort([len(ids) for ids in tokens], kind="stable")
    for start in range(0, len(order_N), BATCH_SIZE):
        position_B = order_N[start : start + BATCH_SIZE]
        yield position_B, _pad([tokens[position] for position in position_B])


def _pad(tokens: Sequence[Sequence[int]]) -> TokenBatch:
    # At least one column: a graph need not know how to average over nothing.
    shape_BL = len(tokens), max(1, *map(len, tokens))
    token_BL = np.zeros(shape_BL, np.int64)
    mask_BL = np.zeros(shape_BL, np.bool_)
    for b, ids in enumerate(tokens):
        token_BL[b, : len(ids)] = ids
        mask_BL[b, : len(ids)] = True
    return TokenBatch(token_BL, mask_BL)
