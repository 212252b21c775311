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
from gateway_plugin_sdk.testing import ScriptedUpstream, StartGateway, eventually, one_route
from gateway_plugin_validate import Validate

SECRET = "a secret of more than thirty-two characters"
PLUGINS = [Auth, RateLimit, Logger, Validate]
JSON = {"Content-Type": "application/json"}
API = """
openapi: 3.0.3
info: {title: pets, version: "1"}
servers: [{url: https://api.example.com/v1}]
paths:
  /pets:
    get:
      parameters:
        - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 100}}
        - {name: tags, in: query, schema: {type: array, items: {type: string, enum: [cat, dog]}}}
        - {name: X-Trace, in: header, required: true, schema: {type: string, format: uuid}}
        - {name: session, in: cookie, schema: {type: string, minLength: 4}}
      responses:
        200:
          description: pets
          content: {application/json: {schema: {type: array, items: {$ref: "#/components/schemas/Pet"}}}}
    post:
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}
      responses: {201: {description: created}}
  /pets/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {responses: {200: {description: a pet}}}
    put:
      requestBody:
        content:
          application/json: {schema: {$ref: "#/components/schemas/Pet"}}
          application/octet-stream: {}
      responses: {204: {description: changed}}
components:
  schemas:
    Pet:
      type: object
      required: [id, name]
      additionalProperties: false
      properties:
        id: {type: integer, readOnly: true}
        name: {type: string, minLength: 1, maxLength: 10}
        email: {type: string, format: email, nullable: true}
        kind: {type: string, pattern: "^(cat|dog)$"}
"""


@pytest.fixture
def document(tmp_path: Path) -> str:
    path = tmp_path / "api.yaml"
    path.write_text(API)
    return str(path)


def validate(**config: Any) -> dict[str, Any]:
    return {"name": "validate", "config": config}


def post(running: Any, body: Any, headers: Any = JSON, target: str = "/pets") -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return running.request("POST", target, headers=headers, body=data)


def errors_of(response: Any) -> list[tuple[str, str, str]]:
    return [(each["in"], each.get("name", "") + each["pointer"], each["keyword"]) for each in response.json()["errors"]]


def test_a_body_that_matches_goes_on_unchanged(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str
) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document)), plugins=PLUGINS)

    response = post(running, b'{ "name": "Rex", "email": null }', target="/v1/pets")

    assert response.status == 200
    assert upstream.last.body == b'{ "name": "Rex", "email": null }'


def test_one_problem_lists_every_error_without_values(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str
) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document)), plugins=PLUGINS)
    body = {"id": 1, "name": "", "email": "TopSecret", "kind": "TopSecret", "more": "TopSecret"}

    response = post(running, body)

    assert (response.status, response.headers["Content-Type"]) == (400, "application/problem+json")
    assert sorted(errors_of(response)) == [
        ("body", "#", "additionalProperties"),
        ("body", "#/email", "anyOf"),
        ("body", "#/id", "falseSchema"),
        ("body", "#/kind", "pattern"),
        ("body", "#/name", "minLength"),
    ]
    assert "TopSecret" not in response.text
    assert upstream.requests == []


def test_parameters_of_all_places_are_validated_at_once(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str
) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document)), plugins=PLUGINS)
    trace = {"X-Trace": "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d"}

    good = running.get("/pets?limit=5&tags=cat&tags=dog", headers={**trace, "Cookie": "session=abcd"})
    bad = running.get("/pets?limit=0&tags=cow&limit=7", headers={"Cookie": "session=a"})
    path = running.get("/pets/x")

    assert good.status == 200
    assert sorted(errors_of(bad)) == [
        ("cookie", "session#", "minLength"),
        ("header", "X-Trace#", "missing"),
        ("query", "limit#", "repeated"),
        ("query", "tags#/0", "enum"),
    ]
    assert errors_of(path) == [("path", "id#", "type")]
    assert running.get("/pets/7").status == 200


def test_unknown_operations_get_404_and_405(gateway: StartGateway, upstream: ScriptedUpstream, document: str) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document)), plugins=PLUGINS)

    unknown, method = running.get("/cats"), running.request("DELETE", "/pets/7")

    assert (unknown.status, method.status, method.headers["Allow"]) == (404, 405, "GET, PUT, HEAD")
    assert upstream.requests == []
    assert running.request("HEAD", "/pets/7").status == 200
    passing = gateway(one_route(upstream.url, validate(openapi=document, unknown_operations="pass")), plugins=PLUGINS)
    assert (passing.get("/cats").status, passing.request("DELETE", "/pets/7").status) == (200, 200)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json, text/plain"},
        [("Content-Type", "application/json"), ("Content-Type", "application/json")],
    ],
)
def test_what_is_not_declared_is_415(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str, headers: Any
) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document)), plugins=PLUGINS)

    assert post(running, {"name": "Rex"}, headers=headers).status == 415
    assert post(running, {"name": "Rex"}, headers={"Content-Type": "Application/JSON; charset=UTF-8"}).status == 200
    assert len(upstream.requests) == 1


