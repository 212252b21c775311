"""Follow what is installed beside a running gateway, so that plugins can come, change and go without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.events import PLUGINS_CHANGED, emit
from gateway_core.packages.environment import EnvironmentChange, EnvironmentWatch

LOOK_EVERY: Final = 1.0
"""Seconds between two looks, each of some microseconds as long as nothing happens."""

_LOOK_AGAIN: Final = 0.2
LONGEST_WAIT: Final = 10.0
"""Seconds that a reload waits for an installer to be done."""


class PluginWatch:
    """Tells when an installation, an upgrade or a removal of plugins is over."""

    def __init__(
        self,
        *,
        watch: Callable[[], EnvironmentWatch] = EnvironmentWatch,
        clock: Clock | None = None,
        look_every: float = LOOK_EVERY,
    ) -> None:
        self._make = watch
        self._clock = clock or SystemClock()
        self._look_every = look_every
        self._watch: EnvironmentWatch | None = None
        self._looking = asyncio.Lock()
        self._has_changed = False

    async def start(self) -> None:
        """Note what is installed now."""
        self._watch = await asyncio.to_thread(self._make)

    async def follow(self, on_change: Callable[[str], None]) -> None:
        """Call back with each change, in words; ends only when it is cancelled."""
        while True:
            await asyncio.sleep(self._look_every)
            change = await self._look()
            if change is not None:
                on_change(told(change))

    async def settle(self) -> bool:
        """Wait until no installation is under way, so that no half of one is read.

        :returns: whether something has changed since this was asked before.
        """
        end = self._clock.monotonic() + LONGEST_WAIT
        while self._watch is not None and not self._watch.is_settled and self._clock.monotonic() < end:
            change = await self._look()
            if change is not None:
                emit(PLUGINS_CHANGED, text := told(change), change=text)
            elif not self._watch.is_settled:
                await asyncio.sleep(_LOOK_AGAIN)
        has_changed, self._has_changed = self._has_changed, False
        return has_changed

    async def _look(self) -> EnvironmentChange | None:
        watch = self._watch
        if watch is None or watch.is_settled:
            return None
        async with self._looking:
            change = await asyncio.to_thread(watch.look, self._clock.monotonic())
        self._has_changed = self._has_changed or change is not None
        return change


def told(change: EnvironmentChange) -> str:
    """Say what changed in words, to stand before what was made of it."""
    return "; ".join(_parts(change))


def _parts(change: EnvironmentChange) -> Iterator[str]:
    for names, verb in ((change.added, "installed"), (change.changed, "changed"), (change.removed, "removed")):
        if names:
            yield f"plugin{'' if len(names) == 1 else 's'} {', '.join(names)} {verb}"
