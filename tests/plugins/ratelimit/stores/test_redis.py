from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any

import pytest
from gateway_plugin_ratelimit.stores.client import RedisMissingError
from gateway_plugin_ratelimit.stores.redis import RedisStore
from gateway_plugin_sdk import Metrics, Request, Response, spawn

from tests.plugins.ratelimit.conftest import MakeLimiter

GENEROUS = "5s"
"""For tests in which the server answers: a slow machine is not what they are about."""


def config(url: str, **options: Any) -> dict[str, Any]:
    redis = {"url": url, "timeout": GENEROUS, **options.pop("redis", {})}
    return {"quota": 5, "window": "1h", "store": "redis", "redis": redis, **options}


def store_of(limited: Any) -> RedisStore:
    store = limited.plugin._store
    assert isinstance(store, RedisStore)
    return store


async def test_gateways_with_the_same_server_count_together(limiter: MakeLimiter, valkey: Any) -> None:
    one = await limiter(config(valkey.url))
    other = await limiter(config(valkey.url), gateway=Metrics())

    assert await one.passed(4) == 4
    assert await other.passed(4) == 1


async def test_concurrent_requests_never_pass_more_than_the_limit(
    limiter: MakeLimiter, valkey: Any, request_of: Callable[..., Request]
) -> None:
    gateways = [await limiter(config(valkey.url), gateway=Metrics()) for _ in range(3)]

    answers = await asyncio.gather(*[gateways[index % 3].call() for index in range(60)])

    assert sum(answer.status == 200 for answer in answers) == 5


async def test_answers_carry_what_the_server_says(limiter: MakeLimiter, valkey: Any) -> None:
    limited = await limiter(config(valkey.url), binding="quota")

    answer = await limited.call()
    for _ in range(5):
        refused = await limited.call()

    assert answer.headers["ratelimit-policy"] == '"quota";q=5;w=3600'
    assert answer.headers["ratelimit"].startswith('"quota";r=4;t=')
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) > 0
    assert json.loads(refused.body)["violated-policies"] == ["quota"]


async def test_concurrency_is_counted_over_gateways_and_given_back(
    limiter: MakeLimiter, valkey: Any, request_of: Callable[..., Request]
) -> None:
    options = {"quota": None, "window": None, "concurrency": 1}
    one = await limiter(config(valkey.url, **options))
    other = await limiter(config(valkey.url, **options), gateway=Metrics())
    request = request_of()
    answer = await one.answer(request)
    assert (await other.call()).status == 429

    one.finish(request, answer)

    async with asyncio.timeout(20):
        while (await other.call()).status != 200:
            pass


