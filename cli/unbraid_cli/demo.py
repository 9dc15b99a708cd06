"""``unbraid demo``: the whole main job on real data, from events to recommendations over gRPC."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unbraid_cli.console import console, error_console

if TYPE_CHECKING:
    from unbraid_core.release import ReleaseStore
    from unbraid_training.checkpoint import Checkpoint
    from unbraid_training.data.dataset import Dataset

__all__ = ["demo"]

READY = "listening on "
LONG_S = 1.0


def demo(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Your own folder of events and items instead of MovieLens-100K."),
    ] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Use generated data with planted interests; needs no network.")
    ] = False,
    work: Annotated[Path, typer.Option(help="Where everything is kept; what is there is reused.")] = Path(".demo"),
    user: Annotated[
        str | None, typer.Option("--user", help="For whom to recommend; by default somebody with many interests.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Keep the server up until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Port of the server with --serve.")] = 50051,
) -> None:
    """Train, export, index, evaluate, activate, serve and recommend, with MovieLens-100K.

    Each step says which command does it alone. A run that was interrupted goes on where it was; a second run reuses
    what the first one made.
    """
    from unbraid_cli.showcase import check_user, choose, print_what_to_ask, print_what_to_try, show
    from unbraid_client import UnbraidClient
    from unbraid_core.release import ReleaseStore

    start_s = time.monotonic()
    home = _home(data, synthetic, work)
    _print_head(home, data, synthetic)
    source = _provide(data, synthetic, home)
    dataset = _read(source)
    check_user(dataset, user)
    checkpoint = _train(dataset, source, home)
    store = ReleaseStore(home / "releases")
    release_id = _release(checkpoint, home, store)
    _evaluate(release_id, source, store)
    _activate(release_id, store)
    state = home / "state.db"
    _store_events(dataset, source, state)
    with _server(store.root, state, port if serve else 0) as (process, address):
        with UnbraidClient(address) as client:
            chosen = choose(client, dataset, user)
            with _step("Recommendations", *chosen.command("recommend", address)):
                show(client, chosen)
        console.print(f"\nAll steps took {time.monotonic() - start_s:.0f} s.")
        if serve:
            with suppress(KeyboardInterrupt):  # in a terminal it reaches the server too
                print_what_to_ask(chosen, address)
                raise typer.Exit(process.wait())
    if not serve:
        print_what_to_try()


@contextmanager
def _step(title: str, *command: str | Path) -> Iterator[None]:
    """A part of the output under a heading; it ends with the time that it took, if that could be felt."""
    start_s = time.monotonic()
    console.print()
    console.rule(f"[bold]{title}", align="left", style="dim")
    console.print(f"$ unbraid {shlex.join(map(str, command))}", style="cyan", markup=False, soft_wrap=True)
    yield
    took_s = time.monotonic() - start_s
    if took_s >= LONG_S:
        console.print(f"{took_s:.0f} s", style="dim", justify="right")


def _home(data: Path | None, synthetic: bool, work: Path) -> Path:
    """The folder for all that is made of the data."""
    from unbraid_core.errors import InvalidInput

    if data is not None and synthetic:
        raise InvalidInput("--synthetic", "cannot go with --data; give one of them")
    if data is not None:
        return work / data.resolve().name
    return work / ("synthetic" if synthetic else "movielens-100k")


def _print_head(home: Path, data: Path | None, synthetic: bool) -> None:
    if data is not None:
        duration = "a minute, or more with many events"
    else:
        duration = "less than a minute" if synthetic else "about 3 minutes on 2 cores"
    console.print("[bold]unbraid[/bold]: from events to recommendations over gRPC, one command after the other.")
    console.print(f"The first run takes {duration}, later ones a few seconds. It is all kept in {home}.", markup=False)


def _provide(data: Path | None, synthetic: bool, home: Path) -> Path:
    """The data folder, fetched or generated if need be."""
    from unbraid_training.data.folder import write_dataset
    from unbraid_training.data.movielens import default_cache, fetch_movielens
    from unbraid_training.data.synthetic import SyntheticSpec, plant

    if data is not None:
        return data
    if synthetic:
        write_dataset(plant(SyntheticSpec()).dataset, home / "data")
        return home / "data"
    with error_console.status("fetching MovieLens-100K (GroupLens, for research; it is not part of unbraid)"):
        return fetch_movielens(default_cache())


def _read(source: Path) -> Dataset:
    from unbraid_cli.data import print_data
    from unbraid_training.data.sources import open_dataset

    with _step("Data", "data", "check", source):
        dataset, report = open_dataset(source)
        print_data(dataset, report)
    return dataset


def _train(dataset: Dataset, source: Path, home: Path) -> Checkpoint:
    import torch

    from unbraid_cli.train import TrainingDisplay, print_half_lives
    from unbraid_training.config import TrainConfig
    from unbraid_training.data.splits import widest_last_events
    from unbraid_training.train import train

    split = widest_last_events(dataset)
    run = home / "run"
    with _step("Training", "train", "--data", source, "--split", str(split), "--out", run):
        torch.set_num_threads(1)
        with TrainingDisplay() as display:
            checkpoint = train(dataset, split, TrainConfig(), run, display)
        print_half_lives(checkpoint)
    return checkpoint


def _release(checkpoint: Checkpoint, home: Path, store: ReleaseStore) -> str:
    """The release of a checkpoint: one that is there already, or a new one by way of an export."""
    from unbraid_cli.export import export_and_compare
    from unbraid_cli.index import build_and_measure

    run, export = home / "run", home / "run" / "export"
    found = _find_release(store, checkpoint.space_id)
    with _step("Export to ONNX, compared with PyTorch", "export", run):
        if found is not None:
            console.print(f"release {found} holds this model already", markup=False)
            return found
        export_and_compare(checkpoint, export)
    with _step("Index and release", "index", "build", export, "--releases", store.root):
        return build_and_measure(export, store)


def _find_release(store: ReleaseStore, space_id: str) -> str | None:
    usable = [summary.release_id for summary in store.list() if summary.problem is None]
    return next((release_id for release_id in usable if store.manifest(release_id).space_id == space_id), None)


def _evaluate(release_id: str, source: Path, store: ReleaseStore) -> None:
    from unbraid_cli.evaluate import evaluate

    command = "evaluate", release_id, "--data", source, "--releases", store.root
    with _step("Evaluation of what is served, on held-out events", *command):
        evaluate(source, release_id, store.root)


def _activate(release_id: str, store: ReleaseStore) -> None:
    from unbraid_cli.release import activate_in_folder

    command = "release", "activate", release_id, "--releases", store.root
    with _step("Activation, after a trial in a process of its own", *command):
        if store.current_id() == release_id:
            console.print(f"active release: {release_id}", markup=False)
        else:
            activate_in_folder(release_id, store.root)


def _store_events(dataset: Dataset, source: Path, state: Path) -> None:
    from unbraid_cli.state import store_events

    with _step("Histories of users, which no release holds", "state", "import", source, "--state", state):
        store_events(dataset, state)


@contextmanager
def _server(releases: Path, state: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process on loopback and its address, once it is ready."""
    command = ["serve", "--releases", str(releases), "--state", str(state), "--port", str(port)]
    tethered = [sys.executable, "-m", "unbraid_cli.tethered", *command]
    # A supervisor of several workers would not be tethered.
    quiet = {**os.environ, "UNBRAID_LOG_LEVEL": "warning", "UNBRAID_WORKERS": "1"}
    with subprocess.Popen(tethered, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        try:
            with _step("Server", *command):
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
