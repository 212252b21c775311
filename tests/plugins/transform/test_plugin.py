"""What clients and upstreams get, from a real gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_cache import Cache
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk import BadBodyError
from gateway_plugin_sdk.testing import PluginHarness, ScriptedUpstream, StartGateway, eventually, one_route
from gateway_plugin_transform import Transform

SECRET = "a secret of more than thirty-two characters"
PLUGINS = [Auth, RateLimit, Logger, Transform]
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
LINES = {"Content-Type": "application/x-ndjson"}


def transform(**config: Any) -> dict[str, Any]:
    return {"name": "transform", "config": config}


def test_requests_and_responses_are_changed(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    config = transform(
        request={"rename": {"/userName": "/name"}, "default": {"/role": "reader"}, "set": {"/source/by": "gateway"}},
        response={"remove": ["/password", "/sessions/*/token"]},
    )
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)
    upstream.answer_next(200, b'{"id": 1, "password": "x", "sessions": [{"token": "t", "at": 2}]}', JSON)

    response = running.request("POST", "/", headers=JSON, body=b'{"userName": "Ann"}')

    assert json.loads(upstream.last.body) == {"name": "Ann", "role": "reader", "source": {"by": "gateway"}}
    assert upstream.last.headers["accept-encoding"] == "identity"
    assert response.json() == {"id": 1, "sessions": [{"at": 2}]}
    assert response.headers.get("content-length", str(len(response.body))) == str(len(response.body))


def test_a_form_becomes_json(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    config = transform(request={"from_form": True, "set": {"/n": 1}})
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)

    status = running.request("POST", "/", headers=FORM, body=b"a=1&b=x%20y&b=&c").status
    good = running.request("POST", "/", headers=FORM, body=b"a=1&b=x+y&b=").status
    wrong = running.request("POST", "/", headers=FORM, body=b"a=%ff").status

    assert (status, good, wrong) == (400, 200, 400)
    assert json.loads(upstream.last.body) == {"a": "1", "b": ["x y", ""], "n": 1}
    assert upstream.last.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (JSON, b"{", 400),
        (JSON, b"\xff", 400),
        (JSON, b'{"b": 1e999}', 400),
        (JSON, b"9" * 5000, 400),
        (JSON, b'{"a": 1, "a": 2}', 400),
        (JSON, b"[" * 10_000 + b"]" * 10_000, 400),
        (JSON, b"[" + b"1," * 3000 + b"1]", 413),
        (JSON, b" " * 2000 + b"1", 413),
        (JSON, b"", 200),
        (JSON | {"Content-Encoding": "gzip"}, b"{}", 415),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        (FORM, b"a=1", 415),
        ({}, b"{}", 415),
        ({}, b"", 200),
    ],
)
def test_what_cannot_be_changed_is_refused(
    gateway: StartGateway, upstream: ScriptedUpstream, headers: Any, body: bytes, status: int
) -> None:
    limit = 32_000 if len(body) > 5000 else 1000 if status == 413 else 8000
    config = transform(request={"remove": ["/*/a"]}, max_body_bytes=limit, max_operations=3000)
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)

    assert running.request("POST", "/", headers=headers, body=body).status == status


def test_other_types_may_pass(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    config = transform(request={"remove": ["/a"], "other_types": "pass"})
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)

    assert running.request("POST", "/", headers={"Content-Type": "text/plain"}, body=b"{}").status == 200
    assert upstream.last.body == b"{}"


def test_json_lines_change_as_they_pass(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    change = {"remove": ["/secret"]}
    config = transform(request=change, response=change, max_body_bytes=100)
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)
    body = b"".join(b'{"n":%d,"secret":"x"}\n' % number for number in range(1000))
    upstream.answer_next(200, [body[:30_001], body[30_001:], b'{"secret":1}'], LINES)

    response = running.request("POST", "/", headers=LINES, body=body)

    expected = b"".join(b'{"n":%d}\n' % number for number in range(1000))
    assert upstream.last.body == expected
    assert response.body == expected + b"{}"


@pytest.mark.parametrize(
    ("body", "status"), [([b'"' + b"x" * 60, b"x" * 60, b'"\n'], 413), ([b"{}\n{", b"\n"], 400), ([b"[1,2,3]\n"], 413)]
)
def test_a_line_that_cannot_be_changed_is_refused(body: list[bytes], status: int) -> None:
    chunked = LINES | {"Transfer-Encoding": "chunked"}
    config = {"request": {"remove": ["/*/a"]}, "max_body_bytes": 100, "max_operations": 2}

    with PluginHarness(Transform, config) as harness, pytest.raises(BadBodyError) as raised:
        harness.request("POST", "/", headers=chunked, body=body)

    assert raised.value.status == status


@pytest.mark.parametrize(
    ("status", "body", "headers", "expected"),
    [
        (200, b'{"a": 1}', JSON, 200),
        (200, b"{", JSON, 502),
        (200, b" " * 2000, JSON, 502),
        (200, b"x", JSON | {"Content-Encoding": "gzip"}, 502),
        (200, b"<p>", {"Content-Type": "text/html"}, 200),
        (404, b"{", JSON, 404),
        (204, b"", {}, 204),
    ],
)
def test_a_response_that_cannot_be_changed_is_not_sent(
    gateway: StartGateway, upstream: ScriptedUpstream, status: int, body: bytes, headers: Any, expected: int
) -> None:
    config = transform(response={"remove": ["/a"]}, max_body_bytes=1000)
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)
    upstream.answer_next(status, body, headers)

    response = running.get("/")

    assert response.status == expected
    failures = 'gateway_transform_failures_total{binding="transform",direction="response",route="test"} 1'
    assert (failures in running.metrics()) == (expected == 502)


def test_head_has_no_length_of_a_body_that_would_change(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    running = gateway(one_route(upstream.url, transform(response={"remove": ["/a"]})), plugins=PLUGINS)
    upstream.answer_next(200, b"", JSON | {"ETag": '"1"'})

    response = running.request("HEAD", "/")

    assert (response.status, response.body, response.headers["etag"]) == (200, b"", 'W/"1"')


def test_it_goes_together_with_the_other_plugins(
    gateway: StartGateway, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    chain = [
        {"name": "auth", "config": {"secret": SECRET}},
        {"name": "ratelimit", "config": {"quota": 1, "window": "1h", "key": "identity"}},
        transform(request={"set": {"/b": 2}}),
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "identity", "produced_by"]}},
    ]
    running = gateway(one_route(upstream.url, *chain), plugins=PLUGINS)
    alice = JSON | {"Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}"}

    statuses = [running.request("POST", "/", headers=each, body=b"{}").status for each in (JSON, alice, alice)]

    assert statuses == [401, 200, 429]
    assert upstream.last.body == b'{"b":2}'
    eventually(lambda: log.exists() and log.read_text().count("\n") == 3)


def test_a_binding_in_shadow_mode_changes_nothing(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    config = transform(request={"set": {"/b": 2}}, response={"set": {"/c": 3}}) | {"mode": "shadow"}
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)
    upstream.answer_next(200, b"{}", JSON)

    assert running.request("POST", "/", headers=JSON, body=b"{}").body == b"{}"
    assert upstream.last.body == b"{}"


def test_a_stored_response_is_changed_whenever_it_is_sent(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    chain = transform(response={"remove": ["/password"]}), {"name": "cache"}
    running = gateway(one_route(upstream.url, *chain), plugins=[*PLUGINS, Cache])
    upstream.answer_with(200, b'{"id":1,"password":"x"}', JSON | {"Cache-Control": "max-age=60", "ETag": '"1"'})

    sent = [({}, 200), ({}, 200), ({"Range": "bytes=0-9"}, 200), ({"If-None-Match": 'W/"1"'}, 304)]
    responses = [running.get("/", headers=fields) for fields, _ in sent]

    assert [each.status for each in responses] == [status for _, status in sent]
    assert [each.body for each in responses] == [b'{"id":1}'] * 3 + [b""]
    assert len(upstream.requests) == 1


def test_no_part_of_a_response_that_would_change_is_asked_for(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    running = gateway(one_route(upstream.url, transform(response={"remove": ["/password"]})), plugins=PLUGINS)
    upstream.answer_next(200, b'{"id":1,"password":"x"}', JSON)

    assert running.get("/", headers={"Range": "bytes=0-9", "If-Range": '"1"'}).body == b'{"id":1}'
    assert "range" not in upstream.last.headers
    assert "if-range" not in upstream.last.headers
