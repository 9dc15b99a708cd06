"""LSTM and GRU as the ONNX operators of those names.

Left to itself, the tracer of PyTorch unrolls a recurrence over the traced length, and that length stays behind in the
shapes of the graph.
"""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["OnnxRecurrence", "with_onnx_recurrence"]

# The opset in which both operators took on their present meaning.
OPERATOR_VERSION = 14


class _Operator(NamedTuple):
    """An operator, which gate of PyTorch's comes first, second, ... in it, and its attributes besides the size."""

    name: str
    gates: tuple[int, ...]
    attributes: dict[str, int]


# Input, output, forget, cell.
LSTM = _Operator("LSTM", (0, 3, 1, 2), {})
# Update, reset, new. As in PyTorch the reset gate acts on the product with the state, not on the state before it.
GRU = _Operator("GRU", (1, 0, 2), {"linear_before_reset": 1})


class OnnxRecurrence(nn.Module):
    """Stands for a recurrence while a graph is traced; it computes nothing in PyTorch.

    Args:
        cell: one layer, one direction, the batch first, with biases.
    """

    def __init__(self, cell: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self._operator = LSTM if isinstance(cell, nn.LSTM) else GRU
        self._hidden_size = cell.hidden_size
        weights = (self._operator_weights(parameter) for parameter in cell.parameters())
        input_weight, state_weight, input_bias, state_bias = weights
        self.input_weight: Tensor
        self.state_weight: Tensor
        self.bias: Tensor
        self.register_buffer("input_weight", input_weight.unsqueeze(0))
        self.register_buffer("state_weight", state_weight.unsqueeze(0))
        self.register_buffer("bias", torch.cat([input_bias, state_bias]).unsqueeze(0))

    def forward(self, event_BLD: Tensor) -> tuple[Tensor]:
        """The state after each event [B, L, H], as the only member of a tuple."""
        B, L, _ = event_BLD.shape
        state_L1BH = torch.onnx.ops.symbolic(
            self._operator.name,
            (event_BLD.transpose(0, 1), self.input_weight, self.state_weight, self.bias),
            {"hidden_size": self._hidden_size, **self._operator.attributes},
            dtype=event_BLD.dtype,
            shape=(L, 1, B, self._hidden_size),
            version=OPERATOR_VERSION,
        )
        return (state_L1BH.squeeze(1).transpose(0, 1),)

    def _operator_weights(self, parameter: Tensor) -> Tensor:
        chunks = parameter.detach().chunk(len(self._operator.gates))
        return torch.cat([chunks[gate] for gate in self._operator.gates])


def with_onnx_recurrence(module: nn.Module) -> nn.Module:
    """A copy in which every LSTM and GRU is replaced by its ONNX operator."""
    copy = deepcopy(module)
    for parent in list(copy.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.LSTM | nn.GRU):
                setattr(parent, name, OnnxRecurrence(child))
    return copy
