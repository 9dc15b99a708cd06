"""LSTM and GRU in the graph: the operators of ONNX, at any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from unbraid_exporter.onnx_export import INPUT_NAMES, TRACED_SHAPE_BL, export_onnx

D = 6


class Recurrent(nn.Module):
    """Both recurrences one after the other, in the signature of an encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.ModuleDict({"lstm": nn.LSTM(D, D, batch_first=True), "gru": nn.GRU(D, D, batch_first=True)})

    def forward(self, item_vectors_BLD: Tensor, _: Tensor, __: Tensor, ___: Tensor) -> tuple[Tensor, Tensor]:
        first_BLD = self.cells["lstm"](item_vectors_BLD)[0]
        return first_BLD, self.cells["gru"](first_BLD)[0]


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(5)
    return Recurrent()


@pytest.fixture(scope="module")
def path(module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recurrence") / "model.onnx"
    export_onnx(module, D, path, {})
    return path


def test_each_is_one_operator_and_no_shape_knows_the_traced_length(path: Path) -> None:
    graph = onnx.load(path).graph
    assert [node.op_type for node in graph.node if node.op_type in ("LSTM", "GRU", "Loop", "Scan")] == ["LSTM", "GRU"]
    sizes = {
        size.dim_value
        for value in (*graph.value_info, *graph.output)
        for size in value.type.tensor_type.shape.dim
        if size.HasField("dim_value")
    }
    assert not sizes & set(TRACED_SHAPE_BL)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), TRACED_SHAPE_BL, (4, 50), (17, 2)])
def test_it_answers_as_pytorch_does(module: nn.Module, path: Path, batch: int, length: int) -> None:
    item_vectors_BLD = torch.randn(batch, length, D, generator=torch.Generator().manual_seed(batch))
    rest = (torch.zeros(batch, length), torch.zeros(batch, length, dtype=torch.int64), torch.ones(batch, length) > 0)
    with torch.no_grad():
        expected = module(item_vectors_BLD, *rest)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    arrays = dict(zip(INPUT_NAMES, (item_vectors_BLD.numpy(), *(each.numpy() for each in rest)), strict=True))
    found = session.run(None, arrays)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_module_itself_is_left_as_it_was(module: nn.Module, path: Path) -> None:
    assert path.is_file()
    assert [type(cell) for cell in module.modules() if isinstance(cell, nn.RNNBase)] == [nn.LSTM, nn.GRU]
