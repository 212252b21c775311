"""What clients may send: it never raises, takes no more memory than is configured, and frees of no limit."""

from __future__ import annotations

import asyncio
import logging
import tracemalloc
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from gateway_core.messages.headers import headers_of_block
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_ratelimit.config import RateLimitConfig
from gateway_plugin_sdk import Headers, Metrics, PluginContext, Request, Response, RouteInfo
from gateway_plugin_sdk.testing import ManualClock
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.ratelimit.conftest import MakeLimiter

SOURCES = [
    "client_ip", "peer_ip", "route", "identity", "method", "host", "path", "constant", "header:X-Tenant", "cookie:sid",
    "query:k", "param:id", "claim:org.id",
]  # fmt: skip

ALL = {
    "limits": [
        {"name": f"l{index}", "quota": 1000, "window": "1h", "key": [source], "when": {source: "*"}}
        for index, source in enumerate(SOURCES)
        if source != "constant"
    ]
    + [
        {"name": "cost", "quota": 1000, "window": "1h", "cost": "header:X-Tenant", "when": {"path": "/a/*"}},
        {"name": "query", "quota": 1000, "window": "1h", "cost": "query:k", "when": {"host": "a", "method": "GET"}},
        {"name": "length", "quota": 10**9, "window": "1h", "cost": "content-length", "when": {"client_ip": "::/0"}},
        {"name": "at-once", "concurrency": 1000, "key": SOURCES},
    ],
    "exempt": [{"query:k": "x", "cookie:sid": "y"}, {"client_ip": "10.0.0.0/8"}],
}

_VALUE = st.binary(max_size=40).map(lambda data: data.translate(None, b"\r\n\0").decode("latin-1"))
_FIELDS = st.lists(
    st.tuples(st.sampled_from(["X-Tenant", "Cookie", "Content-Length", "Host", "X-Forwarded-For"]), _VALUE), max_size=6
)
_TARGET = st.text("/abk=&;%2Fé+?#.\\ 0", max_size=40).map(lambda text: f"/{text}")
_METHOD = st.sampled_from(["GET", "HEAD", "get", "POST", "M-SEARCH", "\xe9"])


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    context = PluginContext(
        binding="ratelimit",
        route="r",
        clock=ManualClock(),
        log=logging.getLogger("gateway.plugin.ratelimit"),
        metrics=Metrics(),
    )
    plugin = RateLimit(RateLimitConfig.model_validate(ALL), context)
    with asyncio.Runner() as runner:
        runner.run(plugin.start())
        yield plugin
        runner.run(plugin.stop())


@given(_METHOD, _TARGET, _FIELDS, _VALUE, _VALUE)
def test_no_head_makes_a_hook_raise(
    started: Any, method: str, target: str, fields: Any, host: str, address: str
) -> None:
    block = b"".join(f"\r\n{name}: {value}".encode("latin-1") for name, value in fields)
    request = Request(method, target, headers=headers_of_block(block), client_ip=address, host=host)
    request.route = RouteInfo("r")

    answer = started.gateway_pre_proxy(request)

    assert not isinstance(answer, Awaitable)
    started.gateway_response(request, answer or Response(200))


@pytest.mark.parametrize("store", ["process", "workers"])
async def test_long_keys_take_no_more_memory_than_short_ones(
    limiter: MakeLimiter, store: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    if store == "workers":
        monkeypatch.setenv("GATEWAY_SHARED_DIR", str(tmp_path))
    limited = await limiter({"quota": 10, "window": "1h", "key": "header:X-Tenant"})
    tracemalloc.start()
    try:
        for number in range(1000):
            request = Request("GET", "/", headers=Headers({"X-Tenant": f"{number}" + "x" * 60_000}))
            assert limited.plugin.gateway_pre_proxy(request) is None
            del request
            await asyncio.sleep(0)

        assert tracemalloc.get_traced_memory()[0] < 3 * 1024 * 1024
    finally:
        tracemalloc.stop()


async def test_leaving_the_key_out_is_no_way_past_the_limit(limiter: MakeLimiter) -> None:
    limited = await limiter({"quota": 2, "window": "1h", "key": "header:X-Tenant"})

    def of(*fields: tuple[str, str]) -> Request:
        return Request("GET", "/", headers=Headers(fields), client_ip="192.0.2.1")

    passed = [(await limited.call(each)).status for each in (of(), of(("X-Tenant", "")), of(("X-Tenant", " ")), of())]

    assert passed == [200, 200, 429, 429]
