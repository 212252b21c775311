"""Endpoints that are known from the start: the simplest discovery, and a fixture for those who write another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from gateway_core.upstreams.discovery.interface import Discovered
from gateway_core.upstreams.endpoint import EndpointSpec


class StaticDiscovery:
    """Always finds the same endpoints, until :meth:`put` says otherwise."""

    __slots__ = ("_changed", "_endpoints")

    def __init__(self, endpoints: Iterable[EndpointSpec] = ()) -> None:
        self._endpoints = tuple(endpoints)
        self._changed = asyncio.Event()

    def put(self, endpoints: Iterable[EndpointSpec]) -> None:
        """Find these from now on."""
        self._endpoints = tuple(endpoints)
        self._changed.set()

    async def watch(self) -> AsyncIterator[Discovered]:
        """Yield the endpoints now and after each :meth:`put`."""
        while True:
            self._changed.clear()
            yield Discovered(self._endpoints)
            await self._changed.wait()
