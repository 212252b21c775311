"""The extension in a real gateway, in front of real upstreams: from an event in the cluster to where requests go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from gateway_core.testing import RunningGateway

from tests.plugins.kubernetes.api_server import ApiServer, Object, pod


class Pod:
    """An upstream that answers with its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0

    async def start(self) -> web.AppRunner:
        async def answer(request: web.Request) -> web.Response:
            return web.Response(text=self.name)

        app = web.Application()
        app.router.add_get("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        return runner


@pytest.fixture
async def pods() -> AsyncIterator[list[Pod]]:
    pods = [Pod("a"), Pod("b")]
    runners = [await each.start() for each in pods]
    yield pods
    for runner in runners:
        await runner.cleanup()


def put(server: ApiServer, name: str, port: int, endpoints: list[Object]) -> None:
    server.put_slice(name, "users", endpoints, ports=[{"name": "http", "port": port}])


async def test_requests_follow_the_cluster(server: ApiServer, kubeconfig: Path, pods: list[Pod]) -> None:
    a, b = pods
    server.put("services", "shop", "users", annotations={"gateway/load-balancer": "least-requests"})
    put(server, "users-a", a.port, [pod("127.0.0.1")])
    config = {
        "upstreams": [
            {
                "name": "users",
                "discovery": {"name": "kubernetes", "config": {"service": "users", "kubeconfig": str(kubeconfig)}},
            }
        ],
        "routes": [{"path": "/", "target": "users"}],
    }
    gateway = await asyncio.to_thread(RunningGateway, config)

    async def asked() -> str:
        return (await asyncio.to_thread(gateway.get, "/")).text

    async def reaches(names: set[str]) -> None:
        async with asyncio.timeout(20):
            while {await asked() for _ in range(8)} != names:
                pass

    try:
        await reaches({"a"})
        put(server, "users-b", b.port, [pod("127.0.0.1")])
        await reaches({"a", "b"})
        put(server, "users-a", a.port, [pod("127.0.0.1", ready=False, terminating=True)])
        await reaches({"b"})
        await server.stop()
        await reaches({"b"})
    finally:
        await asyncio.to_thread(gateway.close)
