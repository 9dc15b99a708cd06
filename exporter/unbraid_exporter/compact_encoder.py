"""An ONNX encoder at a precision below fp32, whatever its graph; inputs and outputs stay float32.

fp16 stores the weights in half precision, and ONNX Runtime widens them once, when it loads the file. Half-precision
arithmetic is not used: CPUs have none that ONNX Runtime could use, and ages in seconds exceed the range of fp16.

int8 computes the products with weight matrices in integers. The ranges of what they are multiplied with are measured
once, on real histories, and stand in the file (static quantisation). ONNX Runtime could measure them anew in each call,
but it takes one range for a whole batch, so that the interests of a user would depend on who else is in the batch.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from unbraid_core.errors import InvalidInput
from unbraid_core.types import HistoryBatch, Precision
from unbraid_exporter.exported_encoder import onnx_inputs

__all__ = ["compact_encoder"]

# Smaller tensors save next to nothing, and some are more sensitive than large ones: the directions that route events.
HALVED_SIZE = 256
QUANTISED_SIDE = 16
QUANTISED_OPERATIONS = ("MatMul", "Gemm", "Conv")


def compact_encoder(source: Path, target: Path, precision: Precision, batches: Sequence[HistoryBatch]) -> None:
    """Write an encoder once more at a lower precision.

    Args:
        source: an exported encoder, fp32.
        target: the file to write; not the source.
        precision: fp16 or int8.
        batches: histories as they occur, to measure ranges on; int8 needs at least one batch.

    Raises:
        InvalidInput: the encoder has no matrix that is worth the precision.
    """
    if precision is Precision.FP16:
        _halve(source, target)
    else:
        _quantise(source, target, batches)


def _halve(source: Path, target: Path) -> None:
    """Store large tensors in half precision, each behind a Cast that gives the name of the tensor to its wide form."""
    model = onnx.load(source)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= HALVED_SIZE:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_fp16"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    if not casts:
        raise _too_small(Precision.FP16, f"tensor of {HALVED_SIZE} numbers")
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(target))


def _quantise(source: Path, target: Path, batches: Sequence[HistoryBatch]) -> None:
    """Let ONNX Runtime quantise the large products, with weights of 7 bits.

    The eighth bit would overflow the 16-bit sums of x86 processors without VNNI: an export would be measured on one
    machine, and give other answers on another.
    """
    nodes = _large_products(onnx.load(source))
    if not nodes:
        raise _too_small(Precision.INT8, f"weight matrix of {QUANTISED_SIDE} x {QUANTISED_SIDE}")
    with _without_advice():
        quantize_static(
            source,
            target,
            _Histories(batches),
            quant_format=QuantFormat.QOperator,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_quantize=nodes,
        )


def _large_products(model: onnx.ModelProto) -> list[str]:
    """Names of the operations that multiply with a large weight matrix."""
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in QUANTISED_OPERATIONS and min(shapes.get(node.input[1], (0,))[:2]) >= QUANTISED_SIDE
    ]


def _too_small(precision: Precision, needed: str) -> InvalidInput:
    return InvalidInput("encoder_precision", f"{precision} needs a {needed}, and this encoder has none; use fp32")


class _Histories(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime ships no type hints
    """What ONNX Runtime asks for: the inputs of one call after the other, then None."""

    def __init__(self, batches: Sequence[HistoryBatch]) -> None:
        self._inputs = (onnx_inputs(batch) for batch in batches)

    def get_next(self) -> dict[str, npt.NDArray[np.generic]] | None:
        return next(self._inputs, None)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep ONNX Runtime from advising the user, through the root logger, to prepare the model in other ways."""
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
