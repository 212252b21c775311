"""Sends lines to a syslog server (RFC 5424, RFC 5426 for UDP, RFC 6587 and RFC 5425 for streams)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_plugin_sdk import Record, Request, Response

from gateway_plugin_logger.config.sinks import SyslogSink
from gateway_plugin_logger.fields.times import Rfc3339
from gateway_plugin_logger.sinks.retry import DeliveryError

_FACILITIES: Final = {"user": 1, "daemon": 3, "auth": 4, **{f"local{number}": 16 + number for number in range(8)}}
_PORTS: Final = {"udp": 514, "tcp": 601, "tls": 6514}
_UDP_MESSAGE: Final = 2048  # RFC 5426 section 3.2: what receivers should take


def make_head(sink: SyslogSink, binding: str) -> Callable[[Request, Response, Record], str]:
    """Return a function that writes what stands before a line: priority, time, host, application, process, binding."""
    facility = _FACILITIES[sink.facility] * 8
    message_id = "".join(character for character in binding if "!" <= character <= "~")[:32] or "-"
    rest = f" {sink.hostname or socket.gethostname() or '-'} {sink.app_name} {os.getpid()} {message_id} - "
    rfc3339 = Rfc3339()

    def head(request: Request, response: Response, record: Record) -> str:  # noqa: ARG001 - like every renderer
        status = response.status
        severity = 6 if status < 400 else 4 if status < 500 else 3  # informational, warning, error
        return f"<{facility + severity}>1 {rfc3339[int(record.started_at * 1000 + 0.001)]}{rest}"

    return head


def frame(message: str, *, is_stream: bool, framing: str, most: int) -> bytes:
    """Return a message as it goes on the wire.

    :param most: its bytes at most; 0 is no limit.
    """
    data = message.rstrip("\n").encode("utf-8", "backslashreplace")
    if most and len(data) > most:
        data = data[:most].decode("utf-8", "ignore").encode()
    if not is_stream:
        return data
    return b"%d %b" % (len(data), data) if framing == "octet-counting" else data.replace(b"\n", b" ") + b"\n"


class SyslogClient:
    """Sends batches to one server over one connection, which is opened when it is needed."""

    def __init__(self, sink: SyslogSink, tls: ssl.SSLContext | None = None) -> None:
        """Take a sink.

        :param tls: how the server of ``tls://`` is trusted; None for the usual way.
        """
        self._sink = sink
        self._scheme = "unix" if sink.address.startswith("unix:") else urlsplit(sink.address).scheme
        self._most = sink.max_message or (_UDP_MESSAGE if self._scheme == "udp" else 0)
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._socket: socket.socket | None = None
        self._tls: ssl.SSLContext | bool | None = (tls or True) if self._scheme == "tls" else None

    async def deliver(self, messages: Sequence[str]) -> None:
        """Send a batch; see `gateway_plugin_logger.sinks.sender.Deliver`."""
        is_stream = self._scheme in {"tcp", "tls"}
        packets = [frame(m, is_stream=is_stream, framing=self._sink.framing, most=self._most) for m in messages]
        try:
            async with asyncio.timeout(self._sink.timeout):
                await (self._send_stream(packets) if is_stream else self._send_packets(packets))
        except (OSError, TimeoutError) as error:
            await self.aclose()
            raise DeliveryError(f"{type(error).__name__}: {error}") from error

    async def _send_stream(self, packets: list[bytes]) -> None:
        stream = self._stream
        # A server never says anything; what can be read of it is that it has gone.
        if stream is None or stream[0].at_eof() or stream[1].is_closing():
            await self.aclose()
            url = urlsplit(self._sink.address)
            port = url.port or _PORTS[self._scheme]
            stream = self._stream = await asyncio.open_connection(url.hostname, port, ssl=self._tls)
        writer = stream[1]
        writer.write(b"".join(packets))
        await writer.drain()

    async def _send_packets(self, packets: list[bytes]) -> None:
        sock = self._socket
        if sock is None:
            sock = self._socket = await self._open_socket()
        for packet in packets:
            while True:
                try:
                    sock.send(packet)
                    break
                except BlockingIOError:  # a datagram socket's buffer is full for microseconds, or its reader is asleep
                    await asyncio.sleep(0.005)

    async def _open_socket(self) -> socket.socket:
        family: int = socket.AF_UNIX
        where: Any = self._sink.address.removeprefix("unix:")
        if self._scheme == "udp":
            url = urlsplit(self._sink.address)
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(url.hostname, url.port or _PORTS["udp"], type=socket.SOCK_DGRAM)
            family, _, _, _, where = found[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(where)
        except OSError:
            sock.close()
            raise
        return sock

    async def aclose(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream[1].close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1.0):
                    await stream[1].wait_closed()
