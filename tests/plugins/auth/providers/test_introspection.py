"""Introspection by real gateways, of an endpoint on a real socket."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gateway_plugin_sdk.testing import (
    ManualClock,
    RunningGateway,
    ScriptedUpstream,
    StartGateway,
    UpstreamAnswer,
    eventually,
    one_route,
)

from tests.plugins.auth.providers.conftest import (
    ALICE,
    CLIENT,
    NOW,
    PLUGINS,
    Start,
    bearer,
    forms,
    refusals,
    send,
    server_side,
)


def test_an_active_token_passes_with_its_callers_name_and_the_server_is_asked_once(
    start: Start, upstream: ScriptedUpstream, server: ScriptedUpstream
) -> None:
    running = start()

    assert [send(running) for _ in range(3)] == [200] * 3
    assert upstream.last.headers["x-user"] == "alice"
    (asked,) = server.requests
    assert (asked.method, asked.target) == ("POST", "/oauth2/introspect")
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers["accept"] == "application/json"
    assert forms(server) == [{"token": ["t0ken"], "token_type_hint": ["access_token"]}]


@server_side
def test_the_endpoint_may_be_that_of_an_upstream(
    gateway: StartGateway, upstream: ScriptedUpstream, server: ScriptedUpstream
) -> None:
    provider = {"scheme": "introspection", "target": "login", "path": "/check?a=b", **CLIENT}
    config = one_route(upstream.url, {"name": "auth", "config": {"providers": {"opaque": provider}}})
    server.answer_with(200, json={"active": True, "sub": "a"})
    login = {"name": "login", "endpoints": [{"url": server.url}]}

    running = gateway({**config, "upstreams": [login]}, plugins=PLUGINS)

    assert send(running) == 200
    assert server.last.target == "/check?a=b"


@server_side
def test_only_the_literal_true_is_active(start: Start, server: ScriptedUpstream) -> None:
    running = start()

    for active in ("true", "True", 1, 1.0, [True], {"a": True}, "yes", None, "", 0):
        server.answer_with(200, json={**ALICE, "active": active})
        assert send(running) == 503
    assert refusals(running) == {"no-introspection"}


@server_side
def test_a_token_that_is_not_active_is_refused_and_remembered_for_a_while(
    start: Start, server: ScriptedUpstream, clock: ManualClock
) -> None:
    running = start()
    server.answer_with(200, json={"active": False})

    assert [send(running) for _ in range(3)] == [401] * 3
    assert len(server.requests) == 1
    assert refusals(running) == {"inactive"}
    server.answer_with(200, json=ALICE)
    clock.advance(10)
    assert send(running) == 200


@server_side
def test_an_active_token_is_remembered_for_max_age_and_never_beyond_its_end(
    start: Start, server: ScriptedUpstream, clock: ManualClock
) -> None:
    running = start(cache={"max_age": "60s"})
    server.answer_with(200, json={**ALICE, "exp": NOW + 70})

    assert send(running) == 200
    clock.advance(59)
    assert send(running) == 200
    assert len(server.requests) == 1
    clock.advance(1)
    assert send(running) == 200
    assert len(server.requests) == 2
    server.answer_with(200, json={"active": False})
    clock.advance(10)
    assert send(running) == 401


@server_side
@pytest.mark.parametrize("cache", [{"size": 0}, {"max_age": "0s", "inactive_max_age": "0s"}])
def test_without_a_cache_the_server_is_asked_about_each_request(
    start: Start, server: ScriptedUpstream, cache: Any
) -> None:
    running = start(cache=cache)

    assert [send(running), send(running)] == [200, 200]
    server.answer_with(200, json={"active": False})
    assert [send(running), send(running)] == [401, 401]
    assert len(server.requests) == 4


def test_all_who_present_one_token_at_once_wait_for_one_request_whatever_their_route(
    gateway: StartGateway, upstream: ScriptedUpstream, server: ScriptedUpstream
) -> None:
    provider = {"scheme": "introspection", "endpoint": server.url, **CLIENT}
    binding = {"name": "auth", "config": {"providers": {"opaque": provider}}}
    routes = [
        {"id": name, "path_prefix": f"/{name}", "target": upstream.url, "plugins": [binding]} for name in ("a", "b")
    ]
    running = gateway({"routes": routes}, plugins=PLUGINS)
    may_respond = threading.Event()
    server.answer_by(lambda _: _when(may_respond, UpstreamAnswer(body=json.dumps({"active": True, "sub": "a"}))))

    with ThreadPoolExecutor(20) as clients:
        waiting = [clients.submit(running.get, f"/{'ab'[n % 2]}", headers=bearer("t")) for n in range(20)]
        server.wait_for(1)
        eventually(lambda: _in_progress(running) == 20)
        may_respond.set()
        statuses = {each.result().status for each in waiting}

    assert statuses == {200}
    assert len(server.requests) == 1


async def _when(event: threading.Event, answer: UpstreamAnswer) -> UpstreamAnswer:
    await asyncio.to_thread(event.wait, 30)
    return answer


def _in_progress(running: RunningGateway) -> int:
    lines = [line for line in running.metrics().splitlines() if line.startswith("gateway_requests_in_flight")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


@server_side
def test_so_many_requests_are_in_flight_and_the_others_wait(start: Start, server: ScriptedUpstream) -> None:
    running = start(max_concurrent=2)
    may_respond = threading.Event()
    server.answer_by(lambda _: _when(may_respond, UpstreamAnswer(body=json.dumps(ALICE))))

    with ThreadPoolExecutor(6) as clients:
        waiting = [clients.submit(send, running, f"t{number}") for number in range(6)]
        server.wait_for(2)
        eventually(lambda: _in_progress(running) == 6)
        at_once = len(server.requests)
        may_respond.set()
        statuses = {each.result() for each in waiting}

    assert at_once == 2
    assert statuses == {200}
    assert len(server.requests) == 6


def test_a_server_that_refuses_or_fails_is_no_accept_and_no_fault_of_the_client(
    start: Start, server: ScriptedUpstream
) -> None:
    running = start()

    for status in (201, 204, 301, 302, 400, 401, 403, 404, 429, 500, 503):
        body = "" if status == 204 else json.dumps(ALICE)
        server.answer_with(status, body, headers=[("Location", "/elsewhere"), ("Retry-After", "7")])
        got = running.get("/", headers=bearer("t"))
        assert (got.status, got.headers["retry-after"]) == (503, "7")
        assert "www-authenticate" not in got.headers

    assert {each.target for each in server.requests} == {"/oauth2/introspect"}
    assert refusals(running) == {"no-introspection"}
    server.answer_with(200, json=ALICE)
    assert send(running, "t") == 200  # a failure is not remembered


@server_side
def test_what_is_no_response_is_no_accept(start: Start, server: ScriptedUpstream) -> None:
    running = start()
    twice = b'{"active": true, "active": true, "sub": "a"}'

    for body in (b"", b"[]", b"true", b"null", b'"active"', b"{", b"<html>", b"{}", twice, b"\xff"):
        server.answer_with(200, body)
        assert send(running) == 503


@server_side
def test_a_response_is_bounded_in_bytes_and_time(start: Start, server: ScriptedUpstream, clock: ManualClock) -> None:
    running = start(timeout="5s")
    server.answer_with(200, json={**ALICE, "x": "y" * 66_000})
    assert send(running) == 503

    may_respond = threading.Event()
    server.answer_by(lambda _: _when(may_respond, UpstreamAnswer(body=json.dumps(ALICE))))
    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(send, running, "other")
        server.wait_for(2)
        clock.advance(5)
        assert waiting.result() == 503
        may_respond.set()


@server_side
def test_a_large_response_within_the_bound_is_accepted(start: Start, server: ScriptedUpstream) -> None:
    running = start(cache={"size": 1})
    server.answer_with(200, json={**ALICE, "groups": ["g" * 100] * 500})

    assert [send(running), send(running)] == [200, 200]
    assert len(server.requests) == 2  # too large to be remembered


@server_side
def test_a_server_that_is_away_leaves_tokens_alone_that_were_seen_before(start: Start) -> None:
    with ScriptedUpstream() as server:
        server.answer_with(200, json=ALICE)
        running = start(endpoint=server.url)
        assert send(running, "seen") == 200

    assert [send(running, "seen"), send(running, "new")] == [200, 503]


@server_side
def test_a_signed_response_is_not_supported_and_the_log_says_so(start: Start, server: ScriptedUpstream) -> None:
    running = start()
    server.answer_with(200, json=ALICE, headers=[("Content-Type", "Application/Token-Introspection+JWT; a=b")])

    assert send(running) == 503
    assert any("RFC 9701" in record.getMessage() for record in running.logs)


def test_what_is_no_token_is_not_sent_to_the_server(start: Start, server: ScriptedUpstream) -> None:
    running = start()

    for token in ("a b", "a,b", "a\\b", "=", "a=b", "a&token=b", "é", "t" * 4097, "a;b"):
        assert send(running, token) == 401
    assert not server.requests


def test_requests_without_a_token_do_not_trouble_the_server(start: Start, server: ScriptedUpstream) -> None:
    running = start()

    got = running.get("/")

    assert (got.status, got.headers["www-authenticate"]) == (401, 'Bearer realm="gateway"')
    assert not server.requests
