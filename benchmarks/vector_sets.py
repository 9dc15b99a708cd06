"""Seeded sets of item vectors and of the interests of users, to measure indexes with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import open_export
from unbraid_core.types import FloatArray, Scoring
from unbraid_index.queries import RecallQueries, held_out_queries

__all__ = ["KINDS", "VectorSet", "generated", "trained"]

KINDS = ("clustered", "unclustered", "uneven")
DIMENSION, INTERESTS, LIST_LENGTH, USERS = 64, 4, 200, 500
CLUSTER_SIZE, SPREAD, NORM_SPREAD = 500, 0.5, 0.25
ROWS_AT_ONCE = 65_536
EQUAL_QUOTAS = Scoring(
    0.1, 1.0, 1.0, 1.0, 1e6, 1e6, candidate_count=INTERESTS * LIST_LENGTH, quota_alpha=0.0, quota_min=LIST_LENGTH
)


@dataclass(frozen=True, slots=True, eq=False)
class VectorSet:
    """Item vectors, and users to search for."""

    name: str
    item_vectors_ID: FloatArray
    queries: RecallQueries


def generated(kind: str, item_count: int, seed: int) -> VectorSet:
    """A set of one of ``KINDS``; users have 4 interests with lists of 200 items.

    Args:
        kind: ``clustered``: unit vectors around centres, 500 around each, and interests around them too.
            ``unclustered``: directions at random. ``uneven``: clustered, and the norms are log-normal, the middle 95%
            from 0.6 to 1.6.
        item_count: how many vectors.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    clusters = max(1, item_count // CLUSTER_SIZE)
    centre_CD = rng.standard_normal((clusters, DIMENSION), np.float32) if kind != "unclustered" else None
    vectors_ID = np.concatenate(
        [
            _directions(rng, centre_CD, min(ROWS_AT_ONCE, item_count - start))
            for start in range(0, item_count, ROWS_AT_ONCE)
        ]
    )
    if kind == "uneven":
        vectors_ID *= rng.lognormal(0.0, NORM_SPREAD, (item_count, 1)).astype(np.float32)
    interests_UKD = _directions(rng, centre_CD, USERS * INTERESTS).reshape(USERS, INTERESTS, DIMENSION)
    log_share_UK = np.full((USERS, INTERESTS), -np.log(INTERESTS))
    return VectorSet(kind, vectors_ID, RecallQueries.of_users(interests_UKD, log_share_UK, EQUAL_QUOTAS, seed))


def trained(export_folder: Path, seed: int, list_length: int | None) -> VectorSet:
    """The item vectors of an export and its held-out users.

    Args:
        export_folder: what ``unbraid export`` wrote.
        seed: of the users.
        list_length: how many items each interest may bring; None for the quotas that its share of the user gives it.
    """
    export = open_export(export_folder)
    vectors: ItemVectors = export.item_vectors_ID
    queries = held_out_queries(export, seed)
    if list_length is not None:
        queries = replace(queries, quota_UK=np.full_like(queries.quota_UK, list_length))
    lists = "own quotas" if list_length is None else f"lists of {list_length}"
    return VectorSet(f"{export_folder}, {queries.source}, {lists}", np.ascontiguousarray(vectors[:]), queries)


def _directions(rng: np.random.Generator, centre_CD: FloatArray | None, count: int) -> FloatArray:
    vectors_ND = rng.standard_normal((count, DIMENSION), np.float32)
    if centre_CD is not None:
        vectors_ND = centre_CD[rng.integers(0, len(centre_CD), count)] + SPREAD * vectors_ND
    unit_ND: FloatArray = vectors_ND / np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return unit_ND
