"""The content of a catalogue: what the text of its items says, as features to start item vectors from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from unbraid_core.catalogue import Catalogue
from unbraid_core.types import FloatArray
from unbraid_index.content.item_text import item_texts, text_columns
from unbraid_training.config import TrainConfig
from unbraid_training.content.config import NO_TEXT, TFIDF
from unbraid_training.content.sentence_encoder import SentenceEncoder
from unbraid_training.content.term_encoder import TermEncoder
from unbraid_training.content.text_reader import TextReader
from unbraid_training.content.whitening import Whitening
from unbraid_training.item_vectors import ContentVectors

__all__ = ["ItemContent", "read_content", "text_sha256"]


@dataclass(frozen=True, eq=False)
class ItemContent:
    """What the text of some items says.

    Attributes:
        catalogue: the I items.
        reader: of their text.
        features_IF: of every item.
    """

    catalogue: Catalogue
    reader: TextReader
    features_IF: FloatArray

    def vectors_of(self, catalogue: Catalogue, config: TrainConfig) -> ContentVectors:
        """Item vectors for some of the items, whitened over these."""
        features_NF = torch.from_numpy(self.features_IF[self.catalogue.rows(catalogue.item_ids)])
        whitening = Whitening.fit(features_NF, config.content.width)
        return ContentVectors(whitening, whitening(features_NF), config.dimension, config.content)


def read_content(catalogue: Catalogue, config: TrainConfig) -> ItemContent | None:
    """Read the text of a catalogue as ``config.content.text`` says; None where it says not to.

    Raises:
        InvalidInput, NotFound, IntegrityError: there is too little text, or no usable sentence encoder in the folder.
    """
    if config.content.text == NO_TEXT:
        return None
    columns = text_columns(catalogue)
    if config.content.text == TFIDF:
        reader = TextReader(columns, TermEncoder.fit(item_texts(catalogue, columns), config.seed))
    else:
        reader = TextReader(columns, SentenceEncoder.open(Path(config.content.text)))
    return ItemContent(catalogue, reader, reader.features(catalogue))


def text_sha256(catalogue: Catalogue, config: TrainConfig) -> str:
    """Digest of the text that ``read_content`` reads; empty where it reads none."""
    if config.content.text == NO_TEXT:
        return ""
    texts = item_texts(catalogue, text_columns(catalogue))
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
