"""Everything that one configuration compiled to, which of them is in force, and the ends of those before it.

A snapshot is retired after its last exchange: its bindings are stopped and its endpoints are released. A stream or a
tunnel that goes on for hours after its response's head needs none of a snapshot's tables, often megabytes, only its own
chain, whose hooks still run at the end: it keeps a `ChainLease`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, cast

from gateway_core.hooks import Chain
from gateway_core.leases import Lease
from gateway_core.routing import DEFAULT_POLICY
from gateway_core.tasks import spawn

if TYPE_CHECKING:
    from gateway_core.config import GatewayConfig
    from gateway_core.config.loaded import Part
    from gateway_core.hooks import Binding, Chain
    from gateway_core.hooks.upstream_scope import UpstreamScope
    from gateway_core.observe.tracing import Tracer
    from gateway_core.routing import ListenerTable, PathPolicy, Refusal
    from gateway_core.snapshot.listeners import CompiledListener
    from gateway_core.snapshot.route import CompiledRoute

NO_LIMIT: Final = (1 << 30) - 1
"""More than there can be; integers below 2**30 are compared fastest."""


class Snapshot:
    """One configuration in force, or one that requests still finish on.

    Its tables never change. An exchange on it adds one to ``active`` and calls `release` at the end.
    """

    __slots__ = (
        "__weakref__",
        "_close",
        "_made_of",
        "_on_idle",
        "active",
        "attempt_hooks",
        "bindings",
        "config",
        "fallback",
        "global_chain",
        "idle_wait",
        "is_awaited",
        "limits",
        "listeners",
        "max_requests",
        "max_requests_per_connection",
        "method_mismatch",
        "parts",
        "path_policy",
        "router",
        "routes",
        "scope",
        "tracer",
        "trust",
        "trusts",
        "upstreams",
        "version",
        "write_wait",
    )

    parts: Mapping[bytes, Part]
    """What the configuration was read from, for reading the next one (`LoadedConfig.parts`)."""

    def __init__(
        self,
        *,
        version: str,
        config: GatewayConfig,
        listeners: Mapping[str, ListenerTable[CompiledListener]],
        fallback: CompiledListener,
        global_chain: Chain,
        scope: UpstreamScope,
        routes: Mapping[str, CompiledRoute],
        path_policy: PathPolicy = DEFAULT_POLICY,
        close: Callable[[], Awaitable[None]],
        made_of: list[object],
        bindings: list[Binding],
        tracer: Tracer | None = None,
    ) -> None:
        self.version = version
        self.config = config
        self.listeners = listeners
        """What decides among the listeners of each address, by the address as configured."""
        self.fallback = fallback
        """Stands for a listener of another snapshot that is not one of this."""
        self.router = fallback.router
        """The routes that name no listener."""
        self.trust = fallback.trust
        """What listeners without settings of their own believe."""
        self.trusts = {address: table.rules[0].payload.trust for address, table in listeners.items()}
        """What the first listener of each address believes."""
        self.bindings = bindings
        """Every binding that runs, the gateway-wide ones first; what the core itself puts around chains is none."""
        self.global_chain = global_chain
        """The gateway-wide bindings: what a request without a route passes."""
        self.scope = scope
        """What the names of upstreams mean to plugins that send requests of their own."""
        self.attempt_hooks = scope.attempt_hooks
        """By upstream, the hooks of its own bindings; they run last in every attempt there."""
        self.upstreams = scope.upstreams
        """Named upstreams; a target that is a URL is here under that URL."""
        self.routes = routes
        self.path_policy = path_policy
        """What is refused on arrival; once a route is known, its own policy decides."""
        self.limits = config.limits
        self.tracer = tracer
        """Begins the traces of requests; None if they have none."""
        self.method_mismatch = config.method_mismatch
        """Status where routes match a request but for its method."""
        # Attributes of this class for what is looked at with every request: those of configurations take long to read.
        self.max_requests = self.limits.max_requests or NO_LIMIT
        """Exchanges at one time."""
        self.max_requests_per_connection = self.limits.max_requests_per_connection or NO_LIMIT
        self.idle_wait = self.limits.idle_wait
        """Seconds that a connection is kept open between requests."""
        self.write_wait = self.limits.write_wait
        """Seconds in which a client may take nothing of a response."""
        self.active = 0
        """Exchanges that are in progress on this snapshot."""
        self._close, self._made_of, self.parts = close, made_of, {}
        self._on_idle: Callable[[], None] | None = None
        self.is_awaited = False
        """Whether something waits for its last exchange; if not, one may end by counting ``active`` down itself."""

    def listener_for(self, address: str, host: str, client_auth: Hashable) -> CompiledListener | Refusal:
        """Return the listener that a request belongs to, or why there is none.

        :param address: of the listener's socket, as configured.
        :param host: the Host value as received.
        :param client_auth: `client_auth_of` the listener that the connection's TLS began with.
        """
        table = self.listeners.get(address)
        return self.fallback if table is None else table.only or table.for_host(host, client_auth)

    def release(self) -> None:
        """End one exchange; the last one of a retired snapshot lets its retirement go on."""
        self.active -= 1
        if self._on_idle is not None and self.active <= 0:
            on_idle, self._on_idle, self.is_awaited = self._on_idle, None, False
            on_idle()

    def when_idle(self, call: Callable[[], None]) -> None:
        """Have ``call`` called once no exchange is in progress; at once if none is."""
        if self.active <= 0:
            call()
        else:
            self._on_idle, self.is_awaited = call, True

    async def aclose(self) -> None:
        """Give back what this snapshot shares with others; plugins and endpoints that are not in use are closed."""
        await self._close()

    def clear(self) -> Iterator[None]:
        """Take the snapshot apart, as nothing uses it any more: each step frees a little."""
        listeners = [self.fallback, *(rule.payload for table in self.listeners.values() for rule in table.rules)]
        for router in {id(each.router): each.router for each in listeners}.values():
            yield from router.clear()
        self.routes, self.upstreams, self.parts = {}, {}, {}
        del self.config
        # No list that is new: the garbage collector would look through what it holds, which took some milliseconds.
        for made in (self._made_of, self.bindings):
            while made:
                made.pop()
                yield

    def __repr__(self) -> str:
        return f"<Snapshot {self.version[:12]} active={self.active}>"


class SnapshotHolder:
    """Where requests find the snapshot to start on; replacing it is one assignment."""

    __slots__ = ("current", "on_swap", "retirement")

    def __init__(self) -> None:
        self.current: Snapshot = cast("Snapshot", None)
        """The snapshot in force; there is one before the first listener opens."""
        self.on_swap: Callable[[], None] | None = None
        """Called when another snapshot is active, to drop what was cached of the previous one."""
        self.retirement = Retirement()

    def swap(self, snapshot: Snapshot) -> Snapshot | None:
        """Put a snapshot in force; the one before it is retired once its last exchange has ended.

        :returns: the one before, None the first time.
        """
        previous: Snapshot | None = self.current
        self.current = snapshot
        if self.on_swap is not None:
            self.on_swap()
        if previous is not None:
            self.retirement.begin(previous)
        return previous

    async def aclose(self) -> None:
        """Close the snapshot in force and those that are being retired, whether or not exchanges are in progress."""
        current: Snapshot | None = self.current
        await self.retirement.aclose()
        if current is not None:
            await current.aclose()


_PIECES = 50

_logger = logging.getLogger("gateway.snapshot")


class Retirement:
    """The snapshots that are no longer in force and not yet closed."""

    def __init__(self) -> None:
        self._waiting: set[Snapshot] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._closing)

    def begin(self, snapshot: Snapshot) -> None:
        """Close the snapshot as soon as nothing is in progress on it."""
        self._waiting.add(snapshot)
        snapshot.when_idle(lambda: self._close(snapshot))

    def _close(self, snapshot: Snapshot) -> None:
        if snapshot not in self._waiting:
            return
        self._waiting.discard(snapshot)
        task = spawn(self._finish(snapshot), name=f"retire snapshot {snapshot.version[:12]}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _finish(self, snapshot: Snapshot) -> None:
        version = snapshot.version[:12]
        await snapshot.aclose()
        # Freeing some hundred thousand objects at once would hold up the requests on the next snapshot.
        for number, _ in enumerate(snapshot.clear()):
            if number % _PIECES == 0:
                await asyncio.sleep(0)
        _logger.debug("snapshot %s is retired", version)

    async def aclose(self) -> None:
        """Close all that are left, whether or not exchanges are in progress, and wait for it."""
        for snapshot in tuple(self._waiting):
            self._close(snapshot)
        if self._closing:
            await asyncio.wait(tuple(self._closing))


class ChainLease:
    """Keeps the plugin instances of a chain running until `release`."""

    __slots__ = ("_leases",)

    def __init__(self, chain: Chain) -> None:
        """Share the leases of the chain's bindings, whose snapshot still holds them."""
        self._leases: list[Lease[object]] = [each.lease.share() for each in chain.bindings if each.lease is not None]

    def release(self) -> None:
        """Give the instances back; those that nothing else uses are stopped."""
        leases, self._leases = self._leases, []
        for lease in leases:
            spawn(lease.aclose(), name="release a plugin instance")
