"""The item encoder: its files in an export, and the check that they answer as PyTorch does.

What is compared is the whole way of a new item, from its row in a catalogue through the code that an index build runs,
so a tokeniser that reads its own file otherwise than before is found as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from pydantic import BaseModel, ConfigDict

from unbraid_core.catalogue import Catalogue
from unbraid_core.errors import IncompatibleError
from unbraid_core.release.layout import ITEM_ENCODER, ITEM_TOKENISER
from unbraid_exporter.onnx_export import export_item_onnx
from unbraid_index.content.item_encoder import ItemEncoder as OnnxItemEncoder
from unbraid_training.content.item_encoder import ItemEncoder

__all__ = ["TOLERANCE", "ItemParityCase", "ItemParityReport", "export_item_encoder"]

# Whitening stretches directions in which texts hardly differ, and the rounding of the layers before along with them.
TOLERANCE = 1e-4
SEED = 20_230_823
SAMPLE_SIZE = 200
LONG_TEXT_WORDS = 2_000


class ItemParityCase(BaseModel):
    """One comparison: the largest absolute difference over the vectors of some texts."""

    model_config = ConfigDict(frozen=True)

    name: str
    item_count: int
    error: float


class ItemParityReport(BaseModel):
    """All comparisons of an export, in the order in which they were made."""

    model_config = ConfigDict(frozen=True)

    tolerance: float
    torch_version: str
    onnxruntime_version: str
    cases: tuple[ItemParityCase, ...]


def export_item_encoder(
    encoder: ItemEncoder, catalogue: Catalogue, folder: Path, properties: Mapping[str, str]
) -> ItemParityReport:
    """Write item_encoder.onnx and its tokeniser, and compare what they answer with PyTorch.

    Args:
        encoder: of a checkpoint.
        catalogue: the items that it was trained with.
        folder: of the export.
        properties: metadata of the model.

    Raises:
        IncompatibleError: a difference above the tolerance, or a value that is no number; the message names the texts.
    """
    export_item_onnx(encoder, folder / ITEM_ENCODER, properties)
    encoder.text.tokeniser.write(folder / ITEM_TOKENISER)
    dimension = encoder.projection.map_WD.shape[1]
    exported = OnnxItemEncoder(folder / ITEM_ENCODER, folder / ITEM_TOKENISER, encoder.spec, dimension)
    cases = []
    for name, items in _catalogues(catalogue).items():
        error = float(np.abs(exported.encode(items).vectors_ND - encoder.vectors(items)).max())
        # Asked this way round, so that a difference that is no number fails as well.
        if not error <= TOLERANCE:
            raise IncompatibleError(
                f"the exported item encoder differs from PyTorch by {error:.1e} on {name}; {TOLERANCE:.0e} is allowed, "
                "so nothing was exported"
            )
        cases.append(ItemParityCase(name=name, item_count=len(items), error=error))
    return ItemParityReport(
        tolerance=TOLERANCE, torch_version=torch.__version__, onnxruntime_version=ort.__version__, cases=tuple(cases)
    )


def _catalogues(catalogue: Catalogue) -> dict[str, Catalogue]:
    """Items to compare with: some of the catalogue, and such as it may not have."""
    rng = np.random.default_rng(SEED)
    row_N = rng.permutation(len(catalogue))[:SAMPLE_SIZE]
    words = " ".join(catalogue.titles(row_N)).split() or ["word"]
    long_text = " ".join(rng.choice(words, LONG_TEXT_WORDS))
    return {
        "items of the catalogue": catalogue.take(row_N),
        "one item": catalogue.take(row_N[:1]),
        "an item without text": Catalogue.of(["nothing"]),
        "items with and without text": Catalogue.of(["nothing", "something"], ["", words[0]]),
        "a text that is too long": Catalogue.of(["long"], [long_text]),
        "letters of other scripts": Catalogue.of(["scripts"], ["Ünïcödé 茶 ☕ чай"]),
    }
