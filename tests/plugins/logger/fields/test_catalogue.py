from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from gateway_plugin_logger.fields import DEFAULT_FIELDS, FIELDS, Kind, find_value
from gateway_plugin_logger.filters.expression import compile_predicate
from gateway_plugin_logger.formats.build import build_renderer
from gateway_plugin_logger.formats.compiler import compile_expression, expression_of
from gateway_plugin_sdk import Identity, Record, Request, Response, TlsInfo

TYPES = {
    Kind.TEXT: str,
    Kind.WIRE: str,
    Kind.CLEAN: str,
    Kind.WORD: str,
    Kind.INTEGER: int,
    Kind.CODE: int,
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
        status=403,
    )
    subject = ((("commonName", "alice"),),)
    event.request.tls = TlsInfo("TLSv1.3", "A", {"subject": subject, "issuer": subject, "serialNumber": "0A"})
    event.record.reason, event.record.grpc_status = "client-left", 14
    event.request.peer_port, event.request.local_port, event.request.config_version = 1234, 443, "abc"
    event.request.plugin_times = [("auth", "gateway_pre_proxy", 0.001)]
    event.request.state.update({"logger.request_body": "a", "logger.response_body": "b", "auth.refusal": "expired"})

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


def test_what_was_sent_is_logged_beside_what_routes_match(make_event: Any) -> None:
    event = make_event("/%6cogin;x?x=1")
    event.request.query_string = "y=2"

    line = build_renderer("{raw_path} {query} {target}", (), {}, find_value)(*event)

    assert line == "/%6cogin;x x=1 /%6cogin;x?x=1\n"
    path = build_renderer("{path}", (), {}, find_value)(*event)
    assert path == f"{event.request.path}\n"


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


@pytest.mark.parametrize(
    ("host", "scheme", "address", "port"),
    [
        ("example.com", "https", "example.com", 443),
        ("example.com:8080", "http", "example.com", 8080),
        ("10.0.0.1:1", "http", "10.0.0.1", 1),
        ("[::1]", "http", "::1", 80),
        ("[2001:db8::7]:8443", "https", "2001:db8::7", 8443),
        ("example.com:", "http", "example.com", 80),
        ("::1", "http", "::1", 80),
        ("example.com:99999", "http", "example.com", None),
        ("", "http", None, 80),
    ],
)
def test_an_authority_is_a_server_and_its_port(
    host: str, scheme: str, address: str | None, port: int | None, make_event: Any
) -> None:
    event = make_event(host=host)
    event.request.scheme = scheme

    for name, expected in (("server_address", address), ("server_port", port)):
        value = FIELDS[name].value
        assert compile_expression(expression_of(value), dict(value.names))(*event) == expected


@pytest.mark.parametrize(("status", "shown"), [(200, None), (403, "expired, day, no ticket")])
def test_a_refusal_has_the_reasons_of_all_plugins(status: int, shown: str | None, make_event: Any) -> None:
    event = make_event(status=status)
    event.request.state.update({"auth.refusal": "expired", "ratelimit.refusal": "day", "tickets.refusal": "no ticket"})

    value = FIELDS["refusal"].value

    assert compile_expression(expression_of(value), dict(value.names))(*event) == shown


def test_claims_are_read_as_auth_hands_them_out(make_event: Any) -> None:
    event = make_event()
    claims = {
        "org": MappingProxyType({"id": 7, "tags": ("a", "b")}),
        "https://x.example/claims": MappingProxyType({"u": 1}),
    }
    event.request.identity = Identity("u", "jwt", MappingProxyType(claims))
    template = "{claim:org.id} {claim:org.tags} {claim:https://x.example/claims.u} {claim:none.x}"

    line = build_renderer("json", (), {"a": "{claim:org}", "b": template}, find_value)(*event)

    assert json.loads(line) == {"a": {"id": 7, "tags": ["a", "b"]}, "b": '7 ["a","b"] 1 '}
    assert compile_predicate("claim('org.id') == 7 and 'a' in claim('org.tags')", undecided=False)(*event)
