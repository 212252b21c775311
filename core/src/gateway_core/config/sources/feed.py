"""Run one source, and keep what it said last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Final

from gateway_core.backoff import Backoff
from gateway_core.config.documents import Document, Right, with_rights
from gateway_core.config.sources.interface import ConfigSource, SourceState
from gateway_core.events import SOURCE_RECOVERED, SOURCE_STALE, emit
from gateway_core.failure_text import failure_text

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
    ) -> None:
        """Begin without documents.

        :param name: the source in messages, without credentials.
        :param rights: what its documents may bring in, whatever the source says of them.
        :param on_change: called when there are other documents than before.
        """
        self.name = name
        self.state: SourceState | None = None
        """What it said last; None as long as it never answered."""
        self.is_stale = False
        self.reason = ""
        """Why it is stale, or why it has not answered yet."""
        self.heard = asyncio.Event()
        """Set once it has answered or failed."""
        self.answered = asyncio.Event()
        self._source = source
        self._rng = rng
        self._on_change = on_change
        self._rights = rights

    @property
    def documents(self) -> tuple[Document, ...] | None:
        """The documents that it gave last; None as long as it never answered."""
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
        self.state = replace(state, documents=with_rights(state.documents, self._rights))
        self._note(is_stale=state.is_stale, reason=state.reason)
        self.heard.set()
        self.answered.set()
        if self.documents != before:
            self._on_change()

    def _note(self, *, is_stale: bool, reason: str) -> None:
        """Say it once when the source goes away, when the reason is another one, and when it is back."""
        if is_stale and (not self.is_stale or reason != self.reason):
            held = "has not responded yet" if self.state is None else "is unreachable, its last documents stay in force"
            emit(SOURCE_STALE, f"{self.name} {held}: {reason}", source=self.name, reason=reason)
        elif self.is_stale and not is_stale:
            emit(SOURCE_RECOVERED, f"{self.name} responds again", source=self.name)
        self.is_stale, self.reason = is_stale, reason if is_stale else ""
