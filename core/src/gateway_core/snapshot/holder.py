"""The snapshot in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from gateway_core.snapshot.retire import Retirement
from gateway_core.snapshot.snapshot import Snapshot


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
