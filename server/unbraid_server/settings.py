"""Settings of the server: flags, then environment variables UNBRAID_*, then a TOML file, then defaults."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from unbraid_core.errors import InvalidInput
from unbraid_server.cores import usable_cores
from unbraid_server.device import Device
from unbraid_server.setting_sources import Gathered, environment, flags, gather, toml_file

__all__ = ["VARIABLES_OF_OTHERS", "ServerSettings"]

ENV_PREFIX = "UNBRAID_"
CONFIG_VARIABLE = "UNBRAID_CONFIG"
# Variables of the command line that are no settings of a server.
VARIABLES_OF_OTHERS = frozenset({CONFIG_VARIABLE, "UNBRAID_SERVER"})
CATALOGUE_FILE = "catalogue.sqlite"


class ServerSettings(BaseModel):
    """Everything that can be set when a server starts.

    The text below a setting is its documentation: ``unbraid config show --defaults`` prints it. What several settings
    must be together stands in ``contradictions``, since each source of settings is validated by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    releases: Path = Path("releases")
    """Folder of releases; the active one is served."""

    public_key: Path | None = None
    """PEM file with an ed25519 key; releases that are not signed with its other half are refused."""

    state: Path = Path("state.db")
    """SQLite file with the histories; it is created where it does not exist."""

    catalogue: Path | None = None
    """SQLite file with the changes of the catalogue; it is created where it does not exist. Not set: catalogue.sqlite
    in the folder of releases, whose manifests count these changes."""

    host: str = "127.0.0.1"
    """Address to listen on; anything but loopback needs insecure."""

    port: Annotated[int, Field(ge=0, le=65535)] = 50051
    """Port to listen on; 0 takes any free one."""

    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that answer calls on the port; auto takes as many as there are cores to use."""

    device: Device = Device.AUTO
    """Where the encoder runs: auto, cuda or cpu."""

    batch_limit: Annotated[int, Field(ge=1, le=1024)] = 32
    """Questions that are answered together when several come at once."""

    queue_limit: Annotated[int, Field(ge=1)] = 128
    """Questions that may wait; more are refused with RESOURCE_EXHAUSTED, and told when to come back."""

    interest_cache_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 64
    """Memory for the interests of histories that come again, in millions of bytes; 0 for none."""

    max_concurrent_calls: Annotated[int, Field(ge=1, le=4096)] = 192
    """Calls of any kind in progress, one thread each; more are refused by gRPC itself."""

    grace_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """Seconds that calls in progress get to finish when the server stops."""

    insecure: bool = False
    """Listen on an address that others can reach, without TLS and authentication."""

    metrics_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Port where Prometheus reads metrics over HTTP; 0 takes any free one. Not set: there are none."""

    recall_sample_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the questions whose search is compared with an exact one, in the background."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged; debug logs every call."""

    @classmethod
    def load(cls, config: Path | None = None, **given: Any) -> Self:
        """Settings from flags, the environment, a file and the defaults.

        Args:
            config: TOML file; without one UNBRAID_CONFIG names it, or there is none.
            **given: flags by the names of the settings; None for what was not said.

        Raises:
            NotFound: there is no such file.
            InvalidInput: a value is wrong, a name is no setting, or others could reach the server and ``insecure`` was
                not said.
        """
        gathered = cls.gather(config, **given)
        for problem in gathered.problems:
            raise problem
        return gathered.settings

    @classmethod
    def gather(cls, config: Path | None = None, **given: Any) -> Gathered[Self]:
        """The same with where each setting comes from, and with all problems instead of the first.

        Raises:
            NotFound, InvalidInput: there is no such file, or it is no TOML.
        """
        path = config or os.environ.get(CONFIG_VARIABLE)
        sources = [flags(given), environment(os.environ, ENV_PREFIX, VARIABLES_OF_OTHERS)]
        if path:
            sources.append(toml_file(Path(path)))
        gathered = gather(cls, sources)
        contradictions = () if gathered.problems else tuple(gathered.settings.contradictions())
        return Gathered(gathered.settings, gathered.origins, (*gathered.problems, *contradictions))

    def contradictions(self) -> Iterator[InvalidInput]:
        """Settings that cannot be together, though each of them could be."""
        if not self.insecure and not self.is_local:
            yield InvalidInput(
                "host",
                f"{self.host} can be reached by others, and calls are neither encrypted nor authenticated; "
                "use 127.0.0.1, or say --insecure to allow it",
            )
        if self.port and self.port == self.metrics_port:
            yield InvalidInput("metrics_port", f"{self.port} is the port of the server; choose another one")

    @property
    def worker_count(self) -> int:
        """Processes that answer calls."""
        return usable_cores() if self.workers == "auto" else self.workers

    @property
    def catalogue_file(self) -> Path:
        """Where the changes of the catalogue are."""
        return self.releases / CATALOGUE_FILE if self.catalogue is None else self.catalogue

    @property
    def is_local(self) -> bool:
        """Whether only processes of this machine can reach the server."""
        return _is_loopback(self.host)

    @property
    def address(self) -> str:
        """Host and port as gRPC wants them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