async def test_a_client_that_leaves_while_the_server_is_asked_holds_no_place(
    limiter: MakeLimiter, valkey: Any, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(config(valkey.url, quota=None, window=None, concurrency=1))
    valkey.send_signal(signal.SIGSTOP)
    task: asyncio.Task[Any] = spawn(limited.plugin.gateway_pre_proxy(request_of()), name="a client that leaves")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    valkey.send_signal(signal.SIGCONT)

    async with asyncio.timeout(20):
        while (await limited.call()).status != 200:
            pass


async def test_a_cost_told_by_the_answer_is_taken_on_the_server(
    limiter: MakeLimiter, valkey: Any, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(config(valkey.url, quota=100, cost="response-header:X-Cost"))
    request = request_of()
    await limited.plugin.gateway_pre_proxy(request)
    limited.plugin.gateway_response(request, Response(200, headers={"X-Cost": "30"}))

    async with asyncio.timeout(20):
        while int((await limited.call()).headers["x-ratelimit-remaining"]) > 70:
            pass


@pytest.mark.parametrize(
    ("when_unavailable", "expected"),
    [("local", [200] * 2 + [429] * 8), ("open", [200] * 10), ("closed", [503] * 10)],
)
async def test_a_server_that_is_killed_and_revived(
    limiter: MakeLimiter, valkey: Any, eventually: Any, when_unavailable: Any, expected: Any
) -> None:
    limited = await limiter(config(valkey.url, redis={"when_unavailable": when_unavailable}))
    assert await limited.passed(3) == 3
    valkey.kill()

    answers = [await limited.call() for _ in range(10)]
    assert [answer.status for answer in answers] == expected
    assert not store_of(limited).is_up
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers if answer.status != 200)

    valkey.start()
    await eventually(lambda: store_of(limited).is_up)
    assert await limited.passed(10) == 5


async def test_a_server_that_hangs_costs_one_deadline_and_then_nothing(
    limiter: MakeLimiter, valkey: Any, eventually: Any, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(config(valkey.url, redis={"timeout": "50ms", "when_unavailable": "open"}))
    await limited.call()
    valkey.send_signal(signal.SIGSTOP)

    answers = await asyncio.gather(*[limited.call() for _ in range(20)])

    assert [answer.status for answer in answers] == [200] * 20
    assert not store_of(limited).is_up
    assert limited.plugin.gateway_pre_proxy(request_of()) is None  # decided inline: nobody waits any more
    valkey.send_signal(signal.SIGCONT)
    await eventually(lambda: store_of(limited).is_up)


async def test_answers_after_a_hang_belong_to_their_requests(
    limiter: MakeLimiter, valkey: Any, eventually: Any, request_of: Callable[..., Request]
) -> None:
    """An answer that comes after its deadline must not be taken for that of a later request."""
    limited = await limiter(
        config(valkey.url, quota=1000, key="header:x", redis={"timeout": "50ms", "when_unavailable": "open"})
    )
    for _ in range(2):
        valkey.send_signal(signal.SIGSTOP)
        await asyncio.gather(*[limited.call(request_of(headers={"x": "late"})) for _ in range(50)])
        valkey.send_signal(signal.SIGCONT)
        await eventually(lambda: store_of(limited).is_up)

    store_of(limited)._batcher._timeout = 20.0
    for number in range(20):
        answer = await limited.call(request_of(headers={"x": f"new {number}"}))
        assert answer.headers["x-ratelimit-remaining"] == "999"


async def test_a_gateway_starts_without_its_server_and_finds_it_later(
    limiter: MakeLimiter, valkey: Any, eventually: Any
) -> None:
    valkey.kill()
    limited = await limiter(config(valkey.url))
    assert await limited.passed(10) == 5

    valkey.start()
    await eventually(lambda: store_of(limited).is_up)

    assert await limited.passed(10) == 5


async def test_a_server_that_came_back_is_probed_by_one_and_not_by_all(
    limiter: MakeLimiter, valkey: Any, eventually: Any
) -> None:
    limited = await limiter(config(valkey.url, redis={"when_unavailable": "open"}))
    valkey.kill()
    await asyncio.gather(*[limited.call() for _ in range(200)])
    valkey.start()
    await eventually(lambda: store_of(limited).is_up)

    [connections] = [
        int(line.partition(":")[2])
        for line in valkey.command("INFO", "stats").splitlines()
        if line.startswith("total_connections_received")
    ]
    # One of the probe, those of this test's own look and of its waiting for the start; a slow machine may need more.
    assert connections <= 20


async def test_failures_and_what_was_decided_without_the_server_are_counted(
    limiter: MakeLimiter, valkey: Any, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    limited = await limiter(config(valkey.url))
    valkey.kill()
    await limited.passed(3)

    exposition = metrics.exposition().decode()
    assert "gateway_ratelimit_store_failures_total 1.0" in exposition
    assert "gateway_ratelimit_decided_without_store_total 3.0" in exposition
    assert caplog.text.count("redis is away") == 1


async def test_bindings_with_the_same_server_share_connections_and_close_them(
    limiter: MakeLimiter, valkey: Any
) -> None:
    one, other = await limiter(config(valkey.url), route="r1"), await limiter(config(valkey.url), route="r2")
    assert store_of(one) is store_of(other)
    assert await one.passed(9) + await other.passed(9) == 10

    await one.plugin.stop()

    assert (await other.call()).status == 429


async def test_a_missing_package_is_named_with_what_to_install(
    limiter: MakeLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "redis.asyncio", None)

    with pytest.raises(RedisMissingError, match=r"pip install 'gateway-plugin-ratelimit\[redis\]'"):
        await limiter(config("redis://127.0.0.1:1"), gateway=Metrics())


async def test_a_server_that_wants_a_password_is_given_it(limiter: MakeLimiter, valkey: Any) -> None:
    valkey.command("CONFIG", "SET", "requirepass", "hunter2")
    without = await limiter(config(valkey.url, redis={"when_unavailable": "closed"}))
    with_password = await limiter(config(valkey.url, redis={"password": "hunter2"}), gateway=Metrics())

    assert (await without.call()).status == 503
    assert (await with_password.call()).status == 200
    assert store_of(with_password).is_up
