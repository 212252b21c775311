"""In which order calls are made, and when they end: from a real gateway."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest
from gateway_plugin_sdk.testing import ReceivedRequest, eventually
from gateway_plugin_sdk.testing import UpstreamAnswer as Reply

from tests.plugins.aggregate.conftest import OPTIONAL, A, B, StartAggregate, json_reply


def test_calls_that_need_nothing_of_each_other_are_made_at_the_same_time(aggregate: StartAggregate) -> None:
    both = threading.Barrier(2)

    async def meet(_: ReceivedRequest) -> Reply:
        await asyncio.to_thread(both.wait, 20)  # returns only if both are under way
        return json_reply(1)

    route = aggregate([A, B])
    route.upstream.answer_by(meet)

    assert route.get().json() == {"a": 1, "b": 1}


def test_no_more_calls_than_allowed_are_made_at_the_same_time(aggregate: StartAggregate) -> None:
    running, most = 0, 0

    async def count(_: ReceivedRequest) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)  # gives other calls the time to come, if they may
        running -= 1
        return json_reply(1)

    route = aggregate([{"name": f"c{n}", "path": "/", "group": f"c{n}"} for n in range(6)], max_parallel=2)
    route.upstream.answer_by(count)

    assert len(route.get().json()) == 6
    assert most <= 2


def test_what_depends_on_a_failed_call_fails_or_gets_its_default(aggregate: StartAggregate) -> None:
    uses = {"path": "/x/{call:%s.id}", **OPTIONAL}
    route = aggregate(
        [
            A,
            {"name": "f", "path": "/f", "group": "f", **OPTIONAL},
            {"name": "g", "path": "/f", "group": "g", **OPTIONAL, "default": {"id": 9}},
            {"name": "uf", "group": "uf", **uses, "path": "/x/{call:f.id}"},
            {"name": "ug", "group": "ug", **uses, "path": "/x/{call:g.id}"},
            {"name": "df", "path": "/b", "group": "df", **OPTIONAL, "depends_on": ["f"]},
        ],
        {"/a": 1, "/x/9": "nine", "/b": 2},
    )

    assert route.get().json() == {"a": 1, "g": {"id": 9}, "ug": "nine"}
    assert (route.count("uf", "dependency"), route.count("df", "dependency")) == (1, 1)


def test_siblings_are_cancelled_when_a_required_call_fails(aggregate: StartAggregate) -> None:
    begun, cut = threading.Event(), threading.Event()

    async def script(request: ReceivedRequest) -> Reply:
        if request.path == "/a":
            await asyncio.to_thread(begun.wait, 20)
            return Reply(500)
        begun.set()
        await asyncio.to_thread(cut.wait, 20)
        return json_reply(1)

    route = aggregate([A, B, {"name": "c", "path": "/c/{call:b.id}", "group": "c"}])
    route.upstream.answer_by(script)

    response = route.get()
    cut.set()

    assert (response.status, response.json()["failed"]) == (502, ["a"])
    assert (route.count("a", "status"), route.count("b", "cancelled"), route.count("c", "cancelled")) == (1, 1, 1)
    assert [path for path in route.targets if path.startswith("/c")] == []


def test_calls_are_cancelled_when_the_client_leaves(aggregate: StartAggregate) -> None:
    begun, end = threading.Event(), threading.Event()

    async def script(_: ReceivedRequest) -> Reply:
        begun.set()
        await asyncio.to_thread(end.wait, 20)
        return json_reply({"id": 1})

    route = aggregate([A, {"name": "b", "path": "/b/{call:a.id}", "group": "b"}])
    route.upstream.answer_by(script)
    with socket.create_connection(("127.0.0.1", route.running.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(20)

    route.running.settle()
    eventually(lambda: route.count("a", "cancelled") == 1)
    end.set()

    assert route.count("b", "cancelled") == 1
    assert len(route.upstream.requests) == 1


@pytest.mark.in_turn
def test_a_call_ends_with_its_timeout_and_all_with_that_of_the_whole(aggregate: StartAggregate) -> None:
    end = threading.Event()

    async def script(request: ReceivedRequest) -> Reply:
        if request.path != "/a":
            await asyncio.to_thread(end.wait, 20)
        return json_reply(1)

    route = aggregate([A, B | OPTIONAL | {"timeout": "100ms"}])
    route.upstream.answer_by(script)
    own = route.get()
    route.running.reload(_with(route, timeout="2s", required=False))
    whole = route.get()
    route.running.reload(_with(route, timeout="2s", required=True))
    lost = route.get()
    end.set()

    assert [own.json(), whole.json()] == [{"a": 1}, {"a": 1}]
    assert [each.headers["X-Aggregate-Complete"] for each in (own, whole)] == ["false", "false"]
    assert (lost.status, lost.json()["failed"]) == (504, ["b"])
    assert route.count("b", "timeout") == 3


def test_one_call_may_change_something_and_runs_last(aggregate: StartAggregate) -> None:
    order = {
        "name": "order",
        "method": "POST",
        "path": "/orders",
        "body": {"user": "{call:user.id}", "note": "for {call:user.name}", "sent": "{query:n}"},
    }
    calls = [{"name": "user", "path": "/user", "include": False}, order, A, {**B, "path": "/b/{call:order.id}"}]
    route = aggregate(calls, {"/user": {"id": 7, "name": "Ann"}, "/a": 1, "/orders": {"id": 3}, "/b/3": 2}, status=201)

    response = route.running.post("/?n=5")

    assert (response.status, response.json()) == (201, {"id": 3, "a": 1, "b": 2})
    assert response.headers["Cache-Control"] == "no-store"
    paths = [each.path for each in route.upstream.requests]
    assert paths.index("/orders") == 2
    (sent,) = [each for each in route.upstream.requests if each.method == "POST"]
    assert sent.json() == {"user": 7, "note": "for Ann", "sent": "5"}
    assert sent.headers["content-type"] == "application/json"


@pytest.mark.in_turn
@pytest.mark.parametrize("failing", ["/a", "/user"])
def test_nothing_is_changed_when_what_comes_before_has_failed(aggregate: StartAggregate, failing: str) -> None:
    user = {"name": "user", "path": "/user", "group": "user", **OPTIONAL, "default": {"id": 1}}
    order = {"name": "order", "method": "DELETE", "path": "/orders/{call:user.id}", "group": "o"}
    script: dict[str, Any] = {"/a": 1, "/user": {"id": 7}, "/orders/7": 1, "/orders/1": 1}
    del script[failing]
    route = aggregate([user, order, A], script)

    assert route.running.post("/").status == 502
    assert "DELETE" not in {each.method for each in route.upstream.requests}


def _with(route: Any, *, timeout: str, required: bool) -> dict[str, Any]:
    calls = [{"target": route.upstream.url, **A}, {"target": route.upstream.url, **B, "required": required}]
    plugin = {"name": "aggregate", "config": {"calls": calls, "timeout": timeout}}
    return {"routes": [{"id": "test", "path_prefix": "/", "plugins": [plugin]}]}
