"""Notice that plugins were installed, upgraded or removed while the gateway runs, and believe it only once it is over.

An installer at work shows a distribution twice, without a version, or not at all, for some tens of milliseconds. So a
reading counts when a second one, a while later, is equal to it and every file that it promises is there. Files may
also stay missing, because they were removed by hand: then the reading counts once it has been the same for
`COMPLETE_WITHIN`, so that what is wrong with one distribution does not keep changes of the others from being seen.

`EnvironmentWatch` decides that; `PluginWatch` looks again and again beside a running gateway, so that plugins can come,
change and go without a restart.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.events import PLUGINS_CHANGED, PLUGINS_UNREADABLE, emit
from gateway_core.packages.distributions import recorded_names
from gateway_core.packages.installed import InstalledPlugins, Published, installed_plugins

SETTLED_AFTER: Final = 0.5
"""Seconds between two equal readings."""

COMPLETE_WITHIN: Final = 10.0
"""Seconds for which files may be missing before a reading counts without them."""

SITES: Final = frozenset({"site-packages", "dist-packages"})
"""Names of the folders that distributions are installed into."""

RECENT: Final = 3.0
"""Seconds after a change in which an installer may be copying files into folders that are there already."""

Reading = InstalledPlugins
Stamp = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """What is different in the environment, by the plugins' names; an upgraded plugin is in ``changed``."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    broken: tuple[str, ...] = ()
    """What is wrong with distributions that cannot be read, and could before or were not there."""


def environment_stamp(paths: Iterable[str] | None = None) -> Stamp:
    """Return the folders of ``sys.path`` and when their lists of entries last changed; costs some microseconds."""
    stamps = []
    for path in sys.path if paths is None else paths:
        try:
            stamps.append((path, Path(path).stat().st_mtime_ns))
        except OSError:
            continue
    return tuple(stamps)


def is_complete(published: Published) -> bool:
    """Return whether a distribution has a version and all the files that its RECORD lists."""
    distribution = published.entry_point.dist
    if distribution is None or not published.version:
        return False
    try:
        names = recorded_names(distribution)
    except (OSError, ValueError):  # it is being written at this moment, or was never right
        return False
    # Compiled files come and go.
    return all(Path(str(distribution.locate_file(name))).exists() for name in names if not name.endswith(".pyc"))


class EnvironmentWatch:
    """Compares the environment with what was last believed; `look` blocks for some milliseconds after a change."""

    def __init__(
        self,
        *,
        stamp: Callable[[], Stamp] = environment_stamp,
        read: Callable[[], Reading] = installed_plugins,
        settled_after: float = SETTLED_AFTER,
    ) -> None:
        self.stamp = stamp
        self._read = read
        self._settled_after = settled_after
        self._stamped = stamp()
        self._believed = read()
        self._pending: tuple[Reading, float] | None = None
        self._is_doubted = False

    def doubt(self, wall: float, now: float) -> bool:
        """Let the first reading settle as well if it may be one of an installation that is under way.

        Blocks.

        :param wall: seconds since the Unix epoch.
        :param now: monotonic seconds.
        :returns: whether it may be: something was installed a moment ago, or files of a plugin are missing.
        """
        sites = [changed for path, changed in self._stamped if Path(path).name in SITES]
        is_recent = any(wall - changed / 1e9 < RECENT for changed in sites)
        plugins = [each for found in self._believed.plugins.values() for each in found]
        if is_recent or self._believed.broken or not all(map(is_complete, plugins)):
            self._pending, self._is_doubted = (self._believed, now), True
        return self._is_doubted

    @property
    def is_settled(self) -> bool:
        """Whether nothing has happened since the last change that was believed; costs some microseconds."""
        return self._pending is None and self.stamp() == self._stamped

    def look(self, now: float) -> EnvironmentChange | None:
        """Look once; call it every second or so.

        :param now: monotonic seconds.
        :returns: what changed since the last change was returned, once it has settled.
        :raises OSError: what is installed cannot be seen now; what was believed stays so.
        """
        stamped = self.stamp()
        if stamped == self._stamped and self._pending is None:
            return None
        reading = self._read()
        if self._pending is None or self._pending[0] != reading:
            self._stamped = stamped
            self._pending = reading, now
            return None
        age = now - self._pending[1]
        if age < self._settled_after or (age < COMPLETE_WITHIN and not self._has_all_files(reading)):
            return None
        before, self._believed, self._pending = self._believed, reading, None
        self._stamped, self._is_doubted = stamped, False
        return _difference(before, reading)

    def _has_all_files(self, reading: Reading) -> bool:
        return all(
            is_complete(each)
            for name, found in reading.plugins.items()
            if self._is_doubted or found != self._believed.plugins.get(name)
            for each in found
        )


