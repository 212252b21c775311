"""Every way in which a plugin takes part, with what bodies come to: limits, failing filters, retries, mirrors, HEAD.

A row is an ability (`tests.core.proxy.abilities`), a column is a test.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Response

from tests.core.proxy.abilities import (
    ABILITIES,
    CHUNKED_POST,
    GET,
    HEAD,
    OK,
    OWN,
    POST,
    WHOLE,
    Ability,
    AttemptHook,
    FetchAndStream,
    Observer,
    RequestFilter,
    StartCase,
    body_of,
    in_two,
    records,
)
from tests.core.proxy.kit import Peer, StartUpstream, field, until

abilities = pytest.mark.parametrize("ability", ABILITIES)


class Failing(BodyFilter):
    """Fails over the second piece, or over the first."""

    pieces = 1

    def __init__(self) -> None:
        self._left = self.pieces

    def feed(self, data: bytes) -> bytes:
        if not self._left:
            raise LookupError("boom")
        self._left -= 1
        return data


class FailingAtOnce(Failing):
    pieces = 0


def filters(made: type[BodyFilter]) -> Ability:
    """Return a plugin that adds a filter to each response."""

    class Filters(Plugin[Any]):
        name = "q"

        @hookimpl
        def gateway_response(self, response: Response) -> None:
            response.add_body_filter(made)

    return Filters


# -- a body over the limit


@abilities
@pytest.mark.parametrize("data", [POST + b"abcdef", CHUNKED_POST + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"])
async def test_a_request_body_over_the_limit_is_413(start_case: StartCase, ability: Ability, data: bytes) -> None:
    case = await start_case(ability, OK, "limits: {max_body_bytes: 5}")

    assert (await case.gateway.ask(data))[0] == 413

    await case.is_over()
    assert [record.reason for record in records if record.reason] == ["body-too-large"]


# -- a filter that raises


@abilities
async def test_a_filter_that_raises_before_the_head_is_500(start_case: StartCase, ability: Ability) -> None:
    case = await start_case(ability, HEAD + b"3\r\nabc\r\n0\r\n\r\n", more=(filters(FailingAtOnce),))

    status, _, body = await case.gateway.ask(GET)

    assert status == 500
    assert b"boom" not in body
    await case.is_over()
    assert records[-1].reason == "plugin.failed"


@abilities
async def test_a_filter_that_raises_behind_the_head_is_a_visible_cut(start_case: StartCase, ability: Ability) -> None:
    case = await start_case(ability, in_two(lambda: case.upstream, more := asyncio.Event()), more=(filters(Failing),))
    client = await case.gateway.connect()
    await client.send(GET)
    if ability not in WHOLE:
        await client.reader.readuntil(b"abc")
    more.set()

    data = await body_of(client) if ability in WHOLE else (200, b"", await client.rest())

    if ability in WHOLE:  # what is whole is one piece
        assert (data[0], data[2].removeprefix(b"6\r\n")[:6]) == (200, b"abcdef")
    else:
        assert b"def" not in data[2]
        assert not data[2].endswith(b"0\r\n\r\n")
        await until(lambda: records)
        assert records[-1].reason == "plugin.failed"
    await case.is_over()


# -- retries and mirrors


@abilities
@pytest.mark.parametrize("data", [POST + b"abcdef", CHUNKED_POST + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"])
async def test_a_retry_sends_the_whole_request_again(start_case: StartCase, ability: Ability, data: bytes) -> None:
    async def script(peer: Peer) -> None:
        await case.upstream.read_request(peer)
        if len(case.upstream.heads) == 1:
            peer.reset()
            return
        await peer.send(OK)

    case = await start_case(ability, script)
    client = await case.gateway.connect()
    await client.send(data)

    status, _, body = await body_of(client)

    assert (status, re.sub(rb"\r\n|\d", b"", body)) == (200, b"ok")
    assert [re.sub(rb"\r\n|\d", b"", each) for each in case.upstream.bodies] == [b"abcdef"] * 2
    if ability is AttemptHook:
        assert [field(head, b"x-signature") for head in case.upstream.heads] == [b"6", b"6"]
    await case.is_over()


@abilities
async def test_a_mirror_gets_the_request_that_goes_upstream(
    start_case: StartCase, start_upstream: StartUpstream, ability: Ability
) -> None:
    mirror = await start_upstream()
    ok = OK
    case = await start_case(ability, ok, route=f", mirror: {{target: '{mirror.url}'}}")
    client = await case.gateway.connect()
    await client.send(POST + b"abcdef")

    assert (await body_of(client))[0] == 200

    if ability not in OWN:
        await until(lambda: mirror.bodies)
        assert [re.sub(rb"\r\n|\d", b"", each) for each in mirror.bodies] == [b"abcdef"]
        assert field(mirror.heads[0], b"x-signature") is None
    await case.is_over()
    assert len(mirror.heads) == (0 if ability in OWN else 1)


# -- HEAD


@abilities
@pytest.mark.parametrize("framing", [b"Content-Length: 6", b"Transfer-Encoding: chunked"])
async def test_head_has_no_body_and_the_connection_goes_on(
    start_case: StartCase, ability: Ability, framing: bytes
) -> None:
    case = await start_case(ability, b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
    client = await case.gateway.connect()

    for _ in range(2):
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await client.head()
        assert head.startswith(b"HTTP/1.1 200 ")
        if ability in {RequestFilter, Observer, AttemptHook}:
            assert framing.lower() in head.lower() or framing.startswith(b"T")

    client.close()
    await case.is_over()
    assert [head[:5] for head in case.upstream.heads] == ([] if ability is FetchAndStream else [b"HEAD "] * 2)


# -- trailers


@abilities
async def test_trailers_of_a_response_arrive(start_case: StartCase, ability: Ability) -> None:
    case = await start_case(ability, HEAD + b"3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")
    client = await case.gateway.connect()
    await client.send(GET)

    _, head, rest = await body_of(client)

    if ability in OWN:  # a response of its own
        assert b"abc" in rest
    elif field(head, b"content-length") is None:
        assert rest.endswith(b"0\r\nX-Sum: 9\r\n\r\n")
    await case.is_over()


@abilities
async def test_trailers_of_a_request_go_upstream(start_case: StartCase, ability: Ability) -> None:
    received = asyncio.Event()

    async def script(peer: Peer) -> None:
        head = await peer.head()
        case.upstream.heads.append(head)
        if field(head, b"content-length") is not None:
            case.upstream.bodies.append(await peer.exactly(3))
        else:
            case.upstream.bodies.append(await peer.reader.readuntil(b"\r\n\r\n"))
        received.set()
        await peer.send(OK)

    case = await start_case(ability, script)
    client = await case.gateway.connect()
    await client.send(CHUNKED_POST + b"3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")

    assert (await body_of(client))[0] == 200

    await received.wait()
    if field(case.upstream.heads[0], b"content-length") is None:
        assert case.upstream.bodies[0].endswith(b"0\r\nX-Sum: 9\r\n\r\n")
    else:
        assert ability in OWN
    await case.is_over()
