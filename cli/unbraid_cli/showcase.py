"""What the demonstration shows of one user: what they did of late, their interests, and what is recommended to them."""

from __future__ import annotations

import math
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from unbraid_cli.answers import print_recent_events, print_recommendations
from unbraid_cli.console import console
from unbraid_client import Interest, UnbraidClient
from unbraid_core.counted import counted
from unbraid_core.errors import NotFound

if TYPE_CHECKING:
    from unbraid_training.data.dataset import Dataset

__all__ = ["Chosen", "check_user", "choose", "print_what_to_ask", "print_what_to_try", "show"]

CANDIDATE_COUNT = 20
PLEASANT_EVENT_COUNT = 60
SHOWN_EVENT_COUNT = 10
ALL_EVIDENCE = 50


@dataclass(frozen=True, slots=True)
class Chosen:
    """A user, and the moment of their last event: asked later, old data would have faded."""

    user_id: str
    event_count: int
    as_of: datetime

    @classmethod
    def of(cls, dataset: Dataset, user: int) -> Chosen:
        """The user at an index of the data set."""
        history = dataset.history(user)
        as_of = datetime.fromtimestamp(math.ceil(history.time_s_N[-1]), UTC)
        return cls(dataset.user_ids[user], len(history), as_of)

    def command(self, name: str, address: str) -> list[str]:
        """The command that asks the same of a server."""
        return [name, "--user", self.user_id, "--as-of", f"{self.as_of:%Y-%m-%dT%H:%M:%SZ}", "--server", address]


def check_user(dataset: Dataset, user_id: str | None) -> None:
    """Refuse an unknown user before any work is done for them.

    Raises:
        NotFound: nobody in the data has that id.
    """
    if user_id is not None and user_id not in dataset.user_ids:
        raise NotFound(f"--user {user_id}: no such user in the data; there are {dataset.user_ids[0]} and others")


def choose(client: UnbraidClient, dataset: Dataset, user_id: str | None) -> Chosen:
    """The given user; or of those with a history of pleasant length, the one with the most evenly alive interests."""
    if user_id is not None:
        return Chosen.of(dataset, list(dataset.user_ids).index(user_id))
    by_length = sorted(
        range(len(dataset.user_ids)), key=lambda user: abs(len(dataset.history(user)) - PLEASANT_EVENT_COUNT)
    )
    candidates = [Chosen.of(dataset, user) for user in by_length[:CANDIDATE_COUNT]]
    return max(candidates, key=lambda each: _entropy(_interests(client, each)))


def show(client: UnbraidClient, chosen: Chosen) -> None:
    """Print the latest items, the interests and the recommendations of a user."""
    console.print(f"user {chosen.user_id}, {counted(chosen.event_count, 'event')}", style="bold", markup=False)
    interests = client.get_interests(user_id=chosen.user_id, as_of=chosen.as_of, evidence_limit=ALL_EVIDENCE)
    print_recent_events(interests, SHOWN_EVENT_COUNT, console)
    console.print()
    print_recommendations(client.recommend(user_id=chosen.user_id, limit=10, as_of=chosen.as_of), console)


def print_what_to_ask(chosen: Chosen, address: str) -> None:
    """Print commands that ask a server which stays up."""
    console.print(f"The server stays up at {address} until Ctrl-C. In another terminal, try:", markup=False)
    _print_commands(
        chosen.command("recommend", address), chosen.command("interests", address), ["status", "--server", address]
    )


def print_what_to_try() -> None:
    """Print commands to go on with after the server has stopped."""
    console.print("Next, keep the server up to ask it yourself, or bring your own events and items:")
    _print_commands([*sys.argv[1:], "--serve"], ["demo", "--data", "DIR"])


def _print_commands(*commands: list[str]) -> None:
    """As they can be typed where this one was."""
    program = "unbraid" if shutil.which("unbraid") else sys.argv[0]
    for command in commands:
        console.print(f"  {program} {shlex.join(command)}", style="cyan", markup=False, soft_wrap=True)


def _interests(client: UnbraidClient, chosen: Chosen) -> Sequence[Interest]:
    return client.get_interests(user_id=chosen.user_id, as_of=chosen.as_of, evidence_limit=1).interests


def _entropy(interests: Sequence[Interest]) -> float:
    """Of the shares, in nats: high where several interests are alive."""
    return -sum(interest.share * math.log(interest.share) for interest in interests if interest.share > 0)
