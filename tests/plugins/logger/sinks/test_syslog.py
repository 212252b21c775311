from __future__ import annotations

import asyncio
import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_logger.config import SyslogSink
from gateway_plugin_logger.open_sinks import load_tls
from gateway_plugin_logger.sinks.retry import DeliveryError
from gateway_plugin_logger.sinks.syslog import SyslogClient, frame, make_head


def sink(address: str, **options: Any) -> SyslogSink:
    return SyslogSink.model_validate({"type": "syslog", "address": address, **options})


class Server:
    """A real stream server that keeps what it receives."""

    def __init__(self) -> None:
        self.received = b""
        self.connections: list[asyncio.StreamWriter] = []
        self.port = 0

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self.server = await asyncio.start_server(self._take, "127.0.0.1", 0, ssl=tls)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        while data := await reader.read(65_536):
            self.received += data
        writer.close()

    async def hang_up(self) -> None:
        for connection in self.connections:
            connection.close()
            await connection.wait_closed()

    async def close(self) -> None:
        self.server.close()
        await self.hang_up()
        await self.server.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.close()


@pytest.mark.parametrize(
    ("options", "status", "priority"),
    [
        ({}, 200, 134),
        ({}, 404, 132),
        ({}, 500, 131),
        ({"facility": "auth"}, 200, 38),
        ({"facility": "local7"}, 503, 187),
    ],
)
def test_the_head_of_a_message_follows_rfc_5424(
    options: dict[str, Any], status: int, priority: int, make_event: Any
) -> None:
    head = make_head(sink("udp://x", hostname="edge-1", app_name="gw", **options), "per user")(
        *make_event(status=status)
    )

    assert re.fullmatch(rf"<{priority}>1 2026-11-22T23:20:21\.123Z edge-1 gw \d+ peruser - ", head)


@pytest.mark.parametrize(
    ("message", "options", "wire"),
    [
        ("abc\n", {"is_stream": True, "framing": "octet-counting", "most": 0}, b"3 abc"),
        ("abc\n", {"is_stream": True, "framing": "newline", "most": 0}, b"abc\n"),
        ("a\nb\n", {"is_stream": True, "framing": "newline", "most": 0}, b"a b\n"),
        ("abc\n", {"is_stream": False, "framing": "newline", "most": 0}, b"abc"),
        ("abcdef\n", {"is_stream": False, "framing": "newline", "most": 4}, b"abcd"),
        ("aé\n", {"is_stream": True, "framing": "octet-counting", "most": 2}, b"1 a"),
    ],
)
def test_messages_are_framed_and_cut_between_characters(message: str, options: dict[str, Any], wire: bytes) -> None:
    assert frame(message, **options) == wire


async def test_udp_carries_one_message_a_packet() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.bind(("127.0.0.1", 0))
        receiving.settimeout(30)
        client = SyslogClient(sink(f"udp://127.0.0.1:{receiving.getsockname()[1]}"))

        await client.deliver(["one\n", "x" * 5000 + "\n"])
        await client.aclose()

        assert receiving.recv(65_536) == b"one"
        assert receiving.recv(65_536) == b"x" * 2048


async def test_a_unix_socket_takes_messages_and_a_full_one_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
        receiving.bind(str(path))
        client = SyslogClient(sink(f"unix:{path}"))

        sending = asyncio.gather(client.deliver([f"{number}\n" for number in range(3000)]))
        received = await asyncio.to_thread(lambda: [receiving.recv(100) for _ in range(3000)])
        await sending
        await client.aclose()

    assert received == [str(number).encode() for number in range(3000)]


async def test_a_unix_socket_that_nobody_has_is_tried_again(tmp_path: Path) -> None:
    client = SyslogClient(sink(f"unix:{tmp_path / 'none'}"))

    with pytest.raises(DeliveryError, match="FileNotFoundError"):
        await client.deliver(["a\n"])


async def test_a_stream_is_opened_once_and_counts_octets(server: Server, eventually: Any) -> None:
    client = SyslogClient(sink(f"tcp://127.0.0.1:{server.port}"))

    await client.deliver(["one\n", "three\n"])
    await client.deliver(["x\n"])
    await eventually(lambda: server.received == b"3 one5 three1 x")

    assert len(server.connections) == 1
    await client.aclose()


async def test_a_stream_that_the_server_closed_is_opened_anew(server: Server, eventually: Any) -> None:
    client = SyslogClient(sink(f"tcp://127.0.0.1:{server.port}"))
    await client.deliver(["one\n"])
    await eventually(lambda: server.received == b"3 one")

    await server.hang_up()
    stream = client._stream
    assert stream is not None
    await eventually(stream[0].at_eof)
    await client.deliver(["two\n"])
    await eventually(lambda: server.received == b"3 one3 two")

    assert len(server.connections) == 2
    await client.aclose()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "server.crt", folder / "server.key"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    files = ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=log", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
    return cert, key


def client_of(sink: SyslogSink) -> SyslogClient:
    return SyslogClient(sink, load_tls(sink))


async def test_tls_is_spoken_with_a_server_that_can_prove_who_it_is(
    certificate: tuple[Path, Path], eventually: Any
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    server = Server()
    await server.start(context)
    address = f"tls://127.0.0.1:{server.port}"

    trusting = client_of(sink(address, tls={"ca": str(certificate[0])}))
    await trusting.deliver(["one\n"])
    await eventually(lambda: server.received == b"3 one")
    await trusting.aclose()
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
        await SyslogClient(sink(address)).deliver(["two\n"])
    careless = client_of(sink(address, tls={"verify": False}))
    await careless.deliver(["two\n"])
    await eventually(lambda: server.received == b"3 one3 two")
    await careless.aclose()

    await server.close()


async def test_a_server_that_is_away_is_tried_again(server: Server) -> None:
    client = SyslogClient(sink(f"tcp://127.0.0.1:{server.port}"))
    await server.close()

    with pytest.raises(DeliveryError, match="ConnectionRefusedError"):
        await client.deliver(["one\n"])


async def test_a_server_that_takes_nothing_ends_the_try_in_time(server: Server) -> None:
    client = SyslogClient(sink(f"tcp://127.0.0.1:{server.port}", timeout="50ms"))
    await client.deliver(["one\n"])
    for connection in server.connections:
        connection.transport.pause_reading()  # type: ignore[attr-defined]

    with pytest.raises(DeliveryError, match="TimeoutError"):
        await client.deliver(["x" * 50_000_000])


async def test_a_logger_sends_syslog_until_it_is_stopped(
    server: Server, loggers: Any, make_event: Any, eventually: Any
) -> None:
    config = {
        "format": "{method} {path}",
        "sinks": [
            {
                "type": "syslog",
                "address": f"tcp://127.0.0.1:{server.port}",
                "framing": "newline",
                "queue": {"delay": "1m"},
            }
        ],
    }
    logger = await loggers.start(config)

    for number in range(3):
        logger.gateway_log(*make_event(f"/{number}"))
    await loggers.stop(logger)
    await eventually(lambda: server.received.count(b"\n") == 3)

    messages = [line.partition(" logger - ")[2] for line in server.received.decode().splitlines()]
    assert messages == ["GET /0", "GET /1", "GET /2"]
