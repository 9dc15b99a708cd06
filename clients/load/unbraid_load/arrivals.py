"""When the calls of an open loop are due."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

__all__ = ["Step", "parse_steps", "poisson_times"]

HOW = "write calls a second, such as 200, or several with how long each lasts: 100:10s,200:10s,400:10s"


@dataclass(frozen=True, slots=True)
class Step:
    """Calls at one rate for some time.

    Attributes:
        rate: calls a second, above 0.
        seconds: how long, above 0.
    """

    rate: float
    seconds: float


def parse_steps(text: str, seconds: float) -> list[Step]:
    """The steps that a text stands for: ``200``, or ``100:10s,200:10s``.

    Args:
        text: of a user.
        seconds: how long a rate lasts that does not say so itself.

    Raises:
        ValueError: it stands for none.
    """
    steps = []
    for part in text.split(","):
        rate, _, length = part.strip().partition(":")
        try:
            step = Step(float(rate), float(length.removesuffix("s")) if length else seconds)
        except ValueError:
            raise ValueError(f"{part!r} is no rate; {HOW}") from None
        if not (0 < step.rate < float("inf") and 0 < step.seconds < float("inf")):
            raise ValueError(f"{part!r} has to be above 0; {HOW}")
        steps.append(step)
    return steps


def poisson_times(steps: Sequence[Step], share: float, rng: Random) -> Iterator[tuple[float, int]]:
    """When calls are due, in seconds since the start, and the number of the step that each belongs to.

    A Poisson process with the rate of each step times ``share``: several with shares that add up to 1 are together one
    with the whole rate. It forgets the past, so it may start anew where a step does.
    """
    began_s = 0.0
    for number, step in enumerate(steps):
        due_s = rng.expovariate(step.rate * share)
        while due_s < step.seconds:
            yield began_s + due_s, number
            due_s += rng.expovariate(step.rate * share)
        began_s += step.seconds
