"""Scorecards as a Parquet file, so that a system that is judged later can be compared with them user by user.

A row is a system and a user: the columns ``system``, ``user_id`` and ``target_count``, and one for each metric. What
all rows have in common stands as JSON under the key ``unbraid`` of the schema's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute, parquet

from unbraid_core.errors import InvalidInput
from unbraid_core.types import IntArray
from unbraid_training.evaluation.cases import Cases
from unbraid_training.evaluation.metrics import METRICS
from unbraid_training.evaluation.scorecard import Scorecard

__all__ = ["read_bar", "write_scorecards"]

FORMAT_VERSION = 1
METADATA_KEY = b"unbraid"
ADVICE = "name the .parquet file that unbraid baselines --out wrote"


def write_scorecards(path: Path, cases: Cases, split: str, bar: str, cards: Sequence[Scorecard]) -> None:
    """Write the scorecards of several systems on the same cases.

    Args:
        path: of the file.
        cases: the users.
        split: text form of the split that the cases come from.
        bar: name of the system that others have to beat.
        cards: of all systems.

    Raises:
        OSError: the file cannot be written.
    """
    common = {
        "format_version": FORMAT_VERSION,
        "split": split,
        "task": cases.task,
        "bar": bar,
        "coverage": {card.system: card.coverage for card in cards},
    }
    columns = {
        "system": np.repeat([card.system for card in cards], len(cases)),
        "user_id": _user_ids(cases) * len(cards),
        "target_count": np.tile(_target_counts(cases), len(cards)),
        **{name: np.concatenate([card.metrics[name] for card in cards]) for name in METRICS},
    }
    parquet.write_table(pa.table(columns, metadata={METADATA_KEY: json.dumps(common)}), path)


def read_bar(path: Path, cases: Cases, split: str) -> Scorecard:
    """The scorecard of the system to beat, for the users of some cases.

    Args:
        path: of the file.
        cases: users among those of the file, with the same targets.
        split: text form of the split that the cases come from.

    Raises:
        InvalidInput: no such file, or it was measured on another split, task or data.
    """
    try:
        common = _common(parquet.read_schema(path))
        bar = common["bar"]
        table = parquet.read_table(path, filters=[("system", "=", bar)])
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput("against", f"cannot read {path}: {error}; {ADVICE}") from None
    if (common["split"], common["task"]) != (split, cases.task):
        raise InvalidInput(
            "against",
            f"{path} was measured on split {common['split']}, task {common['task']}, and not on split {split}, task "
            f"{cases.task}; run unbraid baselines with these",
        )
    place_H = compute.index_in(pa.array(_user_ids(cases)), table["user_id"].combine_chunks())
    known = table.take(place_H)
    if known["target_count"].to_pylist() != _target_counts(cases).tolist():
        raise InvalidInput("against", f"{path} has other users or targets; run unbraid baselines on the same data")
    return Scorecard(bar, {name: known[name].to_numpy() for name in METRICS}, common["coverage"][bar])


def _common(schema: pa.Schema) -> dict[str, Any]:
    text = (schema.metadata or {}).get(METADATA_KEY)
    if text is None:
        raise pa.ArrowInvalid("it holds no scorecards")
    common: dict[str, Any] = json.loads(text)
    return common


def _user_ids(cases: Cases) -> list[str]:
    return [cases.user_id(position) for position in range(len(cases))]


def _target_counts(cases: Cases) -> IntArray:
    return np.array([len(target_T) for target_T in cases.targets])
