"""Instances of the plugin and requests for them, without a gateway around."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_ratelimit.config import RateLimitConfig
from gateway_plugin_sdk import Clock, Headers, Identity, Metrics, PluginContext, Record, Request, Response, RouteInfo
from gateway_plugin_sdk.testing import ManualClock


class Limiter:
    """One instance of the plugin, and what it makes of requests."""

    def __init__(self, plugin: RateLimit, clock: ManualClock) -> None:
        self.plugin: Any = plugin
        """Untyped: tests look at what it keeps for itself, and know which of its hooks must be awaited."""
        self.clock = clock

    async def answer(self, request: Request) -> Response:
        """Send a request through the phases up to the answer's head; 200 is the upstream's."""
        result: Any = self.plugin.gateway_pre_proxy(request)
        if isinstance(result, Awaitable):
            result = await result
        response = Response(200) if result is None else result
        self.plugin.gateway_response(request, response)
        return response

    def finish(self, request: Request, response: Response, received: int = 0) -> None:
        record = Record()
        record.bytes_received = received
        self.plugin.gateway_log(request, response, record)

    async def call(self, request: Request | None = None, received: int = 0) -> Response:
        """Send a request through all phases, with a body of so many bytes."""
        request = request or make_request()
        response = await self.answer(request)
        self.finish(request, response, received)
        return response

    async def passed(self, count: int, request: Callable[[], Request] | None = None) -> int:
        """Send that many requests; return how many were let through."""
        answers = [await self.call(request() if request else None) for _ in range(count)]
        return sum(answer.status == 200 for answer in answers)


MakeLimiter = Callable[..., Awaitable[Limiter]]


def make_request(
    method: str = "GET",
    target: str = "/",
    *,
    client_ip: str = "192.0.2.1",
    headers: Mapping[str, str] | None = None,
    host: str = "example.com",
    route: str | None = "r1",
    identity: str | None = None,
    claims: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
) -> Request:
    request = Request(method, target, headers=Headers(headers or {}), client_ip=client_ip, host=host)
    request.route = None if route is None else RouteInfo(route)
    if identity is not None or claims is not None:
        request.identity = Identity(identity or "", "jwt", claims or {})
    request.path_params = params or {}
    return request


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at midnight UTC."""
    return ManualClock(wall=1_700_006_400.0)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def request_of() -> Callable[..., Request]:
    return make_request


@pytest.fixture
async def limiter(clock: ManualClock, metrics: Metrics) -> AsyncIterator[MakeLimiter]:
    """Make started instances of one gateway; they are stopped after the test."""
    made: list[RateLimit] = []

    async def make(
        config: Mapping[str, Any],
        *,
        binding: str = "ratelimit",
        route: str | None = "r1",
        gateway: Metrics | None = None,
        real_time: Clock | None = None,
    ) -> Limiter:
        log = logging.getLogger("test.ratelimit")
        context = PluginContext(binding, route, real_time or clock, log, gateway or metrics)
        plugin = RateLimit(RateLimitConfig.model_validate(config), context)
        await plugin.start()
        made.append(plugin)
        return Limiter(plugin, clock)

    yield make
    for plugin in made:
        await plugin.stop()


async def eventually(condition: Any, *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture(name="eventually")
def eventually_fixture() -> Any:
    return eventually
