"""Settings of the server: flags, then environment variables UNBRAID_*, then a TOML file, then defaults."""

from __future__ import annotations

import ipaddress
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from unbraid_core.errors import InvalidInput
from unbraid_server.cores import usable_cores
from unbraid_server.device import Device
from unbraid_server.device_options import DeviceOptions, Retrieval
from unbraid_server.logs import LogFormat
from unbraid_server.setting_sources import Gathered, environment, flags, gather, toml_file

__all__ = ["VARIABLES_OF_OTHERS", "ServerSettings"]

ENV_PREFIX = "UNBRAID_"
CONFIG_VARIABLE = "UNBRAID_CONFIG"
# How commands that call a server reach it, and who they are to it.
CLIENT_VARIABLES = (
    "UNBRAID_SERVER",
    "UNBRAID_CA",
    "UNBRAID_CLIENT_CERTIFICATE",
    "UNBRAID_CLIENT_KEY",
    "UNBRAID_TLS_NAME",
    "UNBRAID_TOKEN",
    "UNBRAID_TOKEN_FILE",
)
# Variables of the command line that are no settings of a server.
VARIABLES_OF_OTHERS = frozenset({CONFIG_VARIABLE, *CLIENT_VARIABLES})
CATALOGUE_FILE = "catalogue.sqlite"
# A setting, and another without which it is of no use.
NEEDS = (
    ("tls_certificate", "tls_key"),
    ("tls_key", "tls_certificate"),
    ("tls_client_ca", "tls_certificate"),
    ("jwt_key", "jwt_audience"),
    ("jwt_key", "jwt_issuer"),
    ("jwt_audience", "jwt_key"),
    ("jwt_issuer", "jwt_key"),
)


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
    """Address to listen on; anything but loopback needs TLS and authentication, or insecure."""

    port: Annotated[int, Field(ge=0, le=65535)] = 50051
    """Port to listen on; 0 takes any free one."""

    workers: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that answer calls on the port; auto takes as many as there are cores to use."""

    pin_workers: bool | Literal["auto"] = "auto"
    """Whether each worker answers on a core of its own, which takes less processor time; auto does so where there are
    several, as many as cores."""

    device: Device = Device.AUTO
    """Where the encoder runs: auto, cuda or cpu."""

    retrieval: Retrieval = Retrieval.AUTO
    """What searches for items: index, or device for an exact comparison where the encoder runs; auto takes the device
    if it is a GPU with room for the item vectors."""

    gpu_id: Annotated[int, Field(ge=0)] = 0
    """Which GPU, as CUDA counts them."""

    gpu_memory_mb: Annotated[int | None, Field(ge=512, le=1_000_000)] = None
    """GPU memory that ONNX Runtime may keep for each of its sessions, in units of 2**20 bytes. Not set: no limit."""

    cuda_graphs: bool = False
    """Record the kernels of the encoder for each shape, and replay them; not together with tensorrt_cache."""

    tensorrt_cache: Path | None = None
    """Folder for engines of TensorRT; where it is set, the encoder runs under TensorRT on the GPU."""

    batch_limit: Annotated[int, Field(ge=1, le=1024)] = 32
    """Questions that are answered together when several come at once."""

    queue_limit: Annotated[int, Field(ge=1)] = 128
    """Questions that may wait; more are refused with RESOURCE_EXHAUSTED, and told when to come back."""

    degrade_after_ms: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    """Milliseconds of waiting after which a question gets a cheaper answer, from fewer candidates; the answer says so.
    Not set: all answers are full."""

    interest_cache_mb: Annotated[int, Field(ge=0, le=1_000_000)] = 64
    """Memory for the interests of histories that come again, in millions of bytes; 0 for none."""

    max_concurrent_calls: Annotated[int, Field(ge=1, le=4096)] = 176
    """Calls in progress, one thread each, with which further questions are refused before they are read; a little more
    than batch_limit and queue_limit make up."""

    max_streams: Annotated[int, Field(ge=1, le=4096)] = 32
    """Of these, StreamRecommend calls; each takes a second thread, which reads it."""

    grace_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """Seconds that calls in progress get to finish when the server stops."""

    insecure: bool = False
    """Listen on an address that others can reach, without TLS or without authentication."""

    tls_certificate: Path | None = None
    """PEM file with the certificate of the server, then those up to its CA; followed when it is renewed."""

    tls_key: Path | None = None
    """PEM file with the private key of the certificate."""

    tls_client_ca: Path | None = None
    """PEM file with CAs, one of which every client must have a certificate of. Not set: clients need none."""

    access_file: Path | None = None
    """TOML file with hashes of bearer tokens and with client certificates, each with a role; it is followed."""

    jwt_key: Path | None = None
    """PEM file with a public key, or JSON Web Key Set: tokens signed with its other half are accepted; followed too."""

    jwt_audience: str | None = None
    """What a signed token must be meant for, its claim aud."""

    jwt_issuer: str | None = None
    """Who must have made a signed token, its claim iss."""

    jwt_role_claim: str = "unbraid_role"
    """The claim of a signed token with the role: read, write or admin."""

    audit_log: Path | None = None
    """File that gets a JSON line for every change and every attempt at one. Not set: the log of the server gets it."""

    metrics_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Port where Prometheus reads metrics over plain HTTP; 0 takes any free one. Not set: there are none."""

    metrics_host: str = "127.0.0.1"
    """Address of the metrics; whoever reaches it may read them."""

    recall_sample_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the questions whose search is compared with an exact one, in the background."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged; debug logs every call."""

    log_format: LogFormat = LogFormat.AUTO
    """How lines on stderr look: json, console, or auto, which is console on a terminal and else json."""

    otlp_endpoint: Annotated[str | None, Field(pattern=r"^https?://[^/]+$")] = None
    """Where traces go: http:// or https:// address of an OpenTelemetry collector (OTLP over gRPC). It needs
    unbraid[otel]. Not set: there are none."""

    trace_sample_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of the calls that are traced, where callers do not decide it themselves (W3C traceparent)."""

    slow_call_ms: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 250.0
    """Calls that take longer are logged with where the time went, at most ten a second."""

    @classmethod
    def load(cls, config: Path | None = None, **given: Any) -> Self:
        """Settings from flags, the environment, a file and the defaults.

        Args:
            config: TOML file; without one UNBRAID_CONFIG names it, or there is none.
            **given: flags by the names of the settings; None for what was not said.

        Raises:
            NotFound: there is no such file.
            InvalidInput: a value is wrong or lacks another, a name is no setting, or others could reach the server, it
                lacks TLS or authentication, and ``insecure`` was not said.
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
        for name, needed in NEEDS:
            if getattr(self, name) is not None and getattr(self, needed) is None:
                yield InvalidInput(name, f"is of no use without {needed}; set both, or neither")
        missing = [] if self.is_encrypted else ["TLS (tls_certificate and tls_key)"]
        missing += [] if self.is_authenticated else ["authentication (access_file or jwt_key)"]
        if missing and not self.is_local and not self.insecure:
            yield InvalidInput(
                "host",
                f"{self.host} can be reached by others, and there is no {' and no '.join(missing)}; set that, use "
                "127.0.0.1, or say --insecure to allow it",
            )
        if self.cuda_graphs and self.tensorrt_cache is not None:
            yield InvalidInput("cuda_graphs", "cannot be had together with tensorrt_cache; leave one of them out")
        if self.port and self.port == self.metrics_port:
            yield InvalidInput("metrics_port", f"{self.port} is the port of the server; choose another one")

    @property
    def worker_count(self) -> int:
        """Processes that answer calls."""
        return usable_cores() if self.workers == "auto" else self.workers

    @property
    def patience_s(self) -> float:
        """Seconds that a question may wait and still get a full answer."""
        return math.inf if self.degrade_after_ms is None else self.degrade_after_ms / 1e3

    @property
    def keeps_to_cores(self) -> bool:
        """Whether each worker answers on a core of its own."""
        if self.pin_workers == "auto":
            return 1 < self.worker_count == len(os.sched_getaffinity(0))
        return self.pin_workers

    @property
    def catalogue_file(self) -> Path:
        """Where the changes of the catalogue are."""
        return self.releases / CATALOGUE_FILE if self.catalogue is None else self.catalogue

    @property
    def device_options(self) -> DeviceOptions:
        """How to use a GPU, and what searches."""
        return DeviceOptions(self.gpu_id, self.gpu_memory_mb, self.cuda_graphs, self.tensorrt_cache, self.retrieval)

    @property
    def is_local(self) -> bool:
        """Whether only processes of this machine can reach the server."""
        return _is_loopback(self.host)

    @property
    def is_encrypted(self) -> bool:
        """Whether connections use TLS."""
        return self.tls_certificate is not None

    @property
    def is_authenticated(self) -> bool:
        """Whether callers have to say who they are, and have a role."""
        return self.access_file is not None or self.jwt_key is not None

    @property
    def address(self) -> str:
        """Host and port as gRPC wants them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
