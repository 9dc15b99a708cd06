"""The contest of the index families: each is made, tuned and measured, the fastest stays."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unbraid_core.item_vectors import ItemVectors
from unbraid_index.faiss_searcher import FaissSearcher
from unbraid_index.family import FAMILIES, Family
from unbraid_index.index_file import write_index
from unbraid_index.making import IndexMaker
from unbraid_index.progress import OnProgress
from unbraid_index.recall import RecallProbe, race
from unbraid_index.report import Entry, Outcome, Trial
from unbraid_index.tuning import Tuned, Tuner

__all__ = ["Champion", "Contest"]

CLEARLY_FASTER = 0.9
"""Share of the time of the simpler family that a later one may take, so that chance does not choose between equals."""
CLEARLY_APART = 2.0
"""How many times slower a family is that is not raced any more."""
RACE_USERS, RACE_ROUNDS = 100, 2
SAMPLE_ITEMS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Champion:
    """The fastest index so far that reaches the target.

    Attributes:
        family: of it.
        path: its file.
        searcher: over it, with the tuned search parameters.
        tuned: how it did.
    """

    family: Family
    path: Path
    searcher: FaissSearcher
    tuned: Tuned


@dataclass(slots=True, eq=False)
class Contest:
    """Lets the families compete, in the order of ``FAMILIES``; two index files at most exist at a time.

    Args:
        item_vectors_ID: of the catalogue.
        tuning: the users that settings are chosen by.
        held_out: other users, who have to reach the target too.
        recall_target: for the 95% lower bound of merged recall.
        memory_budget_bytes: what the index may take beside the item vectors, None for any amount.
        norm_spread: the norm of the longest vector over that of the shortest.
        seed: of samples and centroids.
        folder: for the index files.
        on_progress: told about every step.

    Attributes:
        entries: what became of each family, by name.
        trials: every setting that was measured.
    """

    item_vectors_ID: ItemVectors
    tuning: RecallProbe
    held_out: RecallProbe
    recall_target: float
    memory_budget_bytes: int | None
    norm_spread: float
    seed: int
    folder: Path
    on_progress: OnProgress
    entries: dict[str, Entry] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    champion: Champion | None = None

    def run(self) -> Champion | None:
        """The winner, None where no family that fits the budget reaches the target."""
        maker = IndexMaker(self.item_vectors_ID, self.seed, self.on_progress)
        for family in FAMILIES:
            reason = self._ruled_out(family)
            if reason is not None:
                self._record(family, "not tried", reason)
                continue
            started_s = time.perf_counter()
            challenger = self._entered(maker, family)
            build_s = time.perf_counter() - started_s
            if challenger is None:
                self._record(family, "misses the target", "in every setting that could win", build_s)
            else:
                self._fight(challenger, build_s)
        if self.champion is not None:
            self._settle(self.champion.family, "chosen", "the fastest")
        return self.champion

    def _ruled_out(self, family: Family) -> str | None:
        item_count, dimension = self.item_vectors_ID.shape
        reason = family.ruled_out(item_count, self.norm_spread)
        if reason is not None:
            return reason
        budget = self.memory_budget_bytes
        if budget is not None and family.size_bytes(item_count, dimension) > budget:
            return f"over the budget of {budget / 1e6:,.0f} MB"
        if family.slow_to_make and item_count > SAMPLE_ITEMS and self.champion is not None:
            return self._slow_on_sample(family, self.champion)
        return None

    def _slow_on_sample(self, family: Family, champion: Champion) -> str | None:
        """Why its gentlest search over a sample shows that it cannot win; more items make no search faster."""
        row_S = np.sort(np.random.default_rng(self.seed).choice(len(self.item_vectors_ID), SAMPLE_ITEMS, replace=False))
        sample_SD = self.item_vectors_ID[row_S]
        index = IndexMaker(sample_SD, self.seed, self.on_progress).make(family)
        searcher = FaissSearcher(index, family, family.gentlest, sample_SD)
        own_ms, best_ms = race(self.tuning, [searcher.search_unfilled, champion.searcher.search], RACE_USERS, 1)
        if own_ms < best_ms:
            return None
        return f"{own_ms:.2f} ms with {SAMPLE_ITEMS:,} items; {champion.family.name} takes {best_ms:.2f} with all"

    def _entered(self, maker: IndexMaker, family: Family) -> Champion | None:
        """Make the index of a family and tune it as it was written."""
        path = self.folder / f"{family.name}.faiss"
        write_index(maker.make(family), path)
        searcher = FaissSearcher.open(path, family.name, family.gentlest, self.item_vectors_ID)
        fastest_ms = np.inf if self.champion is None else self.champion.tuned.trial.p50_ms
        tuner = Tuner(
            family=family,
            searcher=searcher,
            tuning=self.tuning,
            held_out=self.held_out,
            recall_target=self.recall_target,
            fastest_ms=fastest_ms,
            trials=self.trials,
            on_progress=self.on_progress,
        )
        tuned = tuner.tune()
        if tuned is None:
            path.unlink()
            return None
        return Champion(family, path, searcher.tuned_to(tuned.trial.search_params), tuned)

    def _fight(self, challenger: Champion, build_s: float) -> None:
        champion = self.champion
        self._record(challenger.family, "slower", "", build_s, challenger)
        if champion is None:
            self.champion = challenger
            return
        champion_ms, challenger_ms = self._times(champion, challenger)
        wins = challenger_ms < CLEARLY_FASTER * champion_ms
        winner, loser = (challenger, champion) if wins else (champion, challenger)
        winner_ms, loser_ms = (challenger_ms, champion_ms) if wins else (champion_ms, challenger_ms)
        self._settle(loser.family, "slower", f"{loser_ms:.3f} ms, {winner.family.name} {winner_ms:.3f} beside it")
        loser.path.unlink()
        self.champion = winner

    def _times(self, champion: Champion, challenger: Champion) -> tuple[float, float]:
        """Milliseconds of a call: as tuned where they are clearly apart, else raced in turns."""
        tuned_ms = champion.tuned.trial.p50_ms, challenger.tuned.trial.p50_ms
        if max(tuned_ms) > CLEARLY_APART * min(tuned_ms):
            return tuned_ms
        searches = [champion.searcher.search, challenger.searcher.search]
        champion_ms, challenger_ms = race(self.held_out, searches, RACE_USERS, RACE_ROUNDS)
        return champion_ms, challenger_ms

    def _record(
        self,
        family: Family,
        outcome: Outcome,
        reason: str,
        build_s: float | None = None,
        entered: Champion | None = None,
    ) -> None:
        item_count, dimension = self.item_vectors_ID.shape
        self.entries[family.name] = Entry(
            family=family.name,
            factory=family.factory_of(item_count, dimension),
            outcome=outcome,
            reason=reason,
            size_bytes=entered.path.stat().st_size if entered else family.size_bytes(item_count, dimension),
            mapped=family.mapped,
            build_s=build_s,
            tuned=None if entered is None else entered.tuned.trial,
        )

    def _settle(self, family: Family, outcome: Outcome, reason: str) -> None:
        settled = {"outcome": outcome, "reason": reason}
        self.entries[family.name] = self.entries[family.name].model_copy(update=settled)
