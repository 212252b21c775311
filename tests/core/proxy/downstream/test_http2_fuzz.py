"""Any frames in any order, whole or damaged: the gateway keeps to the client's windows, gives back what it took, and
nothing is left of a connection behind its end.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import hpack
import hyperframe.frame as hf
import pytest
from gateway_core.proxy.downstream.http2_connection import CONNECTION_WINDOW
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.proxy.downstream.http2_client import COMPRESSION_ERROR, OK, PREFACE, Http2Client
from tests.core.proxy.downstream.http2_conformance import (
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    literal,
    raw,
)
from tests.core.proxy.kit import Peer, Proxied, RunningProxy, counts, turns, until

DEFAULT_WINDOW = 65535
OFTEN = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def upstream(peer: Peer) -> None:
    """Respond to some requests early, to some at their end, with bodies of some sizes."""
    while True:
        head = await peer.head()
        if b"chunked" in head.lower() and b"/early" not in head:
            while size := int(await peer.reader.readuntil(b"\n"), 16):
                await peer.exactly(size + 2)
            while await peer.reader.readline() != b"\r\n":
                pass
        if b"/large" in head:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000))
        else:
            await peer.send(OK)


@dataclass
class Sequence:
    """Frames of a client that does not look at what it gets."""

    data: bytearray = field(default_factory=bytearray)
    last: int = -1
    sent: int = 0
    """Bytes of DATA, padding included."""
    opened: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Bytes of windows that the client has opened, by stream."""
    initial: int = DEFAULT_WINDOW
    """The largest window that new streams were given."""

    def head(self, path: str, ends: bool) -> None:
        self.last += 2
        block = b"\x83" + GET[1:2] + literal(b":path", path.encode()) + GET[3:]
        self.data += raw(HEADERS, END_HEADERS | (END_STREAM if ends else 0), self.last, block)

    def body(self, back: int, size: int, padding: int, ends: bool) -> None:
        stream = max(1, self.last - 2 * back)
        flags = (END_STREAM if ends else 0) | (PADDED if padding else 0)
        payload = bytes((padding,)) * bool(padding) + bytes(size) + bytes(padding)
        self.sent += len(payload)
        self.data += raw(DATA, flags, stream, payload)

    def trailers(self, back: int) -> None:
        self.data += raw(HEADERS, END_HEADERS | END_STREAM, max(1, self.last - 2 * back), literal(b"x", b"y"))

    def reset(self, back: int) -> None:
        self.data += raw(RST_STREAM, 0, max(1, self.last - 2 * back), b"\0\0\0\x08")

    def window(self, back: int, size: int) -> None:
        stream = max(0, self.last - 2 * back)
        self.opened[stream] += size
        self.data += raw(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big"))

    def settings(self, size: int) -> None:
        self.initial = max(self.initial, size)
        self.data += raw(SETTINGS, 0, 0, b"\0\4" + size.to_bytes(4, "big"))

    def ping(self) -> None:
        self.data += raw(PING, 0, 0, b"fuzzfuzz")

    def priority(self, back: int, urgency: int) -> None:
        stream = max(1, self.last - 2 * back)
        self.data += raw(PRIORITY, 0, stream, bytes(4) + b"\1")
        self.data += raw(16, 0, 0, stream.to_bytes(4, "big") + b"u=%d" % urgency)


Step = Callable[[Sequence], None]
backs = st.integers(0, 4)
STEPS = st.one_of(
    st.builds(
        lambda path, ends: lambda made: made.head(path, ends), st.sampled_from(["/", "/large", "/early"]), st.booleans()
    ),
    st.builds(
        lambda back, size, padding, ends: lambda made: made.body(back, size, padding, ends),
        backs, st.sampled_from([0, 1, 100, 5000, 16000]), st.sampled_from([0, 0, 1, 255]), st.booleans(),
    ),
    st.builds(lambda back: lambda made: made.trailers(back), backs),
    st.builds(lambda back: lambda made: made.reset(back), backs),
    st.builds(lambda back, size: lambda made: made.window(back, size), backs, st.sampled_from([1, 1000, 100_000])),
    st.builds(lambda size: lambda made: made.settings(size), st.sampled_from([0, 1, 20_000, 65535, 200_000])),
    st.just(lambda made: made.ping()),
    st.builds(lambda back, urgency: lambda made: made.priority(back, urgency), backs, st.integers(0, 7)),
)  # fmt: skip


class Gateways:
    """One gateway for all examples of a test."""

    def __init__(self, proxied: Proxied) -> None:
        self._proxied = proxied
        self._gateway: RunningProxy | None = None

    async def get(self) -> RunningProxy:
        if self._gateway is None:
            self._gateway, _ = await self._proxied(upstream)
        return self._gateway

    async def expect_nothing_left(self) -> None:
        gateway = await self.get()
        await until(lambda: not counts(gateway) and not len(gateway.proxy.connections))
        assert not gateway.proxy.exchanges
        # A connect that was given up ends in a turn of its own.
        await until(lambda: not [task for task in asyncio.all_tasks() if "connect" in task.get_name()])


@pytest.fixture
def gateways(proxied: Proxied) -> Gateways:
    return Gateways(proxied)


class Meter:
    """What a client may be sent."""

    def __init__(self, made: Sequence) -> None:
        self._made = made
        self._received: dict[int, int] = defaultdict(int)
        self.credit = DEFAULT_WINDOW
        """Bytes of DATA that it may send on the connection, but for those it has sent."""

    def take(self, taken: list[hf.Frame]) -> None:
        for frame in taken:
            if isinstance(frame, hf.DataFrame):
                size = len(frame.data)
                self._received[0] += size
                self._received[frame.stream_id] += size
                assert self._received[0] <= DEFAULT_WINDOW + self._made.opened[0]
                assert self._received[frame.stream_id] <= self._made.initial + self._made.opened[frame.stream_id]
            elif isinstance(frame, hf.WindowUpdateFrame) and not frame.stream_id:
                self.credit += frame.window_increment


async def run(gateway: RunningProxy, data: bytes, cuts: list[int]) -> Http2Client:
    """Send bytes in pieces; return the client, settled if its connection still is."""
    client = Http2Client(await gateway.connect())
    client.gives_credit = client.acknowledges = False
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    try:
        for start, end in pairwise(edges):
            await client.peer.send(data[start:end])
            await turns(2)
    except ConnectionError:
        pass
    return client


@given(steps=st.lists(STEPS, min_size=4, max_size=40), cuts=st.lists(st.integers(0, 10_000), max_size=4))
@OFTEN
async def test_credit_is_conserved_and_nothing_is_left(gateways: Gateways, steps: list[Step], cuts: list[int]) -> None:
    gateway, made = await gateways.get(), Sequence()
    for step in [lambda made: made.head("/", True), *steps]:
        step(made)
    client = await run(gateway, PREFACE + raw(SETTINGS, 0, 0) + made.data, cuts)
    meter = Meter(made)
    try:
        for stream in range(1, made.last + 1, 2):
            await client.peer.send(raw(RST_STREAM, 0, stream, b"\0\0\0\x08"))
        await client.settle()
    except ConnectionError:
        pass
    meter.take(client.frames)
    if not client.closed and not client.goaways:
        # Half of a window is given back at once.
        assert meter.credit - made.sent >= CONNECTION_WINDOW // 2
    client.peer.reset()
    await gateways.expect_nothing_left()


@given(
    steps=st.lists(STEPS, min_size=2, max_size=20),
    damage=st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 255)), max_size=4),
    end=st.integers(0, 100_000),
    cuts=st.lists(st.integers(0, 10_000), max_size=3),
)
@OFTEN
async def test_damaged_frames_end_a_connection_at_most(
    gateways: Gateways, steps: list[Step], damage: list[tuple[int, int]], end: int, cuts: list[int]
) -> None:
    gateway, made = await gateways.get(), Sequence()
    for step in steps:
        step(made)
    data = bytearray(PREFACE + raw(SETTINGS, 0, 0) + made.data)
    for position, mask in damage:
        data[position % len(data)] ^= mask
    client = await run(gateway, bytes(data[: end % (len(data) + 1)] if end % 2 else data), cuts)
    client.peer.reset()
    await gateways.expect_nothing_left()
    status, _, _ = await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert status == 200


@given(block=st.binary(max_size=300))
@OFTEN
async def test_any_block_is_decoded_as_by_another_decoder_or_ends_the_connection(
    gateways: Gateways, block: bytes
) -> None:
    gateway = await gateways.get()
    client = Http2Client(await gateway.connect())
    await client.begin()
    try:
        hpack.Decoder(max_header_list_size=65536).decode(block, raw=True)
        is_block = True
    except hpack.HPACKError:
        is_block = False
    await client.send(raw(HEADERS, END_HEADERS | END_STREAM, 1, block))
    await client.response(1)
    if not is_block:
        assert client.goaways
    elif client.goaways:
        assert client.goaways[-1][1] == COMPRESSION_ERROR  # integers beyond what makes sense
    client.peer.reset()
    await gateways.expect_nothing_left()
