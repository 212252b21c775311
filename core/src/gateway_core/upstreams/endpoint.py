"""The endpoints of an upstream: what is configured or discovered of each, what is known of it, and which there are.

A change costs what changed: unchanged endpoints are not touched. The list that strategies see is made at the next pick,
so that a burst of changes costs one list.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from urllib.parse import urlsplit

from gateway_core.config import CircuitBreakerConfig, EndpointConfig
from gateway_core.config.address import UNIX, is_host, parse_origin
from gateway_core.config.redaction import without_credentials
from gateway_core.leases import Lease, close
from gateway_core.metrics.counts import EndpointCounts
from gateway_core.upstreams.breaker import BreakerState, CircuitBreaker
from gateway_core.upstreams.health import EjectionState, HealthState

DEFAULT_PORTS = {"http": 80, "https": 443}


class EndpointStatus(Enum):
    """An endpoint as the configuration or a discovery describes it."""

    UP = "up"
    DOWN = "down"
    """Gets nothing, whatever its health."""
    DRAIN = "drain"
    """Gets nothing new; what is in progress finishes."""


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One address as configured or discovered; a ``ValueError`` if it can be none."""

    scheme: str
    host: str
    """A name in ASCII, or an IP address without brackets."""
    port: int
    id: str = ""
    """Unique within the upstream; ``host:port`` if empty."""
    weight: int = 1
    """Share of the requests; 0 gets none."""
    status: EndpointStatus = EndpointStatus.UP
    backup: bool = False
    """Whether it gets requests only while no other endpoint is usable."""
    path: str = ""
    """Absolute path of a unix socket, instead of host and port; the id unless another is given."""

    @classmethod
    def of(cls, config: EndpointConfig) -> EndpointSpec:
        """Return a configured endpoint."""
        origin, status = config.origin, EndpointStatus(config.status)
        return cls(
            origin.scheme, origin.host, origin.port, config.id, config.weight, status, config.backup, origin.path
        )

    def __post_init__(self) -> None:
        if self.weight < 0:
            where = self.path or authority_of(self.host, self.port)
            raise ValueError(f"weight {self.weight} of endpoint {where} is less than 0")
        if not self.path and not is_host(self.host):
            raise ValueError(f"{self.host!r} is neither a host name nor an IP address")
        if not self.id:
            object.__setattr__(self, "id", self.path or authority_of(self.host, self.port))

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        id: str = "",  # noqa: A002 - the key of the configuration
        weight: int = 1,
        status: EndpointStatus = EndpointStatus.UP,
    ) -> EndpointSpec:
        """Read an origin such as ``http://10.0.0.1:8080``, or ``unix:/path``.

        :raises ValueError: for anything else.
        """
        if url.startswith(UNIX):
            path = parse_origin(url).path
            return cls("http", "", 0, id, weight, status, path=path)
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"{without_credentials(url)!r} is not a URL such as http://127.0.0.1:8080")
        if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
            raise ValueError(f"{without_credentials(url)!r} has more than scheme, host and port")
        port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme]
        return cls(parts.scheme, parts.hostname, port, id, weight, status)

    @property
    def is_open(self) -> bool:
        """Whether it may get requests at all, if it is healthy."""
        return self.status is EndpointStatus.UP and self.weight > 0

    @property
    def url(self) -> str:
        """Scheme, host and port as a URL, or ``unix:`` and the path."""
        return f"{UNIX}{self.path}" if self.path else f"{self.scheme}://{authority_of(self.host, self.port)}"

    @property
    def authority(self) -> bytes:
        """The Host header for this address."""
        is_default = DEFAULT_PORTS.get(self.scheme) == self.port
        host = f"[{self.host}]" if ":" in self.host else self.host
        text = "localhost" if self.path else host if is_default else f"{host}:{self.port}"
        return text.encode("ascii" if text.isascii() else "idna")


