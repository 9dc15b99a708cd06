from __future__ import annotations

from pathlib import Path

import ir_measures
import numpy as np
import pytest
from ir_measures import R, Success, nDCG

from unbraid_core.catalogue import Catalogue
from unbraid_training.data.dataset import Dataset
from unbraid_training.evaluation.cases import Cases, Task
from unbraid_training.evaluation.metrics import RANK_COUNT, user_metrics
from unbraid_training.evaluation.run_file import qrels_text, run_text

MEASURES = {
    "recall@20": R @ 20,
    "hr@20": Success @ 20,
    "ndcg@20": nDCG @ 20,
    "recall@50": R @ 50,
    "hr@50": Success @ 50,
    "ndcg@50": nDCG @ 50,
}
NO_EVENTS = np.empty(0, np.int32)


def cases(item_ids: list[str], user_ids: list[str], targets: list[list[int]]) -> Cases:
    train = Dataset(Catalogue.of(item_ids), user_ids, [""], NO_EVENTS, NO_EVENTS, np.empty(0), NO_EVENTS)
    rows = [np.array(target, np.int64) for target in targets]
    return Cases(Task.ALL, train, np.arange(len(user_ids)), np.zeros(len(user_ids)), rows, 0)


def test_a_second_tool_finds_our_metrics_in_the_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    item_count, user_count = 90, 40
    # Ids that a tool would tear apart, or mix up, if they stood in the files as they are.
    item_ids = [f"item {row}" if row % 3 else f"item%20{row}" for row in range(item_count)]
    user_ids = [f"user\t{user} \N{NO-BREAK SPACE}" for user in range(user_count)]
    targets = [rng.permutation(item_count)[: rng.integers(1, 80)].tolist() for _ in range(user_count)]
    row_HR = np.full((user_count, RANK_COUNT), -1, np.int64)
    for position, row_R in enumerate(row_HR):
        length = (0, 7, RANK_COUNT)[position % 3]
        row_R[:length] = rng.permutation(item_count)[:length]
    asked = cases(item_ids, user_ids, targets)
    (tmp_path / "run").write_text(run_text(asked, row_HR, "tag"), encoding="utf-8")
    (tmp_path / "run.qrels").write_text(qrels_text(asked), encoding="utf-8")

    # The readers of ir_measures have no type hints.
    qrels = ir_measures.read_trec_qrels(str(tmp_path / "run.qrels"))  # type: ignore[no-untyped-call]
    run = ir_measures.read_trec_run(str(tmp_path / "run"))  # type: ignore[no-untyped-call]
    theirs = ir_measures.calc_aggregate(list(MEASURES.values()), list(qrels), list(run))
    for name, value_H in user_metrics(row_HR, asked.targets, item_count).items():
        assert theirs[MEASURES[name]] == pytest.approx(value_H.mean(), abs=1e-9), name


def test_columns() -> None:
    asked = cases(["A1", "b c", "50%"], ["u"], [[1, 2]])
    row_HR = np.array([[2, 0, 1, -1]])
    assert run_text(asked, row_HR, "r1") == "u Q0 50%25 1 3 r1\nu Q0 A1 2 2 r1\nu Q0 b%20c 3 1 r1\n"
    assert qrels_text(asked) == "u 0 b%20c 1\nu 0 50%25 1\n"
