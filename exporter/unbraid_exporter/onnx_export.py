"""A PyTorch user encoder to one ONNX file with dynamic batch and length."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from onnx.helper import set_model_props
from torch import nn
from torch.export import Dim

from unbraid_exporter.ranker_parity import INPUT_NAME, OUTPUT_NAME
from unbraid_exporter.recurrence import with_onnx_recurrence
from unbraid_index.content import item_encoder

__all__ = [
    "INPUT_NAMES",
    "OPSET",
    "OUTPUT_NAMES",
    "TRACED_SHAPE_BL",
    "export_item_onnx",
    "export_network",
    "export_onnx",
]

INPUT_NAMES = ("item_vectors", "age", "action", "mask")
OUTPUT_NAMES = ("interests", "assignment")

# The opset that the exporter's operators are written in; a higher one would only be reached by converting them.
OPSET = 18

# At a batch or length of 1 the exporter may take the dimension for a constant.
TRACED_SHAPE_BL = (3, 5)


def export_onnx(encoder: nn.Module, dimension: int, path: Path, properties: Mapping[str, str]) -> None:
    """Write an encoder as one ONNX file, weights included, and run the ONNX checker over it.

    The same weights and properties give the same bytes, wherever the sources of unbraid are installed.

    Args:
        encoder: maps item_vectors [B, L, D], age in seconds [B, L], action [B, L] and mask [B, L] to unit interests
            [B, K, D] and their assignment [B, K, L].
        dimension: D.
        path: the file to write.
        properties: metadata of the model.

    Raises:
        torch.onnx.OnnxExporterError: an operation of the encoder cannot be expressed in ONNX.
        onnx.checker.ValidationError: what came out is no valid model.
    """
    _export(encoder, _example(dimension), INPUT_NAMES, OUTPUT_NAMES, path, properties)


def export_item_onnx(encoder: nn.Module, path: Path, properties: Mapping[str, str]) -> None:
    """Write an item encoder, which maps tokens int64 [B, L] and mask [B, L] to unit item_vectors [B, D].

    Args:
        encoder: with its text encoder.
        path: the file to write.
        properties: metadata of the model.

    Raises:
        torch.onnx.OnnxExporterError, onnx.checker.ValidationError: as ``export_onnx``.
    """
    token_BL = torch.zeros(TRACED_SHAPE_BL, dtype=torch.int64)
    mask_BL = torch.ones(TRACED_SHAPE_BL, dtype=torch.bool)
    _export(encoder, (token_BL, mask_BL), item_encoder.INPUT_NAMES, item_encoder.OUTPUT_NAMES, path, properties)


def export_network(network: nn.Module, features: Sequence[str], path: Path) -> None:
    """Write a ranking network, which maps features float32 [C, F] to score float32 [C, 1].

    Args:
        network: to write.
        features: names of the columns, one a line in the metadata of the model.
        path: the file to write.

    Raises:
        torch.onnx.OnnxExporterError, onnx.checker.ValidationError: as ``export_onnx``.
    """
    example = (torch.zeros(TRACED_SHAPE_BL[0], len(features)),)
    _export(network, example, [INPUT_NAME], [OUTPUT_NAME], path, {"features": "\n".join(features)}, ["candidates"])


def _export(
    encoder: nn.Module,
    example: tuple[torch.Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
    path: Path,
    properties: Mapping[str, str],
    axes: Sequence[str] = ("batch", "length"),
) -> None:
    """All inputs have the same dynamic axes in front."""
    dynamic = {position: Dim(axis) for position, axis in enumerate(axes)}
    with _without_notices():
        program = torch.onnx.export(
            with_onnx_recurrence(encoder).eval(),
            example,
            dynamo=True,
            input_names=input_names,
            output_names=output_names,
            dynamic_shapes=(dynamic,) * len(input_names),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _drop_traces(model)
    set_model_props(model, dict(properties))
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))


def _example(dimension: int) -> tuple[torch.Tensor, ...]:
    """Inputs of the traced shape; only their shapes and types matter."""
    item_vectors_BLD = torch.zeros(*TRACED_SHAPE_BL, dimension)
    age_s_BL = torch.zeros(TRACED_SHAPE_BL)
    action_BL = torch.zeros(TRACED_SHAPE_BL, dtype=torch.int64)
    mask_BL = torch.ones(TRACED_SHAPE_BL, dtype=torch.bool)
    return item_vectors_BLD, age_s_BL, action_BL, mask_BL


def _drop_traces(model: onnx.ModelProto) -> None:
    """Forget where the operations came from: the exporter notes source lines with the paths of this machine."""
    graph = model.graph
    del graph.metadata_props[:]
    for node in graph.node:
        del node.metadata_props[:]
    for value in (*graph.value_info, *graph.input, *graph.output):
        del value.metadata_props[:]
    for weights in graph.initializer:
        del weights.metadata_props[:]


@contextmanager
def _without_notices() -> Iterator[None]:
    """Keep notices about the exporter's own code from the user: they are nothing that a user could act on."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
