"""One plugin for each way in which a plugin takes part in a request, all of which lead to the same response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from gateway_core.errors import UpstreamError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Headers, Record, Request, Response, RouteInfo, UpstreamAttempt

from tests.core.proxy.kit import Handler, Peer, RawUpstream, RunningProxy, counts, field, until

Ability = type[Plugin[Any]]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n"
CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

records: list[Record] = []


class Same(BodyFilter):
    """Holds each piece back until the next comes or nothing is there, and changes nothing."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        held, self._held = self._held, data
        return held

    def flush(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def finish(self, trailers: Headers) -> bytes:
        return self.flush()


class Logged(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_log(self, record: Record) -> None:
        records.append(record)


class RequestFilter(Logged):
    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.add_body_filter(Same)


class ResponseFilter(Logged):
    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.add_body_filter(Same)


class Observer(Logged):
    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.add_body_filter(Same, observe=True)

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.add_body_filter(Same, observe=True)


class Reads(Logged):
    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        await request.read()

    @hookimpl
    async def gateway_response(self, response: Response) -> None:
        await response.read()


class Forward(Logged):
    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        await request.forward()


class ForwardAndFilter(Logged):
    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        request.add_body_filter(Same)
        response = await request.forward()
        response.add_body_filter(Same)
        return response


class Detach(Logged):
    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        await request.read()
        response = await request.detach().forward()
        return Response(response.status, await response.read())


class Fetch(Logged):
    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        body = await request.read()
        async with self.upstreams.fetch("u", request.method, request.raw_path, body=body) as fetched:
            return Response(fetched.status, await fetched.read())


class FetchAndStream(Logged):
    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        body = await request.read()
        fetching = self.upstreams.fetch("u", request.method, request.raw_path, body=body)

        async def pieces() -> AsyncIterator[bytes]:
            async with fetching as fetched:
                if fetched.status != 200:
                    raise UpstreamError("the status is not 200", reason="upstream.bad-response")
                async for piece in fetched:
                    yield piece

        return Response(200, pieces())


class AttemptHook(Logged):
    @hookimpl
    async def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
        attempt.headers["X-Signature"] = str(len(await request.read()))


class Reroute(Logged):
    @hookimpl
    async def gateway_route_match(self, route: RouteInfo | None) -> str | None:
        return "other" if route is not None and route.id == "r" else None


class AllResponses(Logged):
    responses = "all"

    @hookimpl
    async def gateway_response(self, response: Response) -> None:
        response.headers["X-Seen"] = "1"


ABILITIES = [
    RequestFilter, ResponseFilter, Observer, Reads, Forward, ForwardAndFilter, Detach, Fetch, FetchAndStream,
    AttemptHook, Reroute, AllResponses,
]  # fmt: skip

WHOLE = {Reads, Detach, Fetch}
"""Those that have the whole body of the upstream's response before the client gets its head."""
OWN = {Detach, Fetch, FetchAndStream}
"""Those that respond by themselves."""
READING = {Reads, Detach, Fetch, FetchAndStream, AttemptHook}
"""Those that have the whole body of the request before anything goes upstream."""


class Case:
    """A gateway with one ability before an upstream."""

    def __init__(self, gateway: RunningProxy, upstream: RawUpstream) -> None:
        self.gateway = gateway
        self.upstream = upstream

    async def is_over(self) -> None:
        """Wait until nothing of any request is left."""
        await until(lambda: not counts(self.gateway))


def in_two(upstream: Callable[[], RawUpstream], more: asyncio.Event) -> Handler:
    """Return what serves a connection with the half of a body, and with the other half when there is to be more."""

    async def script(peer: Peer) -> None:
        await upstream().read_request(peer)
        await peer.send(HEAD + b"3\r\nabc\r\n")
        await more.wait()
        await peer.send(b"3\r\ndef\r\n0\r\n\r\n")

    return script


StartCase = Callable[..., Awaitable[Case]]
"""Starts an upstream, and a gateway before it whose plugins are an ability, and more."""


async def body_of(client: Peer) -> tuple[int, bytes, bytes]:
    """Read a response however its body is framed; return its status, head and what follows."""
    head = await client.head()
    if (length := field(head, b"content-length")) is not None:
        return int(head[9:12]), head, await client.exactly(int(length))
    return int(head[9:12]), head, await client.reader.readuntil(b"\r\n\r\n")
