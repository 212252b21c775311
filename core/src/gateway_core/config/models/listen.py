"""Listeners: the sockets that the gateway accepts on."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_core.config.address import ListenAddress, parse_listen
from gateway_core.config.ciphers import openssl_ciphers
from gateway_core.config.models.base import Section
from gateway_core.config.values import HeaderName, Name, PositiveCount, TrustedPeer


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
    """A certificate and its key, both PEM files."""

    cert: str
    """File of the certificate chain, the server's own certificate first."""

    key: str
    """File of the private key."""


class ListenTlsConfig(Section):
    """TLS on a listener."""

    cert: str = ""
    """File of the certificate chain for clients that name no server, or one that no other certificate covers."""

    key: str = ""
    """File of the private key of ``cert``."""

    certificates: tuple[CertificateConfig, ...] = ()
    """Further certificates; the server name that a client sends (SNI) selects one."""

    client_ca: str = ""
    """File of the certificate authorities that sign client certificates."""

    client_auth: Literal["none", "optional", "required"] | None = None
    """Whether clients must show a certificate; required when ``client_ca`` is given, unless said otherwise.

    Sessions are resumed only where no client certificate is asked for, so that each connection shows its own.
    """

    client_crl: str = ""
    """File of revocation lists (PEM), one for each authority of the chain. A client whose certificate is on one is
    refused, and every client while a list is missing or has expired."""

    min_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(_version_text)] = "1.2"
    """Lowest version of TLS that clients may use."""

    ciphers: Annotated[str, AfterValidator(_check_ciphers)] = ""
    """Ciphers of TLS 1.2, as `openssl ciphers` takes them; OpenSSL's choice if empty. Ciphers without encryption or
    authentication are never used, and those of TLS 1.3 are always on."""

    strict_sni: bool = False
    """Refuse clients that name no server (SNI), or one that no certificate covers."""

    @model_validator(mode="after")
    def _check(self) -> ListenTlsConfig:
        if bool(self.cert) != bool(self.key):
            raise ValueError("cert and key belong together: give both")
        if not self.cert and not self.certificates:
            raise ValueError("has no certificate: give cert and key, or certificates")
        if self.client_auth in {"optional", "required"} and not self.client_ca:
            raise ValueError(f"client_auth is {self.client_auth}, but no client_ca says whom to trust: give client_ca")
        if self.client_crl and self.verifies_clients == "none":
            raise ValueError(
                "client_crl is given, but no client certificate is asked for: give client_ca, or leave client_crl out"
            )
        return self

    @property
    def verifies_clients(self) -> Literal["none", "optional", "required"]:
        """``client_auth`` with its default filled in."""
        return self.client_auth or ("required" if self.client_ca else "none")


MOST_HOPS: Final = 64


class ClientAddressConfig(Section):
    """Where trusted proxies say the client's address, if not in X-Forwarded-For by ``trusted_proxies``; exactly one.

    What is no address, a field that is missing or there twice, and a list that is too short stand for the peer.
    """

    hops: Annotated[PositiveCount, Field(le=MOST_HOPS)] | None = None
    """The entry of X-Forwarded-For, counted from the right; 1 is what the peer itself saw."""

    header: HeaderName | None = None
    """The field that holds the address, and nothing else: ``cf-connecting-ip``. It is removed when others send it."""

    @model_validator(mode="after")
    def _check(self) -> ClientAddressConfig:
        if (self.hops is None) is (self.header is None):
            raise ValueError("needs one of hops and header: give exactly one")
        return self


class ListenConfig(Section):
    """One socket."""

    address: Address
    """``host:port``, ``:port`` (every interface), ``[::1]:port`` or ``unix:/path``; port 0 takes a free one."""

    tls: ListenTlsConfig | None = None
    """TLS; without it the listener speaks plain HTTP."""

    name: Name | None = None
    """What the listener is called."""

    trusted_proxies: tuple[TrustedPeer, ...] | None = None
    """Peers whose forwarding fields count here, instead of the document's ``trusted_proxies``; ``[]`` trusts none."""

    client_address: ClientAddressConfig | None = None
    """Where trusted proxies say the client's address here, instead of the document's ``client_address``."""

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
