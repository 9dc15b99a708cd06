"""Compressing an export, and refusing to where it loses too much of what the whole pipeline finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unbraid_core.item_vectors import CompactVectors, ItemVectors, compact
from unbraid_core.pipeline import Pipeline
from unbraid_core.ports import Encoder
from unbraid_core.release.layout import ITEM_VECTORS, USER_ENCODER
from unbraid_core.types import Precision
from unbraid_exporter.compact_encoder import compact_encoder
from unbraid_exporter.compression_report import CompressionReport, Drift, FileSize, TaskChange
from unbraid_exporter.exported_encoder import ExportedEncoder
from unbraid_exporter.held_out_users import HeldOutUsers
from unbraid_index.exact import ExactSearcher
from unbraid_training.checkpoint import Checkpoint

__all__ = ["DEFAULT_MAX_LOSS", "Compression", "compress", "serving_pipeline"]

DEFAULT_MAX_LOSS = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Compression:
    """What to compress, and how much that may cost.

    Attributes:
        encoder: precision of the encoder's weights.
        vectors: precision of the item vectors.
        users: whom the loss is measured on.
        max_loss: the share of Recall@50, in either task and any profile, that may be lost.
    """

    encoder: Precision
    vectors: Precision
    users: HeldOutUsers
    max_loss: float = DEFAULT_MAX_LOSS


def compress(checkpoint: Checkpoint, folder: Path, compression: Compression) -> CompressionReport:
    """Replace the fp32 encoder and item vectors in a folder by smaller ones.

    Args:
        checkpoint: what was exported.
        folder: holds the encoder and the item vectors, both fp32.
        compression: what to do.

    Raises:
        IncompatibleError: more is lost than may be, or the loss cannot be measured.
        InvalidInput: the encoder is too small for its precision.
    """
    users, names = compression.users, (USER_ENCODER, ITEM_VECTORS)
    vectors_ID = checkpoint.item_vectors_ID
    fp32 = serving_pipeline(checkpoint, ExportedEncoder(folder / USER_ENCODER), vectors_ID)
    sizes = [(folder / name).stat().st_size for name in names]
    vectors = _compact_vectors(folder / ITEM_VECTORS, vectors_ID, compression.vectors)
    if compression.encoder is not Precision.FP32:
        smaller = folder / f"{USER_ENCODER}.{compression.encoder}"
        compact_encoder(folder / USER_ENCODER, smaller, compression.encoder, users.batches(vectors_ID))
        smaller.replace(folder / USER_ENCODER)
    compressed = serving_pipeline(checkpoint, ExportedEncoder(folder / USER_ENCODER), vectors)
    before, after = users.judge(fp32), users.judge(compressed)
    report = CompressionReport(
        encoder_precision=compression.encoder,
        vector_precision=compression.vectors,
        max_loss=compression.max_loss,
        validation_split=users.split,
        files={
            name: FileSize(fp32=size, compressed=(folder / name).stat().st_size)
            for name, size in zip(names, sizes, strict=True)
        },
        drift=_drift(users, fp32, compressed),
        tasks=tuple(TaskChange.of(*asked, before[asked], after[asked], checkpoint.settings.seed) for asked in before),
    )
    report.refuse_loss()
    return report


def serving_pipeline(checkpoint: Checkpoint, encoder: Encoder, vectors: ItemVectors) -> Pipeline:
    """The pipeline that a release of the checkpoint serves with, but for its index: the search is exact."""
    trained = checkpoint.ranker
    return Pipeline(
        encoder=encoder,
        searcher=ExactSearcher(vectors),
        item_vectors_ID=vectors,
        log_popularity_I=checkpoint.log_popularity_I,
        popular_row_I=np.argsort(-checkpoint.log_popularity_I, kind="stable"),
        half_life_s_K=checkpoint.half_life_s_K,
        scoring=checkpoint.scoring,
        max_history=checkpoint.settings.max_history,
        ranker_inputs=None if trained is None else trained.inputs,
        ranker=None if trained is None else trained.head,
    )


def _compact_vectors(path: Path, vectors_ID: ItemVectors, precision: Precision) -> ItemVectors:
    """Write the vectors anew where they are to be smaller, and give what a server will read."""
    if precision is Precision.FP32:
        return vectors_ID
    stored_ID = compact(vectors_ID[:], precision)
    np.save(path, stored_ID)
    return CompactVectors(stored_ID)


def _drift(users: HeldOutUsers, before: Pipeline, after: Pipeline) -> Drift:
    cosines, interests_errors, assignment_errors = [], [], []
    batches = zip(users.batches(before.item_vectors_ID), users.batches(after.item_vectors_ID), strict=True)
    for fp32_batch, compressed_batch in batches:
        expected, found = before.encoder.encode(fp32_batch), after.encoder.encode(compressed_batch)
        cosines.append(np.einsum("bkd,bkd->bk", expected.vectors_BKD, found.vectors_BKD).min())
        interests_errors.append(np.abs(expected.vectors_BKD - found.vectors_BKD).max())
        assignment_errors.append(np.abs(expected.assignment_BKL - found.assignment_BKL).max())
    return Drift(
        lowest_cosine=float(min(cosines)),
        interests_error=float(max(interests_errors)),
        assignment_error=float(max(assignment_errors)),
    )
