"""Listeners: the sockets that the gateway accepts on."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from gateway_core.config.address import ListenAddress, check_host_pattern, parse_listen
from gateway_core.config.models.base import Section
from gateway_core.config.values import (
    HeaderName,
    InconsistentError,
    InvalidValueError,
    Name,
    PositiveCount,
    Switch,
    TrustedPeer,
)


def _check_address(value: str) -> str:
    parse_listen(value)
    return value


Address = Annotated[str, AfterValidator(_check_address)]
"""``host:port``, ``:port`` (every interface), ``[::1]:port`` or ``unix:/path``."""


def _check_ciphers(value: str) -> str:
    if value:
        openssl_ciphers(value)
    return value


def _version_text(value: Any) -> Any:
    # YAML reads 1.2 without quotes as a number.
    return str(value) if isinstance(value, float) else value


class CertificateConfig(Section):
    """A certificate and its key, both PEM files; or certificates that an extension provides, by its name."""

    cert: str = ""
    """File of the certificate chain, the server's own certificate first."""

    key: str = ""
    """File of the private key."""

    name: Name | None = None
    """Instead of files: name of a certificate source of an installed extension, such as an ACME client."""

    config: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    """Its configuration."""

    @model_validator(mode="after")
    def _check(self) -> CertificateConfig:
        if self.name is not None and (self.cert or self.key):
            raise InconsistentError(
                "has a name and files", remedy="give cert and key, or the name of an extension's certificates"
            )
        if self.name is None and not (self.cert and self.key):
            raise InconsistentError(
                "has no certificate", remedy="give cert and key, or the name of an extension's certificates"
            )
        if self.name is None and self.config:
            raise InconsistentError(
                "has a config without a name",
                remedy="give the name of an extension's certificates, or leave config out",
            )
        return self


class ListenTlsConfig(Section):
    """TLS on a listener."""

    cert: str = ""
    """File of the certificate chain for clients that send no server name, or one that no other certificate covers."""

    key: str = ""
    """File of the private key of ``cert``."""

    certificates: tuple[CertificateConfig, ...] = ()
    """Further certificates; the server name that a client sends (SNI) selects one. Two certificates for one name, with
    an RSA and an ECDSA key, are both used: each client gets the one that it supports."""

    client_ca: str = ""
    """File of the certificate authorities that sign client certificates."""

    client_auth: Literal["none", "optional", "required"] | None = None
    """Whether clients must present a certificate; by default ``required`` if ``client_ca`` is given.

    Sessions are resumed only where no client certificate is requested, so that each connection presents its own.
    """

    client_crl: str = ""
    """File of revocation lists (PEM), one for each authority of the chain. A client whose certificate is revoked is
    refused, and so is every client while a list is missing or expired."""

    min_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(_version_text)] = "1.2"
    """Lowest version of TLS that clients may use."""

    ciphers: Annotated[str, AfterValidator(_check_ciphers)] = ""
    """Ciphers of TLS 1.2, as `openssl ciphers` takes them; OpenSSL's choice if empty. Ciphers without encryption or
    authentication are never used, and those of TLS 1.3 are always on."""

    strict_sni: Switch = False
    """``true`` refuses clients that send no server name (SNI), or one that no certificate covers or, where listeners
    share an address, that is in no ``hosts``."""

    @model_validator(mode="after")
    def _check(self) -> ListenTlsConfig:
        if bool(self.cert) != bool(self.key):
            raise InconsistentError("cert and key belong together", remedy="give both")
        if not self.cert and not self.certificates:
            raise InconsistentError("has no certificate", remedy="give cert and key, or certificates")
        if self.client_auth in {"optional", "required"} and not self.client_ca:
            raise InconsistentError(
                f"client_auth is {self.client_auth}, but no client_ca says whom to trust", remedy="give client_ca"
            )
        if self.client_crl and self.verifies_clients == "none":
            raise InconsistentError(
                "client_crl is given, but no client certificate is asked for",
                remedy="give client_ca, or leave client_crl out",
            )
        return self

    @property
    def verifies_clients(self) -> Literal["none", "optional", "required"]:
        """``client_auth`` with its default filled in."""
        return self.client_auth or ("required" if self.client_ca else "none")


MOST_HOPS: Final = 64


class ClientAddressConfig(Section):
    """Where trusted proxies put the client's address, if not in X-Forwarded-For; give exactly one key.

    The peer's own address is used if the field is missing, repeated or not an address, or if the list is too short.
    """

    hops: Annotated[PositiveCount, Field(le=MOST_HOPS)] | None = None
    """The entry of X-Forwarded-For, counted from the right; 1 is what the peer itself saw."""

    header: HeaderName | None = None
    """The field that holds the address, and nothing else: ``cf-connecting-ip``. It is removed from requests of other
    peers."""

    @model_validator(mode="after")
    def _check(self) -> ClientAddressConfig:
        if (self.hops is None) is (self.header is None):
            raise InconsistentError("needs one of hops and header", remedy="give exactly one")
        return self


Host = Annotated[str, AfterValidator(check_host_pattern)]
"""A host name, or ``*.`` before one for every name below it."""

_MODE: Final = re.compile("[0-7]{3,4}")
_OWNER: Final = re.compile(r"[^\s:/]+(:[^\s:/]+)?")
_LARGEST_ID: Final = 2**32 - 2
"""chown takes the number above it as "leave it as it is"."""


def _check_mode(value: str) -> str:
    if not _MODE.fullmatch(value):
        raise InvalidValueError("is not a mode of a file in octal digits", remedy='write for example "0660"')
    if int(value, 8) > 0o777:
        raise InvalidValueError(
            "sets bits that mean nothing for a socket (set-user-ID, set-group-ID, sticky)",
            remedy=f'write "{value[1:]}"',
        )
    if not int(value, 8) & 0o222:
        raise InvalidValueError(
            "lets no user connect, which takes the right to write", remedy='write for example "0660"'
        )
    return value


