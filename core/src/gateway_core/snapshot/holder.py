"""The snapshot in force, and the ends of those before it.

A snapshot is retired after its last exchange: its bindings are stopped and its endpoints are released. A stream or a
tunnel that goes on for hours after its response's head needs none of a snapshot's tables, often megabytes, only its own
chain, whose hooks still run at the end: it keeps a `ChainLease`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from gateway_core.hooks import Chain
from gateway_core.leases import Lease
from gateway_core.snapshot.snapshot import Snapshot
from gateway_core.tasks import spawn


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
