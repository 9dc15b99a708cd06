"""Requests to Triton with one message of bytes, as they go over the wire: its HTTP and its gRPC protocol."""

from __future__ import annotations

import json
import struct

from benchmarks.closed_loop_http import http_request

__all__ = ["INPUT", "MODEL", "OUTPUT", "triton_grpc_request", "triton_http_request"]

MODEL, INPUT, OUTPUT = "recommend", "request", "response"
BYTES = "BYTES"
# Fields of ModelInferRequest, and of the InferInputTensor in it.
MODEL_NAME, INPUTS, RAW_INPUT_CONTENTS = 1, 5, 7
NAME, DATATYPE, SHAPE = 1, 2, 3


def triton_http_request(url: str, message: bytes) -> bytes:
    """A POST with the message as a binary tensor behind the JSON that describes it."""
    content = _tensor(message)
    tensor = {
        "name": INPUT,
        "shape": [1, 1],
        "datatype": BYTES,
        "parameters": {"binary_data_size": len(content)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    lengths = {"Inference-Header-Content-Length": str(len(head))}
    return http_request(url, head + content, "application/octet-stream", lengths)


def triton_grpc_request(message: bytes) -> bytes:
    """A serialised ModelInferRequest with the message as raw contents."""
    tensor = _field(NAME, INPUT.encode()) + _field(DATATYPE, BYTES.encode()) + _field(SHAPE, bytes([1, 1]))
    return _field(MODEL_NAME, MODEL.encode()) + _field(INPUTS, tensor) + _field(RAW_INPUT_CONTENTS, _tensor(message))


def _tensor(element: bytes) -> bytes:
    """The content of a BYTES tensor of one element."""
    return struct.pack("<I", len(element)) + element


def _field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message that has a length."""
    length, left = b"", len(content)
    while left > 0x7F:
        length += bytes([left & 0x7F | 0x80])
        left >>= 7
    return bytes([number << 3 | 2]) + length + bytes([left]) + content
