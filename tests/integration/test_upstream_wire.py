"""What upstreams send that is not to the letter: repaired or refused, never passed on as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gateway_core.testing import RunningGateway

from tests.integration.raw_server import RawConnection, RawServer, Serve
from tests.integration.wire import Wire

GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CODED = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@contextmanager
def before(
    serve: Serve | bytes, more: dict[str, Any] | None = None, **upstream: Any
) -> Iterator[tuple[RunningGateway, RawServer]]:
    with RawServer(serve) as server:
        config = {
            "upstreams": [{"name": "u", "endpoints": [{"url": server.url}], **upstream}],
            "routes": [{"id": "all", "path_prefix": "/", "target": "u"}],
        }
        with RunningGateway(config) as gateway:
            yield gateway, server


REPAIRED = {
    "space behind a chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
    "spaces and an extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2  ;a=b\r\nok\r\n0\r\n\r\n",
    "chunked over HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "equal lengths in one field": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "space before a colon": b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok",
    "tab before a colon": b"HTTP/1.1 200 OK\r\nX-A\t: 1\r\nContent-Length: 2\r\n\r\nok",
    "space before the length's colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("response", REPAIRED.values(), ids=REPAIRED)
def test_what_may_be_repaired_arrives_to_the_letter(response: bytes) -> None:
    with before(response) as (gateway, _), Wire.to(gateway) as wire:
        for _ in range(2):
            message = wire.ask(GET)
            assert (message.status, message.body) == (200, b"ok")
            lengths, codings = message.values("content-length"), message.values("transfer-encoding")
            assert (lengths, codings) in ((["2"], []), ([], ["chunked"]))
            assert b" :" not in message.head
            assert b"\t:" not in message.head


@pytest.mark.parametrize(
    "response",
    [REPAIRED[name] for name in ("bare LF", "two equal lengths", "chunked over HTTP/1.0")],
)
def test_a_connection_whose_framing_was_repaired_is_not_used_again(response: bytes) -> None:
    with before(response) as (gateway, server), Wire.to(gateway) as wire:
        assert [wire.ask(GET).body for _ in range(3)] == [b"ok"] * 3

        assert server.connections == 3


TOLERATED = {
    "two spaces in the status line": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "a bare LF": b"HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 2\r\n\r\nok",
    "an empty line before the head": b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" + CODED,
    "a control byte in a value": b"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 2\r\n\r\nok",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "a bare CR in a value": b"HTTP/1.1 200 OK\r\nX-A: a\rX-B: 1\r\nContent-Length: 2\r\n\r\nok",
    "a line without a colon": b"HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("response", TOLERATED.values(), ids=TOLERATED)
def test_the_rest_is_taken_only_where_that_is_asked_for(response: bytes) -> None:
    with before(response) as (gateway, _):
        assert gateway.get("/").status == 502
    with before(response, http1={"tolerant": True}) as (gateway, _):
        answer = gateway.get("/")
        assert (answer.status, answer.body) == (200, b"ok")
        assert answer.headers.get("X-B") is None
        assert not {"\x01", "\0", "\r"} & set(answer.headers.get("X-A", ""))


REFUSED = {
    "different lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "different lengths in one field": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "a length with a sign": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok",
    "another coding last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2p1\r\n",
}


@pytest.mark.parametrize("tolerant", [False, True])
@pytest.mark.parametrize("response", REFUSED.values(), ids=REFUSED)
def test_what_has_no_single_reading_is_502_whatever_is_asked_for(response: bytes, tolerant: bool) -> None:
    with before(response, http1={"tolerant": tolerant}) as (gateway, _):
        assert gateway.get("/").status == 502


@pytest.mark.parametrize("size", [b"-2", b"+2", b"0x2", b"2_0", b"g", b"", b"ffffffffffffffffff"])
def test_a_chunk_size_that_is_none_cuts_the_response(size: bytes) -> None:
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nok\r\n0\r\n\r\n"
    with before(response) as (gateway, _):
        data = gateway.raw(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

        assert data.startswith(b"HTTP/1.1 502 ") or not data.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "stray", [b"\r\n", b"\r\n\r\n", b"\n", b"garbage", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"]
)
def test_bytes_behind_a_response_are_no_other_clients_response(stray: bytes) -> None:
    def serve(connection: RawConnection) -> None:
        while connection.request():
            connection.send(OK + (stray if connection.number == 1 else b""))

    with before(serve) as (gateway, server):
        for _ in range(4):
            with Wire.to(gateway) as wire:
                message = wire.ask(GET)
                assert (message.status, message.body) == (200, b"ok")
        assert len(server.requests) <= 5


def test_stray_bytes_that_come_later_make_a_kept_connection_stale() -> None:
    def serve(connection: RawConnection) -> None:
        while connection.request():
            if connection.number == 1 and len(server.requests) == 2:
                connection.send(b"\r\n")  # in the place of the second response
            connection.send(OK)

    with before(serve) as (gateway, server), Wire.to(gateway) as wire:
        assert [wire.ask(GET).status for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("block", [b"", b"date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", b"Date: not a date\r\n"])
@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\nok", CODED])
def test_every_response_has_one_date(block: bytes, framing: bytes) -> None:
    with before(b"HTTP/1.1 200 OK\r\n" + block + framing) as (gateway, _), Wire.to(gateway) as wire:
        for _ in range(2):
            dates = wire.ask(GET).values("date")
            assert len(dates) == 1
            if block:
                assert block.lower().endswith(dates[0].lower().encode() + b"\r\n")


@pytest.mark.parametrize("te", [b"", b"TE: trailers\r\nConnection: TE\r\n"])
def test_the_trailer_field_and_te_go_on_with_the_trailers(te: bytes) -> None:
    response = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\n" + CODED[:-2] + b"X-Sum: 1\r\n\r\n"
    with before(response) as (gateway, server), Wire.to(gateway) as wire:
        message = wire.ask(b"GET / HTTP/1.1\r\nHost: a\r\n" + te + b"\r\n")

    assert (message.body, message.trailers.lower()) == (b"ok", b"x-sum: 1\r\n")
    assert message.values("trailer") == ["X-Sum"]
    assert (b"\r\nTE: trailers\r\n".lower() in server.requests[0].lower()) is bool(te)


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket, h2c", b"TLS/1.0"])
def test_a_switch_to_a_protocol_that_was_not_asked_for_is_502(protocol: bytes) -> None:
    response = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\nbehind it" % protocol
    with before(response) as (gateway, _), Wire.to(gateway) as wire:
        message = wire.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))

    assert message.status == 502
    assert b"behind it" not in message.body


def test_a_switch_that_was_not_asked_for_at_all_is_502() -> None:
    with before(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n") as (
        gateway,
        _,
    ):
        assert gateway.get("/").status == 502


@pytest.mark.parametrize(("method", "sent"), [("GET", 2), ("DELETE", 1), ("POST", 1)])
def test_a_request_is_sent_again_for_free_only_once_and_where_retries_are_allowed(method: str, sent: int) -> None:
    def serve(connection: RawConnection) -> None:
        connection.request()
        connection.send(OK)
        connection.request()  # on the kept connection, which ends without a byte

    retries = {"attempts": 1, "methods": ["GET"], "on": ["connect-failure"]}
    with before(serve, retries=retries) as (gateway, server), Wire.to(gateway) as wire:
        assert wire.ask(GET).status == 200
        status = wire.ask(f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode()).status

    assert len(server.requests) == 1 + sent
    assert status == (200 if sent == 2 else 502)


def test_the_limit_of_response_heads_follows_a_reload() -> None:
    response = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 3000 + b"\r\nContent-Length: 2\r\n\r\nok"
    with RawServer(response) as server:

        def config(limit: int) -> str:
            return f"limits: {{max_head_bytes: {limit}}}\nroutes: [{{id: r, path_prefix: /, target: '{server.url}'}}]"

        with RunningGateway(config(8192)) as gateway, Wire.to(gateway) as wire:
            statuses = []
            for limit in (8192, 2048, 8192):
                gateway.reload(config(limit))
                statuses.append(wire.ask(GET).status)

    assert statuses == [200, 502, 200]
