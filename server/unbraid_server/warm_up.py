"""The first answers of a model, which nobody waits for."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice

from unbraid_server.model import Model
from unbraid_server.probe import golden_queries, probe

__all__ = ["warm_up"]


def warm_up(model: Model, batch_limit: int) -> None:
    """Answer golden queries as calls will be answered: alone, and as many together as there may be.

    First answers are slow: memory is taken, pages of mapped files are read, and kernels are chosen for each shape.

    Args:
        model: with the sessions that calls will use.
        batch_limit: questions that are answered together.

    Raises:
        IncompatibleError: an answer breaks a rule.
    """
    probe(model)
    # A cache would spare the encoder all but the first answer.
    pipeline = replace(model.pipeline, cache=None)
    queries = golden_queries(model)
    for profile in model.profiles:
        batch = [replace(query, profile=profile) for query in islice(cycle(queries), max(batch_limit, len(queries)))]
        for query in batch[: len(queries)]:
            pipeline.recommend([query])
        pipeline.recommend(batch[:batch_limit])
