"""One server that is asked: whether it is there, and when it is asked again.

Of a cluster there is one for each node, so that a node that is away takes nothing but its own counters with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from random import Random
from typing import Any, Final, Protocol

from gateway_plugin_sdk import Tasks

from gateway_plugin_ratelimit.stores.availability import Availability
from gateway_plugin_ratelimit.stores.batches import Batcher
from gateway_plugin_ratelimit.stores.scripts import Call

NEVER: Final = float("-inf")


class Server(Protocol):
    """What is asked of the client."""

    async def probe(self, name: str, *, was_away: bool) -> None:
        """Return if a node can do what we need, and raise whatever it was if not."""

    def is_refusal(self, error: BaseException) -> bool:
        """Say whether an error is the server's response to one call, rather than the lack of one."""


class Node:
    """A server, or a node of a cluster."""

    def __init__(
        self,
        name: str,
        server: Server,
        batcher: Batcher,
        now: Callable[[], float],
        log: logging.Logger,
        connect_timeout: float,
    ) -> None:
        """Begin by taking it as there.

        :param name: empty if there is only one.
        :param connect_timeout: seconds that a probe may take.
        """
        self.name = name
        self.batcher = batcher
        self.availability = Availability(Random())  # noqa: S311 - spreads probes, guards nothing
        self.found_at = NEVER
        """When it was found after it had been away; what it knew may be lost since."""
        self._server = server
        self._now = now
        self._log = log
        self._connect_timeout = connect_timeout
        self._tasks = Tasks()
        self._is_checking = False

    @property
    def is_up(self) -> bool:
        """Whether it is asked at the moment."""
        return self.availability.is_up

    async def ask(self, call: Call) -> Any:
        """Return the reply to a call.

        :raises Exception: there is none, for whatever reason; it was taken note of.
        """
        number = self.availability.asked()
        try:
            reply = await self.batcher.submit(call)
        except TimeoutError as error:
            if self.availability.late(number):
                self.failed(error)
            raise
        except Exception as error:
            self.failed(error)
            raise
        self.availability.replied()
        return reply

    def failed(self, error: Exception) -> None:
        """Take note of a failure. Where the server did reply, a probe tells what that means."""
        if self._server.is_refusal(error):
            if not self._is_checking:
                self._is_checking = True
                self._tasks.spawn(self._check(), name="ratelimit: look after redis")
        elif self._goes_down():
            self._report(error)

    def _goes_down(self) -> bool:
        if not self.availability.failed(self._now()):
            return False
        self._tasks.supervise(self._recover, name="ratelimit: wait for redis")
        return True

    def _report(self, error: Exception) -> None:
        which = f"redis ({self.name})" if self.name else "redis"
        self._log.warning(
            "%s is away, requests are decided by when_unavailable until it is back: %s: %s",
            which,
            type(error).__name__,
            error,
        )

    async def _check(self) -> None:
        try:
            await self.probe()
        finally:
            self._is_checking = False

    async def _recover(self) -> None:
        while not self.is_up:
            await asyncio.sleep(self.availability.wait(self._now()))
            await self.probe()

    async def probe(self) -> None:
        """Look whether it is there."""
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._server.probe(self.name, was_away=not self.is_up)
        except Exception as error:  # noqa: BLE001 - whatever it is, the server is away
            if self._goes_down():
                self._report(error)
            return
        if self.availability.succeeded():
            self.found_at = self._now()
            self._log.info("redis%s is back", f" ({self.name})" if self.name else "")

    async def aclose(self) -> None:
        """Ask no more; those who still wait are told."""
        await self.batcher.aclose()
        await self._tasks.aclose()
