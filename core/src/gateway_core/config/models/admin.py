"""``admin``: where the gateway is administered, and by whom."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway_core.config.documents import Right
from gateway_core.config.models.base import Section
from gateway_core.config.models.listen import Address
from gateway_core.config.values import InconsistentError, InvalidValueError, Switch

AdminRole = Literal["viewer", "operator", "editor"]
"""Each may do what the one before it may: read; act on what runs; change the configuration."""


def _check_expiry(value: datetime | None) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise InvalidValueError("has no time zone", remedy="write it as 2030-01-31T12:00:00Z")
    return value


class AdminTokenConfig(Section):
    """A bearer token that the admin listener takes, by its hash, as ``gateway admin token new --hash`` prints it."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """What the audit log calls who uses it. Two tokens may have one name, so that one can replace the other."""

    role: AdminRole = "viewer"
    """``viewer`` reads, ``operator`` also acts on what runs, ``editor`` also changes the configuration."""

    # Who writes the token itself by mistake is to find it in no log.
    hash: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", json_schema_extra={"writeOnly": True})]
    """``sha256:`` and the SHA-256 of the token in hexadecimal."""

    expires: Annotated[datetime | None, AfterValidator(_check_expiry)] = None
    """When it is no longer taken; never unless given."""

    tail: Switch = False
    """``true`` allows watching single requests, which no role includes."""


class AdminClientConfig(Section):
    """A client certificate that the admin listener takes in place of a token."""

    name: Annotated[str, Field(min_length=1)]
    """A DNS name, URI or e-mail address of the certificate's subject alternative names, else its common name."""

    role: AdminRole = "viewer"
    """``viewer`` reads, ``operator`` also acts on what runs, ``editor`` also changes the configuration."""

    tail: Switch = False
    """``true`` allows watching single requests, which no role includes."""


class AdminTlsConfig(Section):
    """TLS on the admin listener; every request but those for health and metrics needs a token or a certificate then."""

    cert: Annotated[str, Field(min_length=1)]
    """File of the certificate chain."""

    key: Annotated[str, Field(min_length=1)]
    """File of the private key of ``cert``."""

    client_ca: str = ""
    """File of the certificate authorities that sign the certificates of ``admin.clients``."""


class AdminConfig(Section):
    """The admin listener: health, metrics, state and the admin API (docs/admin.md).

    The gateway's own user and root may do everything over a unix socket. On a TCP address the API can be read by every
    client until there is a token; from then on each request needs one. Health and metrics need none.
    """

    listen: Address | None = None
    """Address such as ``127.0.0.1:9090`` or ``unix:/run/gateway-admin.sock``."""

    hosts: tuple[str, ...] = ()
    """Names by which it may be asked for, without a port, beside addresses and ``localhost``: requests with another
    Host get 421, so that no web page reads it through an operator's browser. Scrapers that use a name need it here."""

    health_listen: Address | None = None
    """Address of a further listener, for ``/healthz``, ``/ready`` and ``/metrics`` alone."""

    tokens: tuple[AdminTokenConfig, ...] = ()
    """Tokens by their hashes, beside those that ``gateway admin token new`` has put into the state directory. A token
    is refused over plain HTTP unless it comes over the loopback interface."""

    tls: AdminTlsConfig | None = None
    """Serve ``listen`` over TLS."""

    clients: tuple[AdminClientConfig, ...] = ()
    """Client certificates, by the names in them, that stand for a role; needs ``tls.client_ca``."""

    allow: tuple[Right, ...] = ()
    """What may be written by the API: ``env`` allows ``${NAME}``, ``files`` allows ``${file:/path}`` and names of files
    in plugin configurations. Each must be a value of its own, without a default and without text around it. Whoever has
    the role ``editor`` can then read every variable and file that the gateway can."""

    @model_validator(mode="after")
    def _check(self) -> AdminConfig:
        if self.listen is None and self.health_listen is None:
            raise InconsistentError("listen is missing", remedy="write listen: 127.0.0.1:9090")
        if self.clients and (self.tls is None or not self.tls.client_ca):
            raise InconsistentError("clients needs tls.client_ca", remedy="name the file of the authorities")
        if self.tls is not None and self.listen is not None and self.listen.startswith("unix:"):
            raise InconsistentError("a unix socket needs no tls", remedy="leave tls out")
        return self

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Yield the key path and the text of each address that is listened on."""
        if self.listen is not None:
            yield "admin.listen", self.listen
        if self.health_listen is not None:
            yield "admin.health_listen", self.health_listen
