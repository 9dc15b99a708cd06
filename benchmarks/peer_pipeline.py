"""The pipeline of a release behind a function of bytes: what every peer serves, so that only the serving differs."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

from benchmarks.compute_loop import parsed_query

from unbraid.v1 import recommendation_pb2 as pb
from unbraid_core.release import ReleaseStore
from unbraid_server.allocator import keep_memory_together
from unbraid_server.device import Device
from unbraid_server.model import load_model
from unbraid_server.recommender import Answer
from unbraid_server.responses import recommend_responses

__all__ = ["PeerPipeline"]


class PeerPipeline:
    """The active release of a folder."""

    def __init__(self, releases: Path) -> None:
        keep_memory_together()
        self._model = load_model(ReleaseStore(releases).open(), Device.CPU)
        # As in our own server.
        gc.collect()
        gc.freeze()

    def answer(self, requests: Sequence[bytes]) -> list[bytes]:
        """RecommendResponses to some RecommendRequests, all together."""
        queries = [parsed_query(self._model, pb.RecommendRequest.FromString(request)) for request in requests]
        rankings = self._model.pipeline.recommend(queries)
        return recommend_responses(
            [Answer(self._model, query, ranking, 0) for query, ranking in zip(queries, rankings, strict=True)]
        )
