"""Every way in which a plugin takes part, however its request ends: nothing hangs, leaks, or passes for a whole one.

A row is an ability (`tests.core.proxy.abilities`), a column is a test.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.core.proxy.abilities import (
    ABILITIES,
    GET,
    HEAD,
    OK,
    POST,
    READING,
    WHOLE,
    Ability,
    StartCase,
    body_of,
    in_two,
    records,
)
from tests.core.proxy.kit import Peer, until

abilities = pytest.mark.parametrize("ability", ABILITIES)


# -- the client leaves


@abilities
async def test_a_client_that_leaves_within_the_response_ends_the_request(
    start_case: StartCase, ability: Ability
) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await case.upstream.read_request(peer)
        await peer.send(HEAD + b"3\r\nabc\r\n")
        await peer.rest()
        closed.set()

    case = await start_case(ability, script)
    client = await case.gateway.connect()
    await client.send(GET)
    if ability in WHOLE:
        await until(lambda: case.upstream.heads)
    else:
        assert b"abc" in await client.reader.readuntil(b"abc")

    client.reset_hard()

    await asyncio.wait_for(closed.wait(), 30)
    await case.is_over()
    assert "client-left" in [record.reason for record in records]


@abilities
async def test_a_client_that_leaves_within_its_body_ends_the_request(start_case: StartCase, ability: Ability) -> None:
    case = await start_case(ability, OK)
    client = await case.gateway.connect()
    await client.send(POST + b"abc")
    await until(lambda: case.gateway.proxy.exchanges)

    client.reset_hard()

    await case.is_over()
    assert records[0].reason == "client-left"
    assert case.upstream.heads == []


# -- a body that stalls


@abilities
async def test_a_request_body_that_stalls_is_408(start_case: StartCase, ability: Ability) -> None:
    case = await start_case(ability, OK, "limits: {body_timeout: 10s}")
    client = await case.gateway.connect()
    await client.send(POST + b"abc")
    await until(lambda: case.gateway.proxy.exchanges)
    if ability not in READING:
        await until(lambda: case.upstream.connections)

    await case.gateway.pass_time(11)

    assert (await client.response())[0] == 408
    await case.is_over()
    assert [record.reason for record in records] == ["body-too-slow"]


@abilities
async def test_a_response_body_that_stalls_is_504_or_a_visible_cut(start_case: StartCase, ability: Ability) -> None:
    async def script(peer: Peer) -> None:
        await case.upstream.read_request(peer)
        await peer.send(HEAD + b"3\r\nabc\r\n")
        await peer.rest()

    case = await start_case(ability, script, route=", timeouts: {idle: 10s}")
    client = await case.gateway.connect()
    await client.send(GET)
    if ability in WHOLE:
        await until(lambda: case.upstream.heads)
    else:
        await client.reader.readuntil(b"abc")

    data = await case.gateway.passing(61, client.rest())

    if ability in WHOLE:
        assert data.startswith(b"HTTP/1.1 504 ")
    else:
        assert not data.endswith(b"0\r\n\r\n")
    await case.is_over()


# -- the upstream is away


@abilities
@pytest.mark.parametrize("data", [GET, POST + b"abcdef"])
async def test_an_upstream_that_is_away_is_502(start_case: StartCase, ability: Ability, data: bytes) -> None:
    async def script(peer: Peer) -> None:
        peer.reset_hard()

    case = await start_case(ability, script)

    assert (await case.gateway.ask(data))[0] == 502

    await case.is_over()
    assert "upstream.reset" in {record.reason for record in records}


@abilities
async def test_an_upstream_that_leaves_within_its_body_is_502_or_a_visible_cut(
    start_case: StartCase, ability: Ability
) -> None:
    leaves = asyncio.Event()

    async def script(peer: Peer) -> None:
        await case.upstream.read_request(peer)
        await peer.send(HEAD + b"3\r\nabc\r\n")
        await leaves.wait()

    case = await start_case(ability, script)
    client = await case.gateway.connect()
    await client.send(GET)
    if ability not in WHOLE:
        await client.reader.readuntil(b"abc")
    leaves.set()

    data = await client.head() if ability in WHOLE else await client.rest()

    assert data.startswith(b"HTTP/1.1 502 ") if ability in WHOLE else not data.endswith(b"0\r\n\r\n")
    await case.is_over()


# -- a reload


@abilities
async def test_a_request_goes_on_over_a_reload(start_case: StartCase, ability: Ability) -> None:
    case = await start_case(ability, in_two(lambda: case.upstream, more := asyncio.Event()))
    client = await case.gateway.connect()
    await client.send(GET)
    await until(lambda: case.upstream.heads)
    if ability not in WHOLE:
        await client.reader.readuntil(b"abc")
    before = case.gateway.proxy.holder.current

    await case.gateway.reload("routes: [{id: r, path_prefix: /, target: 'http://127.0.0.1:9'}]")
    more.set()

    assert b"def" in (await body_of(client))[2] if ability in WHOLE else await client.reader.readuntil(b"0\r\n\r\n")
    await case.is_over()
    await until(lambda: before.active == 0)
