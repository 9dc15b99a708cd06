"""The search for the fastest setting of one index that reaches the recall target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import SHORTLIST, Family
from unbraid_index.progress import OnProgress
from unbraid_index.recall import Measurement, RecallProbe
from unbraid_index.report import Trial

__all__ = ["Tuned", "Tuner", "efforts"]

SHORTLISTS_PERCENT = (100, 110, 120, 130, 140, 150, 175, 200, 250, 300, 400, 600, 800, 1_200)
STEPS_PER_OCTAVE = 4
RAISED_AT_MOST = 4
WORTH_A_LONGER_LIST = 0.0005
"""Recall that a longer shortlist has to add; where it adds less, something else keeps the target away."""
HOPELESS = 1.5
"""How many times slower than the fastest so far a setting may be that still misses the target."""


@dataclass(frozen=True, slots=True, eq=False)
class Tuned:
    """A setting that reaches the target.

    Attributes:
        trial: as it did with the tuning users.
        held_out: as it did with the others.
    """

    trial: Trial
    held_out: Measurement


@dataclass(frozen=True, slots=True, eq=False)
class Tuner:
    """Tunes one index, remembering every trial.

    Args:
        family: of the index.
        searcher: over the index, with any search parameters.
        tuning: the users that settings are chosen by.
        held_out: other users, who have to reach the target too.
        recall_target: for the 95% lower bound of merged recall.
        fastest_ms: of what else there is; a setting that is much slower and still misses the target ends the search.
        trials: every trial is added to them.
        on_progress: told about every trial.
    """

    family: Family
    searcher: FaissSearcher
    tuning: RecallProbe
    held_out: RecallProbe
    recall_target: float
    fastest_ms: float
    trials: list[Trial]
    on_progress: OnProgress

    def tune(self) -> Tuned | None:
        """The fastest setting that reaches the target with both groups of users, None where there is none.

        By chance the tuning users can be easier than the held-out ones; then the setting is raised a few times.
        """
        trial = self._fastest()
        for _ in range(RAISED_AT_MOST):
            if trial is None:
                return None
            held_out = self.held_out.measure(self.searcher.tuned_to(trial.search_params).search)
            if held_out.lower_bound >= self.recall_target:
                return Tuned(trial, held_out)
            raised = self._raised(trial.search_params)
            trial = None if raised == trial.search_params else self._tried(raised)
        return None

    def _fastest(self) -> Trial | None:
        """Over the lengths of the shortlist, each with the least effort that reaches the target.

        A longer shortlist costs time, so it pays only where it reaches the target at all, or with less effort.
        """
        ladder, step, found, missed_recall = efforts(self.searcher.most_effort), 0, list[Trial](), -1.0
        for shortlist in SHORTLISTS_PERCENT if self.family.lossy else (100,):
            if found:
                if step == 0:
                    break
                missed, step = -1, step - 1
                trial = self._tried(self._setting(ladder[step], shortlist))
                if not self._reaches(trial):
                    break
            else:
                missed, step, trial = self._climbed(ladder, step, shortlist)
                if not self._reaches(trial):
                    if trial.recall < missed_recall + WORTH_A_LONGER_LIST:
                        break
                    missed_recall = trial.recall
                    continue
            step, trial = self._bisected(ladder, missed, step, trial, shortlist)
            found.append(trial)
        return min(found, key=lambda trial: trial.p50_ms, default=None)

    def _climbed(self, ladder: Sequence[int], step: int, shortlist: int) -> tuple[int, int, Trial]:
        """Climbs by octaves up to a step that reaches the target, or that shows that no higher one can win.

        Returns:
            The highest step that missed the target on the way (-1: none), the last step, and how it did.
        """
        missed = -1
        while True:
            trial = self._tried(self._setting(ladder[step], shortlist))
            hopeless = trial.p50_ms > HOPELESS * self.fastest_ms
            if self._reaches(trial) or hopeless or step == len(ladder) - 1:
                return missed, step, trial
            missed, step = step, min(step + STEPS_PER_OCTAVE, len(ladder) - 1)

    def _bisected(
        self, ladder: Sequence[int], missed: int, step: int, trial: Trial, shortlist: int
    ) -> tuple[int, Trial]:
        """The lowest step that reaches the target, between one that misses it and one that does not."""
        while step - missed > 1:
            middle = (missed + step) // 2
            attempt = self._tried(self._setting(ladder[middle], shortlist))
            if self._reaches(attempt):
                step, trial = middle, attempt
            else:
                missed = middle
        return step, trial

    def _reaches(self, trial: Trial) -> bool:
        return trial.lower_bound >= self.recall_target

    def _setting(self, effort: int, shortlist: int) -> dict[str, int]:
        setting = {} if self.family.walk.knob is None else {self.family.walk.knob: effort}
        return setting | {SHORTLIST: shortlist} if self.family.lossy else setting

    def _raised(self, search_params: Mapping[str, int]) -> dict[str, int]:
        """A quarter more of everything."""
        most = {SHORTLIST: SHORTLISTS_PERCENT[-1]}
        return {
            knob: min(math.ceil(1.25 * value), max(value, most.get(knob, self.searcher.most_effort)))
            for knob, value in search_params.items()
        }

    def _tried(self, search_params: dict[str, int]) -> Trial:
        measured = self.tuning.measure(self.searcher.tuned_to(search_params).search_unfilled)
        trial = Trial(
            family=self.family.name,
            search_params=search_params,
            recall=measured.recall,
            lower_bound=measured.lower_bound,
            p50_ms=measured.p50_ms,
        )
        self.trials.append(trial)
        own = sum(earlier.family == self.family.name for earlier in self.trials)
        self.on_progress(f"{self.family.name}: trying settings", own, own)
        return trial


def efforts(most: int) -> list[int]:
    """Efforts to try: four for each doubling, the last of them ``most``."""
    steps = math.ceil(STEPS_PER_OCTAVE * math.log2(most))
    tried = {min(most, round(2 ** (step / STEPS_PER_OCTAVE))) for step in range(steps)}
    return sorted(tried | {most})
