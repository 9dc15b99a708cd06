"""Choosing the settings of methods on a validation window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from unbraid_core.types import DoubleArray, IntArray
from unbraid_training.baselines.baseline import Baseline, FittedBaseline
from unbraid_training.baselines.blend import Blend
from unbraid_training.baselines.methods import Method
from unbraid_training.baselines.panel import Panel
from unbraid_training.evaluation.metrics import user_metrics

__all__ = ["CHOICE_METRIC", "Tuned", "rank", "step_count", "tune"]

CHOICE_METRIC = "ndcg@50"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tuned:
    """A method with the settings that won, and the mean NDCG@50 they had on the validation users."""

    method: str
    baseline: Baseline
    blend: Blend
    validation_ndcg: float

    def __str__(self) -> str:
        """The settings, for a table."""
        return f"{self.baseline}; {self.blend}"


def step_count(methods: Sequence[Method]) -> int:
    """How many steps ``tune`` takes."""
    return sum(len(method.baselines) * len(method.profiles) for method in methods)


def tune(methods: Sequence[Method], panel: Panel, on_step: Callable[[], None]) -> list[Tuned]:
    """The best settings of each method, the first among equals; a baseline that several share is fitted once.

    Args:
        methods: with their grids.
        panel: validation users.
        on_step: called after each of ``step_count`` steps.
    """
    best: dict[str, Tuned] = {}
    for baseline in _distinct(baseline for method in methods for baseline in method.baselines):
        sharing = [method for method in methods if baseline in method.baselines]
        fitted = baseline.fit(panel.train)
        for profile in _distinct(profile for method in sharing for profile in method.profiles):
            blocks = [fitted.score(panel.profile(profile, block)) for block in panel.blocks()]
            base_HI = np.concatenate(blocks)
            for method in sharing:
                if profile in method.profiles:
                    own = _best([Blend(profile, own) for own in method.owns], base_HI, panel)[0].own
                    blend, ndcg = _best([Blend(profile, own, prior) for prior in method.priors], base_HI, panel)
                    if method.name not in best or ndcg > best[method.name].validation_ndcg:
                        best[method.name] = Tuned(method.name, baseline, blend, ndcg)
                    on_step()
    return [best[method.name] for method in methods]


def rank(tuned: Sequence[Tuned], panel: Panel, on_step: Callable[[], None]) -> list[IntArray]:
    """Fit the winners on the training events of other users, and rank for those: int64 [H, RANK_COUNT] each.

    Args:
        tuned: methods with their settings; a baseline that several share is fitted once.
        panel: the users to rank for.
        on_step: called after each method.
    """
    rows: dict[str, IntArray] = {}
    for baseline in _distinct(each.baseline for each in tuned):
        fitted = baseline.fit(panel.train)
        for each in tuned:
            if each.baseline == baseline:
                rows[each.method] = _ranked(_scores(fitted, each.blend, panel), panel)
                on_step()
    return [rows[each.method] for each in tuned]


def _scores(fitted: FittedBaseline, blend: Blend, panel: Panel) -> Iterator[DoubleArray]:
    for block in panel.blocks():
        yield blend.score(fitted.score(panel.profile(blend.profile, block)), panel, block)


def _best(blends: Sequence[Blend], base_HI: DoubleArray, panel: Panel) -> tuple[Blend, float]:
    """The blend with the highest mean of CHOICE_METRIC, the first among equals, and that mean."""
    targets, item_count = panel.cases.targets, len(panel.cases.catalogue)
    values = []
    for blend in blends:
        row_HR = _ranked((blend.score(base_HI[block], panel, block) for block in panel.blocks()), panel)
        values.append(float(user_metrics(row_HR, targets, item_count)[CHOICE_METRIC].mean()))
    best = int(np.argmax(values))
    return blends[best], values[best]


def _ranked(score_blocks: Iterable[DoubleArray], panel: Panel) -> IntArray:
    """The rankings of all users by scores that come block by block."""
    return np.concatenate(
        [panel.best_rows(score_BI, block) for block, score_BI in zip(panel.blocks(), score_blocks, strict=True)]
    )


def _distinct(things: Iterable[T]) -> list[T]:
    """Each once, in the order of the first appearance."""
    return list(dict.fromkeys(things))
