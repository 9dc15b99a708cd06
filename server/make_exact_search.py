"""Generates ``unbraid_server/exact_search.onnx``, the graph that searches exactly on the device of the encoder.

Where it is run, the file is written anew; a test compares the committed one with a fresh one. It needs the ``onnx``
package, which a server does not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

__all__ = ["TARGET", "exact_search"]

TARGET = Path(__file__).parent / "unbraid_server" / "exact_search.onnx"


def exact_search() -> ModelProto:
    """The ``count`` allowed rows with the largest inner products, best first.

    Rows that are not allowed score -inf: they come last, where fewer are allowed than are asked for. In which order
    equal scores come, and which of them where not all fit, is up to the device.
    """
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["query_QD", "items_ID"], ["product_QI"], transB=1),
            helper.make_node("Where", ["allowed_I", "product_QI", "never"], ["masked_QI"]),
            helper.make_node("TopK", ["masked_QI", "count"], ["score_QC", "row_QC"], axis=-1, largest=1, sorted=1),
        ],
        "exact_search",
        [
            tensor("items_ID", TensorProto.FLOAT, ["I", "D"]),
            tensor("query_QD", TensorProto.FLOAT, ["Q", "D"]),
            tensor("allowed_I", TensorProto.BOOL, ["I"]),
            tensor("count", TensorProto.INT64, [1]),
        ],
        [tensor("score_QC", TensorProto.FLOAT, ["Q", "C"]), tensor("row_QC", TensorProto.INT64, ["Q", "C"])],
        [numpy_helper.from_array(np.array(-np.inf, np.float32), "never")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    TARGET.write_bytes(exact_search().SerializeToString(deterministic=True))
