"""The releases of a running server: what the commands about releases do where ``--server`` names one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import typer

from unbraid_cli.connection import connected
from unbraid_cli.console import console, facts_table, step_progress
from unbraid_cli.release_list import print_as_json, print_releases
from unbraid_client import Activation, RebuildNews, RebuildResult, ReleaseSummary, UnbraidClient
from unbraid_core.errors import Conflict, InvalidInput

__all__ = [
    "activate_on_server",
    "list_of_server",
    "print_activation",
    "rebuild_on_server",
    "refuse_options",
    "roll_back_server",
]

# Whoever watches a rebuild ends it with Ctrl-C; a server that is gone ends it, too.
REBUILD_TIMEOUT_S = 86_400.0


def refuse_options(context: typer.Context, understood: Collection[str]) -> None:
    """Say no to options about folders of this machine, which a server cannot follow.

    Args:
        context: of the command.
        understood: the parameters that count with a server, too.

    Raises:
        InvalidInput: the command line has another one.
    """
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and name not in {"server", *understood}:
            raise InvalidInput(
                parameter.opts[0], "is about files of this machine; leave it out, or --server, which has its own"
            )


def list_of_server(server: str, *, as_json: bool) -> None:
    """Print all releases of a server, and which one it answers from where that is not the active one."""
    with connected(server) as client:
        listing = _Listing(client)
        summaries = list(listing.summaries())
    if as_json:
        print_as_json(summaries)
        return
    print_releases(summaries)
    if not any(summary.active and summary.release_id == listing.answering_id for summary in summaries):
        console.print(f"{server} answers from {listing.answering_id}: see unbraid status", soft_wrap=True)


def activate_on_server(server: str, release_id: str) -> None:
    """Have a server answer from a release."""
    with connected(server) as client:
        _print_activation(client.activate_release(release_id))


def roll_back_server(server: str) -> None:
    """Have a server leave the release that is active now."""
    with connected(server) as client:
        active = next((each for each in _Listing(client).summaries() if each.active), None)
        if active is None:
            raise Conflict(f"{server}: no release is active, so there is none to go back from")
        _print_activation(client.rollback_release(active.release_id))


def rebuild_on_server(server: str, release_id: str | None, recall: float, *, activate: bool) -> None:
    """Have a server build an index anew, and show how far it is; the end of this process ends the rebuild."""
    with connected(server) as client, step_progress() as on_progress:
        rebuilding = client.rebuild_index(release_id, recall=recall, activate=activate, timeout_s=REBUILD_TIMEOUT_S)
        result = _watched(rebuilding, on_progress)
    _print_result(result, server, activate=activate)


def print_activation(now: str, before: str | None) -> None:
    """Which release is active, and which one was."""
    console.print(f"active release: {now} (before: {before or 'none'})", soft_wrap=True)


def _print_activation(activation: Activation) -> None:
    print_activation(activation.release_id, activation.previous_release_id)


def _watched(rebuilding: Iterable[RebuildNews], on_progress: Callable[[str, int, int], None]) -> RebuildResult:
    for news in rebuilding:
        if isinstance(news, RebuildResult):
            return news
        on_progress(news.step, news.done_count, news.total_count)
    raise AssertionError("a rebuild ends with its result, or with an error")


def _print_result(result: RebuildResult, server: str, *, activate: bool) -> None:
    console.print(facts_table({"release": result.release_id, "parent": result.parent}))
    if result.active:
        console.print(f"{server} answers from it", markup=False, soft_wrap=True)
    elif activate:
        console.print(f"{server} answers from another release by now: see unbraid status", soft_wrap=True)
    else:
        following = f"next: unbraid release activate {result.release_id} --server {server}"
        console.print(following, markup=False, soft_wrap=True)


class _Listing:
    """All pages of the releases of a server."""

    def __init__(self, client: UnbraidClient) -> None:
        self._client = client
        self.answering_id = ""

    def summaries(self) -> Iterator[ReleaseSummary]:
        """Newest first."""
        page_token = ""
        while True:
            page = self._client.list_releases(page_token=page_token)
            self.answering_id = page.release_id
            yield from page.releases
            page_token = page.next_page_token
            if not page_token:
                return
