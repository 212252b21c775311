"""Upstreams: named groups of endpoints and their policies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_core.config.address import Origin, is_host, parse_origin
from gateway_core.config.models.base import Section
from gateway_core.config.models.binding import BindingConfig
from gateway_core.config.models.resilience import (
    CircuitBreakerConfig,
    HealthCheckConfig,
    Http1Config,
    KeepaliveConfig,
    OutlierDetectionConfig,
    RetriesConfig,
    TimeoutsConfig,
    UpstreamLimitsConfig,
)
from gateway_core.config.suggestions import Fault
from gateway_core.config.values import (
    NOT_EMPTY,
    TOKEN,
    Duration,
    InconsistentError,
    InvalidValueError,
    Name,
    Percent,
    Port,
    PositiveDuration,
    Switch,
    Weight,
    refuse,
)

_DO_NOT_HASH: Final = frozenset({"round-robin", "weighted-round-robin", "random", "least-requests"})

HASH_SOURCES: Final = ("header", "cookie", "query", "param")
_HASH_ON: Final = re.compile(rf"client_ip|(?:{'|'.join(HASH_SOURCES)}):.+")


def _check_hash_on(value: str) -> str:
    if not _HASH_ON.fullmatch(value):
        raise InvalidValueError(
            "is nothing to hash on", remedy="write client_ip, header:NAME, cookie:NAME, query:NAME or param:NAME"
        )
    return value


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


HashSource = Annotated[str, AfterValidator(_check_hash_on)]
"""``client_ip``, ``header:NAME``, ``cookie:NAME``, ``query:NAME`` or ``param:NAME``."""

HashOn = Annotated[
    tuple[HashSource, ...],
    BeforeValidator(_as_tuple, json_schema_input_type=HashSource | list[HashSource]),
    NOT_EMPTY,
]
"""One source or several; the first that a request has is used."""


def _check_origin(value: str) -> str:
    parse_origin(value)
    return value


OriginUrl = Annotated[str, AfterValidator(_check_origin)]
"""An http or https URL that is only scheme, host and port, or ``unix:/path``."""


def _authority(data: dict[str, Any]) -> str:
    return parse_origin(data["url"]).authority if "url" in data else ""


def _strategy(data: dict[str, Any]) -> str:
    return "consistent-hash" if data.get("hash_on") else "weighted-round-robin"


class EndpointConfig(Section):
    """One address of an upstream."""

    url: OriginUrl
    """Scheme, host and port, such as ``http://127.0.0.1:8081``, or a unix socket, such as ``unix:/run/users.sock``,
    which gets the Host of the client."""

    id: Name = Field(default_factory=_authority)
    """Name in logs and metrics; the URL's host and port, or the path of the socket, unless given."""

    weight: Weight = 1
    """Share of the requests relative to the other endpoints; 0 gets none."""

    status: Literal["up", "down", "drain"] = "up"
    """``down`` gets no requests; ``drain`` gets no new ones, those in flight finish."""

    backup: Switch = False
    """``true``: gets requests only while no other endpoint is healthy, and retries once every other one has had an
    attempt."""

    @property
    def origin(self) -> Origin:
        """The URL in parts."""
        return parse_origin(self.url)


def _check_san(value: str) -> str:
    is_uri = "://" in value and all("!" <= character <= "~" for character in value)
    if not is_host(value) and not is_uri:
        raise InvalidValueError("is not a name in a certificate", remedy="write a host name, an IP address or a URI")
    return value


class UpstreamTlsConfig(Section):
    """TLS to endpoints whose URL is https."""

    ca: str = ""
    """File of the certificate authorities to trust; the system's unless given."""

    server_name: str = ""
    """Name to send as SNI and to verify in the certificate; by default the endpoint's host."""

    sans: Annotated[tuple[Annotated[str, AfterValidator(_check_san)], ...], NOT_EMPTY] = ()
    """Names of which the certificate must have one as a subject alternative name: host names, IP addresses or URIs such
    as ``spiffe://example.com/users``. They replace the check of the name: ``server_name`` is then only sent as SNI."""

    cert: str = ""
    """File of a client certificate."""

    key: str = ""
    """File of the client certificate's key."""

    verify: Switch = True
    """``false`` accepts any certificate: nothing proves that the server is the one it claims to be."""

    tolerate_missing_close_notify: Switch = False
    """``true`` accepts a connection that an endpoint closes without TLS's close_notify as complete, where the end of
    the connection is the end of the response: an attacker on the network can then truncate such a response
    unnoticed."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read for it."""
        return tuple([name for name in (self.ca, self.cert, self.key) if name])

    @model_validator(mode="after")
    def _check(self) -> UpstreamTlsConfig:
        if bool(self.cert) != bool(self.key):
            raise InconsistentError("cert and key belong together", remedy="give both")
        return self


