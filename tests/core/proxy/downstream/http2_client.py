"""A client of HTTP/2 that does what it is told: frames of the library hyperframe, fields of the library hpack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import hpack
import hyperframe.frame as hf

from tests.core.proxy.kit import Peer, RunningProxy

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 0, 1, 3, 5, 6
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 8, 9, 11

Fields = Sequence[tuple[str, str]]


@dataclass
class Got:
    """What came on one stream."""

    heads: list[list[tuple[str, str]]] = field(default_factory=list)
    """Interim heads, the head, trailers."""
    body: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        statuses = [head[0][1] for head in self.heads if head[0][0] == ":status"]
        return next((int(status) for status in statuses if not status.startswith("1")), 0)

    @property
    def headers(self) -> dict[str, str]:
        return dict(next(head for head in self.heads if head[0][1] == str(self.status)))

    @property
    def trailers(self) -> dict[str, str]:
        return dict(self.heads[-1]) if self.heads and self.heads[-1][0][0] != ":status" else {}


class Http2Client:
    """One connection."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.streams: dict[int, Got] = {}
        self.frames: list[hf.Frame] = []
        self.goaways: list[tuple[int, int]] = []
        """Last stream and code."""
        self.settings: dict[int, int] = {}
        self.closed = False
        self._next = 1
        self.gives_credit = self.acknowledges = True
        self._block = b""

    async def begin(self, settings: dict[int, int] | None = None) -> None:
        """Send preface and SETTINGS, and read the gateway's."""
        await self.peer.send(PREFACE + hf.SettingsFrame(0, settings=settings or {}).serialize())
        await self.until(lambda: bool(self.settings))

    async def send(self, *frames: hf.Frame | bytes) -> None:
        await self.peer.send(b"".join(each if isinstance(each, bytes) else bytes(each.serialize()) for each in frames))

    def head(
        self, *extra: tuple[str, str], ends: bool = True, stream: int = 0, **pseudo: str | None
    ) -> hf.HeadersFrame:
        """Return HEADERS of a request on a new stream; None leaves a pseudo-header field out."""
        named: dict[str, str | None] = {"method": "GET", "scheme": "http", "authority": "x", "path": "/"}
        named.update(pseudo)
        fields = [(f":{name}", value) for name, value in named.items() if value is not None]
        return self.fields([*fields, *extra], ends=ends, stream=stream)

    def fields(self, fields: Fields, *, ends: bool = True, stream: int = 0) -> hf.HeadersFrame:
        """Return HEADERS with any fields."""
        if not stream:
            stream, self._next = self._next, self._next + 2
            self.streams[stream] = Got()
        flags = ["END_HEADERS", "END_STREAM"] if ends else ["END_HEADERS"]
        return hf.HeadersFrame(stream, data=self.encoder.encode(list(fields)), flags=flags)

    @property
    def last(self) -> int:
        """The stream that was begun last."""
        return self._next - 2

    def skip_to(self, stream: int) -> None:
        """Begin no stream below this one from now on."""
        self._next = max(self._next, stream)

    def expect(self, stream: int) -> Got:
        """Return what comes on a stream that was begun by frames of another's making."""
        return self.streams.setdefault(stream, Got())

    async def ask(self, *extra: tuple[str, str], body: bytes | None = None, **pseudo: str | None) -> Got:
        """Send a request, and return its response when it is complete."""
        frame = self.head(*extra, ends=body is None, stream=0, **pseudo)
        await self.send(frame, *([] if body is None else self.data(frame.stream_id, body)))
        return await self.response(frame.stream_id)

    @staticmethod
    def data(stream: int, body: bytes, *, ends: bool = True) -> list[hf.DataFrame]:
        pieces = [body[at : at + 16384] for at in range(0, len(body), 16384)] or [b""]
        frames = [hf.DataFrame(stream, data=piece) for piece in pieces]
        if ends:
            frames[-1].flags.add("END_STREAM")
        return frames

    async def response(self, stream: int) -> Got:
        got = self.expect(stream)
        await self.until(lambda: got.ended or got.reset is not None)
        return got

    async def until(self, condition) -> None:  # type: ignore[no-untyped-def]
        """Read frames until something holds, or the connection ends."""
        async with asyncio.timeout(20):
            while not condition():
                if not await self.read():
                    break

    async def end(self) -> None:
        """Read until the gateway ends the connection."""
        await self.until(lambda: False)

    async def settle(self) -> None:
        """Read until the gateway has acted upon all that was sent."""
        count = sum(isinstance(each, hf.PingFrame) for each in self.frames)
        await self.send(hf.PingFrame(0, opaque_data=b"settled?"))
        await self.until(lambda: sum(isinstance(each, hf.PingFrame) for each in self.frames) > count)

    async def read(self) -> hf.Frame | None:
        try:
            head = await self.peer.exactly(9)
            frame, length = hf.Frame.parse_frame_header(memoryview(head))
            frame.parse_body(memoryview(await self.peer.exactly(length)))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.closed = True
            return None
        self.frames.append(frame)
        await self._take(frame, length)
        return frame

    async def _take(self, frame: hf.Frame, length: int) -> None:
        got = self.streams.setdefault(frame.stream_id, Got())
        if isinstance(frame, hf.HeadersFrame | hf.ContinuationFrame):
            self._block += frame.data
            if "END_HEADERS" in frame.flags:
                got.heads.append([(str(name), str(value)) for name, value in self.decoder.decode(self._block)])
                self._block = b""
            got.ended = got.ended or "END_STREAM" in frame.flags
        elif isinstance(frame, hf.DataFrame):
            got.body += frame.data
            got.ended = got.ended or "END_STREAM" in frame.flags
            if self.gives_credit and length:
                await self.send(
                    hf.WindowUpdateFrame(0, window_increment=length),
                    hf.WindowUpdateFrame(frame.stream_id, window_increment=length),
                )
        elif isinstance(frame, hf.RstStreamFrame):
            got.reset = frame.error_code
        elif isinstance(frame, hf.GoAwayFrame):
            self.goaways.append((frame.last_stream_id, frame.error_code))
        elif isinstance(frame, hf.SettingsFrame) and "ACK" not in frame.flags:
            self.settings.update(frame.settings)
            if self.acknowledges:
                await self.send(hf.SettingsFrame(0, flags=["ACK"]))


@asynccontextmanager
async def http2(gateway: RunningProxy, settings: dict[int, int] | None = None) -> AsyncIterator[Http2Client]:
    """Connect with prior knowledge."""
    peer = await gateway.connect_directly()
    client = Http2Client(peer)
    await client.begin(settings)
    try:
        yield client
    finally:
        peer.close()
