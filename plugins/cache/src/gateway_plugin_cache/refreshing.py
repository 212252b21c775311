"""Validates stale responses in the background, while clients still get them (RFC 5861 section 3)."""

from __future__ import annotations

from collections.abc import Coroutine, Hashable
from typing import Final

from gateway_plugin_sdk import Response

from gateway_plugin_cache.entries import Entry
from gateway_plugin_cache.fetches import Fetch, Fetches
from gateway_plugin_cache.keeper import Keeper, Sought
from gateway_plugin_cache.stores.memory import MemoryStore

MOST_REFRESHES: Final = 64
"""Validations at once: responses that expired together would all go upstream together."""
_AGAIN_AFTER: Final = 1.0
"""Seconds between two validations of one response."""


class Refresher:
    """The background validations of one binding and worker."""

    def __init__(self, keeper: Keeper, store: MemoryStore, fetches: Fetches) -> None:
        self._keeper = keeper
        self._store = store
        self._fetches = fetches
        self._running = 0

    def is_due(self, entry: Entry, now: float) -> bool:
        """Return whether to validate a response now."""
        return now >= entry.refresh_at and self._running < MOST_REFRESHES

    def begin(self, sought: Sought, key: Hashable, entry: Entry) -> Coroutine[None, None, None]:
        """Return what validates a response and stores what the upstream sends; to be run in the background."""
        entry.refresh_at = sought.started + _AGAIN_AFTER
        self._running += 1
        return self._refresh(sought, key, entry)

    async def _refresh(self, sought: Sought, key: Hashable, entry: Entry) -> None:
        try:
            if self._fetches.running(key) is None:
                await self._fetch(sought, entry, self._fetches.begin(key, entry.url, is_shared=True))
        finally:
            self._running -= 1

    async def _fetch(self, sought: Sought, entry: Entry, fetch: Fetch) -> None:
        try:
            entry.ask_whether_good(sought.request.headers)
            response = await sought.request.forward()
            if response.status == 304 and response.is_streamed and entry.has_validator:
                self._keeper.validated(sought, entry, response, fetch)
                await response.read(0)
            elif response.status < 500:
                await self._replace(sought, entry, response, fetch)
        finally:
            fetch.failed()

    async def _replace(self, sought: Sought, entry: Entry, response: Response, fetch: Fetch) -> None:
        """Store a new response in place of a stale one, or drop that if there is none to store."""
        draft = self._keeper.draft(sought, response) if response.is_streamed else "own"
        body = draft if isinstance(draft, str) else await self._keeper.read(response)
        if body == "busy":
            return
        if isinstance(draft, str) or isinstance(body, str):
            self._store.remove(entry)
            fetch.not_stored()
        else:
            self._keeper.end(fetch, draft, body)
