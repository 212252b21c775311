"""Documents from elsewhere, kept fresh beside the requests that rely on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Generic, TypeVar

from gateway_plugin_sdk import Clock, Metrics, Tasks

from gateway_tokens.freshness import Freshness, Terms
from gateway_tokens.texts import shown_url

ValueT = TypeVar("ValueT")

MOST_WAITING: Final = 256
"""Requests that wait for one load at a time."""

MOST_WAITING_PER_CLIENT: Final = 64
"""Of them, those of one client."""

_LONGEST_SLEEP: Final = 60.0
_SHORTEST_SLEEP: Final = 0.05


class FetchError(Exception):
    """A document could not be had; the text says from where and why."""

    def __init__(self, reason: str, place: str = "") -> None:
        """Say what went wrong.

        :param place: URL or path that was read, without what may be a secret; empty if the reason names it.
        """
        super().__init__(f"{place}: {reason}" if place else reason)
        self.reason = reason
        self.place = place


@dataclass(frozen=True, slots=True)
class Loaded(Generic[ValueT]):
    """A document as it was loaded."""

    value: ValueT
    lifetime: float
    """Seconds until it should be loaded again."""

    remarks: Sequence[str] = ()
    """What is wrong with parts of it that were left out."""


Load = Callable[[], Awaitable[Loaded[ValueT]]]
"""Loads a document, or raises `FetchError`."""


class Document(Generic[ValueT]):
    """One document: loaded ahead of time, by one load at a time, and used for a while longer if loading fails.

    ``generation`` is another object whenever the document became another, so whoever derived something from it sees by
    one comparison whether it still holds.
    """

    def __init__(
        self,
        name: str,
        load: Load[ValueT],
        terms: Terms,
        clock: Clock,
        log: logging.Logger,
        metrics: Metrics | None = None,
    ) -> None:
        """Make a document that was not loaded yet.

        :param name: its URL or path.
        """
        self.name = shown_url(name)
        """Without what may be a secret."""
        self.error = ""
        """Why the last load failed; empty if it did not."""
        self.generation: object = object()
        self.loads = 0
        """Loads that were tried."""
        self._load = load
        self._freshness = Freshness(terms, Random())  # noqa: S311 - spreads retries, guards nothing
        self._clock = clock
        self._log = log
        self._value: ValueT | None = None
        self._flight: asyncio.Task[None] | None = None
        self._is_kept = False
        self._waiting = 0
        self._waiting_by_client: dict[str, int] = {}
        self._tasks = Tasks()
        self._loads = self._unusable = None
        if metrics is not None:
            self._loads = metrics.counter(
                "gateway_auth_document_loads_total", "Loads of key sets and lists.", ("document", "result")
            )
            for result in ("loaded", "failed"):  # from 0 on, so that the first failure is an increase
                self._loads.labels(self.name, result)
            self._unusable = metrics.gauge(
                "gateway_auth_unusable_keys", "Keys of a key set that were left out.", ("document",)
            ).labels(self.name)

    def current(self) -> ValueT | None:
        """Return the document, or None if there never was one or it is too old. Never waits."""
        now = self._clock.monotonic()
        if self._freshness.is_due(now):
            self._begin()
        return self._value if self._freshness.is_usable(now) else None

    def retry_after(self) -> float:
        """Return the seconds until the next load, or how long one that is under way may still take."""
        return self._freshness.due_at - self._clock.monotonic()

    @property
    def is_unsure(self) -> bool:
        """Whether the document may have changed unseen: the last load failed, or one is under way."""
        return bool(self.error) or self._flight is not None

    def may_ask(self, client: str = "") -> bool:
        """Return whether waiting for `refetch` may help: a load is under way, or the last one was long enough ago.

        Only so many may wait, and fewer of one client: tokens of unknown keys must not fill the gateway with waiting
        requests, nor keep others from waiting for their key.
        """
        if self._flight is not None:
            own = self._waiting_by_client.get(client, 0)
            return self._waiting < MOST_WAITING and own < MOST_WAITING_PER_CLIENT
        return self._freshness.may_ask(self._clock.monotonic())

    async def refetch(self, client: str = "") -> None:
        """Load the document now, together with whoever else waits for it. Does not raise if that fails."""
        flight = self._begin()
        if flight is None:
            return
        waiting = self._waiting_by_client
        waiting[client] = waiting.get(client, 0) + 1
        self._waiting += 1
        try:
            await asyncio.wait([flight])
        finally:
            self._waiting -= 1
            waiting[client] -= 1
            if not waiting[client]:
                del waiting[client]

    async def start(self) -> None:
        """Load the document for the first time, and begin to keep it fresh. Safe to call by each of several users."""
        if not self._is_kept:
            self._is_kept = True
            self._tasks.supervise(self._keep_fresh, name=f"refresh {self.name}")
        if self.loads == 0 or self._flight is not None:
            await self.refetch()

    async def aclose(self) -> None:
        """Stop keeping it fresh."""
        await self._tasks.aclose()

    def _begin(self) -> asyncio.Task[None] | None:
        if self._flight is None:
            try:
                self._flight = self._tasks.spawn(self._run(), name=f"load {self.name}")
            except RuntimeError:  # closed: a request that began before is still under way
                return None
        return self._flight

    async def _run(self) -> None:
        clock, freshness = self._clock, self._freshness
        self.loads += 1
        freshness.began(clock.monotonic())
        try:
            loaded = await self._load()
        except Exception as error:  # noqa: BLE001 - a task's top: whatever it was, the next load is planned
            freshness.failed(clock.monotonic())
            self._failed(error if isinstance(error, FetchError) else FetchError(repr(error)))
        else:
            freshness.succeeded(clock.monotonic(), loaded.lifetime)
            self._succeeded(loaded)
        finally:
            self._flight = None

    def _failed(self, error: FetchError) -> None:
        self._count("failed")
        if str(error) == self.error:
            return  # the same was logged; it is tried again up to every second
        self.error = str(error)
        kept = (
            "the last one stays in use"
            if self._freshness.is_usable(self._clock.monotonic())
            else "there is no earlier one"
        )
        why = error.reason if error.place == self.name else error
        self._log.warning("cannot load %s: %s; %s", self.name, why, kept)

    def _succeeded(self, loaded: Loaded[ValueT]) -> None:
        self._count("loaded")
        if self.error:
            self.error = ""
            self._log.info("%s can be loaded again", self.name)
        if loaded.value == self._value:
            return
        self._value, self.generation = loaded.value, object()
        for remark in loaded.remarks:
            self._log.warning("%s: left out %s", self.name, remark)
        if self._unusable is not None:
            self._unusable.set(len(loaded.remarks))

    def _count(self, result: str) -> None:
        if self._loads is not None:
            self._loads.labels(self.name, result).inc()

    async def _keep_fresh(self) -> None:
        while True:
            pause = self._freshness.due_at - self._clock.monotonic()
            await asyncio.sleep(min(max(pause, _SHORTEST_SLEEP), _LONGEST_SLEEP))
            if self._freshness.is_due(self._clock.monotonic()):
                await self.refetch()
