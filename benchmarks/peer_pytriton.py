"""The pipeline behind PyTriton, one worker: python -m benchmarks.peer_pytriton RELEASES PORT."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from benchmarks.peer_pipeline import PeerPipeline
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

BATCH = 32


def main() -> None:
    """Serve until a signal comes; HTTP and metrics get the two ports behind that of gRPC."""
    releases, port = sys.argv[1], int(sys.argv[2])
    pipeline = PeerPipeline(Path(releases))

    @batch
    def recommend(request: npt.NDArray[np.object_]) -> dict[str, npt.NDArray[np.object_]]:
        return {"response": np.array(pipeline.answer(request[:, 0].tolist()), np.object_)[:, None]}

    config = TritonConfig(grpc_port=port, http_port=port + 1, metrics_port=port + 2, log_verbose=0)
    with Triton(config=config) as triton:
        triton.bind(
            model_name="recommend",
            infer_func=recommend,
            inputs=[Tensor(name="request", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="response", dtype=bytes, shape=(1,))],
            config=ModelConfig(max_batch_size=BATCH, batcher=DynamicBatcher(max_queue_delay_microseconds=0)),
            strict=False,
        )
        triton.serve()


if __name__ == "__main__":
    main()