def _check_owner(value: str) -> str:
    if not _OWNER.fullmatch(value):
        raise InvalidValueError("is not an owner", remedy="write USER or USER:GROUP, each a name or a number")
    for part in value.split(":"):
        if part.isdigit() and not (part.isascii() and len(part) <= 10 and int(part) <= _LARGEST_ID):
            raise InvalidValueError(
                "is not an owner: no user or group has that number", remedy=f"write a name, or at most {_LARGEST_ID}"
            )
    return value


class HttpsRedirectConfig(Section):
    """How requests that came by plain HTTP are redirected to HTTPS: to the same host without its port, and the same
    path and query as sent.
    """

    status: Literal[301, 302, 303, 307, 308] = 308
    """Status of the response; 307 and 308 keep method and body."""

    port: Annotated[int, Strict(), Field(ge=1, le=65535)] = 443
    """Port of the new location; 443 is left out of it."""


def _as_https_redirect(value: Any) -> Any:
    if isinstance(value, bool):
        return {} if value else None
    return value


HttpsRedirect = Annotated[
    HttpsRedirectConfig | None,
    BeforeValidator(_as_https_redirect, json_schema_input_type=bool | HttpsRedirectConfig),
]
"""``true``, or a mapping."""


class ListenConfig(Section):
    """One address on which connections are accepted. Listeners may share an address: then the Host of a request decides
    among them, the most specific first, and only that listener's routes count (docs/listeners.md).
    """

    address: Address
    """``host:port``, ``:port`` (every interface), ``[::1]:port`` or ``unix:/path``; port 0 takes a free one. Listeners
    that share an address agree on having ``tls``, and on ``proxy_protocol``, ``mode`` and ``owner``."""

    name: Name | None = None
    """Name of the listener: in ``listeners`` of routes, and in logs."""

    hosts: tuple[Host, ...] = ()
    """Host names, or ``*.`` before one for every name below it, that the listener serves where it shares its address;
    by default those that no other listener of the address serves. A listener that is alone at its address serves every
    host."""

    default: Switch = True
    """``false`` serves only routes that name the listener in ``listeners``."""

    tls: ListenTlsConfig | None = None
    """TLS; without it the listener speaks plain HTTP."""

    http2: Switch = True
    """Whether clients may speak HTTP/2: over TLS if they choose it (ALPN), on a plain listener if they begin with it
    (prior knowledge). Clients of HTTP/1 are served alike."""

    https_redirect: HttpsRedirect = None
    """``true`` redirects requests whose scheme, as the client sees it, is http, before any plugin decides over them,
    whether a route takes them or not. Routes that name the listener in ``listeners`` are served nevertheless."""

    proxy_protocol: Switch = False
    """``true``: every connection begins with a header of the PROXY protocol, version 1 or 2, whose source is then the
    peer, also for ``trusted_proxies`` and limits. The header is believed from every peer, and a connection without it
    is closed: only the load balancer may reach the address."""

    mode: Annotated[str, AfterValidator(_check_mode)] | None = None
    """Mode of the file of a unix socket, in octal digits such as ``"0660"``; by default by the process's
    umask. Who may write to the file may connect, so some user must."""

    owner: Annotated[str, AfterValidator(_check_owner)] | None = None
    """Owner of the file of a unix socket: ``user`` or ``user:group``, names or numbers; by default the process's."""

    trusted_proxies: tuple[TrustedPeer, ...] | None = None
    """Peers whose forwarding fields are trusted here, instead of the document's ``trusted_proxies``; ``[]`` trusts
    none."""

    client_address: ClientAddressConfig | None = None
    """Where trusted proxies put the client's address, instead of the document's ``client_address``."""

    @cached_property
    def parsed(self) -> ListenAddress:
        """The address in parts."""
        return parse_listen(self.address)


def _as_list(value: Any) -> Any:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [{"address": item} if isinstance(item, str) else item for item in items]


Listeners = Annotated[
    tuple[ListenConfig, ...],
    BeforeValidator(_as_list, json_schema_input_type=str | ListenConfig | list[str | ListenConfig]),
]
"""One listener or several; a text stands for ``{address: text}``."""


_NEVER: Final = ":!aNULL:!eNULL"
"""Ciphers without authentication or encryption, which lists like ``HIGH`` contain."""
_REMOVES: Final = ("!", "-")
_COMMANDS: Final = ("+", "@")


def openssl_ciphers(value: str) -> str:
    """Return what OpenSSL gets for a configured list.

    :raises ValueError: an entry names no cipher, or none is left.
    """
    # OpenSSL ignores names that it does not know as long as one is left: a typo would go unnoticed.
    for entry in re.split(r"[:, ;]+", value.strip()):
        if entry and not entry.startswith((*_REMOVES, *_COMMANDS)) and not _selects(entry):
            hint = "use names that `openssl ciphers` prints"
            if entry.startswith("TLS_"):
                hint = "TLS 1.3 has suites of its own, which are always on: leave it out"
            raise InconsistentError(f'"{entry}" is no cipher of TLS 1.2', remedy=hint, code="value.invalid")
    ciphers = value.strip() + _NEVER
    if not _selects(ciphers):
        raise InconsistentError(
            f'"{value}" leaves no cipher with encryption and authentication',
            remedy="name at least one",
            code="value.invalid",
        )
    return ciphers


def _selects(ciphers: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.set_ciphers(ciphers)
    except ssl.SSLError:
        return False
    return True
