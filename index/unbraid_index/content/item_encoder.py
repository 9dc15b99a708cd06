"""item_encoder.onnx under ONNX Runtime: vectors for items out of their text, whether anybody touched them or not."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IncompatibleError
from unbraid_core.release import Export, ItemEncoderSpec, Release
from unbraid_core.release.layout import ITEM_ENCODER, ITEM_TOKENISER
from unbraid_core.types import BoolArray, FloatArray
from unbraid_index.content.item_text import item_texts
from unbraid_index.content.tokeniser import open_tokeniser, token_batches

__all__ = ["INPUT_NAMES", "OUTPUT_NAMES", "EncodedItems", "ItemEncoder", "open_item_encoder"]

INPUT_NAMES = ("tokens", "mask")
OUTPUT_NAMES = ("item_vectors",)

LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class EncodedItems(NamedTuple):
    """Unit vectors of N items, and which of them have no word that the encoder knows."""

    vectors_ND: FloatArray
    wordless_N: BoolArray


class ItemEncoder:
    """Item text to unit vectors.

    Args:
        model_file: maps tokens [B, L] and their mask to item_vectors [B, D].
        tokeniser_file: what cuts a text into tokens.
        spec: of both.
        dimension: D.

    Raises:
        IntegrityError: the tokeniser file is none of its kind.
        IncompatibleError: not an ONNX model, or one of another signature.
    """

    def __init__(self, model_file: Path, tokeniser_file: Path, spec: ItemEncoderSpec, dimension: int) -> None:
        self._tokeniser = open_tokeniser(tokeniser_file, spec.tokeniser, spec.max_tokens)
        self._session = _open(model_file, dimension)
        self._columns = spec.columns
        self._dimension = dimension

    def encode(self, catalogue: Catalogue) -> EncodedItems:
        """The vectors of all items of a catalogue; one without a known word gets the vector of no text at all."""
        (nothing,) = self._tokeniser.tokens([""])
        tokens = self._tokeniser.tokens(item_texts(catalogue, self._columns))
        vectors_ND = np.empty((len(tokens), self._dimension), np.float32)
        for position_B, batch in token_batches(tokens):
            (vectors_ND[position_B],) = self._session.run(OUTPUT_NAMES, dict(zip(INPUT_NAMES, batch, strict=True)))
        return EncodedItems(vectors_ND, np.array([len(ids) <= len(nothing) for ids in tokens], np.bool_))


def open_item_encoder(source: Export | Release) -> ItemEncoder:
    """The item encoder of an export or a release.

    Raises:
        IncompatibleError: it has none.
        IncompatibleError, IntegrityError: as ``ItemEncoder``.
    """
    manifest = source.manifest
    if manifest.item_encoder is None:
        raise IncompatibleError(
            f"{source.folder.name}: has no {ITEM_ENCODER}, so items that training did not see have no vectors; "
            "train with --item-text and export again"
        )
    return ItemEncoder(
        source.path(ITEM_ENCODER),
        source.path(ITEM_TOKENISER),
        manifest.item_encoder,
        manifest.encoder.dimension,
    )


def _open(model_file: Path, dimension: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = ort.InferenceSession(model_file, options, providers=["CPUExecutionProvider"])
    except LOAD_ERRORS as error:
        raise IncompatibleError(
            f"{model_file.name}: ONNX Runtime cannot load it: {str(error).splitlines()[0]}"
        ) from None
    names = [node.name for node in session.get_inputs()], [node.name for node in session.get_outputs()]
    shapes = [node.shape[-1] for node in session.get_outputs()]
    if names != (list(INPUT_NAMES), list(OUTPUT_NAMES)) or shapes != [dimension]:
        raise IncompatibleError(
            f"{model_file.name}: maps {names[0]} to {names[1]} of {shapes} dimensions, expected {list(INPUT_NAMES)} to "
            f"{list(OUTPUT_NAMES)} of {[dimension]}; export it again"
        )
    return session
