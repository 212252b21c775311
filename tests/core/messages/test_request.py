from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from gateway_core.errors import BadPathError, BodyTooLargeError
from gateway_core.messages import Headers, Identity, Request, RouteInfo, TlsInfo
from gateway_core.messages.headers import headers_of_block
from gateway_core.messages.request_lines import request_block
from gateway_core.routing import PathPolicy
from hypothesis import given
from hypothesis import strategies as st

from tests.core.messages.read import Read

COOKIE_TEXT = st.text("abcXYZ019-_.", min_size=1, max_size=6)


def make(target: str = "/", *lines: str) -> Request:
    return Request("GET", target, headers_of_block("".join(f"\r\n{line}" for line in lines).encode("latin-1")))


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/a?b=c", "/a", "b=c"),
        ("/a?", "/a", ""),
        ("/a?b=c?d", "/a", "b=c?d"),
        ("/a%2Fb;c?%3F", "/a%2Fb;c", "%3F"),
    ],
)
def test_a_target_is_taken_apart_at_the_first_question_mark_and_not_decoded(target: str, path: str, query: str) -> None:
    request = make(target)

    assert (request.received.target, request.raw_path, request.query_string) == (target, path, query)


def test_the_path_is_the_match_path_and_only_the_raw_one_can_be_set() -> None:
    request = make("//caf%C3%A9/;x/a;y=1/b%2fc")

    assert (request.path, request.raw_path) == ("/caf\u00e9/a/b%2Fc", "//caf%C3%A9/;x/a;y=1/b%2fc")
    request.raw_path = "/other;z//%61"
    assert (request.path, request.raw_path) == ("/other/a", "/other;z//%61")
    with pytest.raises(AttributeError):
        request.path = "/x"  # type: ignore[misc]


@pytest.mark.parametrize("raw", ["", "x", "/a b", "/a/../b", "/a%00", "/a?b", "/\u00e9", "/a%2Fb"])
def test_what_is_no_path_under_the_policy_in_force_cannot_be_set_and_changes_nothing(raw: str) -> None:
    class Connection:
        client_ip = peer_ip = scheme = ""
        peer: Any = None
        config_version = ""
        is_trusted = False
        read_path = staticmethod(PathPolicy().read)

    request = make("/old")
    request._arrival = Connection()

    with pytest.raises(BadPathError):
        request.raw_path = raw

    assert (request.path, request.raw_path) == ("/old", "/old")


def test_a_target_that_is_going_to_be_refused_is_a_request_nevertheless() -> None:
    assert make("/a%00;b").path == "/a%00;b"


def test_what_few_ask_for_is_read_from_the_connection_only_then() -> None:
    class Peer:
        port, local_port, tls = 1234, 443, TlsInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", {"serialNumber": "0A"})

    class Arrival:
        client_ip = peer_ip = scheme = ""
        peer = Peer()
        config_version = "abc"
        is_trusted = False
        read_path = staticmethod(PathPolicy(encoded_slash="keep").read)

    request = make()
    request._arrival = Arrival()

    assert not {"peer_port", "tls", "config_version"} & set(vars(request))
    assert (request.peer_port, request.local_port, request.config_version) == (1234, 443, "abc")
    assert request.tls is Peer.tls
    assert (make().peer_port, make().tls, make().config_version) == (0, None, "")
    assert Request("GET", "/", peer_port=7).peer_port == 7


def test_the_path_that_goes_upstream_is_what_the_route_makes_of_it() -> None:
    def refuse(params: Mapping[str, str], path: str) -> str:
        raise ValueError(params, path)

    request = make("/in/a?b")

    assert request.sent_path == "/in/a"
    request.route = RouteInfo("r", rewrite=lambda params, path: path.removeprefix(params["cut"]))
    request.path_params = {"cut": "/in"}
    assert request.sent_path == "/a"
    request.route = RouteInfo("r", rewrite=refuse)
    assert request.sent_path == "/in/a"


def test_query_parameters_are_decoded_in_order_with_repetitions_and_empty_values() -> None:
    assert make("/?a=1&b=%C3%BC&a=2+3&c&d=").query == [
        ("a", "1"),
        ("b", "ü"),
        ("a", "2 3"),
        ("c", ""),
        ("d", ""),
    ]
    assert make("/").query == []


def test_every_query_parameter_is_there_however_many_there_are() -> None:
    assert make("/?" + "a&" * 5000).query == [("a", "")] * 5000


@given(st.lists(st.tuples(COOKIE_TEXT, COOKIE_TEXT), max_size=5, unique_by=lambda pair: pair[0]), st.booleans())
def test_every_cookie_is_found_in_one_line_or_in_several(cookies: list[tuple[str, str]], in_one: bool) -> None:
    pairs = [f"{name}={value}" for name, value in cookies]
    lines = [f"Cookie: {'; '.join(pairs)}"] if in_one else [f"cookie: {pair}" for pair in pairs]

    request = make("/", *lines)

    assert [request.cookie(name) for name, _ in cookies] == [value for _, value in cookies]


def test_a_cookie_is_found_by_its_whole_name_and_without_its_quotes() -> None:
    request = make("/", 'Cookie: asid=1; sid="2"; sid=3; flag')

    assert request.cookie("sid") == "2"
    assert request.cookie("flag") is None
    assert request.cookie("nothing") is None


