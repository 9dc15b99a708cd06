"""Which events a model may learn from, and which are held out to test it.

The text form of a split stands in manifests and on the command line: ``last-10``, ``before-2011-11-01``,
``before-2011-11-01-until-2011-12-10`` or ``all``. Dates are UTC midnights; times are ISO 8601, UTC without a zone.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from unbraid_core.errors import InvalidInput
from unbraid_core.types import BoolArray
from unbraid_training.data.dataset import Dataset
from unbraid_training.data.holdout import MIN_TRAINING_ITEMS, Holdout, distinct_items, hold_out

__all__ = ["Everything", "LastEvents", "Split", "TimeWindow", "parse_split", "roll_back", "widest_last_events"]

VALIDATION_SHARE = 0.1

# In lengths of a window: from the newest of the later origins to the end, and from one of them to the next.
NEWEST_ORIGIN, ORIGIN_STEP = 0.75, 0.5


class Split(Protocol):
    """A rule that parts a data set. ``str`` gives the text form."""

    def apply(self, dataset: Dataset) -> Holdout:
        """Part a data set.

        Raises:
            InvalidInput: nothing is left to train on.
        """
        ...

    def inner(self, train: Dataset, /) -> Split:
        """The rule of the same kind that parts the training events once more, for validation."""
        ...

    def origins(self, dataset: Dataset, window_s: float | None, /) -> Iterator[tuple[Split, Dataset]]:
        """This rule, then rules of its kind at ever earlier moments, each with the events that it is to part.

        Args:
            dataset: what this rule parts.
            window_s: length of the windows, for rules that have any; None: that of this rule.
        """
        ...


@dataclass(frozen=True, slots=True)
class LastEvents:
    """Holds out the last ``count`` events of each user who has enough items before them; others keep all events."""

    count: int

    def __str__(self) -> str:
        """The text form."""
        return f"last-{self.count}"

    def apply(self, dataset: Dataset) -> Holdout:
        """Part a data set; the moment of a user is the time of the first held-out event."""
        first_U = dataset.offset_U1[1:] - self.count
        late_E = np.arange(len(dataset)) >= first_U[dataset.user_E]
        enough_U = distinct_items(dataset.select(~late_E)) >= MIN_TRAINING_ITEMS
        held_E = late_E & enough_U[dataset.user_E]
        now_s_U = dataset.time_s_E[np.maximum(first_U, 0)]
        return hold_out(dataset, ~held_E, held_E, now_s_U)

    def inner(self, _train: Dataset, /) -> Split:
        """Hold out as many events again."""
        return self

    def origins(self, dataset: Dataset, _window_s: float | None, /) -> Iterator[tuple[Split, Dataset]]:
        """This rule, then the last events before the last ones, and so on."""
        while True:
            yield self, dataset
            dataset = self.apply(dataset).train


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """Trains on the events before ``start_s`` and holds out those in [start, stop); without a stop all later ones."""

    start_s: float
    stop_s: float = math.inf

    def __str__(self) -> str:
        """The text form."""
        stop = "" if self.stop_s == math.inf else f"-until-{_time_text(self.stop_s)}"
        return f"before-{_time_text(self.start_s)}{stop}"

    def apply(self, dataset: Dataset) -> Holdout:
        """Part a data set; the moment of all users is the start of the window."""
        train_E = dataset.time_s_E < self.start_s
        if not train_E.any():
            first, last = dataset.time_s_E.min(), dataset.time_s_E.max()
            raise InvalidInput(
                "split", f"{self} leaves no event to train on; the data span {_time_text(first)} to {_time_text(last)}"
            )
        held_E = ~train_E & (dataset.time_s_E < self.stop_s)
        return hold_out(dataset, train_E, held_E, np.full(len(dataset.user_ids), self.start_s))

    def inner(self, train: Dataset, /) -> Split:
        """A window of the same length right before this one; without a stop, the last tenth of the training span."""
        if self.stop_s == math.inf:
            return replace(_last_tenth(train), stop_s=self.start_s)
        return TimeWindow(self.start_s - (self.stop_s - self.start_s), self.start_s)

    def origins(self, dataset: Dataset, window_s: float | None, /) -> Iterator[tuple[Split, Dataset]]:
        """This window, then windows half their length apart, none of which reaches beyond the end of this one.

        The newest of these starts three quarters of a length before the end and is cut short by the rest: what people
        did last says most about what they will do, so a moment closer to the end is worth more than a whole window
        (figures in docs/architecture.md).
        """
        yield self, dataset
        end_s = min(self.stop_s, float(np.nextafter(dataset.time_s_E.max(), np.inf)))
        length_s = end_s - self.start_s if window_s is None else window_s
        for number in itertools.count():
            start_s = end_s - (NEWEST_ORIGIN + number * ORIGIN_STEP) * length_s
            yield TimeWindow(start_s, min(start_s + length_s, end_s)), dataset


@dataclass(frozen=True, slots=True)
class Everything:
    """Trains on all events and holds out none."""

    def __str__(self) -> str:
        """The text form."""
        return "all"

    def apply(self, dataset: Dataset) -> Holdout:
        """All events for training, no user to evaluate."""
        every_E: BoolArray = np.ones(len(dataset), np.bool_)
        return hold_out(dataset, every_E, ~every_E, np.zeros(len(dataset.user_ids)))

    def inner(self, train: Dataset, /) -> Split:
        """Hold out the last tenth of the training span."""
        return _last_tenth(train)

    def origins(self, dataset: Dataset, _window_s: float | None, /) -> Iterator[tuple[Split, Dataset]]:
        """This rule only, which holds out nothing."""
        yield self, dataset


def parse_split(text: str) -> Split:
    """Read the text form.

    Raises:
        InvalidInput: no such split, a count below 1, something that is no time, or a window that ends before it starts.
    """
    if text == "all":
        return Everything()
    if last := re.fullmatch(r"last-(\d+)", text):
        if int(last[1]) == 0:
            raise InvalidInput("split", f"{text!r} holds out nothing; give a count of at least 1, or use all")
        return LastEvents(int(last[1]))
    if window := re.fullmatch(r"before-(.+?)(?:-until-(.+))?", text):
        split = TimeWindow(_parse_time(text, window[1]), _parse_time(text, window[2]) if window[2] else math.inf)
        if split.stop_s <= split.start_s:
            raise InvalidInput("split", f"{text!r} ends before it starts; exchange the two times")
        return split
    raise InvalidInput(
        "split", f"{text!r} is unknown; use last-10, before-2011-11-01, before-2011-11-01-until-2011-12-10 or all"
    )


def roll_back(train: Dataset, first: Split, count: int) -> list[tuple[Split, Holdout]]:
    """Hold out ``count`` times inside training events, each time within what the last time left to train on.

    Args:
        train: the training events.
        first: parts them; the next is the ``inner`` of this one, and so on: windows step back by their length.
        count: at least 1.

    Raises:
        InvalidInput: nothing is left to train on.
    """
    origins = []
    split = first
    for _ in range(count):
        holdout = split.apply(train)
        origins.append((split, holdout))
        train = holdout.train
        split = split.inner(train)
    return origins


def widest_last_events(dataset: Dataset) -> LastEvents:
    """The most events that can be held out twice, for validation and for the test, from at least half of the users.

    At most 10 and at least 1.
    """
    length_U = np.diff(dataset.offset_U1)
    enough = int(np.median(length_U[length_U > 0])) - MIN_TRAINING_ITEMS
    return LastEvents(min(10, max(1, enough // 2)))


def _last_tenth(train: Dataset) -> TimeWindow:
    first_s, last_s = float(train.time_s_E.min()), float(train.time_s_E.max())
    return TimeWindow(float(np.ceil(last_s - VALIDATION_SHARE * (last_s - first_s))))


def _parse_time(split: str, text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            "split", f"{split!r}: {text!r} is no time; write 2011-11-01 or 2011-11-01T12:00:00Z"
        ) from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _time_text(time_s: float) -> str:
    """The shortest text that gives the time back, to the microsecond."""
    time = datetime.fromtimestamp(time_s, UTC)
    midnight = (time.hour, time.minute, time.second, time.microsecond) == (0, 0, 0, 0)
    return time.date().isoformat() if midnight else time.replace(tzinfo=None).isoformat() + "Z"