def _check_cookie_name(value: str) -> str:
    if not TOKEN.fullmatch(value):
        raise InvalidValueError("is not a cookie name")
    return value


class StickyCookieConfig(Section):
    """Keep a client on the endpoint that served it first, by a cookie."""

    name: Annotated[str, AfterValidator(_check_cookie_name)]
    """Name of the cookie."""

    path: str = "/"
    """Path of the cookie."""

    secure: Switch = False
    """Whether browsers send it over TLS only."""

    http_only: Switch = True
    """Whether scripts in the page are kept from reading it."""

    same_site: Literal["strict", "lax", "none"] | None = "lax"
    """Whether browsers send it with requests from other sites."""

    max_age: Duration = 0.0
    """Lifetime of the cookie; 0 is until the browser closes."""

    @model_validator(mode="after")
    def _check(self) -> StickyCookieConfig:
        if self.same_site == "none" and not self.secure:
            raise InconsistentError("same_site is none, which browsers accept only with secure: true")
        return self


class DiscoveryConfig(Section):
    """Service discovery: where endpoints come from besides the configuration."""

    name: Name
    """``dns``, or the name of a discovery that an installed extension provides."""

    config: Mapping[str, Any] = Field(default_factory=dict, repr=False)
    """The discovery's own configuration."""


def _check_dns_host(value: str) -> str:
    if not is_host(value):
        raise InvalidValueError("is not a host name")
    return value


def _check_name_server(value: str) -> str:
    host, _, port = value[1:].partition("]") if value.startswith("[") else value.partition(":")
    if value.count(":") > 1 and not value.startswith("["):
        host, port = value, ""
    try:
        ip_address(host)
    except ValueError:
        raise InvalidValueError("is not the address of a name server such as 10.0.0.2 or 10.0.0.2:53") from None
    if port and not (port.removeprefix(":").isdecimal() and 0 < int(port.removeprefix(":")) < 1 << 16):
        raise InvalidValueError("has no valid port", remedy="write for example 10.0.0.2:53")
    return value


class DnsDiscoveryConfig(Section):
    """Configuration of the ``dns`` discovery: endpoints are the addresses that a name resolves to."""

    host: Annotated[str, AfterValidator(_check_dns_host)]
    """Name to resolve; for ``srv`` the whole name, such as ``_http._tcp.users.example.com``."""

    record: Literal["address", "srv"] = "address"
    """A and AAAA records, or SRV records, which have ports and weights of their own."""

    port: Port = 0
    """Port of the endpoints; 0 is the scheme's. SRV records bring their own."""

    scheme: Literal["http", "https"] = "http"
    """Scheme of the endpoints."""

    family: Literal["any", "ipv4", "ipv6"] = "any"
    """Which address families to use."""

    interval: PositiveDuration = 10.0
    """Time between two look-ups; the last addresses stay in use when one fails."""

    nameservers: tuple[Annotated[str, AfterValidator(_check_name_server)], ...] = ()
    """Name servers, such as ``10.0.0.2`` or ``10.0.0.2:5353``; by default those of the machine."""

    timeout: PositiveDuration = 2.0
    """Longest wait for the response of one name server."""