def test_a_head_that_nobody_changed_is_the_very_block_that_came() -> None:
    request = make("/", "Host: a", "Accept: b")

    block = request_block(request)

    assert request.headers["accept"] == "b"
    assert request_block(request) is block


def test_a_changed_head_is_what_goes_on() -> None:
    request = make("/", "Host: a")

    request.headers["X-New"] = "1"

    assert request_block(request) == b"\r\nHost: a\r\nX-New: 1"
    assert request.received.headers.items() == [("Host", "a")]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["Accept: a"], None),
        (["Authorization: Bearer x"], "Bearer x"),
        (["authorization:  Basic y "], "Basic y"),
        (["Authorization: Bearer x", "Accept: a", "AUTHORIZATION: Bearer y"], None),
        (["Authorization: Bearer x", "authorization: Bearer x"], None),
    ],
)
def test_authorization_is_the_value_of_the_one_field_there_is(lines: list[str], expected: str | None) -> None:
    assert make("/", "Host: a", *lines).authorization == expected

    as_bytes = make("/", "Host: a", *lines).authorization_bytes

    assert (as_bytes or b"").strip().decode() == (expected or "")
    assert (as_bytes is None) is (expected is None)


def test_authorization_is_what_a_plugin_left_of_it() -> None:
    request = make("/", "Authorization: Bearer x")

    request.headers["Authorization"] = "Bearer y"
    changed = request.authorization, request.authorization_bytes
    request.headers.remove("authorization")

    assert changed == ("Bearer y", b" Bearer y")
    assert request.authorization is None
    assert request.authorization_bytes is None


def test_state_belongs_to_one_request() -> None:
    first, second = make(), make()

    first.state["plugin.seen"] = True

    assert first.state == {"plugin.seen": True}
    assert second.state == {}


async def test_a_request_without_a_body_reads_as_empty() -> None:
    assert await make().read() == b""


async def test_the_body_comes_from_the_lane_with_the_limit_that_was_asked_for() -> None:
    async def read(limit: int) -> bytes:
        if limit < 4:
            raise BodyTooLargeError
        return b"body"

    request = make()
    request.operations = Read(read)

    assert await request.read(4) == b"body"
    with pytest.raises(BodyTooLargeError):
        await request.read(3)


def test_origin_is_set_by_name() -> None:
    request = Request("GET", "/", client_ip="10.0.0.1", scheme="https", request_id="r-1")

    assert (request.client_ip, request.peer_ip, request.scheme, request.request_id) == ("10.0.0.1", "", "https", "r-1")
    assert Request("GET", "/").client_ip == ""


def test_its_text_has_nothing_that_a_client_sent_but_the_method() -> None:
    assert repr(Request("GET", "/secret?token=1", request_id="r-1")) == "<Request GET r-1>"


def test_all_fields_can_be_replaced_at_once() -> None:
    request = Request("GET", "/", {"A": "1"})

    request.headers = Headers([("B", "2")])

    assert request.headers.get("a") is None
    assert request_block(request) == b"\r\nB: 2"


def test_the_key_of_a_head_is_equal_for_equal_fields_and_another_after_a_change() -> None:
    first, second = make("/", "Host: a"), make("/b", "Host: a")

    assert first.headers_key == second.headers_key == first.headers.key
    second.headers["X"] = "1"
    assert second.headers_key != first.headers_key


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"Connection": "Upgrade", "Upgrade": "WebSocket"}, "websocket"),
        ({"Connection": "keep-alive, upgrade", "Upgrade": "websocket, other"}, "websocket"),
        ({"Connection": "keep-alive", "Upgrade": "websocket"}, None),
        ({"Connection": "upgrade"}, None),
    ],
)
def test_the_protocol_that_is_asked_for_is_in_lower_case(fields: dict[str, str], expected: str | None) -> None:
    assert Request("GET", "/", fields).upgrade == expected


def test_what_plugins_leave_on_a_request_needs_no_dict_for_the_object() -> None:
    request = make("/", "Host: a")

    request.identity, request.upstream, request.state["seen"] = Identity("ann"), "u", True
    request.headers["B"] = "2"

    assert vars(request) == {}


def test_parameters_are_found_when_they_are_asked_for_and_may_be_set() -> None:
    class Found:
        times = 0

        @property
        def params(self) -> Mapping[str, str]:
            self.times += 1
            return {"id": "7"}

    request, found = make("/", "Host: a"), Found()
    request.matched = found

    assert found.times == 0
    assert (request.path_params, request.path_params, found.times) == ({"id": "7"}, {"id": "7"}, 1)

    request.path_params = {"id": "8"}
    assert request.path_params == {"id": "8"}


def test_a_query_that_is_forgotten_is_shown_nowhere() -> None:
    request = Request("GET", "/cb?code=x", {"Host": "a"})

    request.forget_query()

    assert (request.query_string, request.received.target, request.query) == ("", "/cb", [])
    assert request.received.headers["host"] == "a"


def test_the_fields_that_plugins_wrote_are_told_apart() -> None:
    request = Request("GET", "/", {"A": "1"})
    request.headers = headers_of_block(b"\r\nA: 1")
    assert len(request.written_headers) == 0

    request.headers["A"] = "2"
    request.headers.add("B", "3")
    request.headers.remove("B")

    assert request.written_headers.items() == [("A", "2"), ("B", "3")]
