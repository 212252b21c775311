"""What becomes of a fetch whose response goes to no client as it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor

import pytest
from gateway_plugin_cache import Cache
from gateway_plugin_sdk import Plugin, Request, Response, hookimpl
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway, eventually, one_route

from tests.plugins.cache.test_sharing import Gate

FRESH = [("Cache-Control", "max-age=60")]


class Replaces(Plugin[None]):
    """Sends another response in place of the one it gets, or fails."""

    name = "replaces"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Response | None:
        if request.path == "/fails":
            raise RuntimeError(request.path)
        return Response.problem(403, "not for you") if request.path == "/replaced" else None


@pytest.mark.parametrize("path", ["/replaced", "/fails"])
def test_a_fetch_ends_with_its_request_whatever_was_sent(
    gateway: StartGateway, upstream: ScriptedUpstream, path: str
) -> None:
    running = gateway(one_route(upstream.url, {"name": "replaces"}, {"name": "cache"}), plugins=[Cache, Replaces])
    upstream.answer_with(200, "x", FRESH)

    statuses = [running.get(path).status for _ in range(2)]

    assert statuses[0] == statuses[1] != 200
    eventually(lambda: running.call("test/cache", "stats")["fetches"] == 0)


class Late(Cache):
    """Begins late with what it does for a request with ``X-Late``, which it has looked up at once."""

    held = threading.Event()
    release = threading.Event()

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        reply = super().gateway_pre_proxy(request)
        return self._later(reply) if "X-Late" in request.headers and isinstance(reply, Awaitable) else reply

    async def _later(self, reply: Awaitable[Response | None]) -> Response | None:
        self.held.set()
        await asyncio.to_thread(self.release.wait)
        return await reply


def test_a_request_shares_the_fetch_that_was_under_way_when_it_came(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    Late.held.clear()
    Late.release.clear()
    running, gate = gateway(one_route(upstream.url, {"name": "cache"}), plugins=[Late]), Gate()
    upstream.answer_by(gate)

    with ThreadPoolExecutor(2) as clients:
        first = clients.submit(running.get, "/")
        upstream.wait_for(1)
        second = clients.submit(lambda: running.get("/", headers={"X-Late": "1"}))
        assert Late.held.wait(60)
        gate.opened.set()
        assert first.result().status == 200
        Late.release.set()

        assert "; collapsed; " in str(second.result().headers["cache-status"])
    assert len(upstream.requests) == 1
