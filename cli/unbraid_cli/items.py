"""``unbraid items``: change and read the catalogue of a running server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from unbraid_cli.connection import connected
from unbraid_cli.console import console, progress, rows_table
from unbraid_cli.options import Json, Server
from unbraid_client import ClientError, InvalidRequest, Item, UnbraidClient
from unbraid_client.channel import DEFAULT_TARGET
from unbraid_core.counted import counted

__all__ = ["app"]

app = typer.Typer(help="Change and read the catalogue of a running server.", no_args_is_help=True)

ITEMS_PER_CALL = 200
PAGE_SIZE = 500

ItemIds = Annotated[list[str], typer.Argument(metavar="ITEM_ID...", help="Ids of items.")]
Vectors = Annotated[bool, typer.Option("--vectors", help="Print their vectors too; with --json only.")]


@app.command()
def upsert(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="Items as .csv, .csv.gz, .parquet or .jsonl (one object a line).")
    ],
    space_id: Annotated[
        str | None, typer.Option(help="The vector space of the vectors in the file, as status shows it.")
    ] = None,
    server: Server = DEFAULT_TARGET,
) -> None:
    """Add the items of a file to the catalogue, or put them in place of what they were."""
    from unbraid_cli.item_file import read_item_file
    from unbraid_core.errors import UnbraidError

    items = read_item_file(source)
    sent_count = added_count = 0
    try:
        with connected(server) as client, progress() as display:
            task = display.add_task("sending items", total=len(items))
            remaining = iter(items.items())
            while batch := dict(islice(remaining, ITEMS_PER_CALL)):
                added_count += _upsert(client, batch, space_id or "")
                sent_count += len(batch)
                display.advance(task, len(batch))
    except (ClientError, UnbraidError) as error:
        if not sent_count:
            raise
        done = (
            f"the first {sent_count:,} of {counted(len(items), 'item')} are stored; sending the file again does no harm"
        )
        raise UnbraidError(f"{error} ({done})") from None
    console.print(f"{counted(len(items), 'item')}: {added_count:,} new, {len(items) - added_count:,} changed")


def _upsert(client: UnbraidClient, batch: Mapping[str, Item], space_id: str) -> int:
    """Send items, which are named by where they stand, and return how many of them are new."""
    from unbraid_core.errors import InvalidInput

    try:
        return client.upsert_items(batch.values(), space_id=space_id).added_count
    except (ValueError, InvalidRequest) as error:
        named = re.match(r"space_id: |items\[(\d+)\](?:\.|: )", str(error))
        if named is None:
            raise
        place = "--space-id" if named[1] is None else list(batch)[int(named[1])]
        raise InvalidInput(place, str(error)[named.end() :]) from None


@app.command()
def delete(item_ids: ItemIds, server: Server = DEFAULT_TARGET) -> None:
    """Take items out of the catalogue: they are recommended to nobody any more."""
    with connected(server) as client:
        deleted_count = client.delete_items(item_ids).deleted_count
    console.print(f"{deleted_count:,} of {counted(len(item_ids), 'item')} deleted")


@app.command()
def get(item_ids: ItemIds, vectors: Vectors = False, server: Server = DEFAULT_TARGET, as_json: Json = False) -> None:
    """Print items by their ids."""
    with connected(server) as client:
        result = client.get_items(item_ids, include_vectors=vectors)
    _print_items(iter(result.items), as_json=as_json)
    if result.missing_item_ids:
        console.print(f"not in the catalogue: {', '.join(result.missing_item_ids)}", markup=False, soft_wrap=True)
        raise typer.Exit(1)


@app.command("list")
def list_items(
    limit: Annotated[int, typer.Option(min=1, help="How many items.")] = 20,
    page_token: Annotated[str | None, typer.Option(help="Go on where an earlier listing ended.")] = None,
    vectors: Vectors = False,
    server: Server = DEFAULT_TARGET,
    as_json: Json = False,
) -> None:
    """Print the items of the catalogue in the order of their ids."""
    listing = _Listing(page_token or "")
    with connected(server) as client:
        _print_items(islice(listing.items(client, limit, vectors), limit), as_json=as_json)
    if listing.next_page_token and not as_json:
        more = f"{counted(listing.item_count, 'item')} in all; go on with: --page-token {listing.next_page_token}"
        console.print(more, style="dim", markup=False, soft_wrap=True)


class _Listing:
    """Pages of a catalogue, one after the other."""

    def __init__(self, page_token: str) -> None:
        self.next_page_token = page_token
        self.item_count = 0

    def items(self, client: UnbraidClient, limit: int, vectors: bool) -> Iterator[Item]:
        """At most ``limit`` items."""
        while limit > 0:
            page = client.list_items(
                page_size=min(limit, PAGE_SIZE), page_token=self.next_page_token, include_vectors=vectors
            )
            self.next_page_token, self.item_count = page.next_page_token, page.item_count
            limit -= len(page.items)
            yield from page.items
            if not page.next_page_token:
                return


def _print_items(items: Iterator[Item], *, as_json: bool) -> None:
    if as_json:
        from unbraid_cli.item_file import to_json_line

        for item in items:
            console.print(to_json_line(item), markup=False, soft_wrap=True)
        return
    rows = [(item.item_id, item.title, ", ".join(item.categories), _attributes(item)) for item in items]
    console.print(rows_table([("item", "title", "categories", "attributes"), *rows]))


def _attributes(item: Item) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(item.attributes.items()))
