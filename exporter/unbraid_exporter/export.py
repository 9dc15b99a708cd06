"""A checkpoint to an export folder: everything about a release but its index."""

from __future__ import annotations

import json
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from unbraid_core.errors import Conflict
from unbraid_core.release import RankerSpec, Staging, publish_export
from unbraid_core.release.files import sync
from unbraid_core.release.layout import (
    CATALOGUE,
    EXPORT_MANIFEST,
    ITEM_FEATURES,
    ITEM_VECTORS,
    QUERIES,
    QUERY_SHARES,
    REPORTS,
    USER_ENCODER,
)
from unbraid_core.types import Precision
from unbraid_exporter.compression import Compression, compress
from unbraid_exporter.item_encoder import export_item_encoder
from unbraid_exporter.onnx_export import export_onnx
from unbraid_exporter.parity import check_parity
from unbraid_exporter.ranker_files import write_ranker
from unbraid_training.checkpoint import Checkpoint
from unbraid_training.content.item_encoder import ItemEncoder

__all__ = ["COMPRESSION_REPORT", "ITEM_PARITY_REPORT", "PARITY_REPORT", "TRAINING_REPORT", "export_checkpoint"]

COMPRESSION_REPORT = f"{REPORTS}/compression.json"
PARITY_REPORT = f"{REPORTS}/parity.json"
ITEM_PARITY_REPORT = f"{REPORTS}/item_parity.json"
TRAINING_REPORT = f"{REPORTS}/training.json"


def export_checkpoint(
    checkpoint: Checkpoint, out: Path, created_time: datetime, compression: Compression | None = None
) -> Path:
    """Export a checkpoint to ``out``, which appears complete or not at all; an older export there is replaced.

    Nothing is written beside ``out`` that outlives the call, and nothing takes its place before the ONNX files agree
    with PyTorch, and trees with LightGBM. A replaced export is moved away in the moment before the new one moves in; a
    process that dies just between the two leaves none, and exporting again makes it.

    Args:
        checkpoint: what training produced.
        out: the folder to make.
        created_time: now, with a time zone.
        compression: how to make the export smaller; None keeps everything in fp32.

    Returns:
        ``out``.

    Raises:
        Conflict: ``out`` is something other than an export.
        IncompatibleError: an ONNX file differs from what it was made of, the ranker is one of other features, or
            compressing loses too much.
        InvalidInput: the encoder is too small for its precision.
    """
    out = out.absolute()
    _check_replaceable(out)
    item_encoder = checkpoint.item_encoder()
    with Staging(out.parent) as moving:
        with Staging(moving.folder) as staging:
            _write_files(checkpoint, item_encoder, staging.folder)
            if compression is not None:
                report = compress(checkpoint, staging.folder, compression)
                (staging.folder / COMPRESSION_REPORT).write_text(report.model_dump_json(indent=2) + "\n")
            publish_export(
                staging,
                out.name,
                space_id=checkpoint.space_id,
                created_time=created_time,
                encoder=checkpoint.encoder_spec,
                half_life_s=checkpoint.half_life_s_K.tolist(),
                scoring=checkpoint.scoring,
                training=checkpoint.training,
                ranker=_write_ranker(checkpoint, staging.folder),
                calibrations=checkpoint.calibrations,
                encoder_precision=compression.encoder if compression else Precision.FP32,
                vector_precision=compression.vectors if compression else Precision.FP32,
                item_encoder=None if item_encoder is None else item_encoder.spec,
            )
        if out.exists():
            out.rename(moving.folder / "replaced")
        (moving.folder / out.name).rename(out)
        sync(out.parent)
    return out


def _check_replaceable(out: Path) -> None:
    if out.exists() and not (out / EXPORT_MANIFEST).is_file():
        raise Conflict(f"{out} exists and is not an export; name another folder with --out, or remove it")


def _write_ranker(checkpoint: Checkpoint, folder: Path) -> RankerSpec | None:
    if checkpoint.ranker is None:
        return None
    return write_ranker(checkpoint.ranker, checkpoint.settings.dimension, folder)


def _write_files(checkpoint: Checkpoint, item_encoder: ItemEncoder | None, folder: Path) -> None:
    """The content of an export but for the ranker; the encoders come first, because they are what can fail."""
    spec = checkpoint.encoder_spec
    (folder / REPORTS).mkdir()
    properties = {"space_id": checkpoint.space_id, "unbraid_version": version("unbraid")}
    export_onnx(checkpoint.encoder, spec.dimension, folder / USER_ENCODER, properties)
    parity = check_parity(
        checkpoint.encoder,
        folder / USER_ENCODER,
        checkpoint.item_vectors_ID,
        action_count=len(spec.actions),
        max_history=spec.max_history,
    )
    (folder / PARITY_REPORT).write_text(parity.model_dump_json(indent=2) + "\n")
    if item_encoder is not None:
        item_parity = export_item_encoder(item_encoder, checkpoint.catalogue, folder, properties)
        (folder / ITEM_PARITY_REPORT).write_text(item_parity.model_dump_json(indent=2) + "\n")
    training = {
        "settings": checkpoint.settings.model_dump(mode="json"),
        "training": checkpoint.training.model_dump(mode="json"),
        "ranker_validation": None if checkpoint.ranker is None else checkpoint.ranker.validation,
    }
    (folder / TRAINING_REPORT).write_text(json.dumps(training, indent=2) + "\n")
    np.save(folder / ITEM_VECTORS, checkpoint.item_vectors_ID)
    np.save(folder / ITEM_FEATURES, checkpoint.log_popularity_I[:, None])
    np.save(folder / QUERIES, checkpoint.queries_QD)
    if checkpoint.query_log_share_UK is not None:
        np.save(folder / QUERY_SHARES, checkpoint.query_log_share_UK)
    checkpoint.catalogue.write(folder / CATALOGUE)
