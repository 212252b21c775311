"""The whole configuration document."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from gateway_core.config.models.base import Section
from gateway_core.config.models.binding import BindingConfig
from gateway_core.config.models.listen import ClientAddressConfig, ListenConfig, Listeners
from gateway_core.config.models.process import AdminConfig, LimitsConfig, LogConfig, MetricsConfig, SourceConfig
from gateway_core.config.models.rewrite import PathPolicyConfig
from gateway_core.config.models.route import RouteConfig
from gateway_core.config.models.upstream import UpstreamConfig
from gateway_core.config.values import TOKEN, Count, Duration, HeaderName, InvalidValueError, Switch, TrustedPeer

DEFAULT_LISTEN = "127.0.0.1:8080"

_FRAMING = frozenset({"connection", "content-length", "host", "transfer-encoding", "upgrade"})


def _check_stripped(value: str) -> str:
    if value.lower() in _FRAMING:
        raise InvalidValueError("cannot be removed: the request cannot be read without it")
    if "*" in value:  # allowed in a name by the grammar, and never sent
        raise InvalidValueError("has a *, which is no wildcard here", remedy="write whole names")
    return value


def _check_via(value: object) -> bool | str:
    if isinstance(value, bool) or (isinstance(value, str) and TOKEN.fullmatch(value)):
        return value
    raise InvalidValueError("is not a name for Via", remedy="write true, false, or a word such as edge-1")


Via = Annotated[
    bool | str, PlainValidator(_check_via), WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "string"}]})
]


StrippedName = Annotated[HeaderName, AfterValidator(_check_stripped)]


def _default_listeners() -> tuple[ListenConfig, ...]:
    return (ListenConfig(address=DEFAULT_LISTEN),)


class GatewayConfig(Section):
    """Configuration of the gateway."""

    listen: Listeners = Field(default_factory=_default_listeners, min_length=1)
    """Where to accept connections; 127.0.0.1:8080 unless given."""

    workers: Count = Field(default=1, le=1024)
    """Processes that serve; 0 is one per CPU."""

    include: tuple[str, ...] = ()
    """Files and patterns, relative to this file, whose contents belong to this configuration."""

    sources: tuple[SourceConfig, ...] = ()
    """Sources of further documents; only in local files."""

    trusted_proxies: tuple[TrustedPeer, ...] = ()
    """Networks of the proxies whose forwarding fields (client address, scheme and host) are trusted; ``unix:`` is
    every peer on a unix socket. Such fields of all other peers are removed; see docs/behind-a-proxy.md."""

    client_address: ClientAddressConfig | None = None
    """Where trusted proxies put the client's address; by default X-Forwarded-For, by ``trusted_proxies``."""

    strip_headers: tuple[StrippedName, ...] = ()
    """Fields that are removed from every request before the first hook, from every peer; ``_`` counts as ``-``."""

    via: Via = True
    """The gateway's entry of Via (RFC 9110 section 7.6.3) in requests and in upstreams' responses. By that of requests
    it finds those that come back to it, and responds with 508. A name replaces ``gateway`` in it; give each gateway of
    a chain its own. ``false`` adds none: loops are then detected by CDN-Loop (RFC 8586)."""

    drain_delay: Duration = 0.0
    """How long ``/ready`` fails while connections are still accepted before the gateway drains and stops, so that load
    balancers notice."""

    shutdown_timeout: Duration = 30.0
    """How long requests may take to finish when the gateway stops."""

    server_timing: Switch = False
    """``true`` measures every plugin in every phase: for ``/plugins`` and ``/metrics`` of the admin listener, and in a
    ``Server-Timing`` field for requests from trusted_proxies that carry ``X-Gateway-Timing: 1``."""

    blocking_threshold: Duration = 0.05
    """How long a plugin may hold the event loop, and so every other request, before the log names plugin, hook, file
    and line; ``0s`` switches the check off."""

    path_policy: PathPolicyConfig = PathPolicyConfig()
    """Which spellings of a path are refused, and what is sent upstream; routes can override it."""

    limits: LimitsConfig = LimitsConfig()
    """Limits on clients."""

    admin: AdminConfig | None = None
    """The admin listener; none unless given."""

    metrics: MetricsConfig = MetricsConfig()
    """What is measured, and how finely."""

    log: LogConfig = LogConfig()
    """The gateway's own log."""

    plugins: tuple[BindingConfig, ...] = ()
    """Gateway-wide bindings, in order, for every route."""

    upstreams: tuple[UpstreamConfig, ...] = ()
    """Named groups of endpoints."""

    routes: tuple[RouteConfig, ...] = ()
    """Which requests go where."""
