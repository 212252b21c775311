"""Sources: made from their URLs with what the gateway lends them, asked once (for commands), or followed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from random import Random
from typing import TYPE_CHECKING, Final

from gateway_core.clock import SystemClock
from gateway_core.config import Document
from gateway_core.config.documents import Right, with_rights
from gateway_core.config.sources import (
    BUILT_IN,
    ConfigSource,
    SourceContext,
    SourceFactory,
    SourceState,
    SourceUrl,
    make_source,
)
from gateway_core.errors import GatewayError
from gateway_core.events import PLUGINS_WARNING, emit
from gateway_core.failure_text import failure_text
from gateway_core.packages import Extensions, PluginRegistry

if TYPE_CHECKING:
    import aiohttp
from collections.abc import Callable
from dataclasses import replace

from gateway_core.backoff import Backoff
from gateway_core.events import SOURCE_RECOVERED, SOURCE_STALE

FETCH_TIMEOUT: Final = 15.0


class SourceError(GatewayError):
    """A source that cannot be used."""

    def __init__(self, source: str, reason: str) -> None:
        """Say which and why."""
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason


class SourceUnavailableError(SourceError):
    """A source that did not respond."""


class Sessions:
    """One session for all sources, made when the first of them asks for it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def get(self) -> aiohttp.ClientSession:
        """Return the session."""
        import aiohttp  # noqa: PLC0415  # a supervisor without sources does without it

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=10),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    async def aclose(self) -> None:
        """Close it, if it was ever made."""
        if self._session is not None:
            await self._session.close()


def marks_of(urls: Sequence[SourceUrl]) -> list[str]:
    """Return what is added to the name of each source and of its documents.

    URLs that differ in options or credentials alone have one text: the second of them is marked with a number, as of
    two documents of one name only one would be in force.
    """
    texts = [str(url) for url in urls]
    numbers = [texts[:index].count(text) + 1 for index, text in enumerate(texts)]
    return ["" if number == 1 else f" ({number})" for number in numbers]


def _of_source(documents: Sequence[Document], rights: frozenset[Right], mark: str) -> tuple[Document, ...]:
    found = with_rights(documents, rights)
    return tuple(replace(each, name=f"{each.name}{mark}") for each in found) if mark else found


async def open_sources(urls: Sequence[SourceUrl], context: SourceContext) -> list[ConfigSource]:
    """Make the sources of these URLs, in their order; nothing is connected yet.

    :raises SourceError: there is no such source, or its URL cannot work.
    """
    factories = await asyncio.to_thread(_factories, urls)
    made = []
    for url in urls:
        try:
            made.append(make_source(url, context, factories))
        except ValueError as error:
            raise SourceError(str(url), str(error)) from error
    return made


def fetch_documents(urls: Sequence[SourceUrl], *, timeout: float = FETCH_TIMEOUT) -> list[Document]:
    """Return what sources say at this moment; for commands that come to an end. Blocks.

    :raises SourceError: one of them cannot be used, or does not respond.
    """
    return asyncio.run(_fetch(urls, timeout)) if urls else []


def check_options(urls: Sequence[SourceUrl]) -> list[Document]:
    """See that sources can be made of their URLs, without asking any; returns no documents. Blocks.

    :raises SourceError: one of them cannot be used.
    """

    async def make() -> None:
        await open_sources(urls, SourceContext(SystemClock(), Random(), os.environ, Sessions().get))  # noqa: S311

    asyncio.run(make())
    return []


async def _fetch(urls: Sequence[SourceUrl], seconds: float) -> list[Document]:
    sessions = Sessions()
    context = SourceContext(SystemClock(), Random(), os.environ, sessions.get)  # noqa: S311  # keeps no secret
    try:
        sources = await open_sources(urls, context)
        return [
            document
            for url, mark, source in zip(urls, marks_of(urls), sources, strict=True)
            for document in _of_source(await _first(f"{url}{mark}", source, seconds), url.rights, mark)
        ]
    finally:
        await sessions.aclose()


