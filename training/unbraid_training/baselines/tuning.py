"""Choosing the settings of methods on validation users."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from unbraid_core.types import IntArray
from unbraid_training.baselines.baseline import Baseline, FittedBaseline, StagedBaseline
from unbraid_training.baselines.blend import Blend
from unbraid_training.baselines.methods import Method
from unbraid_training.baselines.panel import Panel
from unbraid_training.evaluation.cases import Cases
from unbraid_training.evaluation.metrics import user_metrics

__all__ = ["CHOICE_METRIC", "PATIENCE", "OnProgress", "Tuned", "choice_value", "rank", "tune"]

CHOICE_METRIC = "ndcg@50"
# Stages without a gain for any method that shares the baseline, before its training stops.
PATIENCE = 3

OnProgress = Callable[[str, int, int], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tuned:
    """A method with the settings that won, and the ``choice_value`` they had, a mean over the validation windows."""

    method: str
    baseline: Baseline[Any]
    blend: Blend
    validation_ndcg: float

    def __str__(self) -> str:
        """The settings, for a table."""
        return f"{self.baseline}; {self.blend}"


def choice_value(row_HR: IntArray, cases: Cases) -> float:
    """What settings are chosen by: the mean of CHOICE_METRIC over the users of some cases."""
    return float(user_metrics(row_HR, cases.targets, len(cases.catalogue))[CHOICE_METRIC].mean())


def tune(methods: Sequence[Method], panels: Sequence[Panel], on_progress: OnProgress) -> list[Tuned]:
    """The best settings of each method, the first among equals; a baseline that several share is fitted once a panel.

    Args:
        methods: with their grids.
        panels: the users of each validation window; settings are judged by the mean over the windows.
        on_progress: called with a title, the number of steps done and that of all steps.
    """
    best: dict[str, Tuned] = {}
    baselines = _distinct(baseline for method in methods for baseline in method.baselines)
    for done, baseline in enumerate(baselines, start=1):
        sharing = [method for method in methods if baseline in method.baselines]
        for tuned in _tune_baseline(baseline, sharing, panels, on_progress):
            _keep_better(best, tuned)
        on_progress("tuning", done, len(baselines))
    return [best[method.name] for method in methods]


def rank(tuned: Sequence[Tuned], panel: Panel, on_progress: OnProgress) -> list[IntArray]:
    """Fit the winners on the training events of other users, and rank for those: int64 [H, RANK_COUNT] each.

    Args:
        tuned: methods with their settings; a baseline that several share is fitted once, though they
            may stop at different stages of it.
        panel: the users to rank for.
        on_progress: called with a title, the number of steps done and that of all steps.
    """
    rows: dict[str, IntArray] = {}
    # The longest first: a training that ends earlier is a stage of it.
    for baseline in sorted(_distinct(each.baseline for each in tuned), key=_stage_count, reverse=True):
        waiting = [each for each in tuned if each.method not in rows]
        if not any(each.baseline == baseline for each in waiting):
            continue
        for stage, [fitted] in _stages(baseline, [panel], on_progress):
            for each in waiting:
                if each.baseline == stage:
                    [rows[each.method]] = _rankings(fitted, [each.blend], panel)
                    on_progress("ranking", len(rows), len(tuned))
    return [rows[each.method] for each in tuned]


def _tune_baseline(
    baseline: Baseline[Any], methods: Sequence[Method], panels: Sequence[Panel], on_progress: OnProgress
) -> Iterable[Tuned]:
    """The best settings of each method with this baseline; it stops learning when no method gains any more."""
    best: dict[str, Tuned] = {}
    idle = 0
    for stage, fitted in _stages(baseline, panels, on_progress):
        gained = [_keep_better(best, tuned) for tuned in _tune_blends(stage, fitted, methods, panels)]
        idle = 0 if any(gained) else idle + 1
        if idle == PATIENCE:
            break
    return best.values()


def _stages(
    baseline: Baseline[Any], panels: Sequence[Panel], on_progress: OnProgress
) -> Iterator[tuple[Baseline[Any], list[FittedBaseline[Any]]]]:
    """After each stage of learning, or once: the settings that stop there, and what they learnt for each panel."""
    if not isinstance(baseline, StagedBaseline):
        yield baseline, [baseline.fit(panel.train) for panel in panels]
        return
    courses = zip(*(baseline.stages(panel.train) for panel in panels), strict=True)
    for done, course in enumerate(courses, start=1):
        on_progress(str(baseline), done, baseline.stage_count)
        yield course[0][0], [fitted for _, fitted in course]


def _stage_count(baseline: Baseline[Any]) -> int:
    return baseline.stage_count if isinstance(baseline, StagedBaseline) else 1


def _tune_blends(
    baseline: Baseline[Any],
    fitted: Sequence[FittedBaseline[Any]],
    methods: Sequence[Method],
    panels: Sequence[Panel],
) -> Iterator[Tuned]:
    """For each view of each method the best own term, and with it the best prior."""
    values: dict[Blend, float] = {}

    def judge(blends: Iterable[Blend]) -> None:
        wanted = [blend for blend in _distinct(blends) if blend not in values]
        rankings = [_rankings(each, wanted, panel) for each, panel in zip(fitted, panels, strict=True)]
        for blend, rows in zip(wanted, zip(*rankings, strict=True), strict=True):
            pairs = zip(rows, panels, strict=True)
            values[blend] = float(np.mean([choice_value(row_HR, panel.cases) for row_HR, panel in pairs]))

    for view in _distinct(view for method in methods for view in method.views):
        seeing = [method for method in methods if view in method.views]
        judge(Blend(view, own) for method in seeing for own in method.owns)
        blends = {}
        for method in seeing:
            best = max((Blend(view, own) for own in method.owns), key=values.__getitem__)
            blends[method.name] = [replace(best, prior=prior) for prior in method.priors]
        judge(blend for tried in blends.values() for blend in tried)
        for name, tried in blends.items():
            best = max(tried, key=values.__getitem__)
            yield Tuned(name, baseline, best, values[best])


def _rankings(fitted: FittedBaseline[Any], blends: Sequence[Blend], panel: Panel) -> list[IntArray]:
    """The rankings of all users by each of some blends, which share a view: int64 [H, RANK_COUNT] each."""
    rows: list[list[IntArray]] = [[] for _ in blends]
    of_scale = {blend.scale: blend for blend in blends}
    if blends:
        for block in panel.blocks():
            base_BI = fitted.score(panel.seen(blends[0].view, block))
            scaled = {scale: blend.scaled(base_BI, panel, block) for scale, blend in of_scale.items()}
            for found, blend in zip(rows, blends, strict=True):
                found.append(panel.best_rows(blend.complete(scaled[blend.scale], panel), block))
    return [np.concatenate(found) for found in rows]


def _keep_better(best: dict[str, Tuned], tuned: Tuned) -> bool:
    """Put settings in the place of worse ones of the same method; whether they took it."""
    better = tuned.method not in best or tuned.validation_ndcg > best[tuned.method].validation_ndcg
    if better:
        best[tuned.method] = tuned
    return better


def _distinct(things: Iterable[T]) -> list[T]:
    """Each once, in the order of the first appearance."""
    return list(dict.fromkeys(things))
