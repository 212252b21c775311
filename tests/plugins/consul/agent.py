"""An agent of Consul for tests: health of services and keys, with blocking queries.

As the HTTP API says: ``index`` and ``wait`` hold a query back until the index is higher, the answer says
``X-Consul-Index``, no key is 404 with an index, and a refusal is plain text.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from aiohttp import web


class Agent:
    """What one agent knows; changes wake the queries that wait."""

    def __init__(self) -> None:
        self.token = ""
        self.index = 10
        self.headers = True
        """Whether answers have an index."""
        self.services: dict[str, list[dict[str, Any]]] = {}
        self.keys: dict[str, str | None] = {}
        self.requests: list[web.Request] = []
        self.refusals: list[web.Response] = []
        """Answers for the next requests, whatever they ask for."""
        self.waiting = 0
        self.port = 0
        self._changed = asyncio.Event()
        self._open: list[web.Request] = []
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/health/service/{name}", self._health)
        app.router.add_get("/v1/kv/{prefix:.*}", self._kv)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.drop()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def drop(self) -> None:
        """Cut every query that waits."""
        for request in self._open:
            if request.transport is not None:
                request.transport.abort()

    def bump(self, index: int | None = None) -> None:
        """Have another index, one more unless given, and wake everybody."""
        self.index = self.index + 1 if index is None else index
        self._changed.set()
        self._changed = asyncio.Event()

    def put(self, service: str, *instances: dict[str, Any]) -> None:
        self.services[service] = list(instances)
        self.bump()

    def put_key(self, key: str, value: str | None) -> None:
        self.keys[key] = value
        self.bump()

    def delete_key(self, key: str) -> None:
        del self.keys[key]
        self.bump()

    async def _health(self, request: web.Request) -> web.Response:
        refusal = await self._wait(request)
        if refusal is not None:
            return refusal
        found = self.services.get(request.match_info["name"], [])
        wanted = set(request.query.getall("tag", []))
        found = [each for each in found if wanted <= set(each["Service"]["Tags"])]
        if "passing" in request.query:
            found = [each for each in found if all(check["Status"] == "passing" for check in each["Checks"])]
        return web.json_response(found, headers=self._index())

    async def _kv(self, request: web.Request) -> web.Response:
        refusal = await self._wait(request)
        if refusal is not None:
            return refusal
        prefix = request.match_info["prefix"]
        found = [
            {"Key": key, "Value": None if value is None else base64.b64encode(value.encode()).decode(), "Flags": 0}
            for key, value in sorted(self.keys.items())
            if key.startswith(prefix)
        ]
        return web.json_response(found, status=200 if found else 404, headers=self._index())

    def _index(self) -> dict[str, str]:
        return {"X-Consul-Index": str(self.index)} if self.headers else {}

    async def _wait(self, request: web.Request) -> web.Response | None:
        self.requests.append(request)
        if self.refusals:
            return self.refusals.pop(0)
        if request.headers.get("X-Consul-Token", "") != self.token:
            return web.Response(status=403, text="Permission denied: token with AccessorID '0' lacks permission")
        index = int(request.query.get("index", "0"))
        wait = int(request.query.get("wait", "300000ms").removesuffix("ms")) / 1000
        self._open.append(request)
        self.waiting += 1
        try:
            async with asyncio.timeout(wait):
                # An index of the future does not wait for ever: that is how a restored agent says that it went back.
                while index and index == self.index:
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self.waiting -= 1
            self._open.remove(request)
        return None


def instance(
    address: str, port: int = 8080, *, status: str = "passing", tags: tuple[str, ...] = (), **service: Any
) -> dict[str, Any]:
    """Return an instance of a service as the health endpoint tells it."""
    return {
        "Node": {"Node": "node-1", "Address": "10.9.9.9"},
        "Service": {"ID": f"{address}-{port}", "Address": address, "Port": port, "Tags": list(tags), **service},
        "Checks": [{"CheckID": "serfHealth", "Status": "passing"}, {"CheckID": "own", "Status": status}],
    }
