"""Everything that one configuration compiled to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from gateway_core.routing import DEFAULT_POLICY

if TYPE_CHECKING:
    from gateway_core.config import GatewayConfig
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
        made_of: Sequence[object] = (),
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
        self._close = close
        self._made_of = made_of
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

    def bindings(self) -> list[Binding]:
        """Return every binding that runs, the gateway-wide ones first."""
        chains = [self.global_chain, *(each for route in self.routes.values() for each in route.chain.variants)]
        of_upstreams = [hook.binding for hooks in self.attempt_hooks.values() for hook in hooks]
        # By identity, in order; what the core itself puts around chains has no place in the configuration.
        found = [*(each for chain in chains for each in chain.bindings), *of_upstreams]
        return list(dict.fromkeys(each for each in found if each.place))

    async def aclose(self) -> None:
        """Give back what this snapshot shares with others; plugins and endpoints that are not in use are closed."""
        await self._close()

    def clear(self) -> Iterator[None]:
        """Take the snapshot apart, as nothing uses it any more: each step frees a little."""
        listeners = [self.fallback, *(rule.payload for table in self.listeners.values() for rule in table.rules)]
        for router in {id(each.router): each.router for each in listeners}.values():
            yield from router.clear()
        parts: list[object] = [*self._made_of, *self.config.routes, *self.config.upstreams, *self.routes.values()]
        self._made_of, self.routes, self.upstreams = (), {}, {}
        del self.config
        while parts:
            parts.pop()
            yield

    def __repr__(self) -> str:
        return f"<Snapshot {self.version[:12]} active={self.active}>"
