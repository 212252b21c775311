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
    assert json.loads(refused.body)["violated-policies"] == ["quota"]  # type: ignore[arg-type]  # bytes


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


async def test_a_response_that_says_its_request_cost_nothing_is_read(
    limiter: MakeLimiter, valkey: Any, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(config(valkey.url, quota=100, cost="response-header:X-Cost"))
    request = request_of()
    await limited.plugin.gateway_pre_proxy(request)
    response = Response(200, headers={"X-Cost": "0"})

    limited.plugin.gateway_response(request, response)

    assert response.headers["x-ratelimit-remaining"] == "99"


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
    # It comes back empty. Where this machine counted, the limit goes on from there.
    assert await limited.passed(10) == (0 if when_unavailable == "local" else 5)


async def test_what_passed_while_the_server_was_not_reached_counts_when_it_is_back(
    limiter: MakeLimiter, valkey: Any, eventually: Any
) -> None:
    limited = await limiter(config(valkey.url, redis={"timeout": "100ms"}))
    assert await limited.passed(2) == 2
    valkey.send_signal(signal.SIGSTOP)
    while store_of(limited).is_up:
        await limited.call()
    valkey.send_signal(signal.SIGCONT)
    await eventually(lambda: store_of(limited).is_up)

    passed = await limited.passed(10)

    assert passed <= 1  # at least two were let through meanwhile


async def test_a_restart_that_no_request_noticed_gives_no_new_quota(limiter: MakeLimiter, valkey: Any) -> None:
    limited = await limiter(config(valkey.url))
    assert await limited.passed(3) == 3

    valkey.kill()
    valkey.start()

    assert await limited.passed(10) == 2


@pytest.mark.parametrize(
    "options",
    [{"quota": 5, "window": "1h"}, {"quota": 5, "window": "1h", "fixed": True}, {"rate": 0.001, "burst": 5}],
)
async def test_what_the_server_knows_counts_if_it_is_more_than_what_is_known_here(
    limiter: MakeLimiter, valkey: Any, eventually: Any, options: Any
) -> None:
    clean = {"quota": None, "window": None, **options}
    one = await limiter(config(valkey.url, **clean))
    valkey.kill()
    assert await one.passed(1) == 1
    valkey.start()
    await eventually(lambda: store_of(one).is_up)
    other = await limiter(config(valkey.url, **clean), gateway=Metrics())
    assert await other.passed(2) == 2

    assert await one.passed(9) == 3


async def test_one_late_answer_is_no_outage(
    limiter: MakeLimiter, valkey: Any, caplog: pytest.LogCaptureFixture
) -> None:
    limited = await limiter(config(valkey.url, quota=1000, redis={"timeout": "200ms"}))
    for _ in range(3):
        valkey.send_signal(signal.SIGSTOP)
        answers = await asyncio.gather(*[limited.call() for _ in range(20)])
        valkey.send_signal(signal.SIGCONT)

        assert [answer.status for answer in answers] == [200] * 20
        assert store_of(limited).is_up
        store_of(limited)._nodes[""].batcher._timeout = 20.0
        assert (await limited.call()).status == 200
        store_of(limited)._nodes[""].batcher._timeout = 0.2

    assert "redis is away" not in caplog.text


async def test_an_error_of_one_call_is_no_outage(
    limiter: MakeLimiter, valkey: Any, request_of: Callable[..., Request], caplog: pytest.LogCaptureFixture
) -> None:
    limited = await limiter(config(valkey.url, key="header:x"))
    store = store_of(limited)
    await limited.call(request_of(headers={"x": "spoilt"}))
    [key] = [word for word in valkey.command("KEYS", "*{*").split("\r\n") if "{" in word]
    valkey.command("DEL", key)
    valkey.command("LPUSH", key, "x")

    for _ in range(3):
        assert (await limited.call(request_of(headers={"x": "spoilt"}))).status == 200
        assert (await limited.call(request_of(headers={"x": "fine"}))).status == 200

    assert store.is_up
    assert "redis is away" not in caplog.text


async def test_a_server_that_refuses_to_write_is_away_until_it_does(
    limiter: MakeLimiter, valkey: Any, eventually: Any
) -> None:
    limited = await limiter(config(valkey.url, redis={"when_unavailable": "closed"}))
    valkey.command("CONFIG", "SET", "min-replicas-to-write", "1")

    await limited.call()
    await eventually(lambda: not store_of(limited).is_up)
    assert (await limited.call()).status == 503

    valkey.command("CONFIG", "SET", "min-replicas-to-write", "0")
    await eventually(lambda: store_of(limited).is_up)


async def test_a_server_that_hangs_costs_two_deadlines_and_then_nothing(
    limiter: MakeLimiter, valkey: Any, eventually: Any, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(config(valkey.url, redis={"timeout": "50ms", "when_unavailable": "open"}))
    await limited.call()
    valkey.send_signal(signal.SIGSTOP)

    for _ in range(2):
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
        while store_of(limited).is_up:
            await asyncio.gather(*[limited.call(request_of(headers={"x": "late"})) for _ in range(50)])
        valkey.send_signal(signal.SIGCONT)
        await eventually(lambda: store_of(limited).is_up)

    store_of(limited)._nodes[""].batcher._timeout = 20.0
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

    assert await limited.passed(10) == 0


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


async def test_a_node_of_a_cluster_that_is_away_takes_only_its_own_counters_with_it(
    limiter: MakeLimiter,
    valkey_cluster: Any,
    request_of: Callable[..., Request],
    eventually: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for server in valkey_cluster:
        server.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    limited = await limiter(
        config(valkey_cluster[0].url, key="header:x", redis={"mode": "cluster", "when_unavailable": "closed"})
    )
    names = [f"client {number}" for number in range(30)]

    async def statuses() -> list[int]:
        return [(await limited.call(request_of(headers={"x": name}))).status for name in names]

    assert await statuses() == [200] * 30
    valkey_cluster[2].kill()
    rounds = [await statuses() for _ in range(3)]

    lost = rounds[0].count(503)
    assert 0 < lost < 30
    assert rounds == [rounds[0]] * 3
    assert caplog.text.count("is away") == 1
    valkey_cluster[2].start()
    await eventually(lambda: store_of(limited).is_up)


async def test_a_refusal_without_the_server_has_its_reason(
    limiter: MakeLimiter, valkey: Any, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(config(valkey.url, redis={"when_unavailable": "closed"}))
    valkey.kill()
    request = request_of()

    assert (await limited.call(request)).status == 503
    assert request.state["ratelimit.refusal"] == "store-away"
