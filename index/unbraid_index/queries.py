"""The users that recall is measured with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from unbraid_core.errors import IncompatibleError, InvalidInput
from unbraid_core.item_vectors import ItemVectors
from unbraid_core.release import Export, Release
from unbraid_core.release.layout import QUERIES, QUERY_SHARES
from unbraid_core.scoring import quotas
from unbraid_core.types import DoubleArray, FloatArray, IntArray, Scoring

__all__ = ["MIN_QUERIES", "RecallQueries", "given_queries", "held_out_queries"]

MIN_QUERIES = 100
MAX_QUERIES = 2_000

QuerySource = Literal["held-out users", "held-out interests", "item vectors"]


@dataclass(frozen=True, slots=True, eq=False)
class RecallQueries:
    """What an index is asked for users in random order, and where that comes from.

    Attributes:
        vectors_UKD: the K interests of each user, searched for in one call.
        quota_UK: how many items each interest may bring.
        source: ``held-out users`` are real; of interests or items that do not say whose they are, K in random order
            stand for a user, with equal shares.
    """

    vectors_UKD: FloatArray
    quota_UK: IntArray
    source: QuerySource

    @classmethod
    def of_users(
        cls, vectors_UKD: FloatArray, log_share_UK: FloatArray | DoubleArray, scoring: Scoring, seed: int
    ) -> RecallQueries:
        """A seeded sample of users, of at most 2000 interests together."""
        chosen_U = np.random.default_rng(seed).permutation(len(vectors_UKD))[: MAX_QUERIES // vectors_UKD.shape[1]]
        shares_UK = np.asarray(log_share_UK[chosen_U], np.float64)
        quota_UK = np.array([quotas(log_share_K, scoring) for log_share_K in shares_UK])
        return cls(np.ascontiguousarray(vectors_UKD[chosen_U]), quota_UK, "held-out users")

    @classmethod
    def of_interests(cls, vectors_QD: FloatArray, interest_count: int, scoring: Scoring, seed: int) -> RecallQueries:
        """A seeded sample of at most 2000 held-out interests."""
        return cls._grouped(vectors_QD, interest_count, scoring, seed, "held-out interests")

    @classmethod
    def of_items(cls, item_vectors_ID: ItemVectors, interest_count: int, scoring: Scoring, seed: int) -> RecallQueries:
        """A seeded sample of at most 2000 item vectors, for want of interests."""
        return cls._grouped(item_vectors_ID, interest_count, scoring, seed, "item vectors")

    @classmethod
    def read(cls, path: Path, dimension: int, interest_count: int, scoring: Scoring, seed: int) -> RecallQueries:
        """Read interests from a .npy file; where a file with their log shares lies beside it, they are of users.

        Raises:
            InvalidInput: not an array of at least 100 finite float32 vectors of this dimension, or shares that do
                not belong to them.
        """
        interests_QD = _read_array(path)
        if interests_QD.dtype != np.float32 or interests_QD.ndim != 2 or interests_QD.shape[1] != dimension:
            found = f"{interests_QD.dtype} {list(interests_QD.shape)}"
            raise InvalidInput(str(path), f"holds {found}; float32 [Q, {dimension}] is needed, the space of the items")
        if len(interests_QD) < MIN_QUERIES:
            raise InvalidInput(str(path), f"holds {len(interests_QD)} vectors; at least {MIN_QUERIES} are needed")
        if not np.isfinite(interests_QD).all():
            raise InvalidInput(str(path), "holds NaN or infinity; write the interests again")
        shares_path = path.with_name(QUERY_SHARES)
        if not shares_path.exists():
            return cls.of_interests(interests_QD, interest_count, scoring, seed)
        log_share_UK = _read_array(shares_path)
        if log_share_UK.ndim != 2 or log_share_UK.size != len(interests_QD) or not np.isfinite(log_share_UK).all():
            raise InvalidInput(
                str(shares_path),
                f"holds {list(log_share_UK.shape)}; the finite log share of each of {len(interests_QD)} interests is "
                "needed, one row for each user",
            )
        vectors_UKD = interests_QD.reshape(*log_share_UK.shape, dimension)
        return cls.of_users(vectors_UKD, log_share_UK, scoring, seed)

    @classmethod
    def _grouped(
        cls, vectors_ND: ItemVectors, interest_count: int, scoring: Scoring, seed: int, source: QuerySource
    ) -> RecallQueries:
        order_N = np.random.default_rng(seed).permutation(len(vectors_ND))[:MAX_QUERIES]
        user_count = max(1, len(order_N) // interest_count)
        row_UK = np.resize(order_N, (user_count, interest_count))
        quota_K = quotas(np.full(interest_count, -np.log(interest_count)), scoring)
        vectors_QD = np.ascontiguousarray(vectors_ND[row_UK.ravel()])
        return cls(vectors_QD.reshape(*row_UK.shape, -1), np.tile(quota_K, (user_count, 1)), source)


def held_out_queries(export: Export, seed: int) -> RecallQueries:
    """What an export has to measure an index with: held-out users, else held-out interests, else its items.

    Raises:
        IncompatibleError, IntegrityError: as ``Export.queries`` and ``Export.query_log_shares``.
    """
    interest_count, scoring = export.manifest.encoder.interest_count, export.manifest.scoring
    interests_QD, log_share_UK = export.queries(), export.query_log_shares()
    if interests_QD is None or len(interests_QD) < MIN_QUERIES:
        return RecallQueries.of_items(export.item_vectors_ID, interest_count, scoring, seed)
    if log_share_UK is None:
        return RecallQueries.of_interests(interests_QD, interest_count, scoring, seed)
    if log_share_UK.size != len(interests_QD):
        raise IncompatibleError(
            f"{export.folder.name}: {QUERY_SHARES} has the shares of {log_share_UK.size} interests, {QUERIES} has "
            f"{len(interests_QD)}; export again"
        )
    vectors_UKD = interests_QD.reshape(*log_share_UK.shape, -1)
    return RecallQueries.of_users(vectors_UKD, log_share_UK, scoring, seed)


def given_queries(release: Release, queries_file: Path | None, seed: int) -> RecallQueries:
    """The queries of a file, else items: a release carries no interests.

    Raises:
        InvalidInput: as ``RecallQueries.read``.
    """
    encoder, scoring = release.manifest.encoder, release.manifest.scoring
    if queries_file is None:
        return RecallQueries.of_items(release.item_vectors_ID, encoder.interest_count, scoring, seed)
    return RecallQueries.read(queries_file, encoder.dimension, encoder.interest_count, scoring, seed)


def _read_array(path: Path) -> FloatArray:
    try:
        array: FloatArray = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError) as error:
        raise InvalidInput(str(path), f"cannot be read as a .npy array: {error}") from error
    return array
