"""What a stream or a tunnel keeps of a snapshot that is no longer in force: the instances of its chain.

A snapshot holds the tables of a whole configuration, often megabytes. An exchange that goes on for hours after its
response's head needs none of them, only its own chain, whose hooks still run at the end.
"""

from __future__ import annotations

from gateway_core.hooks import Chain
from gateway_core.leases import Lease
from gateway_core.tasks import spawn


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
