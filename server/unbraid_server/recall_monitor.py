"""Recall in production: some live questions are searched again exactly, in the background, with bounded CPU time."""

from __future__ import annotations

import math
import random
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue

import numpy as np

from unbraid_core.types import Query, Ranking
from unbraid_server.cores import roam
from unbraid_server.model import Model

__all__ = ["RecallMonitor", "RecallSummary"]

WINDOW = 2000
WAITING = 16
ENOUGH_SAMPLES = 100
TOLERATED_LOSS = 0.01
STANDARD_ERRORS = 3.0


@dataclass(frozen=True, slots=True)
class RecallSummary:
    """What the newest samples of one release say.

    Recall is *merged*: of all rows that the interests of a user would bring with exact search, after quotas and without
    what must not come back, the share that the index brought.

    Attributes:
        release_id: the release; samples of others are forgotten.
        sample_count: how many questions were searched again, at most 2000.
        recall: mean; NaN without samples, and so are the next two.
        recall_p05: the 5th percentile over the questions.
        fill_rate: recommended items over items asked for.
        promised_recall: what was measured when the index was built.
        standard_error: of the mean.
    """

    release_id: str
    sample_count: int
    recall: float
    recall_p05: float
    fill_rate: float
    promised_recall: float
    standard_error: float

    @property
    def rebuild_reason(self) -> str:
        """Why the index should be built again; empty where nothing speaks for it.

        One hundredth below the promise, beyond what chance explains, and not on fewer than 100 questions.
        """
        highest = self.recall + STANDARD_ERRORS * self.standard_error
        if self.sample_count < ENOUGH_SAMPLES or highest >= self.promised_recall - TOLERATED_LOSS:
            return ""
        return (
            f"merged recall of {self.sample_count} live questions is {self.recall:.4f}, "
            f"the index was built for {self.promised_recall:.4f}"
        )


@dataclass(frozen=True, slots=True)
class _Sample:
    # A model that nobody answers with any more must not be kept alive, mappings and all, by a question that waits.
    model: weakref.ref[Model]
    query: Query
    recommended_count: int


@dataclass(frozen=True, slots=True)
class _Result:
    recall: float
    filled: float


class RecallMonitor:
    """Draws live questions by lot and compares what the index found with what there was to find.

    Args:
        sample_share: of the questions, 0 to 1; 0 draws none.
        cpu_share: how much of one core the comparison may take over time.
    """

    def __init__(self, sample_share: float, cpu_share: float = 0.02) -> None:
        self._sample_share = sample_share
        self._cpu_share = cpu_share
        self._waiting: Queue[_Sample] = Queue(WAITING)
        self._lock = threading.Lock()
        self._release_id = ""
        self._results: deque[_Result] = deque(maxlen=WINDOW)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="recall-monitor", daemon=True)

    def start(self) -> None:
        """Begin to compare."""
        self._thread.start()

    def stop(self) -> None:
        """Stop comparing, and return when the thread has ended."""
        self._stopping.set()
        self._thread.join()

    def offer(self, model: Model, query: Query, ranking: Ranking) -> None:
        """Let a question that was just answered take part in the draw; it never waits, and drops what is too much."""
        if ranking.interests is None or random.random() >= self._sample_share:  # noqa: S311 - a sample, not a secret
            return
        with suppress(Full):
            self._waiting.put_nowait(_Sample(weakref.ref(model), query, len(ranking.row_R)))

    def summary(self, model: Model) -> RecallSummary:
        """What is known of the release of a model."""
        with self._lock:
            results = list(self._results) if self._release_id == model.release_id else []
        recall_N = np.array([result.recall for result in results])
        return RecallSummary(
            release_id=model.release_id,
            sample_count=len(results),
            recall=float(recall_N.mean()) if results else math.nan,
            recall_p05=float(np.quantile(recall_N, 0.05)) if results else math.nan,
            fill_rate=float(np.mean([result.filled for result in results])) if results else math.nan,
            promised_recall=model.manifest.index.recall,
            standard_error=float(recall_N.std() / math.sqrt(len(results))) if results else math.nan,
        )

    def _work(self) -> None:
        roam()
        while not self._stopping.is_set():
            try:
                sample = self._waiting.get(timeout=0.5)
            except Empty:
                continue
            began_s = time.thread_time()
            self._compare(sample)
            spent_s = time.thread_time() - began_s
            self._stopping.wait(spent_s / self._cpu_share - spent_s)

    def _compare(self, sample: _Sample) -> None:
        model = sample.model()
        if model is None:
            return
        exact = model.exact_pipeline()
        [found_C] = model.pipeline.found_by_interests([sample.query])
        [wanted_C] = exact.found_by_interests([sample.query])
        if len(wanted_C) == 0:
            return
        recall = len(np.intersect1d(found_C, wanted_C, assume_unique=True)) / len(wanted_C)
        with self._lock:
            if self._release_id != model.release_id:
                self._release_id = model.release_id
                self._results.clear()
            self._results.append(_Result(recall, sample.recommended_count / max(1, sample.query.limit)))
