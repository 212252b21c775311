"""One rule of HTTP/2 after another: what a client sends, and what the gateway has to say to it.

A `Case` is the frames of a client behind its preface, and the verdict. The tables of cases lie in the modules
``test_http2_conformance_*``, in the order of the RFCs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any

import hyperframe.frame as hf
import pytest
from gateway_core.proxy.wire.h2.hpack_encoder import encode_integer

from tests.core.proxy.downstream.http2_client import OK, Http2Client, http2
from tests.core.proxy.kit import Peer, Proxied, counts, field, until

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

GET = b"\x82\x86\x84\x01\x01x"
"""A block that enters no table: ``:method: GET``, ``:scheme: http``, ``:path: /``, ``:authority: x``."""

POST = b"\x83" + GET[1:]

Sent = hf.Frame | bytes
Verdict = Callable[[Http2Client], Awaitable[None]]


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return any frame, also one that no library makes."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def headers(block: bytes = GET, stream: int = 1, flags: int = END_HEADERS | END_STREAM) -> bytes:
    return raw(HEADERS, flags, stream, block)


def open_post(stream: int = 1) -> bytes:
    """Return the head of a request whose body follows."""
    return headers(POST, stream, END_HEADERS)


def literal(name: bytes, value: bytes) -> bytes:
    """Return a field as a literal that enters no table."""
    return b"\0" + string(name) + string(value)


def string(text: bytes) -> bytes:
    """Return a string without Huffman."""
    return encode_integer(len(text), 7, 0) + text


# -- verdicts


def goaway(*codes: int) -> Verdict:
    """Expect the end of the connection, and nothing of it left."""

    async def verdict(client: Http2Client) -> None:
        await client.end()
        assert client.goaways, "the connection ended without GOAWAY"
        assert client.goaways[-1][1] in codes

    return verdict


def reset(code: int, stream: int = 1) -> Verdict:
    """Expect the end of one stream, and that the connection goes on."""

    async def verdict(client: Http2Client) -> None:
        got = client.expect(stream)
        await client.until(lambda: got.reset is not None)
        assert (got.reset, client.goaways) == (code, [])
        await _goes_on(client)

    return verdict


def response(status: int = 200, stream: int = 1) -> Verdict:
    """Expect that a request was served, and that the connection goes on."""

    async def verdict(client: Http2Client) -> None:
        got = client.expect(stream)
        await client.until(lambda: got.ended or got.reset is not None)
        assert (got.status, got.reset, client.goaways) == (status, None, []), got
        await _goes_on(client)

    return verdict


def frame(kind: type[hf.Frame], flag: str = "", **attributes: Any) -> Verdict:
    """Expect a frame like this."""

    async def verdict(client: Http2Client) -> None:
        def came() -> bool:
            return any(
                isinstance(each, kind)
                and (not flag or flag in each.flags)
                and all(getattr(each, name) == value for name, value in attributes.items())
                for each in client.frames
            )

        await client.until(came)
        assert came(), client.frames
        await _goes_on(client)

    return verdict


async def passed_over(client: Http2Client) -> None:
    """Expect nothing but that the connection goes on."""
    await _goes_on(client)
    assert not client.goaways


async def _goes_on(client: Http2Client) -> None:
    client.skip_to(101)
    assert (await client.ask()).status == 200


async def _upstream(peer: Peer) -> None:
    """Respond to each request behind its end, trailers included."""
    while True:
        head = await peer.head()
        await peer.exactly(int(field(head, b"content-length") or 0))
        if field(head, b"transfer-encoding"):
            while size := int(await peer.reader.readline(), 16):
                await peer.exactly(size + 2)
            while await peer.reader.readline() != b"\r\n":
                pass
        await peer.send(OK)


@dataclass(frozen=True)
class Case:
    """What a client sends behind its preface, and what is expected then."""

    name: str
    sent: list[Sent]
    verdict: Verdict
    settings: dict[int, int] = attribute(default_factory=dict)
    """The client's."""
    served: bool = False
    """Whether a whole request on stream 1 was served before, so that stream is closed."""

    async def judge(self, proxied: Proxied) -> None:
        """Have a gateway meet this client, and find nothing of it left behind."""
        gateway, _ = await proxied(_upstream)
        async with http2(gateway, self.settings) as client:
            if self.served:
                await client.send(headers())
                await client.response(1)
            await client.send(*self.sent)
            await self.verdict(client)
        await until(lambda: not counts(gateway))


def table(*cases: Case) -> pytest.MarkDecorator:
    """Return the cases as parameters of a test."""
    return pytest.mark.parametrize("case", cases, ids=[case.name.replace(" ", "-") for case in cases])
