"""Tell when watched files changed: notifications from the system, and a look every few seconds as a safety net."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from watchfiles import awatch

from gateway_core.config.sources.fingerprint import Fingerprint, WatchSet

_logger = logging.getLogger("gateway.config")

QUIET_MS: Final = 60
"""How long nothing must happen before a burst of changes counts as over."""

LONGEST_BURST_MS: Final = 800


class FileWatcher:
    """Watches what a configuration was read from; what is watched may change after every load."""

    def __init__(self, *, poll_interval: float = 2.0) -> None:
        self._poll_ms = max(50, int(poll_interval * 1000))
        self._watched = WatchSet()
        self._seen = Fingerprint()
        self._directories: frozenset[Path] = frozenset()
        self._rearm = asyncio.Event()

    async def take(self, watched: WatchSet) -> Fingerprint:
        """Look at files before they are loaded; the result goes to `watch` afterwards."""
        return await asyncio.to_thread(Fingerprint.take, watched, self._seen)

    async def watch(self, watched: WatchSet, before: Fingerprint) -> None:
        """Watch these from now on, and report what differs from how it was ``before`` they were loaded."""
        self._seen = await asyncio.to_thread(before.extended, watched)
        self._watched = watched
        directories = await asyncio.to_thread(watched.watched_directories)
        if directories != self._directories:
            self._directories = directories
            self._rearm.set()

    async def changes(self) -> AsyncGenerator[tuple[Path, ...]]:
        """Yield the paths that changed, each time that some did; ends only when it is cancelled."""
        while True:
            self._rearm.clear()
            async with aclosing(self._looks()) as looks:
                async for _ in looks:
                    changed = await self._look()
                    if changed:
                        yield changed
                    if self._rearm.is_set():
                        break

    async def _look(self) -> tuple[Path, ...]:
        watched = self._watched
        now = await asyncio.to_thread(Fingerprint.take, watched, self._seen)
        if watched is not self._watched:
            return ()
        changed = now.changed_since(self._seen)
        self._seen = now
        return changed

    async def _looks(self) -> AsyncGenerator[None]:
        """Yield when it is time to look: after each burst of notifications and each poll interval."""
        if self._directories:
            try:
                # No filter: a ConfigMap swap shows as a new `..data` only, never under the name of the file.
                notifications = awatch(
                    *self._directories,
                    watch_filter=None,
                    recursive=False,
                    debounce=LONGEST_BURST_MS,
                    step=QUIET_MS,
                    rust_timeout=self._poll_ms,
                    yield_on_timeout=True,
                    stop_event=self._rearm,
                )
                async with aclosing(notifications) as bursts:
                    async for _ in bursts:
                        yield
            except (OSError, RuntimeError) as error:
                _logger.warning("cannot watch for changes, looking every %d ms instead: %s", self._poll_ms, error)
            else:
                return
        try:
            await asyncio.wait_for(self._rearm.wait(), self._poll_ms / 1000)
        except TimeoutError:
            yield
