"""The pipeline behind PyTriton, one instance: python -m benchmarks.peer_pytriton RELEASES PORT http|grpc.

It runs in an environment of its own, as Triton's side of a model can read tensors with NumPy 1 only. That side finds
its packages through the interpreter that runs this; the pipeline finds the benchmark's, NumPy 2 among them, through
PYTHONPATH, which Triton's side does not look at.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.peer_pipeline import PeerPipeline
from benchmarks.triton_requests import INPUT, MODEL, OUTPUT
from numpy.typing import NDArray
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

BATCH = 32
HOST = "127.0.0.1"


def main() -> None:
    """Serve until a signal comes."""
    releases, port, front = sys.argv[1:]
    pipeline = PeerPipeline(Path(releases))

    def recommend(requests: Sequence[Any]) -> list[dict[str, NDArray[np.object_]]]:
        """A batch of requests, each of one message."""
        messages = [message for request in requests for message in request.data[INPUT][:, 0]]
        return [{OUTPUT: np.array([[response]], object)} for response in pipeline.answer(messages)]

    fronts = {
        "http": TritonConfig(http_address=HOST, http_port=int(port), allow_grpc=False, allow_metrics=False),
        "grpc": TritonConfig(grpc_address=HOST, grpc_port=int(port), allow_http=False, allow_metrics=False),
    }
    with Triton(config=fronts[front]) as triton:
        triton.bind(
            MODEL,
            recommend,
            inputs=[Tensor(name=INPUT, dtype=bytes, shape=(1,))],
            outputs=[Tensor(name=OUTPUT, dtype=bytes, shape=(1,))],
            # Its batcher takes what is queued and waits for no more.
            config=ModelConfig(max_batch_size=BATCH),
        )
        triton.serve()


if __name__ == "__main__":
    main()
