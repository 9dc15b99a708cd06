"""The search for the fewest lists that reach the recall target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import faiss

from unbraid_core.types import FloatArray, SearchHits
from unbraid_index.progress import OnProgress
from unbraid_index.recall import RecallProbe
from unbraid_index.report import Trial

__all__ = ["MOST_LISTS_SHARE", "NprobeTuner"]

MOST_LISTS_SHARE = 1 / 4
"""Scanning lists costs more an item than scanning the whole catalogue in one go: with 1024 lists and vectors without
clusters, a quarter of the lists took 0.8 of the time of Flat, half of them 1.3."""


@dataclass(frozen=True, slots=True, eq=False)
class NprobeTuner:
    """Finds nprobe for one IVF index, remembering every trial."""

    index: faiss.IndexIVFFlat
    probe: RecallProbe
    recall_target: float
    on_progress: OnProgress
    trials: list[Trial]

    @property
    def most_lists(self) -> int:
        """The largest nprobe that is worth it: a quarter of the lists, which is a power of two as their number is."""
        return int(self.index.nlist * MOST_LISTS_SHARE)

    def fewest_lists(self) -> int | None:
        """The smallest nprobe whose assured recall reaches the target, None where ``most_lists`` do not.

        Doubles nprobe until the target is reached, then bisects the last step; recall never falls as nprobe grows.
        """
        enough = self._doubled()
        fewest = None if enough is None else self._bisected(enough)
        self.on_progress("tuning nprobe", self._most_trials, self._most_trials)
        return fewest

    def _doubled(self) -> int | None:
        nprobe = 1
        while not self._reaches_target(nprobe):
            if nprobe == self.most_lists:
                return None
            nprobe *= 2
        return nprobe

    def _bisected(self, enough: int) -> int:
        too_few = enough // 2
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            if self._reaches_target(middle):
                enough = middle
            else:
                too_few = middle
        return enough

    @property
    def _most_trials(self) -> int:
        """Doubling up to ``most_lists`` takes log2 + 1 trials, bisecting the last step one less than log2."""
        return 2 * (self.most_lists.bit_length() - 1)

    def _reaches_target(self, nprobe: int) -> bool:
        self.on_progress("tuning nprobe", len(self.trials), self._most_trials)
        measured = self.probe.measure(_nearest_lists(self.index, nprobe))
        trial = Trial(
            family="ivf_flat",
            search_params={"nprobe": nprobe},
            recall=measured.recall,
            assured_recall=measured.assured_recall,
            p50_ms=measured.p50_ms,
        )
        self.trials.append(trial)
        return trial.assured_recall >= self.recall_target


def _nearest_lists(index: faiss.IndexIVFFlat, nprobe: int) -> Callable[[FloatArray, int], SearchHits]:
    """Searches the nearest lists and no others, so an answer can be short.

    A FaissSearcher would fill it from farther lists. That is right for a rare query, but tuning must not count on it:
    a setting that lives on being filled looks good and is slow.
    """
    search_params = faiss.SearchParametersIVF()
    search_params.nprobe = nprobe

    def search(query_QD: FloatArray, count: int) -> SearchHits:
        score_QC, row_QC = index.search(query_QD, count, params=search_params)
        return SearchHits(row_QC, score_QC)

    return search
