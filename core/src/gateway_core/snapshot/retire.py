"""The end of a snapshot: after its last exchange, its bindings are stopped and its endpoints released."""

from __future__ import annotations

import asyncio
import logging

from gateway_core.snapshot.snapshot import Snapshot
from gateway_core.tasks import spawn

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
        pieces = snapshot.clear()
        del snapshot
        # Freeing some hundred thousand objects at once would hold up the requests on the next snapshot.
        while pieces:
            del pieces[-_PIECES:]
            await asyncio.sleep(0)
        _logger.debug("snapshot %s is retired", version)

    async def aclose(self) -> None:
        """Close all that are left, whether or not exchanges are in progress, and wait for it."""
        for snapshot in tuple(self._waiting):
            self._close(snapshot)
        if self._closing:
            await asyncio.wait(tuple(self._closing))
