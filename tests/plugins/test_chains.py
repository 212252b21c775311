"""The first-party plugins together, in the chains that people run, in a real gateway."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk.testing import eventually

SECRET = "a secret of more than thirty-two characters"
PLUGINS = [Auth, RateLimit, Logger]
FIELDS = ["method", "path", "status", "identity", "refusal", "attempts", "produced_by", "reason", "aborted"]
AUTH = {"name": "auth", "config": {"secret": SECRET}}
LIMIT = {"name": "ratelimit", "config": {"quota": 2, "window": "1h", "key": "identity"}}


def bearer(subject: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {jwt.encode({'sub': subject}, SECRET, 'HS256')}"}


def chain(target: Any, log: Path, *, fields: Any = FIELDS, upstream: Any = None, **options: Any) -> dict[str, Any]:
    logger = {"name": "logger", "config": {"path": str(log), "fields": list(fields), **options}}
    upstreams = [] if upstream is None else [{"name": "u", **upstream}]
    route = {"id": "api", "path_prefix": "/", "target": target, "plugins": [AUTH, LIMIT]}
    return {"plugins": [logger], "upstreams": upstreams, "routes": [route]}


def lines_of(path: Path, count: int) -> list[dict[str, Any]]:
    eventually(lambda: path.exists() and path.read_text().count("\n") == count)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_caller_has_a_limit_and_what_is_refused_is_logged_with_its_reason(
    gateway: Any, upstream: Any, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    running = gateway(chain(upstream.url, log), plugins=PLUGINS)

    statuses = [running.get("/a", headers=bearer("alice")).status for _ in range(3)]
    statuses += [running.get("/b", headers=bearer("bob")).status, running.get("/c").status]

    assert statuses == [200, 200, 429, 200, 401]
    assert len(upstream.requests) == 3
    assert [(line["status"], line.get("identity"), line.get("refusal")) for line in lines_of(log, 5)] == [
        (200, "alice", None),
        (200, "alice", None),
        (429, "alice", "ratelimit"),
        (200, "bob", None),
        (401, None, "missing"),
    ]
    assert [line["produced_by"] for line in lines_of(log, 5)] == [
        "upstream",
        "upstream",
        "ratelimit",
        "upstream",
        "auth",
    ]


def test_attempts_are_counted_once_by_limits_and_all_by_the_log(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    retrying = {"endpoints": [{"url": upstream.url}], "retries": {"attempts": 2, "on": [503], "backoff_base": "1ms"}}
    running = gateway(chain("u", log, upstream=retrying), plugins=PLUGINS)
    upstream.answer_next(503)

    answers = [running.get("/", headers=bearer("alice")).status for _ in range(2)]

    assert answers == [200, 200]
    assert len(upstream.requests) == 3
    assert [line["attempts"] for line in lines_of(log, 2)] == [2, 1]


@pytest.mark.one_protocol(reason="heads over HTTP/1 that are refused")
@pytest.mark.parametrize(
    ("head", "status", "reason", "method"),
    [
        (b"TRACE /a HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method-not-allowed", "TRACE"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "bad-request", "GET"),
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431, "head-too-large", "GET"),
    ],
)
def test_refused_heads_have_a_line_with_their_reason(
    gateway: Any, upstream: Any, tmp_path: Path, head: bytes, status: int, reason: str, method: str
) -> None:
    log = tmp_path / "access.log"
    running = gateway(chain(upstream.url, log), plugins=PLUGINS)

    reply = running.raw(head)

    assert reply.split(b" ", 2)[1] == str(status).encode()
    (line,) = lines_of(log, 1)
    assert (line["status"], line["reason"], line["method"]) == (status, reason, method)
    assert (line["produced_by"], line["attempts"]) == ("gateway", 0)


def test_an_upstream_that_is_away_has_a_reason(gateway: Any, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    running = gateway(chain("http://127.0.0.1:1", log), plugins=PLUGINS)

    assert running.get("/", headers=bearer("alice")).status == 502

    (line,) = lines_of(log, 1)
    assert (line["status"], line["reason"], line["identity"]) == (502, "upstream.connect-failure", "alice")


@pytest.fixture
def echo_server() -> Iterator[str]:
    """A server that changes to another protocol and sends the next bytes back, once."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
            connection.sendall(head.partition(b"\r\n\r\n")[2] or connection.recv(4096))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    thread.join(10)


def test_a_connection_that_changes_its_protocol_is_charged_and_logged_at_its_end(
    gateway: Any, echo_server: str, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    running = gateway(chain(echo_server, log), plugins=PLUGINS)
    head = "".join(f"{name}: {value}\r\n" for name, value in bearer("alice").items())

    reply = running.raw(
        f"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n{head}\r\nhello".encode()
    )

    assert reply.startswith(b"HTTP/1.1 101 ")
    assert reply.endswith(b"\r\n\r\nhello")
    (line,) = lines_of(log, 1)
    assert (line["status"], line["identity"], line["attempts"]) == (101, "alice", 1)


def test_bodies_are_logged_while_they_pass_as_they_are(gateway: Any, upstream: Any, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    body = json.dumps({"id": 7, "password": "p"}).encode()
    upstream.answer_with(200, body, headers={"Content-Type": "application/json", "ETag": '"1"'})
    fields = ["status", "response_body", "request_body", "identity"]
    running = gateway(chain(upstream.url, log, fields=fields), plugins=PLUGINS)

    sent = {**bearer("alice"), "Content-Type": "application/json"}
    response = running.post("/", b'{"a":1}', headers=sent)

    assert (response.body, response.headers["content-length"], response.headers["etag"]) == (
        body,
        str(len(body)),
        '"1"',
    )
    assert upstream.last.body == b'{"a":1}'
    assert lines_of(log, 1) == [
        {
            "status": 200,
            "response_body": '{"id":7,"password":"REDACTED"}',
            "request_body": '{"a":1}',
            "identity": "alice",
        }
    ]