async def _first(name: str, source: ConfigSource, seconds: float) -> tuple[Document, ...]:
    try:
        async with asyncio.timeout(seconds), aclosing(source.documents()) as states:  # type: ignore[type-var]  # async generators
            async for state in states:
                return state.documents
    except TimeoutError:
        raise SourceUnavailableError(name, f"it does not respond within {seconds:g} seconds") from None
    except Exception as error:  # an extension's own code
        raise SourceUnavailableError(name, failure_text(error)) from error
    raise SourceUnavailableError(name, "it sent nothing")


def _factories(urls: Sequence[SourceUrl]) -> Mapping[str, SourceFactory]:
    """Load extensions, if the core does not have what is asked for: first those that are named like it."""
    wanted = {url.scheme for url in urls} - BUILT_IN.keys()
    if not wanted:
        return {}
    registry = PluginRegistry()
    extensions = Extensions(registry.loaded(wanted))
    if wanted - extensions.config_sources.keys():
        extensions = Extensions(registry.loaded())
    for problem in extensions.problems:
        emit(PLUGINS_WARNING, str(problem), reason=str(problem))
    return extensions.config_sources


FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0


class SourceFeed:
    """The documents of one source."""

    def __init__(
        self,
        name: str,
        source: ConfigSource,
        rng: Random,
        on_change: Callable[[], None],
        rights: frozenset[Right] = frozenset(),
        wall: Callable[[], float] | None = None,
        mark: str = "",
    ) -> None:
        """Begin without documents.

        :param name: the source in messages, without credentials.
        :param mark: is added to this name and those of its documents (`marks_of`).
        :param rights: what its documents may bring in, whatever the source says of them.
        :param wall: the clock, in seconds since the Unix epoch; the system's unless given.
        :param on_change: called when there are other documents than before.
        """
        self.name = f"{name}{mark}"
        self.state: SourceState | None = None
        """What it gave last; None as long as it never responded."""
        self.is_stale = False
        self.reason = ""
        """Why it is stale, or why it has not responded yet."""
        self.heard = asyncio.Event()
        """Set once it has responded or failed."""
        self.responded = asyncio.Event()
        self._source = source
        self._rng = rng
        self._on_change = on_change
        self._rights = rights
        self._mark = mark
        self._wall = wall or SystemClock().wall
        self._confirmed_at = 0.0  # when it was stale first, since it responded last

    @property
    def confirmed_at(self) -> float:
        """When its documents were known to be current last, in seconds since the Unix epoch; 0 is never.

        A watch that stands confirms them at every moment.
        """
        return self._confirmed_at if self.is_stale or self.state is None else self._wall()

    @property
    def documents(self) -> tuple[Document, ...] | None:
        """The documents that it gave last; None as long as it never responded."""
        return None if self.state is None else self.state.documents

    async def run(self) -> None:
        """Follow the source; ends only when it is cancelled."""
        backoff = Backoff(self._rng, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        while True:
            reason = "its watch has ended"
            try:
                async with aclosing(self._source.documents()) as states:  # type: ignore[type-var]  # async generators
                    async for state in states:
                        backoff.reset()
                        self._take(state)
            except Exception as error:  # noqa: BLE001  # whatever an extension does wrong must not end the watch
                reason = failure_text(error)
            self._note(is_stale=True, reason=reason)
            self.heard.set()
            await asyncio.sleep(backoff.next_delay())

    def _take(self, state: SourceState) -> None:
        before = self.documents
        self.state = replace(state, documents=_of_source(state.documents, self._rights, self._mark))
        self._note(is_stale=state.is_stale, reason=state.reason)
        self.heard.set()
        self.responded.set()
        if self.documents != before:
            self._on_change()

    def _note(self, *, is_stale: bool, reason: str) -> None:
        """Say it once when the source goes away, when the reason is another one, and when it is back."""
        if is_stale and (not self.is_stale or reason != self.reason):
            held = "has not responded yet" if self.state is None else "is unreachable, its last documents stay in force"
            emit(SOURCE_STALE, f"{self.name} {held}: {reason}", source=self.name, reason=reason)
        if is_stale and not self.is_stale and self.state is not None:
            self._confirmed_at = self._wall()
        elif self.is_stale and not is_stale:
            emit(SOURCE_RECOVERED, f"{self.name} responds again", source=self.name)
        self.is_stale, self.reason = is_stale, reason if is_stale else ""
