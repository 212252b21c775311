"""Which responses a purge is about, and which URLs an unsafe request changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from gateway_plugin_sdk import Request, Response

from gateway_plugin_cache.entries import LATEST, Entry, Stamp, target_uri
from gateway_plugin_cache.fetches import Fetches
from gateway_plugin_cache.stores.memory import MemoryStore

AT_ONCE: Final = 2000
"""Entries that a purge looks at in one turn of the event loop: about a millisecond."""


@dataclass(frozen=True, slots=True)
class PurgeSelector:
    """Responses by URL, tag and the beginning of the URL; all without any of these."""

    url: str | None = None
    tag: str | None = None
    prefix: str | None = None

    def has(self, entry: Entry) -> bool:
        """Whether a response is one of them."""
        if self.url is not None and self.url != _seen_as(entry.url, self.url):
            return False
        if self.prefix is not None and not _seen_as(entry.url, self.prefix).startswith(self.prefix):
            return False
        return self.tag is None or self.tag in entry.tags


class Purger:
    """Purges the memory of one worker."""

    def __init__(self, store: MemoryStore, fetches: Fetches, now: Callable[[], float]) -> None:
        self._store = store
        self._fetches = fetches
        self._now = now

    def drop(self, urls: Iterable[str], before: Stamp = LATEST) -> int:
        """Drop the responses for some URLs, and return how many there were.

        :param before: only those that were fetched before this purge.
        """
        dropped = 0
        for url in urls:
            self._fetches.invalidate(url)
            for entry in self._store.of_url(url):
                if entry.seen < before:
                    self._store.remove(entry)
                    dropped += 1
        return dropped

    async def purge(self, purged: PurgeSelector, *, soft: bool, before: Stamp = LATEST) -> int:
        """Drop responses, or have them validated before they are used again; return how many there were."""
        self._fetches.invalidate_all()
        count = 0
        for number, entry in enumerate(self._store.entries(), 1):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
                # What began meanwhile may make an entry fresh that is still to be looked at.
                self._fetches.invalidate_all()
            if entry.seen < before and purged.has(entry):
                count += 1
                if soft:
                    entry.expire(self._now())
                else:
                    self._store.remove(entry)
        return count


def _seen_as(url: str, wanted: str) -> str:
    """Return a URL without its scheme and host, if the wanted one has none either."""
    return url[url.find("/", url.find("://") + 3) :] if wanted.startswith("/") else url


def invalidated_uris(request: Request, response: Response) -> Sequence[str]:
    """Return what an unsafe request changed: its URL, and those of the same origin that the response names (RFC 9111
    section 4.4); none if it failed.
    """
    if not 200 <= response.status < 400:
        return ()
    url = target_uri(request)
    named = [response.headers.get(name) for name in ("Location", "Content-Location")]
    others = [other for value in named if value is not None and (other := _of_same_origin(url, value)) is not None]
    return list(dict.fromkeys([url, *others]))


def _of_same_origin(url: str, reference: str) -> str | None:
    try:
        other, own = urlsplit(urljoin(url, reference)), urlsplit(url)
    except ValueError:
        return None
    if (other.scheme, other.netloc.lower()) != (own.scheme, own.netloc):
        return None
    return other._replace(netloc=own.netloc, path=other.path or "/", fragment="").geturl()
