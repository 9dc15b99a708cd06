"""``unbraid serve``: answer gRPC calls from the active release."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from unbraid_cli.console import console

if TYPE_CHECKING:
    from unbraid_server.settings import ServerSettings

__all__ = ["serve"]


def serve(
    config: Annotated[
        Path | None, typer.Option(help="Settings as TOML; options and environment variables come before it.")
    ] = None,
    releases: Annotated[Path | None, typer.Option(help="The folder of releases.", show_default="releases")] = None,
    state: Annotated[
        Path | None, typer.Option(help="The SQLite file with the histories of users.", show_default="state.db")
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(
            help="The SQLite file with the changes of the catalogue.",
            show_default="catalogue.sqlite in the folder of releases",
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; beyond loopback with TLS and authentication only.", show_default="127.0.0.1"
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="0 takes any free port.", show_default="50051")] = None,
    workers: Annotated[
        str | None,
        typer.Option(help="Processes that answer calls; auto takes one for each core to use.", show_default="1"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where the encoder runs: auto, cuda or cpu.", show_default="auto")
    ] = None,
    retrieval: Annotated[
        str | None,
        typer.Option(
            help="What searches for items: index, or device for an exact comparison where the encoder runs; auto takes "
            "a GPU with room for the item vectors.",
            show_default="auto",
        ),
    ] = None,
    gpu_id: Annotated[int | None, typer.Option(help="Which GPU, as CUDA counts them.", show_default="0")] = None,
    gpu_memory_mb: Annotated[
        int | None,
        typer.Option(help="GPU memory that each session of ONNX Runtime may keep, in MiB.", show_default="no limit"),
    ] = None,
    cuda_graphs: Annotated[
        bool | None,
        typer.Option("--cuda-graphs", help="Replay the encoder's kernels as recorded graphs.", show_default=False),
    ] = None,
    tensorrt_cache: Annotated[
        Path | None, typer.Option(help="Run the encoder under TensorRT, with its engines in this folder.")
    ] = None,
    batch_limit: Annotated[
        int | None,
        typer.Option(help="Questions that are answered together when several come at once.", show_default="32"),
    ] = None,
    queue_limit: Annotated[
        int | None, typer.Option(help="Questions that may wait; more are refused at once.", show_default="128")
    ] = None,
    degrade_after_ms: Annotated[
        float | None,
        typer.Option(help="Give questions that waited for longer cheaper answers, which say so.", show_default="never"),
    ] = None,
    grace_s: Annotated[
        float | None,
        typer.Option("--grace", help="Seconds that calls in progress get to finish after SIGTERM.", show_default="10"),
    ] = None,
    public_key: Annotated[Path | None, typer.Option(help="Refuse releases that are not signed with this key.")] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Port where Prometheus reads /metrics over HTTP; 0 takes any free one.", show_default="none"),
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option(
            "--insecure", help="Listen where others can reach it without TLS or authentication.", show_default=False
        ),
    ] = None,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="PEM file with the certificate of the server, then those up to its CA.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file with its private key.")] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option(help="PEM file with CAs, one of which every client must have a certificate of.")
    ] = None,
    access_file: Annotated[
        Path | None, typer.Option(help="Who may call, as unbraid token new writes it; without one, everybody.")
    ] = None,
) -> None:
    """Answer gRPC calls from the active release until SIGTERM or Ctrl-C.

    Settings come from options, then environment variables (--port is UNBRAID_PORT), then the file of --config or
    UNBRAID_CONFIG. `unbraid config show --defaults` prints such a file with all of them.
    """
    from unbraid_server.thread_caches import do_without_thread_caches

    do_without_thread_caches()
    from unbraid_server.run import run
    from unbraid_server.settings import ServerSettings

    settings = ServerSettings.load(
        config=config,
        releases=releases,
        public_key=public_key,
        state=state,
        catalogue=catalogue,
        host=host,
        port=port,
        workers=workers,
        device=device,
        retrieval=retrieval,
        gpu_id=gpu_id,
        gpu_memory_mb=gpu_memory_mb,
        cuda_graphs=cuda_graphs,
        tensorrt_cache=tensorrt_cache,
        batch_limit=batch_limit,
        queue_limit=queue_limit,
        degrade_after_ms=degrade_after_ms,
        grace_s=grace_s,
        metrics_port=metrics_port,
        insecure=insecure,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        access_file=access_file,
    )
    if settings.worker_count > 1:
        _become_supervisor(settings)
    else:
        run(settings, lambda ready: console.print(ready.line, markup=False, soft_wrap=True))


def _become_supervisor(settings: ServerSettings) -> NoReturn:
    # This process has loaded gRPC and more for the commands that it knows. What stays beside the workers is small, and
    # loads nothing from the working directory (-P), as this command does not.
    supervisor = [sys.executable, "-P", "-m", "unbraid_server.supervisor", settings.model_dump_json()]
    os.execv(sys.executable, supervisor)  # noqa: S606 - no shell is wanted, and the command is ours
