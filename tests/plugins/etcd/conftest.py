from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from gateway_plugin_etcd.client import Access, EtcdClient
from gateway_plugin_etcd.watcher import ClusterWatcher

from tests.plugins.etcd.server import Etcd


@pytest.fixture
async def etcd(tmp_path: Path) -> AsyncIterator[Etcd]:
    async with Etcd(tmp_path / "etcd") as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        yield session


class Counted:
    """A watcher whose requests are counted."""

    def __init__(self, *urls: str, **access: Any) -> None:
        self.begun = self.requests = self.most_requests = 0
        self._access = Access(urls, **{"ping": 5.0, "timeout": 5.0, **access})

    async def __aenter__(self) -> Counted:
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._start)
        trace.on_request_end.append(self._end)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self.session = aiohttp.ClientSession(connector=connector, trace_configs=[trace])
        self.watcher = ClusterWatcher(EtcdClient(self._access, lambda: self.session, Random(1)), Random(1))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.watcher.aclose()
        await self.session.close()

    async def _start(self, _session: Any, _context: Any, request: Any) -> None:
        self.requests += 1
        self.most_requests = max(self.most_requests, self.requests)
        self.begun += request.url.path == "/v3/watch"

    async def _end(self, *_: Any) -> None:
        self.requests -= 1


@pytest.fixture
def watches() -> Any:
    return Counted
