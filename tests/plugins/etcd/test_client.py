"""Members that are not what they should be: no response takes more memory than its limit."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from gateway_plugin_etcd import client as module
from gateway_plugin_etcd.client import Access, EtcdClient
from gateway_plugin_etcd.errors import EtcdError
from gateway_plugin_etcd.keyspace import Scope

LIMIT = 10_000


@pytest.fixture
async def client_of(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[Any], Any]]:
    monkeypatch.setattr(module, "LARGEST", LIMIT)
    runners: list[web.ServerRunner] = []

    async def start(handler: Any) -> EtcdClient:
        runner = web.ServerRunner(web.Server(handler))
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return EtcdClient(Access((url,), ping=0.5, timeout=5.0), lambda: session, Random(1))

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.mark.parametrize("status", [200, 500])
async def test_a_response_without_an_end_is_given_up(client_of: Any, status: int) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100_000)

    client = await client_of(endless)

    with pytest.raises(EtcdError, match="is larger than"):
        await client.list(Scope.below("/a"))


async def test_pages_without_an_end_are_given_up(client_of: Any) -> None:
    async def pages(_request: web.BaseRequest) -> web.Response:
        entry = {
            "key": base64.b64encode(b"/a/1").decode(),
            "value": base64.b64encode(b"x" * 1000).decode(),
            "mod_revision": "1",
        }
        page = {"header": {"revision": "1", "cluster_id": "1"}, "kvs": [entry], "more": True}
        return web.Response(text=json.dumps(page))

    client = await client_of(pages)

    with pytest.raises(EtcdError, match="what is below the prefix is larger than 10000 bytes"):
        await client.list(Scope.below("/a"))


async def test_a_response_that_is_nested_without_an_end_is_an_error(client_of: Any) -> None:
    async def nested(_request: web.BaseRequest) -> web.Response:
        return web.Response(text="[" * (LIMIT - 1))

    client = await client_of(nested)

    with pytest.raises(EtcdError):
        await client.list(Scope.below("/a"))
