"""How connections to the endpoints of an upstream are made and kept: `Upstream.transport`."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, Final, Literal

from gateway_core.client_tls import make_client_context, tls_reason
from gateway_core.config import Http1Config, KeepaliveConfig, UpstreamConfig, UpstreamTlsConfig
from gateway_core.config.documents import read_regular
from gateway_core.config.suggestions import Fault


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """How https endpoints are verified, and what they are shown."""

    config: UpstreamTlsConfig = field(default_factory=UpstreamTlsConfig)
    digest: str = ""
    """Tells files that were replaced from those before: settings are equal only if the files are (`with_digest`)."""

    @property
    def server_name(self) -> str:
        """The name sent as SNI, and verified unless there are ``sans``; empty is the endpoint's host."""
        return self.config.server_name


def with_digest(settings: TlsSettings) -> TlsSettings:
    """Return the settings with what their files hold now. Blocks.

    :raises OSError: for files that cannot be read.
    """
    digest = hashlib.sha256()
    for name in settings.config.files:
        digest.update(hashlib.sha256(read_regular(name)).digest())
    return replace(settings, digest=digest.hexdigest() if settings.config.files else "")


def unusable(settings: TlsSettings, error: Exception) -> Fault:
    """Say why the files cannot be used, and what to do."""
    reason = tls_reason(error, settings.config.cert, settings.config.key)
    if not isinstance(error, ssl.SSLError):
        return Fault(reason)
    remedy = "give PEM files that belong together, the key without a password"
    return Fault(f"{', '.join(settings.config.files)} cannot be used: {reason}", remedy)


ALPN: Final[Mapping[str, list[str]]] = {"http1": ["http/1.1"], "http2": ["h2"], "auto": ["h2", "http/1.1"]}
"""What endpoints are offered, by ``protocol`` of the upstream."""


def make_tls_context(settings: TlsSettings, protocol: str = "http1") -> ssl.SSLContext:
    """Return the context for connections to https endpoints; certificates are verified unless the settings disable it.

    With ``sans`` the context itself looks for the names during every handshake, and whatever name is
    asked for.

    :raises OSError: for files that cannot be read.
    :raises ssl.SSLError: for files that hold no certificate or key.
    """
    for name in settings.config.files:
        read_regular(name)  # OpenSSL would wait for the writer of a pipe
    config = settings.config
    context = make_client_context(config.ca, config.cert, config.key, verify=config.verify)
    context.set_alpn_protocols(ALPN[protocol])
    if config.verify and config.sans:
        context.check_hostname = False
        context.sslobject_class = _verifier_of(config.sans)
    return context


def _verifier_of(names: Sequence[str]) -> type[ssl.SSLObject]:
    """Return a TLS connection that fails its handshake if the certificate has none of some names.

    OpenSSL can verify one name only, which Python takes from the name that is asked for. Event loops perform the
    handshake through this method, so that nothing is sent before the names were verified.
    """

    class NameVerifier(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if not has_name(self.getpeercert() or {}, names):
                text = f"the certificate has none of the names {', '.join(names)}"
                error = ssl.SSLCertVerificationError(text)
                error.verify_message = text
                raise error

    return NameVerifier


def has_name(certificate: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether a certificate has one of some names among its subject alternative names.

    Host names match as RFC 9525 section 6.3 has it: a ``*`` stands for the whole first label. URIs match to the letter.

    :param certificate: as `ssl.SSLObject.getpeercert` returns it.
    """
    found: Sequence[tuple[str, str]] = certificate.get("subjectAltName", ())
    return any(_is_same(kind, value, name) for name in names for kind, value in found)


def _is_same(kind: str, value: str, name: str) -> bool:
    if kind == "URI":
        return value == name
    if kind == "IP Address":
        try:
            return ip_address(value.strip()) == ip_address(name)
        except ValueError:
            return False
    if kind != "DNS" or "://" in name:
        return False
    value, name = value.lower().rstrip("."), name.lower().rstrip(".")
    if value.startswith("*."):
        label, dot, rest = name.partition(".")
        return bool(label and dot) and rest == value[2:] and "." in rest
    return value == name


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """What the connections to an upstream's endpoints depend on; endpoints with other settings have other pools."""

    connect_timeout: float = 2.0
    """Seconds; 0 is no limit."""
    keepalive: KeepaliveConfig = field(default_factory=KeepaliveConfig)
    http1: Http1Config = field(default_factory=Http1Config)
    send_proxy_protocol: Literal["v1", "v2"] | None = None
    protocol: Literal["http1", "http2", "auto"] = "http1"
    tls: TlsSettings = field(default_factory=TlsSettings)

    @property
    def may_refuse(self) -> bool:
        """Whether an endpoint may refuse a request that it has not acted upon, whatever the method (HTTP/2)."""
        return self.protocol != "http1"

    @classmethod
    def of(cls, config: UpstreamConfig, tls: TlsSettings | None = None) -> TransportSettings:
        """Return what is configured.

        :param tls: with the digest of its files, if there are any.
        """
        return cls(
            config.timeouts.connect,
            config.keepalive,
            config.http1,
            config.send_proxy_protocol,
            config.protocol,
            TlsSettings(config.tls) if tls is None else tls,
        )
