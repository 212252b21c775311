"""One connection to an endpoint: what its handler is told, and whether it serves another request."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.pool import Pool
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.request_head import BINDS, HEAD_ONLY, IN_CHUNKS, MAY_SWITCH
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.upstream.conftest import StartServer
from tests.core.proxy.upstream.kit import GET, OK, Recorder, ask, make_pool, open_connection

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


# -- responses that keep the connection, and those that do not

KEPT = {
    "length": (OK, b"ok", b""),
    "chunks": (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"ok", b""),
    "trailers": (
        CHUNKED + b"1\r\no\r\n1\r\nk\r\n0\r\nA: 1\r\nContent-Length: 9\r\nB : 2\r\n\r\n",
        b"ok",
        b"\r\nA: 1\r\nB: 2",
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", b""),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", b""),
    "interim": (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, b"ok", b""),
    "white space before a colon": (b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 2\r\n\r\nok", b"ok", b""),
}

CLOSED = {
    "close": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    "http 1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "too much": OK + b"HTTP/1.1 200 OK",
    "a crlf too much": OK + b"\r\n",
    "bytes behind chunks": CHUNKED + b"2\r\nok\r\n0\r\n\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length with white space": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "chunks in 1.0": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + CHUNKED[17:] + b"2\r\nok\r\n0\r\n\r\n",
    "space behind a chunk size": CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
    "bare lf": OK.replace(b"\r\n", b"\n"),
    "repaired interim": b"HTTP/1.1 100 Continue\nA: b\n\n" + OK,
}


@pytest.mark.parametrize(("response", "body", "trailer"), KEPT.values(), ids=list(KEPT))
async def test_a_complete_response_leaves_the_connection_for_the_next_request(
    start_server: StartServer, response: bytes, body: bytes, trailer: bytes
) -> None:
    pool = make_pool(await start_server(response, response, response))

    for uses in (1, 2, 3):
        recorder = await ask(pool)

        assert (recorder.body, recorder.trailer, recorder.is_complete) == (body, trailer, True)
        assert [connection.uses for connection in pool.idle] == [uses]


@pytest.mark.parametrize("response", CLOSED.values(), ids=list(CLOSED))
async def test_a_response_whose_end_is_in_doubt_is_the_last_of_its_connection(
    start_server: StartServer, response: bytes
) -> None:
    pool = make_pool(await start_server(response))

    for _ in range(3):
        recorder = await ask(pool)

        assert (recorder.body, recorder.is_complete) == (b"ok", True)
        assert not pool.idle


async def test_an_early_response_closes_the_connection_since_the_rest_of_the_request_may_never_be_read(
    start_server: StartServer,
) -> None:
    pool, recorder = make_pool(await start_server(OK)), Recorder()
    connection = await open_connection(pool)

    connection.send(recorder, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", 0, False)
    await recorder.wait()

    assert recorder.body == b"ok"
    assert not pool.idle


@pytest.mark.parametrize("piece", [1, 7, 1000])
async def test_a_response_to_head_has_no_body_whatever_it_says(start_server: StartServer, piece: int) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for start in range(0, len(CHUNKED), piece):
                writer.write(CHUNKED[start : start + piece])
                await writer.drain()

    pool = make_pool(await start_server(script))

    for _ in range(2):
        assert (await ask(pool, flags=HEAD_ONLY)).body == b""
    assert len(pool.idle) == 1


async def test_a_connection_that_knows_its_user_stays_with_its_handler(start_server: StartServer) -> None:
    challenge = b"HTTP/1.1 401 No\r\nWWW-Authenticate : NTLM\r\nContent-Length: 2\r\n\r\nok"
    pool = make_pool(await start_server(challenge, OK))

    first = await ask(pool)
    assert first.bound is not None
    assert not pool.idle
    second = Recorder()
    first.bound.send(second, GET)
    await second.wait()

    assert second.bound is first.bound
    assert first.bound.bound == BINDS


# -- bytes that belong to no response


@pytest.mark.parametrize("garbage", [b"\r\n", b"\0", b"HTTP/2.0 200 OK\r\n", b"ok" + OK, b"\r\n" + OK])
async def test_garbage_before_a_response_on_a_used_connection_makes_it_stale(
    start_server: StartServer, garbage: bytes
) -> None:
    pool = make_pool(await start_server(OK, garbage))
    await ask(pool)

    recorder = await ask(pool)

    assert (recorder.failure, recorder.head) == (Failure.STALE, None)
    assert not pool.idle


@pytest.mark.parametrize("garbage", [b"\r\n", b"\0", b"HTTP/2.0 200 OK\r\n", b"ok" + OK])
async def test_garbage_on_a_new_connection_is_a_bad_response(start_server: StartServer, garbage: bytes) -> None:
    recorder = await ask(make_pool(await start_server(garbage)))

    assert recorder.failure is Failure.BAD_RESPONSE


async def test_a_response_that_began_on_a_used_connection_is_bad_not_stale(start_server: StartServer) -> None:
    for second in (b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\ngarbage"):
        pool = make_pool(await start_server(OK, second))
        await ask(pool)

        assert (await ask(pool)).failure is Failure.BAD_RESPONSE


async def test_whatever_comes_on_an_idle_connection_closes_it(start_server: StartServer) -> None:
    goes_on = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await goes_on.wait()
        writer.write(b"\r\n")
        await reader.read()

    pool = make_pool(await start_server(script))
    await ask(pool)
    connection = next(iter(pool.idle))
    goes_on.set()
    async with asyncio.timeout(30):
        while pool.idle:  # noqa: ASYNC110 - the pool has no event
            await asyncio.sleep(0)

    assert not connection.is_alive
    assert pool.take() is None


@pytest.mark.parametrize(
    ("responses", "failure"),
    [
        ((b"",), Failure.RESET),
        ((OK, b""), Failure.RESET),
        ((b"HTTP/1.1 2",), Failure.TRUNCATED),
        ((b"HTTP/1.1 100 Continue\r\n\r\n",), Failure.TRUNCATED),
        ((OK[:-1],), Failure.TRUNCATED),
        ((CHUNKED + b"2\r\nok\r\n",), Failure.TRUNCATED),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",), Failure.BAD_RESPONSE),
        ((CHUNKED + b"x\r\n",), Failure.BAD_RESPONSE),
        ((b"HTTP/1.1 103 A\r\n\r\n" * 17 + OK,), Failure.BAD_RESPONSE),
        ((b"HTTP/1.1 101 B\r\nUpgrade: a\r\n\r\n",), Failure.BAD_RESPONSE),
    ],
)
async def test_how_a_response_fails(start_server: StartServer, responses: tuple[bytes, ...], failure: Failure) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for response in responses:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(response)

    pool = make_pool(await start_server(script))
    for _ in responses[1:]:
        await ask(pool)

    assert (await ask(pool)).failure is failure
    assert not pool.idle


async def test_a_body_without_length_ends_with_the_connection(start_server: StartServer) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")

    recorder = await ask(make_pool(await start_server(script)))

    assert (recorder.body, recorder.is_complete) == (b"some", True)


async def test_a_tolerant_upstream_may_begin_with_empty_lines(start_server: StartServer) -> None:
    pool = make_pool(await start_server(b"\r\n" + OK), http1={"tolerant": True})

    for _ in range(2):
        recorder = await ask(pool)
        assert (recorder.body, recorder.failure) == (b"ok", None)
        assert not pool.idle


async def test_after_101_the_connection_is_the_handlers(start_server: StartServer) -> None:
    pool = make_pool(await start_server(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\nhello"))

    recorder = await ask(pool, flags=MAY_SWITCH)

    assert recorder.switched == b"hello"
    assert not pool.idle


async def test_a_head_may_be_as_long_as_the_limit_in_force(start_server: StartServer) -> None:
    pool = make_pool(await start_server(OK, OK, OK))
    size = len(OK) - 2

    pool.limit_heads(size)
    assert (await ask(pool)).body == b"ok"
    pool.limit_heads(size - 1)
    assert (await ask(pool)).failure is Failure.BAD_RESPONSE
    pool.limit_heads(size)
    assert (await ask(pool)).body == b"ok"


# -- requests


async def received(start_server: StartServer) -> tuple[Pool, asyncio.Future[bytes]]:
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.set_result(await reader.readuntil(b"END\r\n\r\n"))
        writer.write(OK)
        await reader.read()

    return make_pool(await start_server(script)), got


@pytest.mark.parametrize("first", [b"", b"ab"])
async def test_a_body_in_chunks_ends_with_its_trailers(start_server: StartServer, first: bytes) -> None:
    pool, got = await received(start_server)
    connection, recorder = await open_connection(pool), Recorder()

    connection.send_with_body(recorder, b"HEAD\r\n\r\n", first, IN_CHUNKS, False)
    connection.send_body(b"")
    connection.send_body(b"cde")
    connection.send_end(b"\r\nA: 1\r\nB: END")
    connection.send_end()
    await recorder.wait()

    expected = b"2\r\nab\r\n" if first else b""
    assert await got == b"HEAD\r\n\r\n" + expected + b"3\r\ncde\r\n0\r\nA: 1\r\nB: END\r\n\r\n"
    assert len(pool.idle) == 1


async def test_a_whole_body_goes_out_with_its_head(start_server: StartServer) -> None:
    pool, got = await received(start_server)
    connection, recorder = await open_connection(pool), Recorder()

    connection.send_with_body(recorder, b"HEAD\r\n\r\n", b"ab", IN_CHUNKS, True, b"\r\nA: END")
    await recorder.wait()

    assert await got == b"HEAD\r\n\r\n2\r\nab\r\n0\r\nA: END\r\n\r\n"


async def test_a_body_of_known_length_is_sent_as_it_is(start_server: StartServer) -> None:
    pool, got = await received(start_server)
    connection, recorder = await open_connection(pool), Recorder()

    connection.send_with_body(recorder, b"HEAD\r\n\r\n", b"ab", 0, False)
    connection.send_body(b"END\r\n\r\n")
    connection.send_end()
    await recorder.wait()

    assert await got == b"HEAD\r\n\r\nabEND\r\n\r\n"


# -- any cut of the bytes


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        self._is_closing = True

    def get_protocol(self) -> asyncio.BaseProtocol:
        return asyncio.Protocol()


RESPONSES = st.sampled_from([*[each[0] for each in KEPT.values()], *CLOSED.values()])


@given(st.lists(RESPONSES, min_size=1, max_size=3), st.lists(st.integers(0, 10_000), max_size=10))
def test_responses_mean_the_same_wherever_their_bytes_are_cut(responses: list[bytes], cuts: list[int]) -> None:
    async def receive(is_cut: bool) -> list[object]:
        pool = make_pool()
        connection = UpstreamConnection(pool)
        connection.connection_made(Wire())
        seen: list[object] = []
        for response in responses:
            recorder = Recorder()
            connection.send(recorder, GET)
            bounds = [0, *sorted({cut % len(response) for cut in cuts if is_cut} - {0}), len(response)]
            for start, end in pairwise(bounds):
                if connection.is_alive:
                    connection.data_received(response[start:end])
            seen.append((recorder.interims, recorder.body, recorder.trailer, recorder.is_complete, recorder.failure))
            seen.append(connection.is_alive)
            if not connection.is_alive:
                break
            assert pool.take() is connection
        return seen

    assert asyncio.run(receive(True)) == asyncio.run(receive(False))