class UpstreamConfig(Section):
    """A named group of endpoints, and how requests are sent to them."""

    name: Name
    """Name of the upstream, for ``target`` of routes."""

    description: str = ""
    """For people."""

    hash_on: HashOn = ()
    """Keep requests with the same value of this on one endpoint: ``client_ip``, ``header:NAME``, ``cookie:NAME``,
    ``query:NAME`` or ``param:NAME``, or a list of them, of which the first that a request has counts. Requests with
    none of them are balanced by weight."""

    strategy: str = Field(default_factory=_strategy)
    """How an endpoint is chosen: weighted-round-robin, round-robin (which ignores weights), random, least-requests,
    consistent-hash, or one that an extension provides. Unless given it is consistent-hash where ``hash_on`` is given,
    else weighted-round-robin."""

    strategy_options: Mapping[str, Any] = Field(default_factory=dict)
    """Options of an extension's strategy."""

    sticky_cookie: StickyCookieConfig | None = None
    """Keep a client on its endpoint by a cookie."""

    endpoints: tuple[EndpointConfig, ...] = ()
    """The addresses."""

    discovery: DiscoveryConfig | None = None
    """Where further endpoints come from."""

    health_check: HealthCheckConfig | None = None
    """Active health checks; off unless given."""

    outlier_detection: OutlierDetectionConfig | None = None
    """Outlier detection; off unless given."""

    panic_threshold: Percent = 0.0
    """Panic threshold: percent of the endpoints, backups apart, that must be healthy for the unhealthy ones to be left
    out; 0 leaves them out unless all are unhealthy. They are also left out while a backup is healthy."""

    panic: Switch = True
    """``false``: unhealthy endpoints get no requests even when no other is left; requests then fail at once with
    503."""

    slow_start: Duration = 0.0
    """How long an endpoint that joins or recovers takes to get its whole share: it begins with a tenth of it, which
    grows linearly; 0 is at once. Endpoints that exist at the start get the whole share at once."""

    circuit_breaker: CircuitBreakerConfig | None = None
    """Circuit breaker for each endpoint; off unless given."""

    retries: RetriesConfig | None = None
    """Retries of failed requests; none unless given."""

    timeouts: TimeoutsConfig = TimeoutsConfig()
    """How long the upstream may take."""

    limits: UpstreamLimitsConfig = UpstreamLimitsConfig()
    """How much may be in flight at once."""

    keepalive: KeepaliveConfig = KeepaliveConfig()
    """Connections that are kept open between requests."""

    preserve_host: Switch = False
    """Send the client's Host header instead of the endpoint's: the default of routes to this upstream. Endpoints on
    unix sockets always get the client's."""

    protocol: Literal["http1", "http2", "auto"] = "http1"
    """What endpoints are spoken to over: HTTP/1; HTTP/2, which plain endpoints must expect (prior knowledge) and https
    endpoints choose (ALPN), else requests get 502; or what an https endpoint chooses, HTTP/1 on plain ones. WebSocket
    needs HTTP/1."""

    send_proxy_protocol: Literal["v1", "v2"] | None = None
    """Begin each connection with a header of the PROXY protocol that names the client; none unless given. A connection
    then serves only requests of one client address."""

    http1: Http1Config = Http1Config()
    """How responses over HTTP/1 are read."""

    tls: UpstreamTlsConfig = UpstreamTlsConfig()
    """TLS to endpoints whose URL is https."""

    plugins: tuple[BindingConfig, ...] = ()
    """Bindings whose attempt hooks run for every attempt to this upstream, after all others: for requests, mirrors and
    fetches of plugins."""

    @model_validator(mode="after")
    def _check(self) -> UpstreamConfig:
        problems: list[Fault] = []
        if self.strategy == "consistent-hash" and not self.hash_on:
            problems.append(Fault("consistent-hash needs hash_on", "give for example hash_on: client_ip"))
        elif self.hash_on and self.strategy in _DO_NOT_HASH:
            problems.append(
                Fault(
                    f"hash_on and the strategy {self.strategy} contradict each other",
                    "leave out one of them, hash_on alone means consistent-hash",
                )
            )
        if not self.endpoints and self.discovery is None:
            problems.append(Fault("has neither endpoints nor discovery", "give one of them"))
        if self.endpoints and self.discovery is None and all(endpoint.backup for endpoint in self.endpoints):
            problems.append(
                Fault("every endpoint is a backup", "leave out backup on those that are to get the requests")
            )
        if self.health_check is not None and self.health_check.type == "https":
            sockets = [endpoint.id for endpoint in self.endpoints if endpoint.origin.is_unix]
            if sockets:
                problems.append(
                    Fault(f"health_check asks {sockets[0]} by https, which is for URLs", "write type: http")
                )
        refuse(problems)
        return self
