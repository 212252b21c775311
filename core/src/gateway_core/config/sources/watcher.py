"""Tell when watched files changed: notifications from the system, and a look every few seconds as a safety net.

A file changed if what is in it did (`Fingerprint`): a touched file did not, a swapped symlink may have.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR
from typing import Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.config.documents import LARGEST_FILE, WatchSet, read_regular
from gateway_core.events import CONFIG_WATCH_POLLS, emit
from gateway_core.tasks import spawn

QUIET_MS: Final = 30
"""How long nothing must happen before a burst of changes counts as over.

It is also how often the library looks for notifications, so an edit takes up to twice as long to be noticed.
"""

LONGEST_BURST_MS: Final = 800


class FileWatcher:
    """Watches what a configuration was read from; what is watched may change after every load."""

    def __init__(self, *, poll_interval: float = 2.0, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._poll_ms = max(50, int(poll_interval * 1000))
        self._watched = WatchSet()
        self._seen = Fingerprint()
        self._directories: frozenset[Path] = frozenset()
        self._rearm = asyncio.Event()
        self._failure = ""
        """Why notifications could not be had last."""

    async def take(self, watched: WatchSet) -> Fingerprint:
        """Look at files before they are loaded; the result goes to `watch` afterwards."""
        began = self._clock.wall()
        taken = await asyncio.to_thread(Fingerprint.take, watched, self._seen)
        taken.began = began
        return taken

    async def watch(self, watched: WatchSet, before: Fingerprint | None = None) -> None:
        """Watch these from now on, and report what differs from how it was ``before`` they were loaded.

        :param before: None is how everything was when it was looked at last.
        """
        self._seen = await asyncio.to_thread((before or self._seen).extended, watched)
        self._watched = watched
        directories = await asyncio.to_thread(watched.watched_directories)
        if directories != self._directories:
            self._directories = directories
            self._rearm.set()

    def seen(self) -> Seen:
        """Return what the files and directories were like when they were looked at last."""
        return Seen(
            {str(path): self._seen.entries[path] for path in self._watched.files & self._seen.entries.keys()},
            {str(path): self._seen.entries[path] for path in self._watched.directories & self._seen.entries.keys()},
        )

    async def watch_since(self, seen: Seen) -> None:
        """Watch what another program has watched, and report what differs from how that has seen it."""
        before = Fingerprint()
        before.entries.update({Path(name): entry for name, entry in [*seen.files.items(), *seen.directories.items()]})
        await self.watch(seen.watched(), before)

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
        now.began = self._seen.began
        self._seen = now
        return changed

    async def _looks(self) -> AsyncGenerator[None]:
        """Yield when it is time to look: after each burst of notifications and each poll interval."""
        if self._directories:
            try:
                from watchfiles import awatch  # noqa: PLC0415 - a process that only serves watches nothing

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
                    first = spawn(_next(bursts), name="wait for the first notification", on_error=lambda _: None)
                    try:
                        await asyncio.sleep(0)
                        yield  # what changed before notifications began
                        if await first:
                            yield
                    finally:
                        first.cancel()
                        await asyncio.wait({first})
                    async for _ in bursts:
                        yield
            except (OSError, RuntimeError, ImportError) as error:  # the library opens files when it is imported
                if str(error) != self._failure:
                    seconds = self._poll_ms / 1000
                    text = f"cannot watch for changes, looking every {seconds:g} s instead: {error}"
                    emit(CONFIG_WATCH_POLLS, text, reason=str(error), seconds=seconds)
                self._failure = str(error)
            else:
                return
        try:
            async with asyncio.timeout(self._poll_ms / 1000):
                await self._rearm.wait()
        except TimeoutError:
            yield


async def _next(bursts: AsyncGenerator[object]) -> bool:
    """Wait for the next burst; return False if there will be none."""
    return await anext(bursts, None) is not None


ABSENT = "absent"
UNKNOWN = "unknown"
"""Of a file that may have been written while it was loaded."""

_COARSE: Final = 0.02
"""Seconds by which the times of files may be behind the clock: the system sets them once a tick."""

_Stat = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """What was in watched files, as plain data: for the program that watches them next."""

    files: Mapping[str, str] = field(default_factory=dict)
    directories: Mapping[str, str] = field(default_factory=dict)

    def watched(self) -> WatchSet:
        """Return the files and directories."""
        return WatchSet.of(self.files, self.directories)


class Fingerprint:
    """What was in the files of a watch set; blocking, so call it in a thread."""

    __slots__ = ("began", "entries", "stats")

    def __init__(self) -> None:
        self.began = float("inf")
        """Seconds since the epoch at which it was begun, before anything was loaded."""
        self.entries: dict[Path, str] = {}
        self.stats: dict[Path, _Stat] = {}

    @classmethod
    def take(cls, watched: WatchSet, known: Fingerprint | None = None) -> Fingerprint:
        """Look at everything now; a file whose stat is as ``known`` has it is not read again."""
        taken = cls()
        for file in watched.files:
            taken._look_at(file, known)
        for directory in watched.directories:
            taken.entries[directory] = _listing(directory)
        return taken

    def _look_at(self, file: Path, known: Fingerprint | None) -> None:
        try:
            found = file.stat()
            if S_ISDIR(found.st_mode):  # as which it is watched once it has been loaded
                self.entries[file] = _listing(file)
                return
            stat = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if known is not None and known.stats.get(file) == stat:
                self.entries[file] = known.entries[file]
            else:
                self.entries[file] = hashlib.sha256(read_regular(file, LARGEST_FILE)).hexdigest()
            self.stats[file] = stat
        except (OSError, ValueError):  # ValueError: a name that no file can have
            self.entries[file] = ABSENT

    def extended(self, watched: WatchSet) -> Fingerprint:
        """Return this fingerprint for another watch set: what it has stays as it was seen, the rest is read now.

        So a file that changed while it was being loaded still counts as changed afterwards. One that loading has found
        was not seen before that: if it was written since, what was loaded of it is not known.
        """
        wanted = watched.files | watched.directories
        taken = Fingerprint.take(
            WatchSet(watched.files - self.entries.keys(), watched.directories - self.entries.keys())
        )
        for path, stat in list(taken.stats.items()):
            if stat[2] / 1e9 >= self.began - _COARSE:
                taken.entries[path] = UNKNOWN
                del taken.stats[path]
        taken.began = self.began
        taken.entries.update({path: seen for path, seen in self.entries.items() if path in wanted})
        taken.stats.update({path: stat for path, stat in self.stats.items() if path in wanted})
        return taken

    def changed_since(self, earlier: Fingerprint) -> tuple[Path, ...]:
        """Return the paths that are in both and not the same."""
        both = self.entries.keys() & earlier.entries.keys()
        return tuple(sorted(path for path in both if self.entries[path] != earlier.entries[path]))

    def absent(self) -> tuple[Path, ...]:
        """Return the files that are not there."""
        return tuple(sorted(path for path, seen in self.entries.items() if seen == ABSENT))


def _listing(directory: Path) -> str:
    try:
        # Hidden entries are editors' swap files and a ConfigMap's own machinery; neither is ever a document.
        return "\n".join(sorted(entry.name for entry in directory.iterdir() if not entry.name.startswith(".")))
    except OSError:
        return ABSENT
