"""``unbraid demo``: the whole main job on real data, from events to recommendations over gRPC."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from unbraid_cli.console import console, error_console

if TYPE_CHECKING:
    from unbraid_core.release import ReleaseStore
    from unbraid_training.checkpoint import Checkpoint
    from unbraid_training.data.dataset import Dataset

__all__ = ["demo"]

RECENT_EVENT_COUNT = 10
READY = "listening on "


def demo(
    data: Annotated[
        Path | None, typer.Option("--data", help="Your own folder of events and items instead of MovieLens-100K.")
    ] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Use generated data with planted interests; needs no network.")
    ] = False,
    work: Annotated[Path, typer.Option(help="Where everything is kept; what is there is reused.")] = Path(".demo"),
    user: Annotated[str | None, typer.Option("--user", help="For whom to recommend.")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Keep the server up until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Port of the server with --serve.")] = 50051,
) -> None:
    """Train, evaluate, export, index, activate, serve and recommend, with MovieLens-100K.

    Each step says which command does it alone. A run that was interrupted goes on where it was; a second run reuses
    what the first one made.
    """
    from unbraid_core.release import ReleaseStore

    source, folder = _source(data, synthetic, work)
    dataset = _read(source)
    checkpoint = _train(dataset, source, folder)
    store = ReleaseStore(folder / "releases")
    release_id = _release(checkpoint, folder, store)
    _evaluate(release_id, source, store)
    _activate(release_id, store)
    state = folder / "state.db"
    _import_events(source, state)
    chosen = _choose_user(dataset, user)
    with _server(store.root, state, port if serve else 0) as (process, address):
        _recommend(dataset, chosen, address)
        if serve:
            _print_next(dataset, chosen, address)
            process.wait()


def _step(title: str, command: str) -> None:
    console.print()
    console.rule(f"[bold]{title}", align="left", style="dim")
    console.print(f"$ unbraid {command}", style="cyan", markup=False, soft_wrap=True)


def _source(data: Path | None, synthetic: bool, work: Path) -> tuple[Path, Path]:
    """The data folder, and the folder for all that is made of it."""
    from unbraid_core.errors import InvalidInput
    from unbraid_training.data.folder import write_dataset
    from unbraid_training.data.movielens import default_cache, fetch_movielens
    from unbraid_training.data.synthetic import SyntheticSpec, plant

    if data is not None and synthetic:
        raise InvalidInput("--synthetic", "cannot go with --data; give one of them")
    if data is not None:
        return data, work / data.absolute().name
    if synthetic:
        folder = work / "synthetic"
        write_dataset(plant(SyntheticSpec()).dataset, folder / "data")
        return folder / "data", folder
    with error_console.status("fetching MovieLens-100K (GroupLens, for research; it is not part of unbraid)"):
        return fetch_movielens(default_cache()), work / "movielens-100k"


def _read(source: Path) -> Dataset:
    from unbraid_training.data.sources import open_dataset

    _step("Data", f"data check {source}")
    dataset, report = open_dataset(source)
    for line in report.lines():
        console.print(line, markup=False, soft_wrap=True)
    return dataset


def _train(dataset: Dataset, source: Path, folder: Path) -> Checkpoint:
    import torch

    from unbraid_cli.train import TrainingDisplay, print_half_lives
    from unbraid_training.config import TrainConfig
    from unbraid_training.data.splits import widest_last_events
    from unbraid_training.train import train

    split = widest_last_events(dataset)
    run = folder / "run"
    _step("Training", f"train --data {source} --split {split} --out {run}")
    torch.set_num_threads(1)
    with TrainingDisplay() as display:
        checkpoint = train(dataset, split, TrainConfig(), run, display)
    print_half_lives(checkpoint)
    return checkpoint


def _release(checkpoint: Checkpoint, folder: Path, store: ReleaseStore) -> str:
    """The release of a checkpoint: one that is there already, or a new one by way of an export."""
    from unbraid_cli.export import export
    from unbraid_cli.index import build

    run = folder / "run"
    _step("Export to ONNX, compared with PyTorch", f"export {run}")
    found = _find_release(store, checkpoint.space_id)
    if found is not None:
        console.print(f"release {found} has this model already", markup=False)
        return found
    export(run, run / "export")
    _step("Index and release", f"index build {run / 'export'} --releases {store.root}")
    build(run / "export", store.root)
    made = _find_release(store, checkpoint.space_id)
    assert made is not None, "index build publishes a release"
    return made


def _find_release(store: ReleaseStore, space_id: str) -> str | None:
    usable = [summary.release_id for summary in store.list() if summary.problem is None]
    return next((release_id for release_id in usable if store.manifest(release_id).space_id == space_id), None)


def _evaluate(release_id: str, source: Path, store: ReleaseStore) -> None:
    from unbraid_cli.evaluate import evaluate

    _step("Evaluation of the serving pipeline", f"evaluate {release_id} --data {source} --releases {store.root}")
    evaluate(source, release_id, store.root)


def _activate(release_id: str, store: ReleaseStore) -> None:
    from unbraid_cli.release import activate

    _step("Activation, after a trial in a process of its own", f"release activate {release_id} --releases {store.root}")
    if store.current_id() == release_id:
        console.print(f"active release: {release_id}", markup=False)
    else:
        activate(release_id, store.root)


def _import_events(source: Path, state: Path) -> None:
    from unbraid_cli.state import import_events

    _step("Histories of users, which no release holds", f"state import {source} --state {state}")
    import_events(source, state)


def _choose_user(dataset: Dataset, user_id: str | None) -> int:
    """The given user, or one whose history is of a good length to look at."""
    from unbraid_core.errors import NotFound

    if user_id is None:
        lengths = [len(dataset.history(user)) for user in range(len(dataset.user_ids))]
        return min(range(len(lengths)), key=lambda user: abs(lengths[user] - 60))
    if user_id not in dataset.user_ids:
        raise NotFound(f"--user {user_id}: no such user in the data; there are {dataset.user_ids[0]} and others")
    return list(dataset.user_ids).index(user_id)


@contextmanager
def _server(releases: Path, state: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process on loopback and its address, once it is ready."""
    options = ["serve", "--releases", str(releases), "--state", str(state), "--port", str(port)]
    _step("Server", " ".join(options))
    command = [sys.executable, "-m", "unbraid_cli.tethered", *options]
    quiet = {**os.environ, "UNBRAID_LOG_LEVEL": "warning"}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        try:
            assert process.stdout is not None, "a pipe was asked for"
            ready = process.stdout.readline().strip()
            if not ready.startswith(READY):
                raise typer.Exit(process.wait())
            console.print(ready, markup=False, soft_wrap=True)
            yield process, ready.removeprefix(READY).partition(",")[0]
        finally:
            process.terminate()
            process.wait()
    error_console.print("server stopped", style="dim")


