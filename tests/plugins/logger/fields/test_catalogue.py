from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_logger.fields import DEFAULT_FIELDS, FIELDS, Kind, find_value
from gateway_plugin_logger.formats.build import build_renderer
from gateway_plugin_logger.formats.compiler import compile_expression, expression_of
from gateway_plugin_sdk import Record, Request, Response, TlsInfo

TYPES = {
    Kind.TEXT: str,
    Kind.CLEAN: str,
    Kind.WORD: str,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.MILLISECONDS: float,
    Kind.OBJECT: dict | list,
}
HEADERS = {
    "User-Agent": "curl/8.1",
    "Referer": "https://example.com/",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_gives_a_value_of_its_kind(name: str, make_event: Any) -> None:
    value = FIELDS[name].value
    event = make_event(
        headers=HEADERS,
        response_headers={"content-type": "text/plain"},
        attempts=2,
        error="why",
        aborted="client",
        claims={"sub": "a"},
    )
    subject = ((("commonName", "alice"),),)
    event.request.tls = TlsInfo("TLSv1.3", "A", {"subject": subject, "issuer": subject, "serialNumber": "0A"})
    event.request.peer_port, event.request.local_port, event.request.config_version = 1234, 443, "abc"
    event.request.plugin_times = [("auth", "gateway_pre_proxy", 0.001)]
    event.request.state.update({"logger.request_body": "a", "logger.response_body": "b"})

    read = compile_expression(expression_of(value), dict(value.names))(*event)

    assert isinstance(read, TYPES[value.kind])


@pytest.mark.parametrize("name", FIELDS)
def test_a_request_that_never_got_anywhere_has_every_field_that_is_not_optional(name: str) -> None:
    value = FIELDS[name].value

    read = compile_expression(expression_of(value), dict(value.names))(Request("GET", "/"), Response(499), Record())

    assert value.optional or read is not None


def test_the_default_line_has_the_fields_that_people_look_for(make_event: Any) -> None:
    line = json.loads(build_renderer("json", DEFAULT_FIELDS, {}, find_value)(*make_event()))

    assert line == {
        "time": "2026-11-22T23:20:21.123Z",
        "request_id": "01J-abc",
        "client_ip": "203.0.113.9",
        "method": "GET",
        "host": "api.example.com:8080",
        "path": "/api/users/7",
        "query": "page=2",
        "status": 200,
        "duration_ms": 12.5,
        "upstream_duration_ms": 10.0,
        "bytes_received": 5,
        "bytes_sent": 1024,
        "route": "users",
        "upstream": "people",
        "endpoint": "users-1",
        "identity": "alice",
        "user_agent": "curl/8.1",
        "produced_by": "upstream",
    }


def test_paths_are_those_of_the_client_whatever_plugins_made_of_them(make_event: Any) -> None:
    event = make_event("/old?x=1")
    event.request.raw_path, event.request.query = "/new", "y=2"

    line = build_renderer("{path} {query} {target} {upstream_path}", (), {}, find_value)(*event)

    assert line == "/old x=1 /old?x=1 /new\n"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a/b?x=1&y", "/a/b", "x=1&y"),
        ("/a?", "/a", None),
        ("/a?b?c", "/a", "b?c"),
        ("http://host?x=1", "/", "x=1"),
        ("http://host", "/", None),
        ("*", "*", None),
    ],
)
def test_a_target_is_taken_apart_as_the_client_sent_it(
    target: str, path: str, query: str | None, make_event: Any
) -> None:
    line = json.loads(build_renderer("json", ("path", "query"), {}, find_value, nulls=True)(*make_event(target)))

    assert line == {"path": path, "query": query}
