"""The whole configuration document, and what in it concerns the process: limits, sources, metrics, admin, the log."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema

from gateway_core.config.config_file import OptionalFileName
from gateway_core.config.documents import Right
from gateway_core.config.models.admin import AdminConfig
from gateway_core.config.models.base import ConfigModel, Section
from gateway_core.config.models.binding import BindingConfig, PluginSetConfig
from gateway_core.config.models.error_pages import ErrorPageConfig
from gateway_core.config.models.listen import ClientAddressConfig, ListenConfig, Listeners
from gateway_core.config.models.rewrite import PathPolicyConfig
from gateway_core.config.models.route import RouteConfig, RouteDefaults
from gateway_core.config.models.tracing import TracingConfig
from gateway_core.config.models.upstream import UpstreamConfig
from gateway_core.config.secret import SecretUrl
from gateway_core.config.source import SourceUrl
from gateway_core.config.values import (
    TOKEN,
    Count,
    Duration,
    HeaderName,
    InvalidValueError,
    PositiveCount,
    PositiveDuration,
    PositiveSize,
    Size,
    Switch,
    TrustedPeer,
)
from gateway_core.metrics.catalogue import DURATION_BOUNDS, MAX_ENDPOINTS, MAX_ROUTES


class LimitsConfig(Section):
    """What clients may ask of the gateway; 0 is no limit, where it is allowed.

    What counts connections or requests counts in each worker process for itself: with ``workers: 4`` and
    ``max_connections: 1000`` there may be 4,000. The others hold for each request or connection, wherever it is served.
    """

    max_head_bytes: PositiveSize = 65536
    """Longest request head: request line and headers together."""

    max_headers: PositiveCount = 256
    """Most header lines of a request."""

    max_body_bytes: Size = 0
    """Longest request body; a longer one gets 413."""

    max_connections: Count | None = None
    """Most connections at once in each worker, all listeners together, TLS handshakes included; one more gets 503, or
    is closed where TLS has yet to begin. Unless given, three quarters of the file descriptors that the process may
    have, 16,384 at most: the others are for upstreams and files. The gateway raises its soft limit of them to the hard
    one (docs/upstreams.md)."""

    max_connections_per_client: Count = 0
    """Most connections at once in each worker from one client address, TLS handshakes included; with the PROXY protocol
    the address that the header names."""

    max_requests_per_connection: Count = 0
    """Requests after which a connection is closed."""

    max_requests: Count = 0
    """Most requests in flight in each worker; further ones get 503."""

    header_timeout: PositiveDuration = 10.0
    """Longest time from the first byte of a request, or from connecting, to the end of its head; as long again for a
    TLS handshake before it."""

    body_timeout: Duration = 30.0
    """Longest pause between two pieces of a request body."""

    idle_timeout: Duration = 75.0
    """How long a connection is kept open between requests."""

    write_timeout: Duration = 60.0
    """Longest time in which a client takes nothing of a response."""

    max_streams: Count = 128
    """Most requests at once on a connection of HTTP/2; the client learns it from SETTINGS, and one more is refused."""

    max_connection_age: Duration = 0.0
    """How long a connection of HTTP/2 takes new requests, give or take a tenth: then GOAWAY has its client make another
    one, so that connections spread again over gateways that were added. What was begun before ends when as long has
    passed again."""

    min_rate: Size = 0
    """Bytes per second that a client must send of a request body, or take of a response of which some waits, over ten
    seconds; a slower one gets 408, or its connection is closed. Upgraded connections and gRPC are exempt."""

    @cached_property
    def idle_wait(self) -> float:
        """``idle_timeout``; infinite if there is none."""
        return self.idle_timeout or float("inf")

    @cached_property
    def write_wait(self) -> float:
        """``write_timeout``; infinite if there is none."""
        return self.write_timeout or float("inf")


def _check_buckets(buckets: tuple[float, ...]) -> tuple[float, ...]:
    if not buckets or any(upper <= lower for lower, upper in pairwise((0.0, *buckets))):
        raise InvalidValueError("are not bounds in ascending order", remedy="write durations such as [5ms, 50ms, 1s]")
    return buckets


_MOST_BUCKETS: Final = 50


class MetricsConfig(Section):
    """What ``/metrics`` of the admin listener has."""

    buckets: Annotated[
        tuple[PositiveDuration, ...], Field(max_length=_MOST_BUCKETS), AfterValidator(_check_buckets)
    ] = DURATION_BOUNDS
    """Upper bounds of the buckets of the histograms of durations, ascending. With other ones they begin anew."""

    max_routes: Count = MAX_ROUTES
    """Routes with series of their own, the first in the order of the configuration; all others together are the route
    ``_other``."""

    max_endpoints: Count = MAX_ENDPOINTS
    """Endpoints with series of their own, the first in the order of upstream and id; all others of an upstream together
    are the endpoint ``_other``. Upstreams beyond as many are the upstream ``_other``."""


def _check_source_url(url: SecretUrl) -> SecretUrl:
    try:
        SourceUrl.parse(url.reveal())
    except ValueError as error:
        raise InvalidValueError(str(error)) from None
    return url


class SourceConfig(Section):
    """A source of further documents, and what these may bring in."""

    url: Annotated[SecretUrl, AfterValidator(_check_source_url)]
    """URL such as ``etcd://10.0.0.1:2379/gateway`` (docs/sources.md)."""

    allow: tuple[Right, ...] = ()
    """``env``: its documents may use ``${NAME}``; ``files``: they may use ``${file:...}`` and name files."""


