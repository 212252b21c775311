"""Keep in step with the keys under prefixes of one cluster: list them, then watch from that revision on.

How it works: a cluster has one watcher (discoveries lease it, `DiscoveryContext.shared`), whatever the number of
prefixes and of those who follow each. It lists the prefixes that are not known yet, one after the other, and then
watches all of them on one connection. A prefix that is new ends that connection: the next one goes on from the revision
up to which each prefix is known, so nothing is missed, and a prefix that etcd refuses does not concern the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from dataclasses import dataclass
from random import Random
from typing import Final

from gateway_plugin_sdk import Backoff, Tasks

from gateway_plugin_etcd.client import EtcdClient, Listing
from gateway_plugin_etcd.errors import CompactedError, EtcdError, UnauthenticatedError, UnavailableError
from gateway_plugin_etcd.keyspace import Keyspace, Scope
from gateway_plugin_etcd.wire import KeyValue, WatchMessage

LONGEST_PAUSE: Final = 5.0
"""Seconds between two attempts at most."""
GATHER_SECONDS: Final = 0.02
"""Prefixes that come within this time are added to the watch together."""
REFUSED_SECONDS: Final = 5.0
"""After this time a prefix is asked for again that was refused, as to a user who has no right to it."""


@dataclass(frozen=True, slots=True)
class State:
    """The keys of a scope at one moment, in order."""

    entries: tuple[KeyValue, ...]
    """Those that did not change are the same objects as before."""
    is_stale: bool = False
    reason: str = ""
    is_listed: bool = True
    """Whether the keys were received; if not, the reason says why, and there are no entries."""


class _Followed:
    """What is known of one scope, and who follows it."""

    __slots__ = ("cluster", "events", "is_refused", "keyspace", "revision", "state")

    def __init__(self, scope: Scope) -> None:
        self.keyspace = Keyspace(scope)
        self.revision = 0
        """Up to which everything is known; 0 means that it is to be listed."""
        self.cluster = ""
        self.is_refused = False
        """Whether etcd did not list it, although it responds."""
        self.events: list[asyncio.Event] = []
        self.state: State | None = None

    def replace(self, listing: Listing) -> None:
        """Have what was listed."""
        has_changed = self.keyspace.replace(listing.entries)
        self.revision, self.cluster, self.is_refused = listing.revision, listing.cluster, False
        self._publish_if(has_changed)

    def apply(self, message: WatchMessage) -> None:
        """Take in a message of the watch.

        :raises CompactedError: it comes from a restored or another cluster: a watch from a future revision would wait
            for ever.
        """
        if message.is_created and (message.revision < self.revision or message.cluster != self.cluster):
            raise CompactedError("the cluster has another history than before")
        has_changed = self.keyspace.apply(message.events)
        # As etcd's own client does: the revision of a message with events may be ahead of events that are to come.
        if message.events:
            self.revision = max(self.revision, message.events[-1].revision)
        elif not message.is_created:
            self.revision = max(self.revision, message.revision)
        self._publish_if(has_changed)

    def fail(self, reason: str) -> None:
        """Keep what is known, as stale."""
        entries, is_listed = ((), False) if self.state is None else (self.state.entries, self.state.is_listed)
        state = State(entries, is_stale=True, reason=reason, is_listed=is_listed)
        if state != self.state:
            self._publish(state)

    def _publish_if(self, has_changed: bool) -> None:
        if has_changed or self.state is None or self.state.is_stale:
            self._publish(State(tuple(self.keyspace.sorted())))

    def _publish(self, state: State) -> None:
        self.state = state
        for event in self.events:
            event.set()


class ClusterWatcher:
    """Follows scopes of one cluster."""

    def __init__(self, client: EtcdClient, rng: Random) -> None:
        """Begin; needs a running event loop."""
        self._client = client
        self._followed: dict[Scope, _Followed] = {}
        self._has_changed = asyncio.Event()
        """Whether scopes have come or gone that the watch does not know of yet."""
        self._watch_end: asyncio.Timeout | None = None
        """Ends the watch that is open."""
        self._failures = 0
        self._backoff = Backoff(rng, longest=LONGEST_PAUSE)
        self._tasks = Tasks()
        self._tasks.supervise(self._run, name="watch etcd")

    async def aclose(self) -> None:
        """Stop to watch."""
        await self._tasks.aclose()

    async def follow(self, scope: Scope) -> AsyncGenerator[State]:
        """Yield the keys first, then after changes, and when etcd goes away or is back; does not end."""
        followed = self._followed.get(scope)
        if followed is None:
            followed = self._followed[scope] = _Followed(scope)
            self._renew_watch()
        event = asyncio.Event()
        followed.events.append(event)
        try:
            while True:
                if followed.state is not None:
                    yield followed.state
                await event.wait()
                event.clear()
        finally:
            followed.events.remove(event)
            if not followed.events:
                del self._followed[scope]
                self._renew_watch()

    def _renew_watch(self) -> None:
        self._has_changed.set()
        # One that is ending already cannot be rescheduled, and need not be.
        if self._watch_end is not None and not self._watch_end.expired():
            self._watch_end.reschedule(asyncio.get_running_loop().time() + GATHER_SECONDS)

    async def _run(self) -> None:
        while True:
            try:
                await self._list_unknown()
                await self._watch()
            except CompactedError:
                # Listed again at once, as a rule; where each listing is out of date at once, at longer and longer
                # intervals.
                await self._pause(self._backoff.next_delay())
            except EtcdError as error:
                self._failures += 1
                # A token that ended, or a member of several, while all is well is no reason to call anything stale.
                is_passing = isinstance(error, UnauthenticatedError) or len(self._client.members) > 1
                for followed in self._followed.values():
                    if self._failures > 1 or not is_passing or followed.state is None:
                        followed.fail(str(error))
                await self._pause(self._backoff.next_delay())
            except Exception as error:
                for followed in self._followed.values():
                    followed.fail(f"{type(error).__name__}: {error}")
                raise

    async def _pause(self, seconds: float) -> None:
        """Wait, until there is another scope at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._has_changed.wait()

    async def _list_unknown(self) -> None:
        """List what is not known, one after the other.

        :raises EtcdError: no member responds, and nothing is known yet.
        """
        self._has_changed.clear()
        while unknown := [each for each in self._followed.values() if not (each.revision or each.is_refused)]:
            try:
                listing = await self._client.list(unknown[0].keyspace.scope)
            except UnavailableError as error:
                self._put_last(unknown[0])
                if not any(each.revision for each in self._followed.values()):
                    raise
                # It may be for this prefix alone, as one that is too large; if not, the watch of the others fails, too.
                unknown[0].is_refused = True
                unknown[0].fail(str(error))
                break
            except CompactedError:  # while its pages were taken: from the first one again
                raise
            except EtcdError as error:
                unknown[0].is_refused = True
                unknown[0].fail(str(error))
            else:
                self._failures = 0
                unknown[0].replace(listing)
        self._has_changed.clear()

    def _put_last(self, followed: _Followed) -> None:
        """Have the others listed before this one."""
        scope = followed.keyspace.scope
        if self._followed.get(scope) is followed:
            self._followed[scope] = self._followed.pop(scope)

    async def _watch(self) -> None:
        """Watch all that is listed until scopes come or go, or until those are to be listed that were refused.

        :raises EtcdError: the watch failed. What has to be listed again has no revision then.
        """
        watched = {number: each for number, each in enumerate(self._followed.values(), 1) if each.revision}
        refused = [each for each in self._followed.values() if each.is_refused]
        try:
            async with asyncio.timeout(REFUSED_SECONDS if refused else None) as self._watch_end:
                if watched:
                    await self._take_messages(watched)
                else:
                    await asyncio.Event().wait()
        except TimeoutError:
            assert self._watch_end is not None
            if not self._watch_end.expired():
                raise
        finally:
            self._watch_end = None
            for each in refused:
                each.is_refused = False

    async def _take_messages(self, watched: dict[int, _Followed]) -> None:
        scopes = [(number, each.keyspace.scope, each.revision + 1) for number, each in watched.items()]
        async with aclosing(self._client.watch(scopes)) as messages:
            async for message in messages:
                # Newer versions do not say which watch it is that they refuse.
                concerned: Collection[_Followed] = watched.values()
                if message.watch in watched:
                    concerned = (watched[message.watch],)
                try:
                    if message.refusal is not None:
                        raise message.refusal
                    for followed in concerned:
                        followed.apply(message)
                except EtcdError:
                    for followed in concerned:
                        followed.revision = 0
                    raise
                self._failures = 0
                self._backoff.reset()
