"""Terms: the words and pairs of neighbouring words that several items share."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Literal

from unbraid_core.errors import IntegrityError

__all__ = ["Vocabulary"]

MIN_TEXTS = 2
MAX_TERMS = 50_000
MAX_TOKENS = 256


class Vocabulary:
    """A tokeniser whose tokens are the terms of a text, each once.

    Args:
        terms: the term of every token id.
        max_tokens: more terms of a text, counted from its beginning, are left out.
    """

    def __init__(self, terms: Sequence[str], max_tokens: int = MAX_TOKENS) -> None:
        self.terms = terms
        self._max_tokens = max_tokens
        self._id_of = {term: token for token, term in enumerate(terms)}

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """The terms that stand in at least MIN_TEXTS of the texts, the most frequent first, at most MAX_TERMS."""
        counts = Counter(chain.from_iterable(set(_terms(text)) for text in texts))
        frequent = [(-count, term) for term, count in counts.items() if count >= MIN_TEXTS]
        return cls([term for _, term in sorted(frequent)[:MAX_TERMS]])

    @classmethod
    def open(cls, path: Path, max_tokens: int = MAX_TOKENS) -> Vocabulary:
        """Read a file that ``write`` wrote.

        Raises:
            IntegrityError: it is none.
        """
        try:
            terms = json.loads(path.read_text(encoding="utf-8"))["terms"]
        except (ValueError, TypeError, KeyError):
            raise IntegrityError(f"{path.parent.name}/{path.name}: not a vocabulary") from None
        return cls(terms, max_tokens)

    @property
    def kind(self) -> Literal["terms"]:
        """See Tokeniser."""
        return "terms"

    @property
    def max_tokens(self) -> int:
        """See Tokeniser."""
        return self._max_tokens

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of the known terms of every text, in the order in which they come up."""
        id_of = self._id_of
        known = ((id_of[term] for term in dict.fromkeys(_terms(text)) if term in id_of) for text in texts)
        return [list(ids)[: self._max_tokens] for ids in known]

    def write(self, path: Path) -> None:
        """Write the terms as JSON."""
        path.write_text(json.dumps({"terms": list(self.terms)}, ensure_ascii=False), encoding="utf-8")


def _terms(text: str) -> Iterable[str]:
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return [*words, *(f"{first} {second}" for first, second in pairwise(words))]
