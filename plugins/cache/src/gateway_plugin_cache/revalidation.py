"""Validates stale responses in the background, while clients still get them (RFC 5861 section 3)."""

from __future__ import annotations

from collections.abc import Coroutine, Hashable
from typing import Final

from gateway_plugin_sdk import Response

from gateway_plugin_cache.admission import Admission, Lookup
from gateway_plugin_cache.entries import Entry
from gateway_plugin_cache.fetches import Fetch, Fetches
from gateway_plugin_cache.stores.memory import MemoryStore

MOST_REVALIDATIONS: Final = 64
"""Validations at once: responses that expired together would all go upstream together."""
_AGAIN_AFTER: Final = 1.0
"""Seconds between two validations of one response."""


class Revalidator:
    """The background validations of one binding and worker."""

    def __init__(self, admission: Admission, store: MemoryStore, fetches: Fetches) -> None:
        self._admission = admission
        self._store = store
        self._fetches = fetches
        self._running = 0

    def is_due(self, entry: Entry, now: float) -> bool:
        """Return whether to validate a response now."""
        return now >= entry.revalidate_at and self._running < MOST_REVALIDATIONS

    def begin(self, lookup: Lookup, key: Hashable, entry: Entry) -> Coroutine[None, None, None]:
        """Return what validates a response and stores what the upstream sends; to be run in the background."""
        entry.revalidate_at = lookup.started + _AGAIN_AFTER
        self._running += 1
        return self._revalidate(lookup, key, entry)

    async def _revalidate(self, lookup: Lookup, key: Hashable, entry: Entry) -> None:
        try:
            if self._fetches.running(key) is None:
                await self._fetch(lookup, entry, self._fetches.begin(key, entry.url, is_shared=True))
        finally:
            self._running -= 1

    async def _fetch(self, lookup: Lookup, entry: Entry, fetch: Fetch) -> None:
        try:
            entry.make_conditional(lookup.request.headers)
            response = await lookup.request.forward()
            if response.status == 304 and response.is_streamed and entry.has_validator:
                self._admission.validated(lookup, entry, response, fetch)
                await response.read(0)
            elif response.status < 500:
                await self._replace(lookup, entry, response, fetch)
        finally:
            fetch.failed()

    async def _replace(self, lookup: Lookup, entry: Entry, response: Response, fetch: Fetch) -> None:
        """Store a new response in place of a stale one, or drop that if there is none to store."""
        candidate = self._admission.candidate(lookup, response)
        body = candidate if isinstance(candidate, str) else await self._admission.read(response)
        if body == "busy":
            return
        if isinstance(candidate, str) or isinstance(body, str):
            self._store.remove(entry)
            fetch.not_stored()
        else:
            self._admission.end(fetch, candidate, body)
