"""How connections to the endpoints of an upstream are made and kept: `Upstream.transport`."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway_core.config import UpstreamConfig, UpstreamTlsConfig
from gateway_core.config.regular_files import read_regular


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How an https endpoint is verified, and what it is shown."""

    ca: str = ""
    """PEM file of the authorities to trust; empty is the system's."""
    server_name: str = ""
    """Name to ask for and to verify; empty is the endpoint's host."""
    cert: str = ""
    """PEM file of the client certificate to show; empty shows none."""
    key: str = ""
    verify: bool = True
    digest: str = ""
    """Tells files that were replaced from those before: settings are equal only if the files are (`with_digest`)."""

    @classmethod
    def of(cls, config: UpstreamTlsConfig) -> TlsSettings:
        """Return what is configured; the digest is still to be taken (`with_digest`)."""
        return cls(config.ca, config.server_name, config.cert, config.key, config.verify)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read for it."""
        return tuple(name for name in (self.ca, self.cert, self.key) if name)


def tls_files(upstreams: Iterable[UpstreamConfig]) -> list[str]:
    """Return every file that is read for connections to upstreams."""
    return [file for config in upstreams for file in TlsSettings.of(config.tls).files]


def with_digest(settings: TlsSettings) -> TlsSettings:
    """Return the settings with what their files hold now. Blocks.

    :raises OSError: for files that cannot be read.
    """
    digest = hashlib.sha256()
    for name in settings.files:
        digest.update(hashlib.sha256(read_regular(name)).digest())
    return replace(settings, digest=digest.hexdigest() if settings.files else "")


def unusable(settings: TlsSettings, error: Exception) -> str:
    """Say that the files cannot be used."""
    return f"{', '.join(settings.files)}: cannot be used: {error}"


def make_tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context for connections to https endpoints; they are verified unless the settings say otherwise.

    :raises OSError: for files that cannot be read.
    :raises ssl.SSLError: for files that hold no certificate or key.
    """
    for name in settings.files:
        read_regular(name)  # OpenSSL would wait for the writer of a pipe
    context = ssl.create_default_context(cafile=settings.ca or None)
    context.set_alpn_protocols(["http/1.1"])
    if settings.cert:
        context.load_cert_chain(settings.cert, settings.key or None)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Connections of one upstream. Times are seconds, 0 is no limit."""

    connect_timeout: float = 2.0
    max_idle: int = 256
    """Idle connections to keep for each endpoint."""
    idle_timeout: float = 30.0
    max_requests: int = 0
    """Requests over one connection."""
    tls: TlsSettings = TlsSettings()

    @classmethod
    def of(cls, config: UpstreamConfig, tls: TlsSettings | None = None) -> TransportSettings:
        """Return what the connections to an upstream's endpoints depend on.

        :param tls: with the digest of its files, if there are any.
        """
        return cls(
            connect_timeout=config.timeouts.connect,
            max_idle=config.keepalive.max_idle,
            idle_timeout=config.keepalive.idle_timeout,
            max_requests=config.keepalive.max_requests,
            tls=TlsSettings.of(config.tls) if tls is None else tls,
        )
