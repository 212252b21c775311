"""Validation of stale responses in the background."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from gateway_plugin_cache.revalidation import MOST_REVALIDATIONS
from gateway_plugin_sdk.testing import ReceivedRequest, UpstreamAnswer

from tests.plugins.cache.conftest import Cached, CachedRoute

STALE = [("Cache-Control", "max-age=10, stale-while-revalidate=60")]


def store_and_expire(route: Cached, paths: Sequence[str] = ("/",)) -> None:
    route.upstream.answer_with(200, "one", [*STALE, ("ETag", '"1"')])
    for path in paths:
        route.get(path)
    route.pass_time(20)


def test_only_so_many_responses_are_validated_at_once(cached: CachedRoute) -> None:
    route, opened = cached(), threading.Event()
    paths = [f"/{number}" for number in range(MOST_REVALIDATIONS + 2)]
    store_and_expire(route, paths)

    async def wait(_request: ReceivedRequest) -> UpstreamAnswer:
        await asyncio.to_thread(opened.wait, 30)
        return UpstreamAnswer(200, "two", STALE)

    route.upstream.answer_by(wait)
    assert {route.get(path).body for path in paths} == {b"one"}
    opened.set()
    route.running.settle()
    assert len(route.upstream.requests) == len(paths) + MOST_REVALIDATIONS

    assert [route.get(path).body for path in paths[-3:]] == [b"two", b"one", b"one"]  # which begins their validation
    route.running.settle()
    assert [route.get(path).body for path in paths[-3:]] == [b"two"] * 3


def test_a_validation_counts_as_no_request(cached: CachedRoute) -> None:
    route = cached()
    store_and_expire(route)
    route.upstream.answer_with(304, headers=STALE)

    route.get("/")
    route.running.settle()

    lines = route.running.metrics().splitlines()
    counted = [line for line in lines if line.startswith("gateway_cache_requests_total{")]
    assert sum(float(line.rpartition(" ")[2]) for line in counted) == 2
    assert not route.reaches_upstream("/")


def test_a_new_response_that_is_too_large_takes_the_old_one_away(cached: CachedRoute) -> None:
    route = cached(max_body=1000)
    store_and_expire(route)
    route.upstream.answer_with(200, [b"x" * 600, b"y" * 600], STALE)

    route.get("/")
    route.running.settle()

    assert route.running.call("test/cache", "stats")["entries"] == 0
    assert 'gateway_plugin_task_errors_total{binding="cache",plugin="cache"} 0.0' in route.running.metrics()


@pytest.mark.parametrize("failure", [{"status": 503}, {"reset": True}], ids=["503", "reset"])
def test_an_upstream_that_fails_takes_nothing_away_while_a_stale_response_may_be_used(
    cached: CachedRoute, failure: dict[str, Any]
) -> None:
    route = cached()
    store_and_expire(route)
    route.upstream.answer_with(**failure)

    bodies = []
    for _ in range(3):
        bodies += [route.get("/").body for _ in range(3)]
        route.running.settle()
        route.pass_time(1)
    validations = int(route.running.call("test/cache", "stats")["fetches"])
    route.pass_time(60)
    failed = route.get("/")
    route.upstream.answer_with(200, "two", STALE)

    assert (bodies, validations) == ([b"one"] * 9, 0)
    assert failed.status in {502, 503}
    assert route.get("/").body == b"two"


def test_an_upstream_that_does_not_respond_gets_one_validation_and_no_client_waits(cached: CachedRoute) -> None:
    route, opened = cached(), threading.Event()
    store_and_expire(route)

    async def wait(_request: ReceivedRequest) -> UpstreamAnswer:
        await asyncio.to_thread(opened.wait, 30)
        return UpstreamAnswer(200, "two", STALE)

    route.upstream.answer_by(wait)
    bodies = [route.get("/").body]
    route.upstream.wait_for(2)  # else the connection may take longer than it has by the clock that is moved
    for _ in range(4):
        route.pass_time(2)
        bodies.append(route.get("/").body)
    stats = route.running.call("test/cache", "stats")
    opened.set()
    route.running.settle()

    assert (bodies, stats["fetches"], stats["waiting"]) == ([b"one"] * 5, 1, 0)
    assert route.get("/").body == b"two"
    assert len(route.upstream.requests) == 2
