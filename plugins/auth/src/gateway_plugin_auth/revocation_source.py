"""Where revocation lists come from, and the list that they make together."""

from __future__ import annotations

import asyncio

from gateway_plugin_sdk import PluginContext
from gateway_tokens.documents import Document, FetchError
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.freshness import Terms
from gateway_tokens.loaders import value_from_file, value_from_url
from gateway_tokens.reading import decode_text
from gateway_tokens.sharing import acquire, release

from gateway_plugin_auth.config.revocation import RevocationOptions
from gateway_plugin_auth.revocation_list import RevocationList, merged, parse_entries


def read_revocations(text: bytes) -> RevocationList:
    """Read a revocation list.

    :raises ValueError: a line is no entry.
    """
    return parse_entries(decode_text(text).split("\n"))


class RevocationSource:
    """The revocation list of a provider, as it is now."""

    def __init__(self, options: RevocationOptions, fetch: FetchOptions, context: PluginContext) -> None:
        self._options = options
        self._fetch = fetch
        self._context = context
        self._own = parse_entries(self._options.entries)
        self._documents: list[Document[RevocationList]] = []
        self._generations: tuple[object, ...] = ()
        self._list: RevocationList = self._own
        self._stamp: object = self._own

    @property
    def stamp(self) -> object:
        """Another object whenever the list became another, or ended."""
        if self._documents:
            self.current()
        return self._stamp

    def retry_after(self) -> float:
        """Return the seconds after which a part that is missing may be there."""
        return max((document.retry_after() for document in self._documents), default=0.0)

    def current(self) -> RevocationList | None:
        """Return the list that is in force, or None if a part of it is missing: then nobody is let in."""
        if not self._documents:
            return self._list if self._is_complete else None
        parts = [document.current() for document in self._documents]
        if any(part is None for part in parts):
            self._stamp, self._generations = None, ()
            return None
        generations = tuple(document.generation for document in self._documents)
        if generations != self._generations:
            self._generations = generations
            self._list = merged([self._own, *(part for part in parts if part is not None)])
            self._stamp = self._list
        return self._list

    @property
    def _is_complete(self) -> bool:
        return self._options.file is None and self._options.url is None

    async def start(self) -> None:
        """Load the lists.

        :raises FetchError: the file cannot be read. If a server is away, every token is refused until it is back.
        """
        options, context = self._options, self._context
        terms = Terms(options.refresh, self._fetch.cooldown, self._fetch.stale_for)
        if options.file is not None:
            load = value_from_file(options.file, options.refresh, read_revocations)
            self._documents.append(acquire(options.file, ("revoked", options.refresh), load, terms, context))
        if options.url is not None:
            url = options.url.reveal()
            load = value_from_url(url, self._fetch, lambda _: options.refresh, read_revocations)
            key = ("revoked", options.refresh, await asyncio.to_thread(self._fetch.identity))
            self._documents.append(acquire(url, key, load, terms, context))
        for document in self._documents:
            await document.start()
        if options.file is not None and self._documents[0].current() is None:
            raise FetchError(f"revocation.file {self._documents[0].error}")

    async def stop(self) -> None:
        documents, self._documents = self._documents, []
        for document in documents:
            await release(document)