def authority_of(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 address (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """Everything that the run-time state of an endpoint depends on."""

    upstream: str
    id: str
    scheme: str
    host: str
    port: int
    path: str
    settings: Hashable


class ConnectionPool(Protocol):
    """Connections to an endpoint, which the data path makes and lends; the endpoint only ends them."""

    async def aclose(self) -> None:
        """Close what is idle now, the rest when its requests are over."""


class Checked(Protocol):
    """An address that is checked, here or in another process."""

    @property
    def health(self) -> HealthState:
        """The verdict of the health checks."""
        ...


class Watcher(Protocol):
    """Keeps a list of usable endpoints."""

    def invalidate(self) -> None:
        """Forget the list: whether some endpoint is usable has changed."""
        ...


class Endpoint:
    """The run-time state of one address, shared by the snapshots that use it.

    Closing it closes its pool and whatever else was attached; requests in progress keep their connections, which a
    closed pool closes when they come back.
    """

    __slots__ = (
        "_health_lease",
        "_on_closed",
        "_watchers",
        "active",
        "authority",
        "breaker",
        "closed",
        "counts",
        "ejection",
        "health",
        "host",
        "id",
        "is_calm",
        "is_guarded",
        "is_open",
        "is_unreachable",
        "joined_at",
        "last_error",
        "path",
        "pending",
        "pool",
        "port",
        "scheme",
        "url",
    )

    def __init__(
        self,
        spec: EndpointSpec,
        breaker: CircuitBreakerConfig | None = None,
        *,
        counts: EndpointCounts | None = None,
        on_closed: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin without requests.

        :param counts: where its requests are counted.
        """
        self.id = spec.id
        self.counts = counts or EndpointCounts()
        self._on_closed = on_closed
        self.scheme = spec.scheme
        self.host = spec.host
        self.port = spec.port
        self.path = spec.path
        """Of a unix socket; empty for an address of host and port."""
        self.url = spec.url
        """Scheme, host and port, or ``unix:`` and the path."""
        self.authority = spec.authority
        """The Host header for this endpoint; requests to a unix socket carry the client's if there is one."""
        self.active = 0
        """Requests in progress; the data path counts them."""
        self.closed = False
        """Whether nothing new may be sent to it."""
        self.pending = 0
        """Requests that wait for a connection; the data path counts them."""
        self.pool: ConnectionPool | None = None
        """Connections; belongs to the data path, and is closed with the endpoint if it has ``aclose()``."""
        self.is_open = False
        """Whether it may get requests at all: it is UP, with a weight above 0."""
        self.joined_at = float("-inf")
        """Monotonic seconds at which it was opened in an upstream that was running already, for slow start."""
        self.health = HealthState()
        self.ejection = EjectionState()
        self.breaker = CircuitBreaker(breaker) if breaker is not None and breaker.enable else None
        self.is_calm = True
        """Whether a success changes nothing but the breaker's count: the short cut of ``Upstream.record``."""
        self.is_guarded = False
        """Whether each request needs the breaker's permission."""
        self.is_unreachable = False
        """Whether the last attempt to connect to it failed; it gets requests all the same."""
        self.last_error = ""
        """Why the last request that failed did so; for status pages, not for clients."""
        self._watchers: list[Watcher] = []
        self._health_lease: Lease[Checked] | None = None

    @property
    def healthy(self) -> bool:
        """Whether the active checks have nothing against it."""
        return self.health.healthy

    def is_fit(self, now: float) -> bool:
        """Tell whether neither the active checks nor the requests so far speak against it."""
        return self.health.healthy and now >= self.ejection.until

    def fit_since(self, now: float) -> float:
        """Return the monotonic seconds from which on it has been fit, given that it is; ``-inf`` is always."""
        ended = self.ejection.until
        return max(self.joined_at, self.health.recovered_at, ended if ended <= now else float("-inf"))

    def is_usable(self, now: float) -> bool:
        """Tell whether it is fit and its breaker lets requests through."""
        return self.is_fit(now) and (self.breaker is None or self.breaker.allows(now))

    def refresh_flags(self) -> None:
        """Recompute the short cuts after breaker or ejection have changed."""
        is_closed = self.breaker is None or self.breaker.state is BreakerState.CLOSED
        self.is_guarded = not is_closed
        self.is_calm = is_closed and not self.ejection.has_streak and not self.is_unreachable

    def open(self, now: float, *, is_open: bool, is_late: bool) -> None:
        """Take over whether it may get requests at all.

        :param is_late: whether the upstream is running already, so that its share is to grow slowly.
        """
        if is_open and not self.is_open and is_late:
            self.joined_at = now
        self.is_open = is_open

    def watch(self, watcher: Watcher) -> None:
        """Tell the watcher from now on when usability may have changed."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """Undo one :meth:`watch`."""
        self._watchers.remove(watcher)

    def notify(self) -> None:
        """Tell all watchers that usability may have changed."""
        for watcher in self._watchers:
            watcher.invalidate()

    def follow(self, lease: Lease[Checked]) -> None:
        """Have the health of an address that is checked; the lease is given back when the endpoint is closed."""
        self._health_lease = lease
        self.health = lease.value.health
        self.health.subscribe(self._checked)

    def _checked(self, has_changed: bool) -> None:
        if has_changed:
            self.notify()

    async def aclose(self) -> None:
        self.closed = True
        on_closed, self._on_closed = self._on_closed, lambda: None
        on_closed()
        lease, self._health_lease = self._health_lease, None
        pool, self.pool = self.pool, None
        async with AsyncExitStack() as stack:
            stack.push_async_callback(close, pool)
            if lease is not None:
                self.health.unsubscribe(self._checked)
                stack.push_async_callback(lease.aclose)

    def __repr__(self) -> str:
        state = "fit" if self.health.healthy else "unhealthy"
        return f"<Endpoint {self.id} {self.url} {state} active={self.active}>"


AcquireEndpoint = Callable[[EndpointSpec], Lease[Endpoint]]
"""Leases the run-time state of an address."""


class _NullWatcher:
    def invalidate(self) -> None:
        """Do nothing: used after close."""


class Membership:
    """The endpoints of one upstream by id, with the leases that keep their state alive."""

    __slots__ = ("_acquire", "_leaving", "_members", "_watcher")

    def __init__(self, acquire: AcquireEndpoint, watcher: Watcher) -> None:
        self._acquire = acquire
        self._watcher = watcher
        self._members: dict[str, tuple[EndpointSpec, Lease[Endpoint]]] = {}
        self._leaving: list[Endpoint] = []

    def close(self) -> None:
        """Drop the watchers, which would otherwise be a cycle of references."""
        self._watcher = _NullWatcher()

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[tuple[EndpointSpec, Endpoint]]:
        for spec, lease in list(
            self._members.values()
        ):  # metrics are collected in a thread, while endpoints come and go
            yield spec, lease.value

    def replace(self, specs: Iterable[EndpointSpec]) -> list[Endpoint]:
        """Have exactly these endpoints; of two with one id the last one counts.

        :returns: endpoints that are no longer used, for the caller to close.
        """
        wanted = {spec.id: spec for spec in specs}
        members = self._members
        gone = [name for name in members if name not in wanted]
        put = [spec for name, spec in wanted.items() if name not in members or members[name][0] is not spec]
        return self.change(put, gone)

    def change(self, put: Iterable[EndpointSpec], remove: Iterable[str] = ()) -> list[Endpoint]:
        """Add or change some endpoints and remove others by id; unknown ids are ignored.

        :returns: endpoints that are no longer used, for the caller to close.
        """
        closing: list[Endpoint] = []
        for name in remove:
            member = self._members.pop(name, None)
            if member is not None:
                closing += self._drop(member[1])
        for spec in put:
            closing += self._put(spec)
        return closing

    def weighted(self, *, backup: bool) -> Iterator[tuple[Endpoint, int]]:
        """Yield the backups, or the others, that may get requests at all: UP and with a weight above 0."""
        for spec, lease in self._members.values():
            if spec.is_open and spec.backup is backup:
                yield lease.value, spec.weight

    def leaving(self) -> list[Endpoint]:
        """Return endpoints that were removed while requests to them were in progress, and still are."""
        self._leaving = [endpoint for endpoint in self._leaving if endpoint.active > 0]
        return self._leaving

    def _put(self, spec: EndpointSpec) -> list[Endpoint]:
        old = self._members.get(spec.id)
        if old is not None and old[0] == spec:
            return []
        lease = self._acquire(spec)
        lease.value.watch(self._watcher)
        self._members[spec.id] = spec, lease
        # Acquired before the old one is released: a new weight or status keeps health, breaker and connections.
        return [] if old is None else self._drop(old[1])

    def _drop(self, lease: Lease[Endpoint]) -> list[Endpoint]:
        lease.value.unwatch(self._watcher)
        unused = lease.release()
        if unused is not None and unused.active > 0:
            self._leaving = [*self.leaving(), unused]
        return [] if unused is None else [unused]
