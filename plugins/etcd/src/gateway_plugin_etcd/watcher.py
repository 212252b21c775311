"""Keep in step with the keys under a prefix: list them, then watch from that revision on, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Final

from gateway_plugin_sdk import Backoff

from gateway_plugin_etcd.client import EtcdClient
from gateway_plugin_etcd.errors import CompactedError, EtcdError, UnauthenticatedError
from gateway_plugin_etcd.keyspace import Keyspace, Scope
from gateway_plugin_etcd.wire import KeyValue, WatchMessage

LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries at most."""


@dataclass(frozen=True, slots=True)
class State:
    """The keys of a scope at one moment, in order."""

    entries: tuple[KeyValue, ...]
    """Those that did not change are the same objects as before."""
    is_stale: bool = False
    reason: str = ""


class Watcher:
    """Follows one scope."""

    def __init__(self, client: EtcdClient, scope: Scope, rng: Random) -> None:
        self._client = client
        self._keyspace = Keyspace(scope)
        self._revision = 0
        """Up to which everything is known; 0 means nothing is."""
        self._cluster = ""
        self._has_responded = False
        self._is_stale = False
        self._failures = 0
        self._backoff = Backoff(rng, longest=LONGEST_PAUSE)

    async def follow(self) -> AsyncGenerator[State]:
        """Yield the keys first, then after each change, and when etcd goes away or is back; ends only by an error.

        :raises EtcdError: etcd did not respond at all yet.
        """
        while True:
            try:
                async with aclosing(self._attempt()) as steps:
                    async for state in steps:
                        yield state
            except CompactedError:
                self._revision = 0
                continue
            except EtcdError as error:
                if not self._has_responded:
                    raise
                failure = error
            self._failures += 1
            # A token that ended, or a member of several, while all is well is no reason to call anything stale.
            if self._failures > 1 or not (isinstance(failure, UnauthenticatedError) or len(self._client.members) > 1):
                self._is_stale = True
                yield self._state(str(failure))
            await asyncio.sleep(self._backoff.next_delay())

    async def _attempt(self) -> AsyncGenerator[State]:
        if not self._revision:
            listing = await self._client.list(self._keyspace.scope)
            has_changed = self._keyspace.replace(listing.entries)
            self._revision, self._cluster = listing.revision, listing.cluster
            if self._is_news() or has_changed:
                yield self._state()
        async with aclosing(self._client.watch(self._keyspace.scope, self._revision + 1)) as messages:
            async for message in messages:
                if self._is_another_history(message):
                    raise CompactedError("the cluster has another history than before")
                has_changed = self._keyspace.apply(message.events)
                self._advance(message)
                if self._is_news() or has_changed:
                    yield self._state()

    def _is_news(self) -> bool:
        """Tell whether etcd was away before this message, and note that it is back."""
        is_news = self._is_stale or not self._has_responded
        self._is_stale, self._has_responded, self._failures = False, True, 0
        self._backoff.reset()
        return is_news

    def _is_another_history(self, message: WatchMessage) -> bool:
        """Tell whether this is a restored or another cluster: a watch from a future revision would wait for ever."""
        return message.is_created and (message.revision < self._revision or message.cluster != self._cluster)

    def _advance(self, message: WatchMessage) -> None:
        """Note up to where everything is known, as etcd's own client does.

        The revision of a message with events may be ahead of events that are still to come.
        """
        if message.events:
            self._revision = max(self._revision, message.events[-1].revision)
        elif not message.is_created:
            self._revision = max(self._revision, message.revision)

    def _state(self, reason: str = "") -> State:
        return State(tuple(self._keyspace.sorted()), is_stale=bool(reason), reason=reason)
