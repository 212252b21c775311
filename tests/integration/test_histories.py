"""Random histories of a few clients on kept connections: nothing is lost, nothing is doubled, nothing is crossed.

Each request has a number of its own, which the upstream writes down with the body, and says again in its response. What
clients and the upstream do to the connections is part of the history: closes, resets, garbage, half requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from gateway_core.testing import RunningGateway
from gateway_core.testing.loop_thread import LoopThread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.process.certificates import make
from tests.integration.servers.before import gateway_before
from tests.integration.wire import Message, Wire
from tests.protocols.running import spoken_to_in_turn

CLIENTS = 3
HARMLESS = {"length", "chunks", "close", "until-close", "garbage-behind", "end-when-idle"}
"""What an upstream does of which no client notices anything, for requests that may be sent again."""
HARMFUL = {"reset-before", "end-before", "reset-within", "garbage-instead"}
_numbers = itertools.count()


class Recording:
    """An upstream that does what a request's X-How says, and writes down what it got."""

    def __init__(self) -> None:
        self.bodies: dict[int, list[bytes]] = defaultdict(list)
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if "transfer-encoding" in fields:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        number, how = int(fields["x-number"]), fields["x-how"]
        self.bodies[number].append(body)
        return self._respond(writer, number, how, b"%d:" % number + body, is_head=head.startswith("HEAD"))

    def _respond(self, writer: asyncio.StreamWriter, number: int, how: str, body: bytes, *, is_head: bool) -> bool:
        start = b"HTTP/1.1 200 OK\r\nX-Number: %d\r\n" % number
        whole = start + b"Content-Length: %d\r\n\r\n" % len(body) + b"" * is_head + (b"" if is_head else body)
        match how:
            case "chunks" if not is_head:
                chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
                writer.write(start + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
            case "close":
                writer.write(whole.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                return False
            case "until-close" if not is_head:
                writer.write(start + b"\r\n" + body)
                return False
            case "garbage-behind":
                writer.write(whole + b"\r\n")
            case "end-when-idle":
                writer.write(whole)
                return False
            case "garbage-instead":
                writer.write(b"garbage\r\n\r\n")
                return False
            case "end-before":
                return False
            case "reset-before" | "reset-within":
                writer.write(b"" if how == "reset-before" else whole[:-1])
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return False
            case _:
                writer.write(whole)
        return True


@dataclass(frozen=True)
class Request:
    """What one client sends next."""

    client: int
    method: str
    how: str
    size: int
    is_chunked: bool
    leaves: str
    """How the client leaves: ``no``, or before or after its request is complete."""

    @property
    def has_body(self) -> bool:
        return self.method in {"POST", "PUT"}

    def body(self, number: int) -> bytes:
        return (b"<%d>" % number * (self.size // 4 + 1))[: self.size] if self.has_body else b""

    def encode(self, number: int) -> bytes:
        body = self.body(number)
        head = f"{self.method} /r HTTP/1.1\r\nHost: a\r\nX-Number: {number}\r\nX-How: {self.how}\r\n".encode()
        if not self.has_body:
            return head + b"\r\n"
        if self.is_chunked:
            half = len(body) // 2
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (body[:half], body[half:]) if each)
            return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


steps = st.lists(
    st.builds(
        Request,
        client=st.integers(0, CLIENTS - 1),
        method=st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT", "DELETE"]),
        how=st.sampled_from(sorted(HARMLESS) * 2 + sorted(HARMFUL)),
        size=st.sampled_from([0, 1, 10, 5_000, 200_000]),
        is_chunked=st.booleans(),
        leaves=st.sampled_from(["no"] * 9 + ["within", "after"]),
    ),
    min_size=1,
    max_size=12,
)


class Setting:
    """A gateway, and the upstream behind it."""

    def __init__(self, gateway: RunningGateway, upstream: Recording) -> None:
        self.gateway = gateway
        self.upstream = upstream


@pytest.fixture(scope="module", params=["asyncio", "asyncio-tls", "uvloop", "uvloop-tls"])
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """Run an upstream and a gateway, with TLS on both sides of it or on none."""
    thread, upstream = LoopThread("recording upstream"), Recording()
    loop, _, tls = request.param.partition("-")
    pair, context, more = None, None, {}
    if tls:
        pair = make(tmp_path_factory.mktemp("tls"), "localhost", "a")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.cert, pair.key)
        more = {"tls": {"verify": False}}

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)

    server = thread.run(listen())
    upstream.port = server.sockets[0].getsockname()[1]
    url = f"{'https' if tls else 'http'}://127.0.0.1:{upstream.port}"
    with gateway_before(url, loop, pair, **more) as running, spoken_to_in_turn(running) as gateway:
        yield Setting(gateway, upstream)

    async def close() -> None:
        server.close()

    thread.run(close())
    thread.close()


@given(history=steps, pipelines=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_response_is_that_of_its_request(setting: Setting, history: list[Request], pipelines: bool) -> None:
    wires: dict[int, Wire] = {}
    due: dict[int, list[tuple[int, Request]]] = defaultdict(list)
    sent: dict[int, Request] = {}

    for step in history:
        wire = wires.get(step.client) or wires.setdefault(step.client, Wire.to(setting.gateway))
        number = next(_numbers)
        data = step.encode(number)
        sent[number] = step
        if step.leaves != "no":
            with contextlib.suppress(OSError):
                wire.send(data if step.leaves == "after" else data[: len(data) * 2 // 3])
            wires.pop(step.client).reset()
            due.pop(step.client, None)
            continue
        try:
            wire.send(data)
        except OSError:
            assert due[step.client], "a connection ended that nothing had happened to"
        due[step.client].append((number, step))
        if not pipelines:
            _receive(wires, due, step.client)
    for client in list(due):
        _receive(wires, due, client)
    for wire in wires.values():
        wire.close()

    setting.gateway.settle()
    for number, step in sent.items():
        bodies = setting.upstream.bodies.pop(number, [])
        if step.leaves == "no":
            assert all(body == step.body(number) for body in bodies)
        may_be_sent_again = step.method in {"GET", "HEAD", "DELETE", "PUT"}
        assert len(bodies) <= (2 if may_be_sent_again else 1)


def _receive(wires: dict[int, Wire], due: dict[int, list[tuple[int, Request]]], client: int) -> None:
    """Read what is due to a client, in order, as far as its connection goes."""
    wire = wires[client]
    for number, step in due.pop(client, []):
        try:
            message = wire.final(step.method)
        except (EOFError, ConnectionError):
            wires.pop(client).close()
            assert step.how == "reset-within", step
            return
        _check(message, number, step)
        if message.values("connection") == ["close"]:
            wires.pop(client).close()
            return


def _check(message: Message, number: int, step: Request) -> None:
    if message.status == 200:
        assert message.values("x-number") == [str(number)]
        assert step.method == "HEAD" or message.body == b"%d:" % number + step.body(number)
    else:
        assert message.status == 502, message
        # A body that is not kept cannot be sent again when a kept connection turns out to be closed.
        assert step.how in HARMFUL or step.has_body, step
