"""What clients get, from a real gateway."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_logger import Logger
from gateway_plugin_mock import Mock
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import PluginHarness, eventually, one_route

SECRET = "a secret of more than thirty-two characters"
API = """
openapi: 3.0.3
servers: [{url: https://api.example.com/v1}]
paths:
  /pets/{id}:
    get:
      responses:
        200:
          headers: {X-Rate: {schema: {type: integer, example: 10}}, X-Bad: {example: "a\\nb"}}
          content:
            application/json: {examples: {cat: {value: {name: Tom}}, dog: {value: {name: Rex}}}}
            text/plain: {example: Tom}
        404: {content: {application/json: {example: {error: gone}}}}
    delete: {responses: {204: {description: gone}}}
  /pets/mine: {get: {responses: {200: {content: {application/json: {example: mine}}}}}}
  /empty: {get: {}}
"""


def mock(**config: Any) -> dict[str, Any]:
    return {"name": "mock", "config": config}


def mocked(*bindings: Any, **route: Any) -> dict[str, Any]:
    return {"routes": [{"id": "api", "path_prefix": "/", "plugins": list(bindings), **route}]}


@pytest.fixture
def document(tmp_path: Path) -> str:
    path = tmp_path / "api.yaml"
    path.write_text(API)
    return str(path)


def test_the_document_responds(gateway: Any, document: str) -> None:
    running = gateway(mocked(mock(openapi=document)), plugins=[Mock])

    response = running.get("/pets/7")

    assert (response.status, response.json()) == (200, {"name": "Tom"})
    assert (response.headers["X-Rate"], response.headers["Vary"]) == ("10", "Accept, Prefer")
    assert "X-Bad" not in response.headers
    assert running.get("/v1/pets/mine").json() == "mine"
    assert running.get("/pets/7", headers={"Accept": "text/*"}).body == b"Tom"
    assert (running.request("DELETE", "/pets/7").status, running.request("HEAD", "/pets/7").status) == (204, 200)


def test_clients_choose_status_and_example(gateway: Any, document: str) -> None:
    running = gateway(mocked(mock(openapi=document)), plugins=[Mock])

    dog = running.get("/pets/7", headers={"Prefer": "example=dog"})
    gone = running.get("/pets/7", headers={"Prefer": "code=404"})

    assert (dog.json(), dog.headers["Preference-Applied"]) == ({"name": "Rex"}, 'example="dog"')
    assert (gone.status, gone.json(), gone.headers["Preference-Applied"]) == (404, {"error": "gone"}, "code=404")
    ignoring = gateway(mocked(mock(openapi=document, prefer=False)), plugins=[Mock])
    assert ignoring.get("/pets/7", headers={"Prefer": "code=404"}).status == 200


def test_what_cannot_be_responded_says_why(gateway: Any, document: str) -> None:
    running = gateway(mocked(mock(openapi=document)), plugins=[Mock])

    found = [
        running.get("/pets/7", headers={"Prefer": "code=500"}), running.get("/pets/7", headers={"Prefer": "example=x"}),
        running.get("/pets/7", headers={"Accept": "image/png"}), running.get("/empty"), running.get("/none"),
    ]  # fmt: skip
    refused = running.request("POST", "/pets/7")

    assert [response.status for response in found] == [404, 404, 406, 501, 404]
    assert all(response.headers["Content-Type"] == "application/problem+json" for response in found)
    assert (refused.status, refused.headers["Allow"]) == (405, "GET, DELETE, HEAD")


def test_configured_responses_come_first_and_the_rest_falls_through(gateway: Any, upstream: Any, document: str) -> None:
    responses = [
        {"path": "/pets/mine", "methods": ["GET"], "status": 201, "json": {"from": "configuration"}},
        {"path": "/pets/:id/toys", "body": "ball", "headers": {"X-A": "b"}},
    ]
    config = mock(openapi=document, responses=responses, fallthrough=True)
    running = gateway(one_route(upstream.url, config), plugins=[Mock])

    mine, toys = running.get("/pets/mine"), running.get("/pets/7/toys")

    assert (mine.status, mine.json()) == (201, {"from": "configuration"})
    assert (toys.body, toys.headers["X-A"]) == (b"ball", "b")
    assert running.get("/pets/7").json() == {"name": "Tom"}
    running.get("/none")
    running.post("/pets/7")
    assert [request.target for request in upstream.requests] == ["/none", "/pets/7"]


def test_a_stripped_prefix_is_no_part_of_the_path(gateway: Any, document: str) -> None:
    running = gateway(mocked(mock(openapi=document), path_prefix="/shop", strip_path=True), plugins=[Mock])

    assert running.get("/shop/pets/mine").json() == "mine"


@pytest.mark.in_turn
def test_a_delayed_response_holds_up_no_other(gateway: Any) -> None:
    responses = [{"path": "/slow", "delay": {"duration": "1h"}}, {"path": "/soon", "delay": {"duration": "1ms"}}, {}]
    running = gateway(mocked(mock(responses=responses)), plugins=[Mock])
    with socket.create_connection(("127.0.0.1", running.port)) as waiting:
        waiting.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")

        assert [running.get(path).status for path in ("/soon", "/other")] == [200, 200]


@pytest.mark.in_turn
def test_a_change_of_the_document_makes_a_new_instance(gateway: Any, document: str) -> None:
    config = mocked(mock(openapi=document))
    running = gateway(config, plugins=[Mock])
    Path(document).write_text(API.replace("example: mine", "example: yours"))

    running.reload(config)

    assert running.get("/pets/mine").json() == "yours"


def test_the_kit_alone_responds() -> None:
    with PluginHarness(Mock, {"responses": [{"path": "/a", "body": "ok"}]}) as harness:
        responses = [harness.request("GET", path).response for path in ("/a", "/b")]

    assert [response.status for response in responses] == [200, 404]


def test_responses_are_kept_within_bounds_and_apart(document: str) -> None:
    with PluginHarness(Mock, {"openapi": document}) as harness:
        found = {}
        for number in range(200):
            for accept in ("text/plain", "application/json", f"application/json, x/{number}", "x/y, " * 100 + "*/*"):
                found[accept] = harness.request("GET", "/pets/7", headers={"Accept": accept}).response.body
        kept = len(harness.plugin._known)

    assert found.pop("text/plain") == b"Tom"
    assert set(found.values()) == {b'{"name": "Tom"}'}
    assert kept <= 64


def test_it_goes_together_with_the_other_plugins(gateway: Any, document: str, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    chain = [
        {"name": "auth", "config": {"secret": SECRET}},
        {"name": "ratelimit", "config": {"quota": 1, "window": "1h", "key": "identity"}},
        mock(openapi=document),
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "produced_by"]}},
    ]
    running = gateway(mocked(*chain), plugins=[Mock, Auth, RateLimit, Logger])
    token = {"Authorization": f"Bearer {jwt.encode({'sub': 'alice'}, SECRET, 'HS256')}"}

    assert [running.get("/pets/7", headers=fields).status for fields in ({}, token, token)] == [401, 200, 429]
    eventually(lambda: log.exists() and log.read_text().count("\n") == 3)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["produced_by"]) for line in lines] == [
        (401, "auth"), (200, "mock"), (429, "ratelimit"),
    ]  # fmt: skip
