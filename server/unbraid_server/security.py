"""What a server demands of its callers, and proves to them, as its settings say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import grpc
from structlog.typing import FilteringBoundLogger

from unbraid_core.errors import InvalidInput
from unbraid_server.access import Access
from unbraid_server.access_file import read_access_file
from unbraid_server.audit import Audit
from unbraid_server.audit_file import AuditFile
from unbraid_server.authentication import Authentication
from unbraid_server.certificates import Certificates, TlsFiles, check_certificate
from unbraid_server.followed_files import FollowedFiles
from unbraid_server.settings import ServerSettings
from unbraid_server.signed_tokens import read_key_file

__all__ = ["Security", "security_obstacles"]


class Security:
    """TLS, authentication and the audit log of one server.

    Args:
        settings: which of them there are.
        log: told about files that change; gets the audit lines where no file is set.
        now: epoch seconds.

    Raises:
        InvalidInput: a file that the settings name cannot be used.

    Attributes:
        interceptors: what every call passes inside the boundary of calls, outermost first.
    """

    def __init__(self, settings: ServerSettings, log: FilteringBoundLogger, now: Callable[[], float]) -> None:
        self._certificates: Certificates | None = None
        files = _tls_files(settings)
        if files is not None:
            self._certificates = Certificates(files, log, now)
        self._authentication = Authentication.of(settings, log, now)
        self._audit_file = None if settings.audit_log is None else AuditFile(settings.audit_log, log)
        write = self._audit_file.write if self._audit_file is not None else lambda line: log.info("audit", **line)
        self.interceptors: list[grpc.ServerInterceptor] = [Audit(write, now)]
        if self._authentication is not None:
            self.interceptors.append(Access(self._authentication))

    def listen(self, server: grpc.Server, address: str) -> int:
        """Give a server its port, with TLS where that is set, and return the number.

        Raises:
            RuntimeError: as gRPC, where the address cannot be had.
        """
        if self._certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, self._certificates.credentials())

    @property
    def is_authenticated(self) -> bool:
        """Whether callers have to say who they are."""
        return self._authentication is not None

    @property
    def certificate_expire_time(self) -> datetime | None:
        """When the certificate expires; None without TLS."""
        return None if self._certificates is None else self._certificates.files.current().expire_time

    @property
    def refused_files(self) -> list[str]:
        """What followed files hold that cannot be used as they are now."""
        followed: list[FollowedFiles[Any]] = [] if self._certificates is None else [self._certificates.files]
        followed += [] if self._authentication is None else self._authentication.files
        return [files.name for files in followed if files.is_refused()]

    def close(self) -> None:
        """Close the audit log, once no call is in progress."""
        if self._audit_file is not None:
            self._audit_file.close()


def security_obstacles(settings: ServerSettings, now_s: float) -> Iterator[InvalidInput]:
    """Why files that the settings name for TLS and authentication cannot be used."""
    checks: list[Callable[[], object]] = []
    files = _tls_files(settings)
    if files is not None:
        checks.append(partial(check_certificate, files, now_s))
    if settings.access_file is not None:
        checks.append(partial(read_access_file, settings.access_file))
    if settings.jwt_key is not None:
        checks.append(partial(read_key_file, settings.jwt_key))
    for check in checks:
        try:
            check()
        except InvalidInput as error:
            yield error


def _tls_files(settings: ServerSettings) -> TlsFiles | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return TlsFiles(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