def test_a_body_where_none_is_declared_is_415(gateway: StartGateway, upstream: ScriptedUpstream, document: str) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document)), plugins=PLUGINS)

    assert running.request("GET", "/pets/7", headers=JSON, body=b"{}").status == 415
    assert running.request("GET", "/pets/7").status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"name": "a", "name": "b"}', 400),
        (b'{"name": NaN}', 400),
        (b'{"name": 1e999}', 400),
        (b'{"name": ' + b"9" * 5000 + b"}", 400),
        (b'{"name": "\\ud800"}', 400),
        (b'{"name": "\xff"}', 400),
        (b'\xef\xbb\xbf{"name": "a"}', 400),
        (b"[" * 10_000 + b"]" * 10_000, 400),
        (b'{"name": ' + b"[" * 64 + b"]" * 64 + b"}", 400),
        (b'{"name": "a"} ', 200),
        (b'{"name": "a"}x', 400),
        (b"", 400),
        (b" " * 70_000, 413),
    ],
)
def test_json_that_readers_may_take_differently_is_refused(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str, body: bytes, status: int
) -> None:
    config = validate(openapi=document, max_body_bytes="64KiB")
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)

    assert post(running, body).status == status


def test_a_body_that_cannot_be_validated_is_streamed(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str
) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document, max_body_bytes=10)), plugins=PLUGINS)
    kind = {"Content-Type": "application/octet-stream"}

    assert running.request("PUT", "/pets/7", headers=kind, body=b"x" * 100_000).status == 200
    assert len(upstream.last.body) == 100_000


def test_at_most_fifty_errors_are_listed(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    schema = {"type": "array", "items": {"type": "string"}}
    running = gateway(one_route(upstream.url, validate(body_schema=schema)), plugins=PLUGINS)

    few, many = post(running, [1] * 60), post(running, [""] * 10_000 + [1] * 5000)

    assert [errors_of(each)[0] for each in (few, many)] == [("body", "#/0", "type"), ("body", "#/10000", "type")]
    assert [len(errors_of(each)) for each in (few, many)] == [50, 50]


def test_it_goes_together_with_the_other_plugins(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    chain = [
        {"name": "auth", "config": {"secret": SECRET}},
        {"name": "ratelimit", "config": {"quota": 3, "window": "1h", "key": "identity"}},
        validate(openapi=document),
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "identity", "refusal", "produced_by"]}},
    ]
    running = gateway(one_route(upstream.url, *chain), plugins=PLUGINS)
    alice = JSON | {"Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}"}

    bodies = [{"name": "Rex"}, {"name": ""}, {}, {"name": "Rex"}]
    statuses = [post(running, {"name": ""}).status, *(post(running, body, headers=alice).status for body in bodies)]

    assert statuses == [401, 200, 400, 400, 429]
    eventually(lambda: log.exists() and log.read_text().count("\n") == 5)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line.get("refusal"), line["produced_by"]) for line in lines] == [
        ("missing", "auth"),
        (None, "upstream"),
        ("invalid", "validate"),
        ("invalid", "validate"),
        ("ratelimit", "ratelimit"),
    ]
    assert 'gateway_validate_refusals_total{binding="validate",reason="invalid",route="test"} 2' in running.metrics()


def test_a_binding_in_shadow_mode_refuses_nothing(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str
) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document) | {"mode": "shadow"}), plugins=PLUGINS)

    assert post(running, {"name": ""}).status == 200
    assert upstream.last.body == b'{"name": ""}'
    assert 'gateway_validate_refusals_total{binding="validate",reason="invalid",route="test"} 1' in running.metrics()


@pytest.mark.parametrize(("mode", "status"), [("shadow", 200), ("enforce", 502)])
def test_responses_are_validated_in_shadow_or_by_force(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str, mode: str, status: int
) -> None:
    running = gateway(one_route(upstream.url, validate(openapi=document, responses=mode)), plugins=PLUGINS)
    trace = {"X-Trace": "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d"}
    good = b'[{"id": 1, "name": "Rex"}]'
    answers: list[tuple[int, bytes, Any]] = [
        (200, good, JSON),
        (200, b'[{"id": "TopSecret", "name": "Rex"}]', JSON),
        (200, b'[{"name": "Rex"}]', JSON),
        (200, b"<p>", {"Content-Type": "text/html"}),
        (500, b"{}", JSON),
    ]
    statuses = []
    for each in answers:
        upstream.answer_next(each[0], each[1], each[2])
        response = running.get("/pets", headers=trace)
        statuses.append(response.status)
        assert mode == "shadow" or "TopSecret" not in response.text

    assert statuses == [200, status, status, status, 500 if mode == "shadow" else 502]
    eventually(lambda: running.metrics().count("gateway_validate_response_violations_total{") == 4)
    assert not any("TopSecret" in record.getMessage() for record in running.logs)


def test_a_stored_response_is_validated_by_force_whenever_it_is_sent(
    gateway: StartGateway, upstream: ScriptedUpstream, document: str
) -> None:
    chain = validate(openapi=document, responses="enforce"), {"name": "cache"}
    running = gateway(one_route(upstream.url, *chain), plugins=[*PLUGINS, Cache])
    upstream.answer_with(200, b'[{"name": "Rex"}]', JSON | {"Cache-Control": "max-age=60"})
    trace = {"X-Trace": "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d"}

    statuses = [running.get("/pets", headers=trace | each).status for each in ({}, {}, {"Range": "bytes=0-1"})]

    assert statuses == [502] * 3
    assert len(upstream.requests) == 1
