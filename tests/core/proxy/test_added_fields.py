"""The head that goes upstream when hooks only added fields, by either way of adding them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import FieldBlock, Request
from gateway_core.messages.request_lines import lines_added
from gateway_core.proxy.upstream_head import tail_with

from tests.core.proxy.bodies import BIND
from tests.core.proxy.kit import Plugins, Proxied
from tests.core.proxy.wire.test_placed_head import make

COOKIE = b"\r\nCookie: a=b"


def changing(change: Callable[[Request], object]) -> Plugins:
    class Changing(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> None:
            change(request)

    return [Changing]


def tail_after(change: Callable[[Request], object], fields: bytes = COOKIE) -> bytes | None:
    head = make("/a", fields)
    request = Request.for_head(head, "1", 0.0)
    change(request)
    added = lines_added(request, head)
    return tail_with(head, added) if added else None if added is None else head.tail


def test_ordinary_fields_stand_between_those_that_came_and_the_gateways() -> None:
    untouched = tail_after(lambda _: None)
    added = tail_after(lambda request: request.add_fields(FieldBlock({"X-Api": "v2"})))

    assert untouched is not None
    assert untouched.startswith(COOKIE)
    assert added == untouched.replace(COOKIE, COOKIE + b"\r\nX-Api: v2")


@pytest.mark.parametrize(
    "change",
    [
        lambda request: request.add_fields(FieldBlock({"Host": "b"})),
        lambda request: request.add_fields(FieldBlock({"X-Forwarded-For": "10.0.0.9"})),
        lambda request: request.headers.remove("Cookie"),
        lambda request: setattr(request, "method", "PUT"),
        lambda request: setattr(request, "query_string", "a=b"),
        lambda request: setattr(request, "raw_path", "/b"),
    ],
)
def test_other_changes_have_the_head_made_anew(change: Callable[[Request], object]) -> None:
    assert tail_after(change) is None


def test_fields_beside_a_clients_oddly_named_ones_have_the_head_made_anew() -> None:
    assert tail_after(lambda request: request.add_fields(FieldBlock({"X-Api": "v2"})), b"\r\nX_Api: v1") is None


@pytest.mark.parametrize(
    "fields",
    [{"X-Api": "v2", "X-More": "1"}, {"X-Forwarded-For": "10.0.0.9"}, {"X-Request-Id": "7"}],
)
async def test_both_ways_of_adding_fields_send_the_same_head(proxied: Proxied, fields: dict[str, str]) -> None:
    block = FieldBlock(fields)

    def change(request: Request) -> None:
        if request.query_string == "quick":
            request.add_fields(block)
        else:
            request.headers.extend(block)

    gateway, upstream = await proxied(extra=BIND, plugins=changing(change))
    client = await gateway.connect()
    for query in (b"quick", b"slow"):
        await client.send(b"GET /?%b HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\nX_Api: v1\r\n\r\n" % query)
        assert (await client.response())[0] == 200

    own = b"X-Request-Id" if "X-Request-Id" not in fields else b"none"
    quick, slow = ([line for line in head.split(b"\r\n")[1:] if not line.startswith(own)] for head in upstream.heads)
    assert quick == slow
