"""Which fields of a response a plugin may set, and what a status line may say."""

from __future__ import annotations

from typing import Any, cast

import pytest
from gateway_core.clock import ManualClock
from gateway_core.messages import Headers, Response
from gateway_core.proxy.response_fields import (
    DateField,
    _known_blocks,
    facts_of,
    has_gateway_fields,
    own_block,
    status_line,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.kit import Proxied, StartProxy

OWN = [b"Connection", b"Content-Length", b"Keep-Alive", b"Transfer-Encoding", b"Upgrade", b"TE"]
OTHERS = [b"Set-Cookie", b"X-Connection", b"Content-Type", b"Content-Length-Of", b"Date", b"X-Request-Id", b"X"]

names = st.sampled_from([*OWN, *OTHERS]).flatmap(lambda name: st.sampled_from([name, name.lower(), name.upper()]))
blocks = st.lists(st.tuples(names, st.sampled_from([b"1", b"close", b"connection: close", b""])), max_size=5)


def block_of(fields: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"\r\n%b: %b" % field for field in fields)


def is_own(name: bytes) -> bool:
    return name.lower() in {each.lower() for each in OWN}


@given(blocks)
def test_a_plugin_sets_every_field_but_the_gateways(fields: list[tuple[bytes, bytes]]) -> None:
    response = Response(200, headers=Headers((name.decode(), value.decode()) for name, value in fields))

    kept = [(name, value) for name, value in fields if not is_own(name)]

    assert own_block(response) == block_of(kept)
    assert has_gateway_fields(block_of(fields)) is (len(kept) < len(fields))


@given(blocks, blocks)
def test_what_was_added_to_a_known_block_is_all_that_is_read(
    known: list[tuple[bytes, bytes]], added: list[tuple[bytes, bytes]]
) -> None:
    known = [field for field in known if not is_own(field[0])]
    response = Response(200, headers=Headers((name.decode(), value.decode()) for name, value in [*known, *added]))

    assert own_block(response, block_of(known)) == own_block(response)


def test_a_field_that_continues_the_last_line_of_a_known_block_is_not_taken_for_an_added_one() -> None:
    response = Response(200, headers=Headers([("X-A", "1"), ("Connection", "close")]))

    assert own_block(response, b"\r\nX-") == b"\r\nX-A: 1"


def test_blocks_that_plugins_choose_do_not_fill_memory() -> None:
    for number in range(1000):
        own_block(Response(200, headers={"X-Number": str(number)}))
        own_block(Response(200, headers={"X-Number": str(number) * 2000}))

    assert len(_known_blocks) <= 258
    assert max(map(len, _known_blocks)) <= 2048


@pytest.mark.parametrize("fields", [{"Date": "x"}, {"X-Request-Id": "x"}, {"X-A": "date: x"}, {"Content-Length": "1"}])
def test_a_known_block_has_what_it_had_when_it_was_not_known(fields: dict[str, str]) -> None:
    response = Response(200, headers=fields)
    _known_blocks.clear()

    first = own_block(response)
    new = facts_of(b"" + first)
    second = own_block(response.copy_head())

    assert (first, new) == (second, facts_of(second))
    _known_blocks.clear()
    assert facts_of(first) == new


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [(200, "OK", b"HTTP/1.1 200 OK"), (299, "", b"HTTP/1.1 299 "), (404, "\xe4", b"HTTP/1.1 404 \xe4")],
)
def test_a_status_line_has_what_was_given(status: int, reason: str, expected: bytes) -> None:
    assert status_line(status, reason) == status_line(status, reason) == expected


@pytest.mark.parametrize(
    ("status", "reason"),
    [(200, "OK\r\nSet-Cookie: a=b"), (200, "a\nb"), (200, "\0"), (99, "x"), (1000, "x"), ("200", "x"), (None, "x")],
)
def test_what_would_not_be_read_as_a_status_line_is_refused(status: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=r"status|value|character|header"):
        status_line(cast("int", status), reason)


def test_reasons_that_upstreams_choose_do_not_fill_memory() -> None:
    long = "x" * 100

    assert status_line(200, long) is not status_line(200, long)


def test_the_date_is_that_of_the_second() -> None:
    clock = ManualClock(wall=784111777.2)
    date = DateField(clock.wall)

    assert date.block() == b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT"
    clock.advance(0.9)
    assert date.block() == b"\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.one_protocol(reason="heads over HTTP/1 that are refused")
async def test_responses_that_are_made_here_have_a_date(start_proxy: StartProxy) -> None:
    gateway = await start_proxy('routes: [{id: r, path: /a, target: "http://127.0.0.1:9"}]')

    not_found = await gateway.send(b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    not_valid = await gateway.send(b"GET /b HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n")

    assert not_found.count(b"\r\nDate: ") == 1
    assert not_valid.count(b"\r\nDate: ") == 1


async def test_an_upstreams_response_keeps_its_own_date(proxied: Proxied) -> None:
    date = b"Sun, 06 Nov 1994 08:49:37 GMT"
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nDate: " + date + b"\r\nContent-Length: 0\r\n\r\n")
    client = await gateway.connect()

    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    _, head, _ = await client.response()

    assert head.count(b"\r\nDate: ") == 1
    assert date in head
