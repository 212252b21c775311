"""An upstream of one snapshot: its configured endpoints, and what its discovery finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from typing import Final

from gateway_core.events import DISCOVERY_STRATEGY_REFUSED, emit
from gateway_core.leases import Lease, LeaseHolder
from gateway_core.tasks import Tasks
from gateway_core.upstreams.discovery import Discovered, Feed
from gateway_core.upstreams.endpoint import Endpoint, EndpointSpec
from gateway_core.upstreams.strategies import Strategy
from gateway_core.upstreams.upstream import Upstream

DEFAULT_STRATEGY: Final = "weighted-round-robin"


class DiscoveredStrategy:
    """Gives one upstream the strategy that its discovery names.

    The configuration takes precedence: only the default strategy is replaced. A strategy that does not exist, or that
    needs a ``hash_on`` which the configuration does not have, is logged once and leaves the present one in force.
    """

    __slots__ = ("_applied", "_lease", "_lease_strategy", "_upstream")

    def __init__(self, upstream: Upstream, lease_strategy: Callable[[str], Lease[Strategy]]) -> None:
        self._upstream = upstream
        self._lease_strategy = lease_strategy
        self._lease: Lease[Strategy] | None = None
        self._applied = ""

    def apply(self, name: str) -> None:
        """Use the strategy of this name if that is possible; an empty name is the configured one."""
        own = self._upstream.settings.strategy
        if own != DEFAULT_STRATEGY or name == self._applied:
            return
        self._applied = name
        try:
            lease = self._lease_strategy(name or own)
        except ValueError as error:
            self._refuse(name, str(error))
            return
        if lease.value.is_keyed and self._upstream.hash_key is None:
            lease.release()
            self._refuse(name, f"{name!r} needs hash_on in the configuration")
            return
        self._upstream.use_strategy(lease.value, name or own)
        self.release()
        self._lease = lease

    def _refuse(self, strategy: str, reason: str) -> None:
        text = f"discovery of {self._upstream.name}: the strategy is left as it is: {reason}"
        emit(DISCOVERY_STRATEGY_REFUSED, text, upstream=self._upstream.name, strategy=strategy, reason=reason)

    def release(self) -> None:
        """Give the strategy back."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()


class LiveUpstream:
    """An upstream of one snapshot, with its discovery."""

    __slots__ = (
        "_closing",
        "_discovered",
        "_leases",
        "_on_closed",
        "_overridden",
        "_static",
        "_strategy",
        "feed",
        "upstream",
    )

    def __init__(
        self,
        upstream: Upstream,
        endpoints: Iterable[EndpointSpec],
        feed: Feed | None,
        leases: LeaseHolder,
        closing: Tasks,
        lease_strategy: Callable[[str], Lease[Strategy]],
        overridden: Callable[[EndpointSpec], EndpointSpec] = lambda spec: spec,
        on_closed: Callable[[LiveUpstream], object] = lambda _: None,
    ) -> None:
        """Have the configured endpoints, and what is discovered from now on.

        :param overridden: returns an endpoint as operators have it for now; the same object where they do not care.
        """
        self.upstream = upstream
        self.feed = feed
        """Where further endpoints come from, if anywhere."""
        self._static = tuple(endpoints)
        self._leases = leases
        self._closing = closing
        self._overridden = overridden
        self._on_closed = on_closed
        self._discovered = Discovered(())
        self._strategy = DiscoveredStrategy(upstream, lease_strategy)
        self.put_again()
        if feed is None:
            self._begin()
        else:
            feed.subscribe(self._put_discovered)

    async def wait_for_endpoints(self, timeout: float) -> bool:  # noqa: ASYNC109 - a wait that ends with False
        """Wait until the discovery, if there is one, has found endpoints for the first time.

        :returns: False if it has not within ``timeout`` seconds.
        """
        return self.feed is None or await self.feed.wait_for_first(timeout)

    async def aclose(self) -> None:
        """Give everything back. Requests in progress keep the endpoints that they have."""
        self._on_closed(self)
        if self.feed is not None:
            self.feed.unsubscribe(self._put_discovered)
        self._strategy.release()
        await close_all(self.upstream.release(), self._leases)

    def _begin(self) -> None:
        self.upstream.admission.load.is_running = True

    def _put_discovered(self, discovered: Discovered) -> None:
        self._discovered = discovered
        self.put_again()
        self._begin()

    def put_again(self) -> None:
        """Have the configured endpoints and the discovered ones, as they are now, with what is overridden of them.

        The configuration wins over an equal id.
        """
        self._strategy.apply(self._discovered.strategy)
        specs = map(self._overridden, (*self._discovered.endpoints, *self._static))
        for endpoint in self.upstream.set_endpoints(specs):
            self._closing.spawn(endpoint.aclose(), name=f"close endpoint {endpoint.id}")


async def close_all(endpoints: Iterable[Endpoint], leases: LeaseHolder) -> None:
    """Close all of them, whichever of them fails to."""
    async with AsyncExitStack() as stack:
        stack.push_async_callback(leases.aclose)
        for endpoint in endpoints:
            stack.push_async_callback(endpoint.aclose)
