"""Rows to compare rankers on: ordinary ones, extreme ones, and those that reach every split of a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lightgbm
import numpy as np

from unbraid_core.types import DoubleArray, FloatArray

__all__ = ["network_rows", "tree_rows"]

SEED = 20_231_102
RANDOM_ROWS = 4_096
EXTREME_SHARE = 0.2
LARGEST = float(np.finfo(np.float32).max)
EXTREMES_V = np.array([0.0, -0.0, 1e-35, -1e-35, 1e-45, LARGEST, -LARGEST, np.inf, -np.inf], np.float32)
BOTTOM, TOP = np.float32(-np.inf), np.float32(np.inf)

# A split or a leaf, as LightGBM dumps it.
Node = Mapping[str, Any]


def tree_rows(booster: lightgbm.Booster) -> Iterator[tuple[str, FloatArray]]:
    """The kinds of rows; ordinary values are spread over the range of the thresholds, and a little beyond."""
    generator = np.random.default_rng(SEED)
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    low_F, high_F = _threshold_range(trees, booster.num_feature())

    def ordinary(count: int) -> FloatArray:
        return generator.uniform(low_F - 1.0, high_F + 1.0, (count, len(low_F))).astype(np.float32)

    beside = [row_F for tree in trees for row_F in _beside_thresholds(tree, ordinary(1)[0])]
    yield "ordinary values", ordinary(RANDOM_ROWS)
    yield "one row", ordinary(1)
    yield "whole numbers", np.rint(ordinary(RANDOM_ROWS))
    yield "on and beside every threshold", np.stack([ordinary(1)[0], *beside])
    yield from _extreme_rows(ordinary(RANDOM_ROWS), generator)


def network_rows(mean_F: FloatArray, spread_F: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """The kinds of rows, by the means and spreads of the columns of a network."""
    generator = np.random.default_rng(SEED)

    def ordinary(count: int) -> FloatArray:
        return generator.normal(mean_F, spread_F, (count, len(mean_F))).astype(np.float32)

    yield "ordinary values", ordinary(RANDOM_ROWS)
    yield "one row", ordinary(1)
    yield "values far away", ordinary(RANDOM_ROWS) * np.float32(100.0)
    yield from _extreme_rows(ordinary(RANDOM_ROWS), generator)


def _extreme_rows(mixed_CF: FloatArray, generator: np.random.Generator) -> Iterator[tuple[str, FloatArray]]:
    """Rows of one extreme value each, and some extreme values among the ordinary ones of ``mixed_CF``."""
    extreme_CF = generator.random(mixed_CF.shape) < EXTREME_SHARE
    mixed_CF[extreme_CF] = generator.choice(EXTREMES_V, int(extreme_CF.sum()))
    yield "one extreme value throughout", np.repeat(EXTREMES_V[:, None], mixed_CF.shape[1], axis=1)
    yield "extreme values here and there", mixed_CF


def _threshold_range(trees: Sequence[Node], feature_count: int) -> tuple[DoubleArray, DoubleArray]:
    """The smallest and the largest threshold of every feature, 0 and 0 of one that no tree asks for."""
    thresholds: list[list[float]] = [[] for _ in range(feature_count)]
    nodes = list(trees)
    while nodes:
        node = nodes.pop()
        if "split_feature" in node:
            thresholds[node["split_feature"]].append(node["threshold"])
            nodes += node["left_child"], node["right_child"]
    ends_F2 = np.array([(min(own), max(own)) if own else (0.0, 0.0) for own in thresholds])
    return ends_F2[:, 0], ends_F2[:, 1]


def _beside_thresholds(node: Node, row_F: FloatArray) -> Iterator[FloatArray]:
    """Rows that reach each split below a node, with the three single-precision numbers around its threshold."""
    if "split_feature" not in node:
        return
    feature = node["split_feature"]
    nearest = np.float32(node["threshold"])
    below, above = np.nextafter(nearest, BOTTOM), np.nextafter(nearest, TOP)
    for value in (below, nearest, above):
        yield _with(row_F, feature, value)
    yield from _beside_thresholds(node["left_child"], _with(row_F, feature, np.minimum(row_F[feature], below)))
    yield from _beside_thresholds(node["right_child"], _with(row_F, feature, np.maximum(row_F[feature], above)))


def _with(row_F: FloatArray, feature: int, value: FloatArray | np.float32) -> FloatArray:
    changed_F = row_F.copy()
    changed_F[feature] = value
    return changed_F