def _difference(old: Reading, new: Reading) -> EnvironmentChange | None:
    before, after = old.plugins, new.plugins
    added = tuple(sorted(after.keys() - before.keys()))
    removed = tuple(sorted(before.keys() - after.keys()))
    changed = tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name]))
    broken = tuple(str(each) for each in new.broken if each not in old.broken)
    return EnvironmentChange(added, removed, changed, broken) if added or removed or changed or broken else None


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
        self._settled: Stamp | None = None
        """As `settle` has left it."""

    async def start(self) -> None:
        """Note what is installed now."""
        # First of all: what is installed while it is read may be noted, and a validation that has begun may miss it.
        self._settled = environment_stamp()
        self._watch = await asyncio.to_thread(self._make)

    async def doubt(self) -> None:
        """Take what was noted at the start for a part of an installation if it may be: see `EnvironmentWatch.doubt`."""
        watch = self._watch
        if watch is None or not watch.is_settled:
            return
        if await asyncio.to_thread(watch.doubt, self._clock.wall(), self._clock.monotonic()):
            self._settled = None

    async def follow(self, on_change: Callable[[str], None]) -> None:
        """Call back with each change, in words; ends only when it is cancelled.

        :raises OSError: what is installed cannot be seen now; what was seen last stays so.
        """
        while True:
            await asyncio.sleep(self._look_every)
            change = await self._look()
            if change is not None:
                on_change(described(change))

    async def settle(self, on_change: Callable[[str], None]) -> bool:
        """Wait until no installation is under way, so that no half of one is read.

        :param on_change: called with each change that was seen meanwhile, in words; `follow` does not see it any more.
        :returns: whether something has changed since this was asked before.
        """
        end = self._clock.monotonic() + LONGEST_WAIT
        while self._watch is not None and not self._watch.is_settled and self._clock.monotonic() < end:
            try:
                change = await self._look()
            except OSError as error:
                # The reload goes on with what was seen last; `follow` looks again.
                emit(PLUGINS_UNREADABLE, f"what is installed cannot be read: {error}", reason=str(error))
                break
            if change is not None:
                emit(PLUGINS_CHANGED, text := described(change), change=text)
                on_change(text)
            elif not self._watch.is_settled:
                await asyncio.sleep(_LOOK_AGAIN)
        has_changed, self._has_changed = self._has_changed, False
        if self._watch is not None:
            self._settled = self._watch.stamp() if self._watch.is_settled else None
        return has_changed

    def is_installing(self) -> bool:
        """Whether an installer may have been at work since `settle` last returned; costs some microseconds."""
        return self._watch is not None and self._settled != self._watch.stamp()

    async def _look(self) -> EnvironmentChange | None:
        watch = self._watch
        if watch is None or watch.is_settled:
            return None
        async with self._looking:
            change = await asyncio.to_thread(watch.look, self._clock.monotonic())
        self._has_changed = self._has_changed or change is not None
        return change


def described(change: EnvironmentChange) -> str:
    """Say what changed in words, to stand before what was made of it."""
    return "; ".join(_parts(change))


def _parts(change: EnvironmentChange) -> Iterator[str]:
    for names, verb in ((change.added, "installed"), (change.changed, "changed"), (change.removed, "removed")):
        if names:
            yield f"plugin{'' if len(names) == 1 else 's'} {', '.join(names)} {verb}"
    yield from change.broken
