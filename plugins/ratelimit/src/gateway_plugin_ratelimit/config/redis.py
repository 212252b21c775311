"""Where the Redis or Valkey server is, and what happens without it."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from gateway_plugin_sdk import ConfigFile, ConfigModel, Duration, Secret, SecretUrl
from pydantic import AfterValidator, Field, model_validator

Address = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\[\]/@\s]+):[0-9]{1,5}$")]
"""host:port"""


_URL: Final = r"^(redis|rediss|valkey|valkeys|unix)://.+$"


def _check_url(url: str) -> None:
    if not re.match(_URL, url):
        raise ValueError("the url is not that of a server: write redis://host:port/0, rediss:// or unix:///path")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the port of the url is not a number up to 65535: write redis://host:port/0") from None
    if parts.scheme == "unix":
        if parts.netloc or len(parts.path) <= 1:
            raise ValueError("the url names no socket: write unix:///path, with three slashes")
    elif not re.fullmatch(r"/?|/[0-9]{1,5}", parts.path):
        raise ValueError("the database of the url is not a number: write redis://host:port/0")


ServerUrl = Annotated[
    SecretUrl, AfterValidator(SecretUrl.checked(_check_url)), Field(json_schema_extra={"pattern": _URL})
]
"""Where a server is; may hold a user and a password, which are never shown."""


class RedisTlsConfig(ConfigModel):
    """How the server and we prove who we are; used with ``rediss://`` or when given."""

    ca: ConfigFile | None = None
    """File of certificate authorities; those of the system unless given."""

    cert: ConfigFile | None = None
    """File of our own certificate."""

    key: ConfigFile | None = None
    """File of its private key."""

    verify: bool = True
    """Check the server's certificate and name."""


class RedisConfig(ConfigModel):
    """A Redis (5 or later) or Valkey server, a cluster, or servers watched by sentinels."""

    url: ServerUrl = SecretUrl("redis://127.0.0.1:6379/0")
    """The server: ``redis://host:port/database``, ``rediss://`` with TLS, or ``unix:///path``; of a cluster any node.
    Sentinels are ``nodes`` instead."""

    mode: Literal["single", "cluster", "sentinel"] = "single"
    """What the addresses are."""

    nodes: tuple[Address, ...] = ()
    """Of a cluster, more nodes to begin with; the sentinels, in that mode."""

    master: str | None = None
    """The name under which sentinels know the server."""

    username: str | None = None
    """The user to log in as."""

    password: Secret | None = None
    """The password to log in with."""

    sentinel_username: str | None = None
    """The user to log in to the sentinels as."""

    sentinel_password: Secret | None = None
    """The password to log in to the sentinels with."""

    tls: RedisTlsConfig | None = None
    """Encrypt the connections, and how."""

    timeout: Annotated[Duration, Field(gt=0)] = 0.05
    """How long a request may wait for the server in all; after that ``when_unavailable`` holds."""

    connect_timeout: Annotated[Duration, Field(gt=0)] = 1.0
    """How long a new connection may take, of those that are opened in the background."""

    max_connections: Annotated[int, Field(ge=1, le=1000)] = 4
    """Connections of one worker at most; calls that find them busy travel together in the next batch."""

    prefix: Annotated[str, Field(pattern=r"^[^\s{}]*$")] = "gateway:ratelimit:"
    """What the names of our keys begin with."""

    when_unavailable: Literal["local", "open", "closed"] = "local"
    """Without the server: count on this machine only, let every request pass, or respond 503."""

    lease: Annotated[Duration, Field(ge=1)] = 30.0
    """After how long a request in progress is forgotten if its gateway died; renewed while it lasts."""

    @model_validator(mode="after")
    def _addresses_fit_the_mode(self) -> Self:
        if self.mode == "sentinel" and not (self.nodes and self.master):
            raise ValueError("mode: sentinel needs nodes (the sentinels' addresses) and master (the server's name)")
        if self.mode != "sentinel" and self.master is not None:
            raise ValueError("master belongs to mode: sentinel: add it or remove master")
        if self.mode == "single" and self.nodes:
            raise ValueError("nodes belong to mode: cluster or sentinel: add it or remove nodes")
        if self.mode == "cluster" and urlsplit(self.url.reveal()).path.strip("/") not in {"", "0"}:
            raise ValueError("a cluster has database 0 only: remove the one of the url")
        if self.tls is not None and self.tls.key is not None and self.tls.cert is None:
            raise ValueError("tls.key is given without tls.cert: give both")
        return self
