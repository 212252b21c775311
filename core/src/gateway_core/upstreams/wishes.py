"""What a registry wants of an upstream beside its endpoints: a strategy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from gateway_core.leases import Lease
from gateway_core.upstreams.strategies import Strategy
from gateway_core.upstreams.upstream import Upstream

DEFAULT_STRATEGY: Final = "weighted-round-robin"

_logger = logging.getLogger("gateway.discovery")


class StrategyWishes:
    """Gives one upstream the strategy that its discovery asks for.

    What the configuration says counts more: only the default strategy is replaced. A strategy that does not exist, or
    that needs a ``hash_on`` which the configuration does not have, is said once and leaves the present one in force.
    """

    __slots__ = ("_heard", "_lease", "_lease_strategy", "_upstream")

    def __init__(self, upstream: Upstream, lease_strategy: Callable[[str], Lease[Strategy]]) -> None:
        self._upstream = upstream
        self._lease_strategy = lease_strategy
        self._lease: Lease[Strategy] | None = None
        self._heard = ""

    def hear(self, wish: str) -> None:
        """Do as the registry asks, if it can be; an empty wish goes back to the configured strategy."""
        own = self._upstream.settings.strategy
        if own != DEFAULT_STRATEGY or wish == self._heard:
            return
        self._heard = wish
        try:
            lease = self._lease_strategy(wish or own)
        except ValueError as error:
            _logger.warning("discovery of %s: the strategy is left as it is: %s", self._upstream.name, error)
            return
        if lease.value.is_keyed and self._upstream.hash_key is None:
            lease.release()
            _logger.warning(
                "discovery of %s: the strategy is left as it is: %r needs hash_on in the configuration",
                self._upstream.name,
                wish,
            )
            return
        self._upstream.use_strategy(lease.value)
        self.release()
        self._lease = lease

    def release(self) -> None:
        """Give the strategy back."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