def _recommend(dataset: Dataset, user: int, address: str) -> None:
    from unbraid_cli.answers import print_recommendations
    from unbraid_client import UnbraidClient

    user_id, history = dataset.user_ids[user], dataset.history(user)
    as_of = datetime.fromtimestamp(float(history.time_s_N[-1]), UTC)
    _step("Recommendations", _recommend_command(user_id, as_of, address))
    with UnbraidClient(address) as client:
        result = client.recommend(user_id=user_id, limit=10, as_of=as_of)
    recent = Table(f"latest of {len(history)} events of user {user_id}", box=None, pad_edge=False, header_style="dim")
    for row in history.row_N[::-1][:RECENT_EVENT_COUNT]:
        recent.add_row(dataset.catalogue.titles(row.reshape(1))[0])
    console.print(recent)
    console.print()
    print_recommendations(result, console)


def _recommend_command(user_id: str, as_of: datetime, address: str) -> str:
    return f"recommend --user {user_id} --as-of {as_of:%Y-%m-%dT%H:%M:%SZ} --server {address}"


def _print_next(dataset: Dataset, user: int, address: str) -> None:
    user_id = dataset.user_ids[user]
    as_of = datetime.fromtimestamp(float(dataset.history(user).time_s_N[-1]), UTC)
    console.print()
    console.print(f"The server stays up at {address} until Ctrl-C. In another terminal, try:", markup=False)
    for command in (
        _recommend_command(user_id, as_of, address),
        f"interests --user {user_id} --as-of {as_of:%Y-%m-%dT%H:%M:%SZ} --server {address}",
        f"status --server {address}",
    ):
        console.print(f"  .venv/bin/unbraid {command}", style="cyan", markup=False, soft_wrap=True)
