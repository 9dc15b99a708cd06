"""What would keep a server with certain settings from starting, found out without starting one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import onnxruntime

from unbraid_core.errors import InvalidInput, NotFound, UnbraidError
from unbraid_server.device import choose_device
from unbraid_server.port import try_to_listen
from unbraid_server.security import security_obstacles
from unbraid_server.settings import ServerSettings
from unbraid_server.signing import trusted_releases

__all__ = ["start_obstacles"]


def start_obstacles(settings: ServerSettings, now_s: float) -> Iterator[UnbraidError]:
    """Every obstacle outside of the settings: files, ports and the device. Nothing is created.

    Args:
        settings: without contradictions.
        now_s: epoch seconds, for certificates that expire.
    """
    yield from _release_obstacles(settings)
    yield from _file_obstacles("state", settings.state)
    yield from _file_obstacles("catalogue", settings.catalogue_file)
    yield from _port_obstacles("port", settings.host, settings.port)
    if settings.metrics_port is not None:
        yield from _port_obstacles("metrics_port", settings.metrics_host, settings.metrics_port)
    yield from security_obstacles(settings, now_s)
    if settings.audit_log is not None:
        yield from _file_obstacles("audit_log", settings.audit_log)
    try:
        choose_device(settings.device, onnxruntime.get_available_providers(), settings.device_options)
    except UnbraidError as error:
        yield error


def _release_obstacles(settings: ServerSettings) -> Iterator[UnbraidError]:
    try:
        store = trusted_releases(settings)
        if store.current_id() is None:
            yield NotFound(f"releases: no release is active in {settings.releases}; see: unbraid release activate")
    except UnbraidError as error:
        yield error
    except OSError as error:
        yield InvalidInput(
            "releases" if settings.public_key is None else "public_key", f"{error.filename}: {error.strerror}"
        )


def _file_obstacles(name: str, path: Path) -> Iterator[UnbraidError]:
    """What speaks against a file that is created where its folder is there."""
    if path.exists():
        if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
            yield InvalidInput(name, f"{path} is no file that can be read and written; name another one")
    elif not os.access(path.parent, os.W_OK | os.X_OK):
        yield InvalidInput(name, f"{path} cannot be created, for {path.parent} is no folder that can be written")


def _port_obstacles(name: str, host: str, port: int) -> Iterator[UnbraidError]:
    try:
        try_to_listen(host, port)
    except OSError as error:
        yield InvalidInput(
            name, f"cannot listen on {host}:{port}: {error.strerror}; stop the other server, or choose another"
        )
