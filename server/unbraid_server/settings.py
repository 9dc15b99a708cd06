"""Settings of the server: flags, then environment variables UNBRAID_*, then defaults."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from unbraid_core.errors import InvalidInput
from unbraid_server.device import Device

__all__ = ["ServerSettings"]

ENV_PREFIX = "UNBRAID_"
CATALOGUE_FILE = "catalogue.sqlite"


class ServerSettings(BaseSettings):
    """Everything that can be set when a server starts.

    Attributes:
        releases: folder of releases; the active one is served.
        public_key: PEM file with an ed25519 key; releases that are not signed with its other half are refused.
        state: SQLite file with the histories; it is created where it does not exist.
        catalogue: SQLite file with the changes of the catalogue; it is created where it does not exist. None stands for
            catalogue.sqlite in the folder of releases, whose manifests count these changes.
        host: address to listen on. Anything but loopback needs ``insecure``.
        port: 0 takes any free port.
        device: where the encoder runs.
        batch_limit: questions that are answered together when several come at once.
        queue_limit: questions that may wait; more are refused with RESOURCE_EXHAUSTED, and told when to come back.
        interest_cache_mb: memory for interests of histories that come again, in millions of bytes; 0 for none.
        max_concurrent_calls: calls of any kind in progress, one thread each; more are refused by gRPC itself.
        grace_s: seconds that calls in progress get to finish when the server stops.
        insecure: listen on an address that others can reach, without TLS and authentication.
        metrics_port: port on ``host`` where Prometheus reads metrics over HTTP; None for none, 0 for any free one.
        recall_sample_share: of the questions whose search is compared with an exact one, in the background.
        log_level: debug logs every call.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="forbid")

    releases: Path = Path("releases")
    public_key: Path | None = None
    state: Path = Path("state.db")
    catalogue: Path | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 50051
    device: Device = Device.AUTO
    batch_limit: Annotated[int, Field(ge=1, le=1024)] = 32
    queue_limit: Annotated[int, Field(ge=1)] = 128
    interest_cache_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 64
    max_concurrent_calls: Annotated[int, Field(ge=1, le=4096)] = 192
    grace_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    insecure: bool = False
    metrics_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    recall_sample_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Settings from the flags that were given (not None), the environment, and the defaults.

        Raises:
            InvalidInput: a value is wrong, or others could reach the server and ``insecure`` was not said.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            settings = cls(**given)
        except ValidationError as error:
            raise _refusal(error, given) from None
        if not settings.insecure and not settings.is_local:
            raise InvalidInput(
                "host",
                f"{settings.host} can be reached by others, and calls are neither encrypted nor authenticated; "
                "use 127.0.0.1, or say --insecure to allow it",
            )
        return settings

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


def _refusal(error: ValidationError, given: dict[str, Any]) -> InvalidInput:
    """The first thing that is wrong, under the name by which it was set."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    source = name if name in given else f"{ENV_PREFIX}{name.upper()}"
    return InvalidInput(source, f"{first['input']!r}: {first['msg']}")
