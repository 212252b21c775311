"""Between other plugins, with upstreams of HTTP/2, over reloads and in shadow mode."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_aggregate import Aggregate
from gateway_plugin_auth import Auth
from gateway_plugin_cache import Cache
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import ReceivedRequest, ScriptedUpstream, StartGateway, eventually
from gateway_plugin_sdk.testing import UpstreamAnswer as Reply
from gateway_plugin_transform import Transform
from gateway_plugin_validate import Validate

from tests.plugins.aggregate.conftest import JSON, A, B, StartAggregate, answer_paths

SECRET = "a secret of more than thirty-two characters"
AUTH = {"name": "auth", "config": {"secret": SECRET}}


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt.encode({'sub': 'ann', **claims}, SECRET, 'HS256')}"}


def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    eventually(lambda: path.exists() and path.read_text().count("\n") == count)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_behind_auth_claims_go_to_calls_and_the_log_has_what_failed(aggregate: StartAggregate, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    fields = ["status", "refusal", "produced_by", "state:aggregate.failed"]
    logger = {"name": "logger", "config": {"sinks": [{"type": "file", "path": str(log)}], "fields": fields}}
    limit = {"name": "ratelimit", "config": {"quota": 3, "window": "1h", "key": "identity"}}
    call = {**A, "path": "/a/{claim:org}", "headers": {"X-User": "{identity}"}}
    route = aggregate(
        [call, {**B, "required": False}],
        {path: Reply(200, b"1", {**JSON, "Cache-Control": "max-age=9"}) for path in ("/a/o%2F1", "/b")},
        before=[logger, AUTH, limit],
        plugins=[Auth, Logger, RateLimit],
    )

    refused, good, missing = route.get(), route.get(headers=bearer(org="o/1")), route.get(headers=bearer())
    answer_paths(route.upstream, {"/b": 2})
    failed, limited = route.get(headers=bearer(org="o/1")), route.get(headers=bearer(org="o/1"))

    assert [each.status for each in (refused, good, missing, failed, limited)] == [401, 200, 403, 502, 429]
    assert good.headers["Cache-Control"] == "private, max-age=9"
    assert "authorization" not in route.upstream.requests[0].headers
    assert {each.headers.get("x-user") for each in route.upstream.requests if each.path != "/b"} == {"ann"}
    assert [(line["status"], line.get("refusal"), line["produced_by"]) for line in lines_of(log, 5)] == [
        (401, "missing", "auth"),
        (200, None, "aggregate"),
        (403, "value", "aggregate"),
        (502, "status", "aggregate"),
        (429, "ratelimit", "ratelimit"),
    ]


CACHE = {"name": "cache", "config": {"default_ttl": "1h"}}


def cacheable(control: str = "max-age=60", **fields: str) -> Reply:
    return Reply(200, b"1", {**JSON, "Cache-Control": control, **fields})


def test_a_cache_before_it_stores_what_all_parts_let_be_stored(aggregate: StartAggregate) -> None:
    script = {"/a": cacheable(), "/b": cacheable("max-age=3600")}
    route = aggregate([A, B], script, before=[CACHE], plugins=[Cache])

    first, second = route.get(), route.get()

    assert first.json() == second.json() == {"a": 1, "b": 1}
    assert first.headers["cache-status"] == "gateway; fwd=uri-miss; fwd-status=200; stored"
    assert second.headers["cache-status"].startswith("gateway; hit")
    assert second.headers["cache-control"] == "max-age=60"
    assert len(route.upstream.requests) == 2


def test_a_cache_before_it_keeps_apart_what_parts_depend_on(aggregate: StartAggregate) -> None:
    call = {
        **A,
        "client_headers": ["Accept-Language"],
        "client_query": ["page"],
        "headers": {"X-Shop": "{header:Shop}"},
    }
    route = aggregate([call], {"/a": cacheable(Vary="Accept-Language")}, before=[CACHE], plugins=[Cache])
    english = {"Accept-Language": "en", "Shop": "1"}

    for headers in (english, {**english, "Shop": "2"}, {**english, "Accept-Language": "de"}, english):
        route.get(headers=headers)
    route.get("/?page=2", headers=english)

    assert len(route.upstream.requests) == 4


@pytest.mark.parametrize(
    ("part", "call"),
    [
        (cacheable("no-store"), {}),
        (cacheable("private, max-age=60"), {}),
        (Reply(200, b"1", JSON), {}),
        (Reply(500, b"1", JSON), {"required": False}),
        (cacheable(), {"headers": {"X-Client": "{client_ip}"}}),
        (cacheable(**{"Set-Cookie": "a=b"}), {"response_headers": ["Set-Cookie"]}),
    ],
    ids=["no-store", "private", "no lifetime", "incomplete", "of one client", "sets a cookie"],
)
def test_a_cache_before_it_stores_nothing_that_a_part_forbids(
    aggregate: StartAggregate, part: Reply, call: dict[str, Any]
) -> None:
    route = aggregate([A, {**B, **call}], {"/a": cacheable(), "/b": part}, before=[CACHE], plugins=[Cache])

    replies = [route.get(), route.get()]

    assert len(route.upstream.requests) == 4
    assert not any("hit" in each.headers["cache-status"] for each in replies)


def test_what_validate_and_transform_make_of_a_request_goes_on(aggregate: StartAggregate, tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["n"]}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    operation = {"requestBody": body, "responses": {"200": {"description": "made"}}}
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/": {"post": operation}}}
    (tmp_path / "api.json").write_text(json.dumps(document))
    before = [
        {"name": "validate", "config": {"openapi": str(tmp_path / "api.json")}},
        {"name": "transform", "config": {"request": {"set": {"/by": "gateway"}}}},
    ]
    call = {**A, "method": "POST", "client_body": True}
    route = aggregate([call], {"/a": 1}, before=before, plugins=[Transform, Validate])

    good, bad = route.running.post("/", json={"n": 1}), route.running.post("/", json={})

    assert (good.json(), bad.status) == ({"a": 1}, 400)
    assert route.upstream.last.json() == {"n": 1, "by": "gateway"}
    assert len(route.upstream.requests) == 1


@pytest.mark.in_turn
def test_upstreams_may_speak_http_2(gateway: StartGateway) -> None:
    body = {"headers": {"content-type": "application/json"}, "body": '{"id": 7}'}
    behind = gateway(
        {
            "listen": [{"address": "127.0.0.1:0", "http2": True}],
            "routes": [{"id": "u", "path_prefix": "/", "respond": body}],
        }
    )
    users = {"name": "users", "protocol": "http2", "endpoints": [{"url": behind.url}]}
    calls = [{**each, "target": "users"} for each in (A, B, {"name": "c", "path": "/c/{call:a.id}", "group": "c"})]
    bound = {"name": "aggregate", "config": {"calls": calls}}
    running = gateway(
        {"upstreams": [users], "routes": [{"id": "test", "path_prefix": "/", "plugins": [bound]}]}, plugins=[Aggregate]
    )

    assert running.get("/").json() == {"a": {"id": 7}, "b": {"id": 7}, "c": {"id": 7}}


def test_a_reload_in_the_middle_of_the_calls_changes_nothing_for_them(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def script(request: ReceivedRequest) -> Reply:
        if request.path == "/a":
            begun.set()
            await asyncio.to_thread(go_on.wait, 20)
        return Reply(200, b'{"id": 1}', JSON)

    upstream.answer_by(script)

    def document(calls: list[dict[str, Any]], name: str) -> dict[str, Any]:
        bound = {"name": "aggregate", "config": {"calls": [{**each, "target": name} for each in calls]}}
        return {
            "upstreams": [{"name": name, "endpoints": [{"url": upstream.url}]}],
            "routes": [{"id": "test", "path_prefix": "/", "plugins": [bound]}],
        }

    running = gateway(document([A, {"name": "b", "path": "/b/{call:a.id}", "group": "b"}], "old"), plugins=[Aggregate])
    found: list[Any] = []
    client = threading.Thread(target=lambda: found.append(running.get("/")))
    client.start()
    assert begun.wait(20)

    running.reload(document([B], "new"))
    go_on.set()
    client.join(20)

    assert found[0].json() == {"a": {"id": 1}, "b": {"id": 1}}
    assert running.get("/").json() == {"b": {"id": 1}}


def test_in_shadow_mode_calls_are_tried_but_nothing_is_changed(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    upstream.answer_with(200, b'"up"', JSON)

    def document(method: str) -> dict[str, Any]:
        call = {**A, "target": upstream.url, "method": method}
        bound = {"name": "aggregate", "mode": "shadow", "config": {"calls": [call]}}
        return {"routes": [{"id": "test", "path_prefix": "/", "target": upstream.url, "plugins": [bound]}]}

    running = gateway(document("GET"), plugins=[Aggregate])
    safe = running.get("/own")
    tried = sorted(each.target for each in upstream.requests)
    running.reload(document("POST"))
    unsafe = running.get("/own")

    assert (safe.body, unsafe.body) == (b'"up"', b'"up"')
    assert tried == ["/a", "/own"]
    assert [each.method for each in upstream.requests] == ["GET"] * 3
