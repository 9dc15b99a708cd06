"""Compares the targets of a split with relevance judgements made elsewhere, pair for pair.

    python benchmarks/qrels_check.py DATA SPLIT QRELS_ALL QRELS_NEW

DATA is any folder that unbraid reads, SPLIT a split in its text form, and the judgements are tab-separated files
(.gz: compressed) with the columns user_id, item_id and rel: of all targets, and of those that are new to the user.
Exits with 1 where a pair is missing on either side.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pyarrow import csv

from unbraid_core.errors import UnbraidError
from unbraid_training.data.holdout import Holdout
from unbraid_training.data.sources import open_dataset
from unbraid_training.data.splits import parse_split

Pair = tuple[str, str]


def main(arguments: list[str]) -> int:
    """Run the comparison and return the exit code."""
    if len(arguments) != 4:
        sys.stderr.write(__doc__ or "")
        return 2
    source, split, qrels_all, qrels_new = arguments
    try:
        dataset, _ = open_dataset(source)
        holdout = parse_split(split).apply(dataset)
    except UnbraidError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return 2
    same = [
        compare("all", set(target_pairs(holdout, only_new=False)), read_qrels(Path(qrels_all))),
        compare("new", set(target_pairs(holdout, only_new=True)), read_qrels(Path(qrels_new))),
    ]
    return 0 if all(same) else 1


def target_pairs(holdout: Holdout, *, only_new: bool) -> Iterator[Pair]:
    """User and item ids of all targets, or of those that are not among the user's training items."""
    train = holdout.train
    for position, user in enumerate(holdout.user_H.tolist()):
        own = set(train.history(user).row_N.tolist()) if only_new else set()
        for row in holdout.targets(position).tolist():
            if row not in own:
                yield train.user_ids[user], train.catalogue.item_ids[row]


def read_qrels(path: Path) -> set[Pair]:
    """User and item ids of relevance judgements."""
    as_text = csv.ConvertOptions(column_types={"user_id": "string", "item_id": "string"})
    table = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter="\t"), convert_options=as_text)
    return {(str(row["user_id"]), str(row["item_id"])) for row in table.to_pylist()}


def compare(task: str, ours: set[Pair], theirs: set[Pair]) -> bool:
    """Print how many pairs and users both sides have, and whether the pairs are the same."""
    counts = ", ".join(
        f"{name} {len(pairs):,} pairs of {len({user for user, _ in pairs}):,} users"
        for name, pairs in (("ours", ours), ("theirs", theirs))
    )
    verdict = "equal" if ours == theirs else f"{len(ours - theirs)} only ours, {len(theirs - ours)} only theirs"
    sys.stdout.write(f"{task}: {counts}: {verdict}\n")
    return ours == theirs


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
