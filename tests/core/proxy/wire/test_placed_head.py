"""What a head means on its connection: its path, what goes upstream, what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from gateway_core.errors import BadPathError
from gateway_core.messages import Request
from gateway_core.messages.fields import field_names
from gateway_core.proxy.wire.forwarding import Arrived, origin_of
from gateway_core.proxy.wire.request_fields import RequestFacts, read_request_block
from gateway_core.proxy.wire.request_head import (
    BINDS,
    HEAD_ONLY,
    IN_CHUNKS,
    MAY_SWITCH,
    RequestHead,
    flags_for,
    read_head,
)
from gateway_core.routing import PathPolicy
from gateway_core.snapshot import Trust
from hypothesis import given
from hypothesis import strategies as st


def facts_of(fields: bytes = b"") -> RequestFacts:
    facts = read_request_block(b"\r\nHost: a" + fields)
    assert facts is not None
    return facts


def make(
    target: str = "/", fields: bytes = b"", method: str = "GET", version: str = "1.1", **policy: Any
) -> RequestHead:
    facts = facts_of(fields)
    origin = origin_of(facts, Arrived("10.0.0.1", "http", 80), Trust(), is_trusted=False)
    data = b"%b %b HTTP/%b\r\nHost: a%b\r\n\r\n" % (method.encode(), target.encode(), version.encode(), fields)
    head = read_head(data, 0, 65536, 100)
    assert isinstance(head, RequestHead)
    head.place(origin, PathPolicy(**policy))
    return head


def request_of(head: RequestHead, request_id: str, started: float) -> Request:
    return Request.for_head(head, request_id, started)


@pytest.mark.parametrize("line", [b"Origin: https://a", b"ORIGIN:https://a ", b"origin:\thttps://a"])
@pytest.mark.parametrize("hidden", [b"", b"accept"])
def test_the_first_value_of_a_received_field_is_the_one_that_was_sent(line: bytes, hidden: bytes) -> None:
    head = make(fields=b"\r\nAccept: b\r\n" + line + b"\r\nOrigin: https://b")
    if hidden:
        head.facts.hide({hidden})  # from plugins; it was sent all the same
    request = request_of(head, "1", 0.0)
    request.headers["Origin"] = "https://c"

    assert request.received.first_value("Origin") == b"https://a"
    assert request.received.first_value("Accept") == b"b"
    assert request.received.first_value("Referer") is None


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query"),
    [
        ("/a/b?c=d?e", "/a/b", "/a/b", "c=d?e"),
        ("/a?", "/a", "/a", ""),
        ("/%61//b", "/%61//b", "/a/b", ""),
        ("/A", "/A", "/A", ""),
    ],
)
def test_a_target_is_a_path_as_sent_one_to_match_and_a_query(target: str, raw_path: str, path: str, query: str) -> None:
    head = make(target)

    assert (head.raw_path, head.path, head.query_string, head.refusal) == (raw_path, path, query, None)


@given(st.text("/.%;\\aF2", max_size=8))
def test_the_match_path_is_the_one_reading_of_the_path(rest: str) -> None:
    head = make("/" + rest + "?//.%")

    if head.refusal is None:
        assert (head.path, head.path_flags) == PathPolicy().read("/" + rest)
    else:
        with pytest.raises(BadPathError, match=re.escape(head.refusal[2])):
            PathPolicy().read("/" + rest)


def test_a_policy_without_case_folds_the_path_that_routes_match() -> None:
    assert (make("/A", case="insensitive").path, make("/A", case="insensitive").raw_path) == ("/a", "/A")


@pytest.mark.parametrize("target", ["/a%2Fb", "/a/../b", "/a%00", "/%zz", "/%ff"])
def test_a_path_with_more_than_one_reading_is_refused(target: str) -> None:
    refusal = make(target).refusal

    assert refusal is not None
    assert refusal[:2] == (400, "path-refused")


def test_a_loop_is_refused_before_its_path_is_read() -> None:
    origin = make().origin
    origin.is_loop = True

    head = RequestHead("GET", "/a%2Fb", "/a%2Fb", "", facts_of(), b"", 0)
    head.place(origin, PathPolicy())

    assert head.refusal is not None
    assert head.refusal[:2] == (508, "loop-detected")


@pytest.mark.parametrize(
    ("method", "target", "fields", "expected"),
    [
        ("OPTIONS", "*", b"", True),
        ("OPTIONS", "/", b"\r\nMax-Forwards: 0", True),
        ("OPTIONS", "/", b"\r\nMax-Forwards: 1", False),
        ("OPTIONS", "/", b"", False),
        ("GET", "/", b"\r\nMax-Forwards: 0", False),
    ],
)
def test_an_options_may_be_for_the_gateway_itself(method: str, target: str, fields: bytes, expected: bool) -> None:
    assert make(target, fields, method).responder == ("gateway" if expected else "")


@pytest.mark.parametrize(
    ("method", "version", "fields", "expected"),
    [
        ("GET", "1.1", b"", True),
        ("HEAD", "1.1", b"", False),
        ("GET", "1.0", b"", False),
        ("GET", "1.1", b"\r\nConnection: close", True),
    ],
)
def test_the_response_to_a_usual_request_needs_nothing_but_its_length(
    method: str, version: str, fields: bytes, expected: bool
) -> None:
    assert make("/", fields, method, version).is_usual is expected


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        ("GET", b"", 0),
        ("HEAD", b"", HEAD_ONLY),
        ("POST", b"\r\nTransfer-Encoding: chunked", IN_CHUNKS),
        ("GET", b"\r\nConnection: Upgrade\r\nUpgrade: websocket", MAY_SWITCH),
        ("GET", b"\r\nAuthorization: NTLM TlRMTVNTUAAB", BINDS),
    ],
)
def test_an_upstreams_connection_has_to_know_what_comes(method: str, fields: bytes, expected: int) -> None:
    assert flags_for(method, facts_of(fields)) == expected
    assert make("/", fields, method).flags == expected


def test_reserved_fields_are_removed_however_they_are_written() -> None:
    head = make("/", b"\r\nX-User: 1\r\nX_User: 2\r\nx.user: 3\r\nX-Users: 4")
    request = request_of(head, "id", 1.0)

    head.drop_reserved(request, field_names(["X-User"]))

    assert request.headers.items() == [("Host", "a"), ("X-Users", "4")]


def test_a_head_without_reserved_fields_is_left_as_it_is() -> None:
    head = make("/", b"\r\nX-A: 1")
    request = request_of(head, "id", 1.0)

    head.drop_reserved(request, None)
    head.drop_reserved(request, field_names(["X-User"]))

    assert request.headers.items() == [("Host", "a"), ("X-A", "1")]


def test_reserved_fields_that_an_earlier_hook_set_are_removed_as_well() -> None:
    head = make()
    request = request_of(head, "id", 1.0)
    request.headers["X-User"] = "1"

    head.drop_reserved(request, field_names(["X-User"]))

    assert "X-User" not in request.headers


def test_a_request_shows_what_was_read() -> None:
    request = request_of(make("/%61?b", b"\r\nX-A: 1", "POST", "1.0"), "some-id", 7.0)

    assert (request.method, request.path, request.raw_path, request.query_string) == ("POST", "/a", "/%61", "b")
    assert (request.request_id, request.started, request.version, request.host) == ("some-id", 7.0, "1.0", "a")
    assert (request.client_ip, request.scheme) == ("10.0.0.1", "http")
    assert (request.received.method, request.received.target) == ("POST", "/%61?b")
