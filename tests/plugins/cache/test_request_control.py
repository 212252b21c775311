from __future__ import annotations

import pytest
from gateway_plugin_cache.directives import parse_cache_control
from gateway_plugin_cache.request_control import PLAIN, ControlReader, RequestControl
from gateway_plugin_sdk import Request


def read(target: str = "/", *, heeds: bool = True, **fields: str) -> RequestControl:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    request = Request("GET", target, headers)
    return ControlReader(("X-Api-Key",), False, heeds).read(request)


def test_a_plain_request_asks_for_nothing() -> None:
    bare, forwarded = read(Accept="*/*", User_Agent="curl"), read(X_Forwarded_Host="a.example")

    assert (bare.is_plain, bare.has_forwarded) == (True, False)
    assert forwarded is PLAIN
    assert (PLAIN.is_plain, PLAIN.has_forwarded) == (True, True)


def test_a_head_that_is_known_asks_for_what_it_asked_before() -> None:
    reader = ControlReader((), False, True)
    requests = [Request("GET", "/", headers) for headers in ({"A": "1"}, {"Forwarded": "for=x"}, {"Range": "bytes=0-"})]

    first = [reader.read(request) for request in requests]
    again = [reader.read(request) for request in requests]
    overridden = reader.read(Request("GET", "/?_method=PUT", {"A": "1"}))

    assert again == first
    assert [control.has_range for control in again] == [False, False, True]
    assert overridden.bypass == "method-override"


def test_a_field_that_a_plugin_adds_to_a_known_head_counts() -> None:
    reader = ControlReader((), False, True)
    request = Request("GET", "/", {"A": "1"})

    before = reader.read(request)
    request.headers.add("Authorization", "Bearer x")

    assert (before.has_credentials, reader.read(request).has_credentials) == (False, True)


def test_heads_that_clients_choose_do_not_fill_memory() -> None:
    reader = ControlReader((), False, True)

    for number in range(1000):
        reader.read(Request("GET", "/", {"A": str(number)}))
        reader.read(Request("GET", "/", {"A": str(number) * 5000}))

    assert len(reader._plain) <= 256
    assert max(map(len, reader._plain)) <= 4096


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"Cookie": "a=1"}, "cookie"),
        ({"Content-Length": "1"}, "body"),
        ({"Content-Length": "0"}, None),
        ({"Transfer-Encoding": "chunked"}, "body"),
        ({"X-HTTP-Method-Override": "PUT"}, "method-override"),
        ({"X-Original-URL": "/admin"}, "method-override"),
        ({"X-Rewrite-URL": "/admin"}, "method-override"),
        ({"If-Match": '"1"'}, "precondition"),
        ({"If-Unmodified-Since": "x"}, "precondition"),
        ({"Cache-Control": "no-store"}, "no-store"),
        ({"Connection": "Upgrade", "Upgrade": "websocket"}, "upgrade"),
        ({"If-None-Match": '"1"'}, None),
    ],
)
def test_what_passes_by(fields: dict[str, str], reason: str | None) -> None:
    request = Request("GET", "/", fields)

    assert ControlReader(("X-Api-Key",), False, True).read(request).bypass == reason


def test_credentials_ranges_and_conditions_are_seen() -> None:
    assert read(Authorization="Bearer x").has_credentials
    assert read(X_Api_Key="x").has_credentials
    assert read(Range="bytes=0-").has_range
    assert read(If_Modified_Since="x").is_conditional


@pytest.mark.parametrize(
    ("control", "age", "expected"),
    [
        ("", 59, True),
        ("", 60, False),
        ("max-age=10", 10, True),
        ("max-age=10", 11, False),
        ("max-age=0", 0.5, False),
        ("min-fresh=10", 49, True),
        ("min-fresh=10", 50, False),
        ("no-cache", 0, False),
        ("max-stale=100", 61, False),
        ("max-stale", 61, False),
        ("max-age=nonsense", 1, False),
    ],
)
def test_how_fresh_clients_want_it(control: str, age: float, expected: bool) -> None:
    assert RequestControl(parse_cache_control([control] if control else [])).accepts(age, 60) is expected


def test_pragma_counts_without_cache_control_and_neither_if_clients_may_not_ask() -> None:
    assert "no-cache" in read(Pragma="no-cache").directives
    assert "no-cache" not in read(Pragma="no-cache", Cache_Control="max-age=5").directives
    assert "no-cache" not in read(Pragma="no-cache", heeds=False).directives
    assert read(Cache_Control="no-store", heeds=False).bypass is None