class HttpSourceConfig(ConfigModel):
    """Options in the URL of a source ``http://`` or ``https://``; none of them is sent."""

    interval: PositiveDuration = 5.0
    """Time between two requests, give or take a little."""

    timeout: PositiveDuration = 10.0
    """How long a response may take."""

    max_size: PositiveSize = 16777216
    """Largest document."""

    ca: OptionalFileName = ""
    """File of the authorities to trust; the system's unless given."""

    cert: OptionalFileName = ""
    """File of the client certificate."""

    key: OptionalFileName = ""
    """File of the client certificate's key."""

    allow_http: bool = False
    """``true`` accepts ``http://`` to another machine, over which anyone on the way could change the configuration."""

    query: str = ""
    """The query that is sent, percent-encoded once more: ``?query=team%3Dshop`` requests ``?team=shop``."""


LogLevel = Literal["debug", "info", "warning", "error"]


class LogConfig(Section):
    """The gateway's own events, on stderr; requests are logged by plugins."""

    level: LogLevel = "info"
    """The least important event that is written."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""


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

    method_mismatch: Literal[405, 404] = 405
    """Status of the response where routes match a request but for its method; 404 does not tell that the path exists,
    and names no methods in Allow."""

    limits: LimitsConfig = LimitsConfig()
    """Limits on clients."""

    admin: AdminConfig | None = None
    """The admin listener; none unless given."""

    metrics: MetricsConfig = MetricsConfig()
    """What is measured, and how finely."""

    log: LogConfig = LogConfig()
    """The gateway's own log."""

    tracing: TracingConfig | None = None
    """Traces of requests; none unless given. An empty section (``tracing: {}``) has the defaults."""

    plugins: tuple[BindingConfig, ...] = ()
    """Gateway-wide bindings, in order, for every route."""

    plugin_sets: tuple[PluginSetConfig, ...] = Field(default=(), exclude=True)
    """Lists of bindings that ``{use: NAME}`` stands for in any list of plugins."""

    error_pages: tuple[ErrorPageConfig, ...] = ()
    """Pages in the place of error responses, for every route, and where there is none."""

    upstreams: tuple[UpstreamConfig, ...] = ()
    """Named groups of endpoints."""

    routes: tuple[RouteConfig, ...] = ()
    """Which requests go where."""

    route_defaults: RouteDefaults = Field(default=(), exclude=True)
    """What holds for the routes of this document that do not say otherwise: any key of a route but ``id`` and paths. A
    route's value replaces the default whole, and whatever stands in the place of a target displaces a default one."""
