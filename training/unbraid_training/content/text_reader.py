"""Reading the items' text: which columns, and through which text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import FloatArray
from unbraid_index.content.item_text import item_texts
from unbraid_training.content.sentence_encoder import SentenceEncoder
from unbraid_training.content.term_encoder import TERMS_FILE, TermEncoder
from unbraid_training.content.text_encoder import TextEncoder, encode_texts

__all__ = ["TextReader"]


@dataclass(frozen=True, eq=False)
class TextReader:
    """Items to features.

    Attributes:
        columns: those of a catalogue that are read.
        encoder: what makes features of a text.
    """

    columns: Sequence[str]
    encoder: TextEncoder

    @classmethod
    def open(cls, folder: Path, columns: Sequence[str]) -> TextReader:
        """Read what the ``write`` of a text encoder wrote into a folder."""
        encoder = TermEncoder.open(folder) if (folder / TERMS_FILE).is_file() else SentenceEncoder.open(folder)
        return cls(columns, encoder)

    def features(self, catalogue: Catalogue) -> FloatArray:
        """The features of every item: float32 [I, F]."""
        return encode_texts(self.encoder, item_texts(catalogue, self.columns))
