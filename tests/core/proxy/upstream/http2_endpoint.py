"""An endpoint of HTTP/2 that does what its script says, with frames of hyperframe and fields of hpack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import hpack
import hyperframe.frame as hf
from gateway_core.tasks import spawn

from tests.core.proxy.kit import RunningProxy

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@dataclass
class Asked:
    """A request."""

    connection: Connection
    stream: int
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    reset: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.fields)

    async def head(self, status: int = 200, *extra: tuple[str, str], ends: bool = False) -> None:
        fields = [(":status", str(status)), *extra]
        flags = ["END_HEADERS", "END_STREAM"] if ends else ["END_HEADERS"]
        await self.connection.send(
            hf.HeadersFrame(self.stream, data=self.connection.encoder.encode(fields), flags=flags)
        )

    async def data(self, data: bytes, *, ends: bool = False) -> None:
        for at in range(0, len(data) or 1, 16384):
            is_last = at + 16384 >= len(data)
            flags = ["END_STREAM"] if ends and is_last else []
            await self.connection.send(hf.DataFrame(self.stream, data=data[at : at + 16384], flags=flags))

    async def end(self, *trailers: tuple[str, str]) -> None:
        block = self.connection.encoder.encode(trailers)
        await self.connection.send(hf.HeadersFrame(self.stream, data=block, flags=["END_HEADERS", "END_STREAM"]))

    async def respond(self, body: bytes = b"ok", *extra: tuple[str, str], status: int = 200) -> None:
        await self.head(status, *extra, ends=not body)
        if body:
            await self.data(body, ends=True)

    async def send_reset(self, code: int) -> None:
        await self.connection.send(hf.RstStreamFrame(self.stream, error_code=code))


Script = Callable[[Asked], Awaitable[None]]


class Connection:
    """One connection of the gateway's."""

    def __init__(self, endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._endpoint, self._reader, self.writer = endpoint, reader, writer
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.streams: dict[int, Asked] = {}
        self.frames: list[hf.Frame] = []
        self.settings: dict[int, int] = {}
        self.acknowledges_ping = True
        self.ended = asyncio.Event()

    async def send(self, *frames: hf.Frame | bytes) -> None:
        with suppress(ConnectionError):
            self.writer.write(b"".join(f if isinstance(f, bytes) else bytes(f.serialize()) for f in frames))
            await self.writer.drain()

    async def serve(self) -> None:
        try:
            assert await self._reader.readexactly(len(PREFACE)) == PREFACE
            if self._endpoint.says_settings:
                await self.send(hf.SettingsFrame(0, settings=self._endpoint.settings))
            while True:
                head = await self._reader.readexactly(9)
                frame, length = hf.Frame.parse_frame_header(memoryview(head))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
                self.frames.append(frame)
                await self._take(frame, length)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.set()
            self.writer.close()

    async def _take(self, frame: hf.Frame, length: int) -> None:
        if isinstance(frame, hf.HeadersFrame):
            fields = [(str(name), str(value)) for name, value in self.decoder.decode(frame.data)]
            if frame.stream_id in self.streams:
                self.streams[frame.stream_id].trailers = fields
            else:
                asked = self.streams[frame.stream_id] = Asked(self, frame.stream_id, fields)
                self._endpoint.asked.append(asked)
                spawn(self._endpoint.script(asked), name="script")  # type: ignore[arg-type]
        elif isinstance(frame, hf.DataFrame):
            self.streams[frame.stream_id].body += frame.data
            if length and self._endpoint.gives_credit:
                await self.send(
                    hf.WindowUpdateFrame(0, window_increment=length),
                    hf.WindowUpdateFrame(frame.stream_id, window_increment=length),
                )
        elif isinstance(frame, hf.RstStreamFrame):
            reset = self.streams[frame.stream_id].reset
            if not reset.done():
                reset.set_result(frame.error_code)
        elif isinstance(frame, hf.SettingsFrame) and "ACK" not in frame.flags:
            self.settings.update(frame.settings)
            await self.send(hf.SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, hf.PingFrame) and "ACK" not in frame.flags and self.acknowledges_ping:
            await self.send(hf.PingFrame(0, opaque_data=frame.opaque_data, flags=["ACK"]))
        if "END_STREAM" in frame.flags:
            self.streams[frame.stream_id].complete.set()


class Endpoint:
    """A server of HTTP/2 with prior knowledge."""

    def __init__(self, script: Script, settings: dict[int, int]) -> None:
        self.script, self.settings = script, settings
        self.connections: list[Connection] = []
        self.asked: list[Asked] = []
        self.gives_credit = self.says_settings = True
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self.connections.append(connection)
        await connection.serve()


StartHttp2 = Callable[..., Awaitable[tuple[RunningProxy, Endpoint]]]


@asynccontextmanager
async def http2_endpoint(script: Script, settings: dict[int, int] | None = None) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(script, settings or {})
    server = await asyncio.start_server(endpoint.on_connection, "127.0.0.1", 0)
    endpoint.port = server.sockets[0].getsockname()[1]
    try:
        yield endpoint
    finally:
        server.close()
        for connection in endpoint.connections:
            connection.writer.transport.abort()
        await asyncio.sleep(0)
