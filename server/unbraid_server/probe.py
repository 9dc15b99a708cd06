"""``python -m unbraid_server.probe RELEASE_DIR`` opens a release and lets it answer, before it may become active.

The queries are made up from the release's own catalogue, seeded, and the answers are checked for what must hold in
every answer. Exit code 0 and one line of figures, or 2 and one line that says what is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from unbraid_core.counted import counted
from unbraid_core.errors import IncompatibleError, UnbraidError
from unbraid_core.release import open_release
from unbraid_core.types import History, Interests, Query, Ranking
from unbraid_server.device import Device
from unbraid_server.model import Model, load_model

__all__ = ["golden_queries", "main", "probe"]

SEED = 20260101
NOW_S = 1.75e9
LIMIT = 20
OLDEST_S = 90 * 86400.0
LENGTH_TOLERANCE = 1e-3
SHARE_TOLERANCE = 1e-6


def main() -> int:
    """Probe the release of the command line."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m unbraid_server.probe RELEASE_DIR\n")
        return 2
    try:
        model = load_model(open_release(Path(sys.argv[1])), Device.CPU)
        query_count = probe(model)
    except UnbraidError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    answered = f"{counted(query_count, 'golden query', 'golden queries')} answered"
    sys.stdout.write(f"{model.release_id}: {counted(len(model.catalogue), 'item')}, {answered}\n")
    return 0


def probe(model: Model) -> int:
    """Answer the golden queries in every profile and return how many there were.

    Raises:
        IncompatibleError: an answer breaks a rule.
    """
    queries = golden_queries(model)
    for query, interests in zip(queries, model.pipeline.interests(queries), strict=True):
        _refuse(model, query, None if interests is None else _interests_problem(interests))
    for profile in model.profiles:
        asked = [replace(query, profile=profile) for query in queries]
        for query, ranking in zip(asked, model.pipeline.recommend(asked), strict=True):
            _refuse(model, query, _ranking_problem(model, query, ranking))
    return len(queries)


def golden_queries(model: Model) -> list[Query]:
    """Seeded questions: without a history, with one event, with a full history, with more than the encoder sees."""
    rng = np.random.default_rng(SEED)
    max_history = model.pipeline.max_history
    lengths = [0, 1, 2, max_history, max_history + 1, *rng.integers(1, max_history + 1, 11).tolist()]
    return [
        Query(_history(model, rng, length), NOW_S, LIMIT, include_seen=bool(position % 2))
        for position, length in enumerate(lengths)
    ]


def _history(model: Model, rng: np.random.Generator, length: int) -> History:
    return History(
        row_N=rng.integers(0, len(model.catalogue), length),
        time_s_N=np.sort(NOW_S - rng.uniform(0.0, OLDEST_S, length)),
        action_N=rng.integers(0, len(model.action_index), length),
    )


def _refuse(model: Model, query: Query, problem: str | None) -> None:
    if problem is not None:
        raise IncompatibleError(f"{model.release_id}: a history of {len(query.history)} events: {problem}")


def _ranking_problem(model: Model, query: Query, ranking: Ranking) -> str | None:
    """The first rule that an answer breaks."""
    seen_count = 0 if query.include_seen else len(np.unique(query.history.row_N))
    expected_count = min(query.limit, len(model.catalogue) - seen_count)
    if len(ranking.row_R) != expected_count:
        return f"{len(ranking.row_R)} items were recommended, not {expected_count}"
    if not np.isfinite(ranking.score_R).all():
        return "a score is not finite"
    if (np.diff(ranking.score_R) > 0).any():
        return "the items are not in the order of their scores"
    if len(np.unique(ranking.row_R)) != len(ranking.row_R):
        return "an item was recommended twice"
    return None


def _interests_problem(interests: Interests) -> str | None:
    rules: Sequence[tuple[str, bool]] = (
        ("an interest is not of unit length", _is_one(np.linalg.norm(interests.vectors_KD, axis=1), LENGTH_TOLERANCE)),
        ("the shares of an event do not sum to 1", _is_one(interests.assignment_KL.sum(axis=0), LENGTH_TOLERANCE)),
        ("the shares of the interests do not sum to 1", _is_one(np.exp(interests.log_share_K).sum(), SHARE_TOLERANCE)),
    )
    return next((problem for problem, holds in rules if not holds), None)


def _is_one(value: np.floating | np.ndarray, tolerance: float) -> bool:
    """Whether all values are 1; a value that is not a number is not."""
    return bool(np.all(np.abs(value - 1.0) <= tolerance))


if __name__ == "__main__":
    sys.exit(main())
