"""What one read brings of a response over HTTP/2 goes on together, and nothing of it waits for another read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hyperframe.frame as hf
import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.kit import Peer, field, until
from tests.core.proxy.upstream.http2_endpoint import Asked, StartHttp2

INTERNAL_ERROR, NO_ERROR = 2, 0
GRPC = ("content-type", "application/grpc")
MESSAGE = b"\0\0\0\0\2ok"
records: list[Record] = []


def begin(asked: Asked, *fields: tuple[str, str], body: bytes = MESSAGE) -> list[hf.Frame]:
    """Return the frames of a head and the first part of its body."""
    block = asked.connection.encoder.encode([(":status", "200"), GRPC, *fields])
    return [hf.HeadersFrame(asked.stream, data=block, flags=["END_HEADERS"]), hf.DataFrame(asked.stream, data=body)]


def trailers(asked: Asked, *fields: tuple[str, str], ends: bool = True) -> hf.HeadersFrame:
    block = asked.connection.encoder.encode(fields)
    return hf.HeadersFrame(asked.stream, data=block, flags=["END_HEADERS", "END_STREAM"] if ends else ["END_HEADERS"])


class Sees(Plugin[Any]):
    """Sees what became of responses."""

    name = "p"

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        records.append(record)


class Changes(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.headers["x-seen"] = "1"


class Refuses(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Response:
        return Response(418, b"no")


@pytest.mark.parametrize("code", ["0", "5"])
@pytest.mark.parametrize("plugins", [[], [Sees], [Changes]])
async def test_a_response_that_comes_in_one_read_goes_on_whole(
    start_http2: StartHttp2, plugins: list[type[Plugin[Any]]], code: str
) -> None:
    async def script(asked: Asked) -> None:
        await asked.complete.wait()
        await asked.connection.send(*begin(asked), trailers(asked, ("grpc-status", code)))

    extra = "plugins: [{name: p}]" if plugins else ""
    gateway, _ = await start_http2(script, extra=extra, plugins=plugins)
    records.clear()
    async with http2(gateway) as client:
        got = await client.ask(GRPC, method="POST", body=MESSAGE)
        frames = [each for each in client.frames if each.stream_id == 1]
    assert (got.status, got.body, got.trailers) == (200, MESSAGE, {"grpc-status": code})
    assert "content-length" not in got.headers
    assert got.headers.get("x-seen") == ("1" if plugins == [Changes] else None)
    assert [type(each).__name__ for each in frames] == ["HeadersFrame", "DataFrame", "HeadersFrame"]
    if plugins == [Sees]:
        await until(lambda: records)
        (record,) = records
        assert (record.grpc_status, record.aborted, record.bytes_sent) == (int(code), None, len(MESSAGE))


async def test_each_response_with_the_same_head_is_framed_as_it_came(start_http2: StartHttp2) -> None:
    """The head is remembered; what ends the response decides whether it has a length."""

    async def script(asked: Asked) -> None:
        ends = asked.headers[":path"]
        frames = begin(asked, ("date", "Sun, 22 Nov 2026 23:43:29 GMT"), body=ends.encode())
        if ends == "/data":
            frames[-1].flags.add("END_STREAM")
        else:
            frames.append(trailers(asked, ("grpc-status", "0"), ("x-sum", ends)))
        await asked.connection.send(*frames)

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        for _ in range(3):
            for path in ("/trailers", "/more/trailers", "/data"):
                got = await client.ask(GRPC, path=path, method="POST", body=MESSAGE)
                assert got.body == path.encode()
                assert got.headers.get("content-length") == ("5" if path == "/data" else None)
                assert got.trailers == ({} if path == "/data" else {"grpc-status": "0", "x-sum": path})


async def test_trailers_of_such_a_response_go_behind_chunks_to_a_client_of_http_1(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.connection.send(*begin(asked, body=b"body"), trailers(asked, ("x-sum", "1")))

    gateway, _ = await start_http2(script)
    peer: Peer = await gateway.connect()
    await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n")
    head = await peer.head()
    assert field(head, b"transfer-encoding") == b"chunked"
    expected = b"4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n"
    assert await peer.exactly(len(expected)) == expected
    peer.close()


async def test_trailers_wait_with_a_body_that_the_client_does_not_take_yet(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.connection.send(*begin(asked), trailers(asked, ("grpc-status", "0")))

    gateway, _ = await start_http2(script)
    async with http2(gateway, {4: 3}) as client:
        client.gives_credit = False
        head = client.head()
        await client.send(head)
        got = client.expect(head.stream_id)
        await client.until(lambda: got.body)
        assert (got.body, got.ended) == (MESSAGE[:3], False)
        await client.send(hf.WindowUpdateFrame(head.stream_id, window_increment=100))
        assert (await client.response(head.stream_id)).trailers == {"grpc-status": "0"}
    assert got.body == MESSAGE


async def test_what_is_not_complete_waits_for_no_other_read(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.connection.send(*begin(asked))

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        head = client.head()
        await client.send(head)
        got = client.expect(head.stream_id)
        await client.until(lambda: got.body)
        (asked,) = endpoint.asked
        await asked.connection.send(hf.DataFrame(asked.stream, data=b"more"))
        await client.until(lambda: got.body == MESSAGE + b"more")
        assert not got.ended
        await asked.end(("grpc-status", "0"))
        assert (await client.response(head.stream_id)).trailers == {"grpc-status": "0"}


async def test_all_frames_of_a_read_pass_in_their_order(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        parts = [hf.DataFrame(asked.stream, data=b"%d" % number) for number in range(9)]
        await asked.connection.send(*begin(asked, body=b"-"), *parts, trailers(asked, ("grpc-status", "0")))

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask(GRPC, method="POST", body=MESSAGE)
    assert (got.body, got.trailers) == (b"-012345678", {"grpc-status": "0"})


ENDS: dict[str, Callable[[Asked], hf.Frame]] = {
    "reset": lambda asked: hf.RstStreamFrame(asked.stream, error_code=INTERNAL_ERROR),
    "unseen": lambda asked: hf.GoAwayFrame(0, last_stream_id=0, error_code=NO_ERROR),
    "malformed": lambda asked: trailers(asked, (":status", "200")),
    "endless": lambda asked: trailers(asked, ("grpc-status", "0"), ends=False),
    "misuse": lambda asked: hf.WindowUpdateFrame(0, window_increment=0x7FFFFFFF),
    "short": lambda asked: trailers(asked, ("grpc-status", "0")),
}


@pytest.mark.parametrize("end", ENDS)
async def test_what_came_before_a_failure_in_the_same_read_is_passed_on_and_cut_off(
    start_http2: StartHttp2, end: str
) -> None:
    async def script(asked: Asked) -> None:
        fields = [("content-length", "100")] if end == "short" else []
        await asked.connection.send(*begin(asked, *fields), ENDS[end](asked))

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask()
    assert (got.status, got.body, got.ended, got.reset) == (200, MESSAGE, False, INTERNAL_ERROR)
    assert len(endpoint.asked) == 1


async def test_a_hook_that_replaces_such_a_response_ends_it(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.connection.send(*begin(asked), trailers(asked, ("x-sum", "1")))

    gateway, _ = await start_http2(script, extra="plugins: [{name: p}]", plugins=[Refuses])
    async with http2(gateway) as client:
        first, second = await client.ask(), await client.ask()
    assert (first.status, first.body, first.trailers) == (418, b"no", {})
    assert second.status == 418


async def test_credit_for_what_waited_in_a_read_is_given_back(start_http2: StartHttp2) -> None:
    """More than the window of a stream passes, each part the first of its body or behind it."""
    size = 16_384

    async def script(asked: Asked) -> None:
        await asked.connection.send(*begin(asked, body=bytes(size)))
        for _ in range(20):
            await until(lambda: credit(asked) >= 0)
            await asked.data(bytes(size))
            sent[asked.stream] += size
        await asked.end(("grpc-status", "0"))

    def credit(asked: Asked) -> int:
        """Return what the stream still takes behind one frame more."""
        updates = [each for each in asked.connection.frames if isinstance(each, hf.WindowUpdateFrame)]
        given = sum(each.window_increment for each in updates if each.stream_id == asked.stream)
        return 65_535 + given - sent.setdefault(asked.stream, size) - size

    sent: dict[int, int] = {}
    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask()
    assert (len(got.body), got.trailers) == (21 * size, {"grpc-status": "0"})
