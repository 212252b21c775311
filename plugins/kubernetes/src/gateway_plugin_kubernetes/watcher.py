"""Keep a store of a collection up to date: list it, then watch it from the version of the list.

As the API server asks for it (https://kubernetes.io/docs/reference/using-api/api-concepts): a watch that ends goes on
from the last version seen, of a bookmark or of an event; a version that has expired, which is told as a status 410 or
as an event of the type ``ERROR`` within the stream, means a new list.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import aiohttp
from gateway_plugin_sdk import Backoff, Clock
from gateway_plugin_sdk.unstable import LineTooLongError, failure_text

from gateway_plugin_kubernetes.api import Api, ApiError, Object
from gateway_plugin_kubernetes.cluster import ClusterError
from gateway_plugin_kubernetes.store import Key, Store

PAGE: Final = 100
"""Objects in one response of a list: full EndpointSlices are 20 KiB each, and requests wait while a page is read."""
MOST_PAGES: Final = 10_000
LONG_WATCH: Final = 1.0
"""Seconds after which a watch counts as one that worked, even if nothing happened."""
MOST_EMPTY: Final = 5
"""Watches in a row that may end sooner without an event."""

_FAILURES: Final = (aiohttp.ClientError, ApiError, ClusterError, LineTooLongError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Collection:
    """What to follow."""

    path: str
    """Such as ``/api/v1/namespaces/shop/services``."""
    query: dict[str, str] = field(default_factory=dict)
    """Selectors."""
    missing: str = ""
    """What to say if the server does not know the collection."""

    @classmethod
    def of(cls, prefix: str, namespace: str, plural: str, query: dict[str, str], missing: str = "") -> Collection:
        """Return a collection of one namespace, or of all for ``*``."""
        scope = "" if namespace == "*" else f"/namespaces/{namespace}"
        return cls(f"{prefix}{scope}/{plural}", query, missing)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How often things are done, in seconds."""

    watch: float = 120.0
    """Shortest duration of a watch; the longest is half as much again."""
    resync: float = 1800.0
    """How long a list may be old before everything is listed anew, in case an event was lost; 0 is forever."""


class Watcher:
    """Follows one collection until it is cancelled."""

    def __init__(
        self, api: Api, collection: Collection, store: Store[Any], settings: WatchSettings, clock: Clock, rng: Random
    ) -> None:
        self._api = api
        self._collection = collection
        self._store = store
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(rng)
        self._version = ""
        self._listed_at = 0.0
        self._empty = 0
        """Watches in a row that ended at once without an event."""

    async def run(self) -> None:
        """List and watch, again and again; failures are noted in the store."""
        while True:
            wait = 0.0
            try:
                await self._follow_once()
            except _FAILURES as error:
                if isinstance(error, ApiError):
                    wait = error.retry_after
                if isinstance(error, ApiError) and error.is_expired:
                    self._version = ""
                else:
                    self._store.note(self._told(error))
            except Exception as error:
                self._version = ""
                self._store.note(f"{type(error).__name__}: {error}")
                raise
            await asyncio.sleep(self._backoff.next_delay(at_least=wait))

    async def _follow_once(self) -> None:
        if not self._version or self._is_resync_due():
            self._version = await self._list()
            self._listed_at, self._empty = self._clock.monotonic(), 0
        seconds = max(1, round(self._settings.watch * (1 + self._rng.random() / 2)))
        query = {**self._collection.query, "resourceVersion": self._version, "allowWatchBookmarks": "true"}
        began = self._clock.monotonic()
        self._empty += 1
        async with self._api.watch(self._collection.path, query, seconds) as events:
            self._store.note("")
            async for event in events:
                self._take(event)
                self._empty = 0
        if self._clock.monotonic() - began >= LONG_WATCH:
            self._backoff.reset()
            self._empty = 0
        if self._empty >= MOST_EMPTY:
            # What responds 200 and says nothing may be no API server: a list shows that.
            self._version = ""

    def _is_resync_due(self) -> bool:
        return 0 < self._settings.resync <= self._clock.monotonic() - self._listed_at

    async def _list(self) -> str:
        """Put the whole collection into the store.

        :returns: the version to watch from.
        """
        try:
            found, version = await self._pages(PAGE)
        except ApiError as error:
            if not error.is_expired:
                raise
            # The list changed faster than we took its pages: take it in one.
            found, version = await self._pages(0)
        self._store.replace(found)
        self._store.note("")
        return version

    async def _pages(self, limit: int) -> tuple[dict[Key, Any], str]:
        found: dict[Key, Any] = {}
        following = ""
        for _ in range(MOST_PAGES):
            query = {**self._collection.query, **({"limit": str(limit)} if limit else {})}
            page = await self._api.get(
                self._collection.path, {**query, **({"continue": following} if following else {})}
            )
            items, metadata = page.get("items") or [], page.get("metadata")
            # Any other object, as of a proxy, must not look like an empty list: a list has a version to watch from.
            is_list = isinstance(items, list) and all(isinstance(each, dict) for each in items)
            if not is_list or not isinstance(metadata, dict) or not metadata.get("resourceVersion"):
                raise ApiError(200, f"the response to {self._collection.path} is no list")
            found |= self._store.read(items)
            following = str(metadata.get("continue") or "")
            if not following:
                return found, str(metadata["resourceVersion"])
        raise ApiError(200, f"the list of {self._collection.path} does not end")

    def _take(self, event: Object) -> None:
        kind, item = event.get("type"), event.get("object")
        if not isinstance(item, dict):
            raise ApiError(200, f"the watch of {self._collection.path} has an event without an object")
        if kind == "ERROR":
            code = item.get("code")
            message = item.get("message") or item.get("reason") or "unknown error"
            # Whatever it is, the server will not go on from here.
            self._version = ""
            raise ApiError(code if isinstance(code, int) else 500, f"the API server ends the watch: {message}")
        metadata = item.get("metadata")
        if not isinstance(metadata, dict):
            raise ApiError(200, f"the watch of {self._collection.path} has an object without metadata")
        version = metadata.get("resourceVersion")
        if kind in {"ADDED", "MODIFIED"}:
            self._store.put(item)
        elif kind == "DELETED":
            self._store.remove(item)
        elif kind != "BOOKMARK":
            return
        if isinstance(version, str) and version:
            self._version = version
        self._backoff.reset()

    def _told(self, error: BaseException) -> str:
        if isinstance(error, ApiError) and error.status == 404 and self._collection.missing:
            return self._collection.missing
        server = self._api.cluster.server
        if isinstance(error, TimeoutError):
            return f"{server} does not respond in time"
        text = failure_text(error)
        return text if isinstance(error, ApiError | ClusterError) else f"{server}: {text}"
